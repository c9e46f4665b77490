"""The process in which simulations run: its clock, its randomness and its AWS are simulated."""

from tests.simulation import clock, remembering

clock.install()
remembering.install()

import json  # noqa: E402
import sys  # noqa: E402
from collections import Counter  # noqa: E402
from typing import Any  # noqa: E402

from tests.simulation import day, world  # noqa: E402
from tests.simulation.faults import FAULTS, planted  # noqa: E402
from tests.simulation.morning import MORNING  # noqa: E402
from tests.simulation.shrinking import Case, shrunk  # noqa: E402

SEEDS_OF_A_FAULT = 40
"""A planted fault has to be found within so many seeds."""


def main(kind: str, length: int, *arguments: str) -> int:
    """Play, and tell what came of it in lines of JSON, or, of one seed, in words."""
    world.install()
    match kind:
        case "seeds":
            for seed in map(int, arguments):
                _tell(_seed(seed, length))
            return 0
        case "faults":
            chosen, number, of = arguments
            names = list(FAULTS) if chosen == "all" else chosen.split(",")
            for name in names[int(number) :: int(of)]:
                _tell(_find(name, length))
            return 0
        case "seed":
            seed, faults = arguments
            with planted(*filter(None, faults.split(","))):
                return _one(int(seed), length)
    raise ValueError(kind)


def _tell(line: Any) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def _seed(seed: int, length: int) -> dict[str, Any]:
    began = clock.cpu_seconds()
    played, violation = day.run(seed, length=length)
    counts = played.counts + MORNING.pop("counts", Counter())
    return {
        "seed": seed,
        "violation": str(violation or ""),
        "counts": dict(counts),
        "hours": (clock.CLOCK.now - clock.START) / 3600,
        "cpu": clock.cpu_seconds() - began,
        "digest": played.digest,
    }


def _find(name: str, length: int) -> dict[str, Any]:
    with planted(name):
        for seed in range(1, SEEDS_OF_A_FAULT + 1):
            _, violation = day.run(seed, length=length)
            if violation and violation.invariant in FAULTS[name].breaks:
                return {"fault": name, "seed": seed, "violation": str(violation)}
    return {"fault": name, "seed": 0, "violation": ""}


def _one(seed: int, length: int) -> int:
    played, violation = day.run(seed, length=length, traced=True)
    again, _ = day.run(seed, length=length, traced=True)
    if played.trace != again.trace:
        raise AssertionError("the replay differs: something is not simulated")
    if violation is None:
        print(f"seed {seed} holds: {played.scheduler.steps:,} steps, digest {played.digest}")
        return 0
    print(f"seed {seed}: {violation}\nmaking it smaller …", flush=True)
    print("\n".join(describe(shrunk(seed, length, violation.invariant))))
    return 1


def describe(case: Case) -> list[str]:
    """A failing case for people: what was done, what went wrong, what happened."""
    played, violation = case.play(traced=True)
    happened = played.chance.happened
    return [
        f"{len(case.actions)} actions:",
        *(f"  {each}" for each in case.actions),
        f"{len(happened)} troubles{' (and everything in its usual order)' if case.plain else ''}:",
        *(f"  {name}: {what}" for name, what in happened.items()),
        "what happened:",
        *(f"  {line}" for line in (played.trace or [])),
        str(violation),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
