"""`make bench`: measure, print the tables, write the results, docs/performance.md and its plot."""

import argparse
import contextlib
import io
import json
import os
import platform
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "layers/provider"))  # what Lambda finds in /opt/python

from benchmarks import calls, cold, cost, endtoend, growth, report, scaling, warm
from benchmarks.artifacts import Artifacts
from benchmarks.wire import Wire
from benchmarks.world import Case, World
from local import programs
from local.errors import PlatformError
from local.report import Report
from tests.fakes.certificates import Authority

RESULTS = Path(__file__).parent / "results" / "latest.json"
WARM = (
    "receive_webhook",
    "authorize_request",
    "get_status",
    "dispatch_event (webhook)",
    "run_workflow",
)


def main() -> None:
    """Run the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="many rounds: for the page in docs/")
    parser.add_argument("--no-end-to-end", action="store_true", help="leave out the local stack")
    parser.add_argument(
        "--money", action="store_true", help="count units and logs alone; times as measured last"
    )
    parser.add_argument("--keep", action="store_true", help="print only, and change no file")
    arguments = parser.parse_args()
    progress = Report()
    programs.heed_the_end()
    try:
        if arguments.money:
            result = recounted(progress)
        else:
            effort = FULL if arguments.full else QUICK
            result = measure(effort, end_to_end=not arguments.no_end_to_end, progress=progress)
    except PlatformError as error:
        sys.exit(f"make bench: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped.")
    print(f"\n{report.text(result)}")
    if not arguments.keep:
        write(result)
    if missed := report.missed(result):
        sys.exit(f"\nMissed: {', '.join(missed)}")


def recounted(progress: Report) -> dict[str, Any]:
    """The last results, with units, logs and money counted anew."""
    result: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    with (
        progress.step("Counting units by size and steps"),
        contextlib.redirect_stdout(io.StringIO()),
        World() as world,
    ):
        result |= _units(world, lambda: None)
    return result | _costs(result)


@dataclass(frozen=True)
class Effort:
    """How often what is measured.

    Attributes:
        cold: Cold starts of each function.
        warm, block: Warm rounds of each, and the invocations of a round.
        requests, burst: Of the local stack.
    """

    cold: int
    warm: int
    block: int
    requests: int
    burst: int


QUICK = Effort(cold=5, warm=5, block=50, requests=10, burst=30)
FULL = Effort(cold=30, warm=20, block=100, requests=30, burst=60)


def measure(effort: Effort, *, end_to_end: bool, progress: Report) -> dict[str, Any]:
    """Measure everything; raises PlatformError where something is compiled meanwhile."""
    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    artifacts = Artifacts(progress)
    with contextlib.ExitStack() as running:
        with (
            progress.step("Filling the stand-in of AWS"),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            world = running.enter_context(World())
        folder = running.enter_context(tempfile.TemporaryDirectory())
        wire = running.enter_context(Wire(world.aws.url, Authority(Path(folder))))
        with progress.step("Counting units by size and steps"):
            units = _units(world, progress.tick)
        cases = world.cases()
        with progress.step("Counting AWS calls"):
            counted = []
            for case in cases:
                counted.append(calls.count(case, artifacts, world, wire))
                progress.tick()
        with progress.step(
            f"Cold starts: {effort.cold} rounds of {len(cases) + 1}, each beside the floor"
        ):
            starts = cold.measure(
                cases, artifacts, world, wire, rounds=effort.cold, tick=progress.tick
            )
        with progress.step("Warm invocations"):
            hot = [case for case in cases if case.name in WARM]
            spent = warm.measure(
                hot,
                artifacts,
                world,
                wire,
                rounds=effort.warm,
                block=effort.block,
                tick=progress.tick,
            )
        with progress.step("How it grows"):
            grown = scaling.measure(world, artifacts, wire, progress.tick, full=effort is FULL)
    result: dict[str, Any] = {
        "about": {
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "load": load,
            "layers": dict(artifacts.sizes()),
        },
        "calls": {
            each.case.name: {"cold": Counter(each.cold), "warm": Counter(each.warm)}
            for each in counted
        },
        "cold": _cold(cases, starts, effort.cold),
        "warm": _warm(spent),
        "scaling": grown,
    }
    result |= units
    result |= _costs(result)
    if end_to_end:
        measured = endtoend.measure(rounds=effort.requests, burst=effort.burst, report=progress)
        result["endtoend"] = measured | {"latency_ms": endtoend.summary(measured)}
    return result


def _units(world: World, tick: Callable[[], None]) -> dict[str, growth.Units]:
    """What deliveries write and do: by themselves, ten at once, and of a tenant with many."""
    busy, many = growth.BUSY, growth.MANY
    return {
        "units": growth.measure(world, tick),
        "busy_units": growth.measure(world, tick, at_once=busy),
        "many_units": growth.measure(world, tick, [(1, 2_000)], at_once=busy, before=many),
    }


def _cold(cases: Sequence[Case], measured: cold.Measured, rounds: int) -> dict[str, Any]:
    def ratios(of: Mapping[str, list[float]]) -> dict[str, list[float]]:
        return {
            name: [round(value, 3) for value in report.quartiles(each)] for name, each in of.items()
        }

    samples = measured.functions
    return {
        "rounds": rounds,
        "floor_ms": statistics.median(wall for wall, _ in measured.floor),
        "floor_cpu_ms": statistics.median(cpu for _, cpu in measured.floor),
        "floor_mb": statistics.median(measured.floor_memory),
        "bare": statistics.median(measured.bare.wall["end"]),
        "functions": {
            case.name: {
                "group": case.group,
                "wall": ratios(samples[case.name].wall),
                "cpu": ratios(samples[case.name].cpu),
                "memory_mb": round(statistics.median(samples[case.name].memory), 1),
            }
            for case in cases
        },
    }


def _warm(spent: Mapping[str, list[float]]) -> dict[str, Any]:
    noop = statistics.median(spent[warm.NOOP])
    return {
        name: {
            "ms": [round(value, 3) for value in report.quartiles(measured)],
            "ratio": round(statistics.median(measured) / noop, 2),
        }
        for name, measured in spent.items()
    }


def _costs(result: Mapping[str, Any]) -> dict[str, Any]:
    warm_ms = {name: each["ms"][1] for name, each in result["warm"].items()}
    cold_ms = {
        name: each["cpu"]["end"][1] * result["cold"]["floor_cpu_ms"]
        for name, each in result["cold"]["functions"].items()
    }

    def work(name: str, **more: Any) -> cost.Work:
        return cost.Work(result["calls"][name]["warm"], warm_ms[name], cold_ms[name], **more)

    measured = {
        name.partition(" ")[0]: cost.Measured(warm_ms[name], cold_ms[name])
        for name in ("receive_webhook", "dispatch_event (webhook)", "run_workflow")
    }

    def deliveries(units: growth.Units) -> dict[str, dict[str, cost.Parts]]:
        return {
            steps: {
                length: cost.delivery(
                    {kind: each[steps][length] for kind, each in units.items()},
                    measured,
                    steps=int(steps),
                )
                for length in by_length
            }
            for steps, by_length in units["writes"].items()
        }

    webhook = work("receive_webhook", by_api=True)
    dispatch = work("dispatch_event (webhook)", by_message=True)
    run = work("run_workflow", by_message=True, provider_calls=1)
    status = work("get_status", by_api=True, log_bytes=cost.ASSUMED["request_log_bytes"])
    authorizer = work("authorize_request", share=cost.ASSUMED["authorizer_share"])
    return {
        "cost": {
            "one by one": deliveries(result["units"]),
            "busy": deliveries(result["busy_units"]),
            "many": deliveries(result["many_units"]),
            "status": cost.status_request(1.0, status, authorizer),
            "month": cost.month(),
        },
        "memory": {
            name: {
                str(size): {"ms": each.milliseconds(size), "usd": each.lambda_dollars(size)}
                for size in cost.MEMORY
            }
            for name, each in {
                "receive_webhook": webhook,
                "get_status": status,
                "dispatch_event": dispatch,
                "run_workflow": run,
            }.items()
        },
    }


def write(result: Mapping[str, Any]) -> None:
    """Write the results, the page and the plot."""
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    before = report.PAGE.read_text(encoding="utf-8")
    report.PAGE.write_text(report.page(result, before), encoding="utf-8")
    report.PLOT.write_text(report.plot(result), encoding="utf-8")


if __name__ == "__main__":
    main()
