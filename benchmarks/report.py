"""The tables, as text and in docs/performance.md, and the plot."""

import re
import statistics
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from benchmarks import cost, scaling
from local.paths import ROOT

PAGE = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "performance.svg"
PLACE = re.compile(r"(<!-- bench: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
TARGETS = {
    "webhook": 0.38,
    "authorizer": 0.38,
    "consumers": 0.5,
    "loaded": 0.5,
    "run": 0.7,
    "reads": 1.2,
    "writes": 1.2,
}
"""What a function's first whole invocation may take, to the floor's."""
UNIT_TARGETS = {"0": 3.0, "1": 12.0, "3": 18.0, "10": 39.0}
"""Steps → write units of a delivery of 2 KB: 12 for one step, 3 for each further one."""
WARM_TARGET = 4.0
MONEY_TARGETS = {"0": 3.6, "1": 14.0}
"""Steps → US dollars for a million deliveries of 2 KB, ten at once."""
TITLE = "CPU time of a first whole invocation; 1 = a bare boto3 client; green = target"

type Rows = list[list[str]]


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper quartile."""
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, statistics.median(values), high


def _of(ratio: Sequence[float]) -> str:
    low, median, high = ratio
    return f"{median:.2f} ({low:.2f}-{high:.2f})"


def _by_ratio(result: Mapping[str, Any]) -> list[tuple[str, Any]]:
    measured: Mapping[str, Any] = result["cold"]["functions"]
    return sorted(measured.items(), key=lambda item: item[1]["cpu"]["end"][1])


def cold(result: Mapping[str, Any]) -> Rows:
    """Cold starts, in the order of their ratio."""
    rows = [["function", "import", "first call", "first answer", "wall clock", "RSS", "target", ""]]
    for name, each in _by_ratio(result):
        target = TARGETS[each["group"]]
        rows.append(
            [
                name,
                f"{each['cpu']['import'][1]:.2f}",
                f"{each['cpu']['call'][1]:.2f}",
                _of(each["cpu"]["end"]),
                _of(each["wall"]["end"]),
                f"{each['memory_mb']:.0f} MB",
                f"≤ {target}",
                "✓" if each["cpu"]["end"][1] <= target else "missed",
            ]
        )
    return rows


def warm(result: Mapping[str, Any]) -> Rows:
    """CPU per warm invocation."""
    rows = [["function", "CPU per invocation", "to the no-op", "target", ""]]
    for name, each in result["warm"].items():
        webhook = name == "receive_webhook"
        rows.append(
            [
                name,
                f"{each['ms'][1]:.2f} ms ({each['ms'][0]:.2f}-{each['ms'][2]:.2f})",
                f"{each['ratio']:.1f}",
                f"≤ {WARM_TARGET:g}" if webhook else "",
                ("✓" if each["ratio"] <= WARM_TARGET else "missed") if webhook else "",
            ]
        )
    return rows


def calls(result: Mapping[str, Any]) -> Rows:
    """AWS calls per invocation."""
    rows = [["function", "cold", "warm", "the cold ones"]]
    for name, each in result["calls"].items():
        counted = [f"{c} ({n})" if n > 1 else c for c, n in each["cold"].items()]
        numbers = [str(sum(each[kind].values())) for kind in ("cold", "warm")]
        rows.append([name, *numbers, ", ".join(counted)])
    return rows


def growth(result: Mapping[str, Any]) -> Rows:
    """CPU, calls and writes by what there is."""
    rows = [["", "of", "CPU", "grew by the power", "AWS calls", "write units", ""]]
    for title, by_size in result["scaling"].items():
        exponents = scaling.exponents(by_size)
        for size, row in by_size.items():
            exponent = exponents[size]
            rows.append(
                [
                    title,
                    f"{int(size):,}",
                    f"{row['ms']:.0f} ms",
                    "" if exponent is None else f"{exponent:.2f}",
                    f"{row['calls']:.0f}",
                    f"{row['writes']:.0f}",
                    "missed" if scaling.is_superlinear(row, exponent) else "✓",
                ]
            )
    return rows


def endtoend(result: Mapping[str, Any]) -> Rows:
    """The local stack."""
    measured = result.get("endtoend")
    if not measured:
        return [["not measured", ""]]
    rows = [["on the local stack", "median"]]
    rows += [[name, f"{ms:.0f} ms"] for name, ms in measured["latency_ms"].items()]
    rows += [
        ["webhooks taken per second, by four senders", f"{measured['accepted_per_second']:.1f}"],
        [
            f"{measured['burst']} webhooks until their executions have finished",
            f"{measured['seconds_until_all_finished']:.1f} s",
        ],
    ]
    return rows


def units(result: Mapping[str, Any]) -> Rows:
    """Write units by steps and size."""
    writes: Mapping[str, Mapping[str, float]] = result["units"]["writes"]
    sizes = list(next(iter(writes.values())))
    rows = [["steps", *(f"{int(size):,} B" for size in sizes), "target at 2,000 B", ""]]
    for steps, measured in writes.items():
        target, spent = UNIT_TARGETS[steps], measured["2000"]
        rows.append(
            [
                steps,
                *(f"{measured[size]:g}" for size in sizes),
                f"≤ {target:g}",
                "✓" if spent <= target else "missed",
            ]
        )
    return rows


def missed(result: Mapping[str, Any]) -> list[str]:
    """The rows of all tables that miss their target, each with its table."""
    return [
        f"{row[0]} ({name})"
        for name, make in TABLES.items()
        for row in make(result)
        if row[-1] == "missed"
    ]


def money(result: Mapping[str, Any]) -> Rows:
    """What a million cost, by service."""
    rows = [["USD per million", *cost.PARTS, "in all"]]
    priced = {
        "a delivery of 2 KB that matches nothing": result["cost"]["one by one"]["0"]["2000"],
        "… one that starts an execution of one step": result["cost"]["one by one"]["1"]["2000"],
        "… the same, ten at once": result["cost"]["busy"]["1"]["2000"],
        "… of a tenant that starts many a minute": result["cost"]["many"]["1"]["2000"],
        "a status request": result["cost"]["status"],
    }
    for name, parts in priced.items():
        numbers = [f"{parts.get(part, 0.0):.2f}" for part in cost.PARTS]
        rows.append([name, *numbers, f"{cost.total(parts):.2f}"])
    return rows


def deliveries(result: Mapping[str, Any]) -> Rows:
    """What a million deliveries cost, by size and steps; one by one, and ten at once."""
    one_by_one, busy = result["cost"]["one by one"], result["cost"]["busy"]
    sizes = list(one_by_one["0"])
    rows = [["steps", *(f"{int(size):,} B" for size in sizes), "target at 2,000 B", ""]]
    for steps, by_size in one_by_one.items():
        target = MONEY_TARGETS.get(steps)
        spent = cost.total(busy[steps]["2000"])
        cells = [
            f"{cost.total(by_size[size]):.2f} · {cost.total(busy[steps][size]):.2f}"
            for size in sizes
        ]
        verdict = "" if target is None else "✓" if spent <= target else "missed"
        rows.append([steps, *cells, "" if target is None else f"≤ {target:g}", verdict])
    return rows


def month(result: Mapping[str, Any]) -> Rows:
    """What a stack costs in a month before anything happens."""
    parts: Mapping[str, float] = result["cost"]["month"]
    rows = [["USD a month", ""]]
    rows += [[name, f"{dollars:.2f}"] for name, dollars in parts.items()]
    return [*rows, ["in all", f"{cost.total(parts):.2f}"]]


def memory(result: Mapping[str, Any]) -> Rows:
    """Time and money over the memory sizes."""
    sizes = [str(size) for size in cost.MEMORY]
    rows = [["", *(f"{size} MB" for size in sizes)]]
    for name, measured in result["memory"].items():
        rows.append(
            [
                name,
                *(
                    f"{measured[size]['ms']:.0f} ms · {measured[size]['usd']:.2f} USD"
                    for size in sizes
                ),
            ]
        )
    return rows


TABLES = {
    "cold": cold,
    "warm": warm,
    "calls": calls,
    "units": units,
    "growth": growth,
    "endtoend": endtoend,
    "cost": money,
    "deliveries": deliveries,
    "month": month,
    "memory": memory,
}


def about(result: Mapping[str, Any]) -> str:
    """One line about the run."""
    run, cold_starts = result["about"], result["cold"]
    layers = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in run["layers"].items())
    return (
        f"{run['date']}, Python {run['python']}, {run['machine']}, {run['cpus']} CPUs with a "
        f"load of {run['load']}. {cold_starts['rounds']} rounds. The floor took "
        f"{cold_starts['floor_ms']:.0f} ms, {cold_starts['floor_cpu_ms']:.0f} ms of CPU and "
        f"{cold_starts['floor_mb']:.0f} MB; a bare interpreter is {cold_starts['bare']:.2f} of it. "
        f"Layers, unpacked: {layers}."
    )


def text(result: Mapping[str, Any]) -> str:
    """Everything as text."""
    parts = [about(result)]
    for make in TABLES.values():
        rows = make(result)
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        parts.append(
            "\n".join(
                "  ".join(
                    cell.ljust(width) for cell, width in zip(row, widths, strict=True)
                ).rstrip()
                for row in rows
            )
        )
    return "\n\n".join(parts)


def page(result: Mapping[str, Any], before: str) -> str:
    """The page with the tables of this run in their places."""

    def fill(place: re.Match[str]) -> str:
        name = place[2]
        text = about(result) if name == "about" else markdown(TABLES[name](result))
        return f"{place[1]}\n{text}\n\n{place[3]}"

    return PLACE.sub(fill, before)


def markdown(rows: Rows) -> str:
    """A table as Markdown; the first row is its head."""
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def plot(result: Mapping[str, Any]) -> str:
    """The cold starts as an SVG: a bar to the first AWS call, its quartiles, and the target."""
    measured = _by_ratio(result)
    left, scale, height = 210, 300, 20
    bottom = 40 + height * len(measured)
    width = left + round(scale * 1.9)
    size = f'width="{width}" height="{bottom + 30}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f'<rect {size} fill="white"/>',
        f'<text x="{left}" y="16">{TITLE}</text>',
    ]
    for tenth in range(0, 19, 2):
        x = left + scale * tenth / 10
        color = "#c33" if tenth == 10 else "#ddd"  # noqa: PLR2004 - the floor
        parts.append(f'<line x1="{x}" x2="{x}" y1="26" y2="{bottom}" stroke="{color}"/>')
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{tenth / 10:g}</text>')
    for row, (name, each) in enumerate(measured):
        y = 30 + row * height
        low, median, high = (left + scale * value for value in each["cpu"]["end"])
        target = left + scale * TARGETS[each["group"]]
        middle = y + height / 2
        parts += [
            f'<text x="{left - 6}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{left}" y="{y + 4}" width="{median - left:.1f}" height="12" fill="#48b"/>',
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" stroke="black"/>',
            f'<path d="M{target} {y + 2}v16" stroke="#2a2" stroke-width="2"/>',
        ]
    return "\n".join([*parts, "</svg>", ""])
