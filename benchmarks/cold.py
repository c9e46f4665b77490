"""Cold starts under AWS's own runtime client, each as a ratio to a floor that ran right before it.

A machine that others use is half as fast from one second to the next: what ran in the same second
is the only measure.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.artifacts import Artifacts
from benchmarks.calls import check
from benchmarks.runtime import Lambda
from benchmarks.wire import Wire
from benchmarks.world import Case, World

MEASURES = ("import", "call", "end")

type Times = dict[str, tuple[float, float]]
"""Wall clock and CPU up to each mark, in milliseconds."""


@dataclass(slots=True)
class Samples:
    """What one subject's runs took.

    Attributes:
        wall, cpu: Up to each mark, to the whole of the floor that ran before it.
        memory: In MB.
    """

    wall: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    memory: list[float] = field(default_factory=list)

    def add(self, times: Times, floor: tuple[float, float], memory: float) -> None:
        """Take one run."""
        for name, (wall, cpu) in times.items():
            self.wall.setdefault(name, []).append(wall / floor[0])
            self.cpu.setdefault(name, []).append(cpu / floor[1])
        self.memory.append(memory)


@dataclass(slots=True)
class Measured:
    """All cold starts.

    Attributes:
        floor: Wall clock and CPU of each of the floor's runs, in milliseconds.
        floor_memory: In MB.
        bare: An interpreter that does nothing.
        functions: By the names of their cases.
    """

    floor: list[tuple[float, float]] = field(default_factory=list)
    floor_memory: list[float] = field(default_factory=list)
    bare: Samples = field(default_factory=Samples)
    functions: dict[str, Samples] = field(default_factory=dict)


def measure(
    cases: Sequence[Case],
    artifacts: Artifacts,
    world: World,
    wire: Wire,
    *,
    rounds: int,
    tick: Callable[[], None],
) -> Measured:
    """Run everything once per round, in random order, each after the floor."""
    measured = Measured(functions={case.name: Samples() for case in cases})
    environment = world.environment | wire.environment

    def run(path: list[Any], handler: str, event: Any) -> tuple[Any, Times]:
        with Lambda(artifacts, path, environment, handler) as instance:
            sample = instance.cold(event)
        return sample, _times(instance.began, sample["marks"])

    subjects: list[Case | None] = [None, *cases]
    for number in range(rounds + 1):
        random.shuffle(subjects)
        for case in subjects:
            base, times = run([artifacts.floor], "floor.handler", {})
            floor = times["end"]
            if case is None:
                sample, times = run([], "noop.handler", {})
            else:
                wire.replay(case.name)
                sample, times = run(artifacts.path(case.function), "app.handler", case.event)
                check(case, sample["answer"])
            if number:  # the first round fills the disk's cache
                measured.floor.append(floor)
                measured.floor_memory.append(base["memory"] / 1e6)
                samples = measured.functions[case.name] if case else measured.bare
                samples.add(times, floor, sample["memory"] / 1e6)
            tick()
    return measured


def _times(began: int, marks: dict[str, tuple[int, int]]) -> Times:
    """The times up to each mark; those that were not reached are the end."""
    reached = {name: marks.get(name, marks["end"]) for name in MEASURES}
    return {name: ((wall - began) / 1e6, cpu / 1e6) for name, (wall, cpu) in reached.items()}
