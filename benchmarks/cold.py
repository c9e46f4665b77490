"""Cold starts under AWS's own runtime client, as ratios to the floor of the same run."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.artifacts import Artifacts
from benchmarks.calls import check
from benchmarks.runtime import Lambda
from benchmarks.wire import Wire
from benchmarks.world import Case, World

FLOOR = "floor"
BARE = "bare"
MEASURES = ("import", "call", "end")


@dataclass(slots=True)
class Samples:
    """What one subject's runs took: milliseconds of wall clock and CPU up to each mark."""

    wall: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    memory: list[float] = field(default_factory=list)

    def add(self, began: int, sample: Mapping[str, Any]) -> None:
        """Take one run; the marks that it did not reach are its end."""
        marks = sample["marks"]
        for name in MEASURES:
            wall, cpu = marks.get(name, marks["end"])
            self.wall.setdefault(name, []).append((wall - began) / 1e6)
            self.cpu.setdefault(name, []).append(cpu / 1e6)
        self.memory.append(sample["memory"] / 1e6)


def measure(
    cases: Sequence[Case],
    artifacts: Artifacts,
    world: World,
    wire: Wire,
    *,
    rounds: int,
    tick: Callable[[], None],
) -> dict[str, Samples]:
    """Run everything once per round, in random order."""
    samples: dict[str, Samples] = {name: Samples() for name in (BARE, FLOOR)}
    samples |= {case.name: Samples() for case in cases}
    environment = world.environment | wire.environment
    subjects: list[Case | str] = [BARE, FLOOR, *cases]
    for number in range(rounds + 1):
        random.shuffle(subjects)
        for subject in subjects:
            if isinstance(subject, str):
                name = subject
                path = [artifacts.floor] if subject == FLOOR else []
                handler = "floor.handler" if subject == FLOOR else "noop.handler"
                instance, event = Lambda(artifacts, path, environment, handler), {}
            else:
                name, event = subject.name, subject.event
                wire.replay(name)
                path = artifacts.path(subject.function)
                instance = Lambda(artifacts, path, environment, "app.handler")
            with instance:
                sample = instance.cold(event)
            if not isinstance(subject, str):
                check(subject, sample["answer"])
            if number:  # the first round fills the disk's cache
                samples[name].add(instance.began, sample)
            tick()
    return samples
