"""``make simulate``: many seeds on all processors; a failing one is replayed and made smaller.

This process only shares the work out: in the others, which ``player`` is, there is no time.
"""

import json
import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

ROOT = Path(__file__).parents[2]
LENGTH = 30


def main() -> None:
    """Run what the command line asks for; ends with 1 where something does not hold."""
    parser = ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", default="100", help="how many, or first-last")
    parser.add_argument("--seed", help="one seed: replayed, made smaller, and told")
    parser.add_argument("--faults", default="", help="all, or names: each must be found")
    parser.add_argument("--length", type=int, default=LENGTH, help="actions of a story")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    if asked.seed:
        sys.exit(_one(asked))
    sys.exit(_faults(asked) if asked.faults else _many(asked))


def seeds_of(text: str) -> range:
    """``100`` is the first hundred, ``7-9`` three."""
    first, _, last = text.partition("-")
    return range(int(first), int(last) + 1) if last else range(1, int(first) + 1)


def player(*arguments: str) -> list[str]:
    """The command of a process in which a simulation runs."""
    return [sys.executable, "-m", "tests.simulation.player", *arguments]


def environment() -> dict[str, str]:
    """Its environment: sets have the same order each time."""
    path = os.pathsep.join([str(ROOT / "layers" / "provider"), str(ROOT)])
    return {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": path}


def played(commands: list[list[str]]) -> Iterator[dict[str, Any]]:
    """What several players tell, line by line, as it comes.

    Raises:
        RuntimeError: One of them failed.
    """
    lines: Queue[dict[str, Any] | None] = Queue()
    running = [
        subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
        for command in commands
    ]

    def listen(process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(json.loads(line))
        process.wait()
        lines.put(None)

    for process in running:
        Thread(target=listen, args=[process], daemon=True).start()
    left = len(running)
    while left:
        line = lines.get()
        if line is None:
            left -= 1
        else:
            yield line
    if any(process.returncode for process in running):
        raise RuntimeError("a simulation ended before its time")


def _many(asked: Namespace) -> int:
    seeds = list(seeds_of(asked.seeds))
    shares = [seeds[number :: asked.workers] for number in range(asked.workers)]
    length = str(asked.length)
    commands = [player("seeds", length, *map(str, share)) for share in shares if share]
    total: Counter[str] = Counter()
    failed = []
    for number, line in enumerate(played(commands), 1):
        total.update(line["counts"])
        total["hours"] += line["hours"]
        total["cpu"] += line["cpu"]
        if line["violation"]:
            failed.append(line["seed"])
            print(f"seed {line['seed']}: {line['violation']}", flush=True)
        if number % 100 == 0:
            print(f"{number} of {len(seeds)} seeds", flush=True)
    names = [each.name for each in (ROOT / "functions").iterdir() if each.is_dir()]
    troubles = {
        name: count
        for name, count in sorted(total.items())
        if name not in {*names, "hours", "cpu", "trouble", "trouble at AWS", "doubt"}
    }
    never = sorted(name for name in names if not total[name])
    print(
        f"{len(seeds)} seeds, {total['hours']:,.0f} simulated hours, "
        f"{sum(total[name] for name in names):,} invocations, {total['trouble']:,} troubles, "
        f"{total['cpu']:.0f} s of a processor"
    )
    print("troubles: " + ", ".join(f"{name} {count:,}" for name, count in troubles.items()))
    print(f"functions that did not run: {', '.join(never) or 'none'}")
    if failed:
        print(f"{len(failed)} seeds failed; make simulate SEED={failed[0]} makes one smaller")
    return int(bool(failed))


def _one(asked: Namespace) -> int:
    command = player("seed", str(asked.length), asked.seed, asked.faults)
    return subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode


def _faults(asked: Namespace) -> int:
    commands = [
        player("faults", str(asked.length), asked.faults, str(number), str(asked.workers))
        for number in range(asked.workers)
    ]
    found = list(_printed(played(commands)))
    missed = sum(1 for each in found if not each["seed"])
    print(f"{len(found) - missed} of {len(found)} planted faults found")
    return int(bool(missed))


def _printed(lines: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for line in lines:
        how = f"found by seed {line['seed']}: {line['violation']}" if line["seed"] else "NOT FOUND"
        print(f"{line['fault']}: {how}", flush=True)
        yield line


if __name__ == "__main__":
    main()
