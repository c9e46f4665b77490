"""`make peers`: the CPU of a webhook with one HTTP step, beside n8n's, in one interleaved run.

Each side takes one delivery after the other (a batch of one message), in blocks in random order,
and each delivery is followed to its end: the request of its step. What is told is the CPU time of
all of a side's processes. What it leaves out, and what it cannot tell, is in docs/performance.md.
"""

import argparse
import random
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.artifacts import Artifacts
from benchmarks.peers import n8n
from benchmarks.peers.ours import Ours
from benchmarks.peers.receiver import Receiver
from benchmarks.report import markdown, quartiles
from local import programs
from local.errors import PlatformError
from local.report import Report

ENGINES = ("vm", "legacy")
WARM_UP = 200
type Side = Ours | n8n.N8n


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="of a block each (10)")
    parser.add_argument("--block", type=int, default=100, help="deliveries in a row (100)")
    arguments = parser.parse_args()
    if not Path("/proc/self/stat").is_file():
        sys.exit("make peers needs Linux: it reads the CPU of n8n's processes from /proc.")
    report = Report()
    programs.heed_the_end()
    try:
        measured = measure(arguments.rounds, arguments.block, report)
    except PlatformError as error:
        sys.exit(f"make peers: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped.")
    print(table(measured))


def measure(rounds: int, block: int, report: Report) -> dict[str, list[float]]:
    """The milliseconds of CPU per delivery, of each side in each round; raises PlatformError."""
    env = n8n.install(report)
    artifacts = Artifacts(report)
    with ExitStack() as running:
        receiver = Receiver()
        receiver.start()
        running.callback(receiver.stop)
        sides: list[Side] = [running.enter_context(Ours(artifacts, receiver))]
        for engine in ENGINES:
            folder = Path(running.enter_context(TemporaryDirectory(prefix="peers-")))
            peer = n8n.N8n(env, engine, folder, receiver, report)
            sides.append(running.enter_context(peer))
        with report.step("Warming up"):
            for side in sides:
                spent(side, WARM_UP)
                report.tick()
        samples: dict[str, list[float]] = {side.name: [] for side in sides}
        with report.step(f"{rounds} rounds of {block} deliveries on each side"):
            for _ in range(rounds):
                for side in random.sample(sides, len(sides)):
                    samples[side.name].append(spent(side, block))
                    report.tick()
    return samples


def spent(side: Side, count: int) -> float:
    """The milliseconds of CPU that each of so many deliveries took."""
    before = side.cpu()
    for _ in range(count):
        side.send()
    return (side.cpu() - before) * 1000 / count


def table(measured: dict[str, list[float]]) -> str:
    """The medians and quartiles, and ours as a part of each."""
    ours = measured[Ours.name]
    rows = [["", "CPU per delivery", "ours to it"]]
    for name, values in measured.items():
        low, median, high = quartiles(values)
        ratios = [mine / theirs for mine, theirs in zip(ours, values, strict=True)]
        part = "" if name == Ours.name else f"{statistics.median(ratios):.3f}"
        rows.append([name, f"{median:.2f} ms ({low:.2f}-{high:.2f})", part])
    return markdown(rows)


if __name__ == "__main__":
    main()
