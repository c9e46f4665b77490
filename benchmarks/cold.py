"""Cold starts: each function in fresh interpreters, as a ratio to the floor of the same run."""

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.artifacts import Artifacts
from benchmarks.calls import check
from benchmarks.wire import Wire
from benchmarks.world import Case, World

PROBE = Path(__file__).resolve().parent / "probe.py"
FLOOR = "floor"
BARE = "bare"
MEASURES = ("import", "call", "end")


@dataclass(slots=True)
class Samples:
    """What one subject's runs took: milliseconds of wall clock and CPU up to each mark."""

    wall: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    memory: list[float] = field(default_factory=list)

    def add(self, began: int, told: Mapping[str, Any]) -> None:
        """Take one run; the marks that it did not reach are its end."""
        marks = told["marks"]
        for name in MEASURES:
            wall, cpu = marks.get(name, marks["end"])
            self.wall.setdefault(name, []).append((wall - began) / 1e6)
            self.cpu.setdefault(name, []).append(cpu / 1e6)
        self.memory.append(told["memory"] / 1e6)


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
    environment = world.environment | {"AWS_ENDPOINT_URL": wire.url}
    plain = {"PYTHONDONTWRITEBYTECODE": "1"}
    subjects: list[Case | str] = [BARE, FLOOR, *cases]
    with tempfile.TemporaryDirectory() as folder:
        files = {case.name: Path(folder) / f"{number}.json" for number, case in enumerate(cases)}
        for case in cases:
            files[case.name].write_text(json.dumps(case.event), encoding="utf-8")
        for number in range(rounds + 1):
            random.shuffle(subjects)
            for subject in subjects:
                if isinstance(subject, str):
                    began, told = _probe([subject], plain)
                    name = subject
                else:
                    name = subject.name
                    wire.replay(name)
                    path = ":".join(map(str, artifacts.path(subject.function)))
                    began, told = _probe(
                        ["function", str(files[name])], environment | {"PYTHONPATH": path}
                    )
                    check(subject, told["answer"])
                if number:  # the first round fills the disk's cache
                    samples[name].add(began, told)
            tick()
    return samples


def _probe(arguments: list[str], environment: Mapping[str, str]) -> tuple[int, Any]:
    began = time.monotonic_ns()
    done = subprocess.run(
        [sys.executable, "-P", str(PROBE), *arguments],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr}")
    return began, json.loads(done.stdout.splitlines()[-1])
