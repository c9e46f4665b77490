"""What happened, as log lines that CloudWatch reads its metrics from.

One line for each delivery, event, execution, step, call of a provider, connection that is checked
or breaks, call of AWS that is repeated, and message that fails. The line holds all that is known of
it, for who searches the log; ``METRICS`` says which numbers CloudWatch takes from it, and by what.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

Powertools' metrics would be a second line for each, and most of the receiver's cold start.
"""

import json
import sys
import time
from collections.abc import Mapping

from integrations import memory
from integrations.entry import settings
from integrations.services.observing import Fact, Kind

NAMESPACE = "Integrations"

COUNT = ""
"""Of no unit: its name would be a twentieth of what the logs cost."""
TIME = "Milliseconds"

type Metric = tuple[str, str, str, tuple[tuple[str, ...], ...]]

METRICS: Mapping[Kind, tuple[Metric, ...]] = {
    "delivery": (("Deliveries", COUNT, "", (("outcome",), ("outcome", "reason"))),),
    "event": (
        ("Events", COUNT, "", (("outcome",),)),
        ("EventDelay", TIME, "ms", ((),)),
        ("LateEvents", COUNT, "late", ((),)),
    ),
    "execution": (
        ("Executions", COUNT, "", (("outcome",),)),
        ("ExecutionTime", TIME, "ms", (("outcome",),)),
    ),
    "step": (("Steps", COUNT, "", (("provider", "outcome"),)),),
    "call": (
        ("ProviderCalls", COUNT, "", (("provider", "outcome"),)),
        ("ProviderTime", TIME, "ms", (("provider", "outcome"),)),
    ),
    "connection": (
        ("ConnectionsChecked", COUNT, "checked", (("state",),)),
        ("ConnectionsBroken", COUNT, "broken", ((),)),
    ),
    "retry": (("AwsRetries", COUNT, "", (("service", "code"),)),),
    "message": (("FailedMessages", COUNT, "", (("queue",),)),),
}
"""Kind → its metrics: name, unit, the fact that becomes its value (``""`` counts one), and the sets
of facts that CloudWatch tells apart, each beside the stack. What a line has no facts for is left
out. Facts of few values only: each combination is a metric with a price of its own."""

BY_TENANT: Mapping[str, tuple[str, ...]] = {
    "Deliveries": ("tenant", "outcome"),
    "Events": ("tenant", "outcome"),
    "Executions": ("tenant", "outcome"),
}
"""What is told apart by tenant as well, where the stack asks for it."""

_invocation: dict[str, Fact] = memory.mapping()


def begin(**facts: Fact) -> None:
    """Begin an invocation, or one message of it: what every line from now on has."""
    _invocation.clear()
    _invocation.update(facts)


def observe(kind: Kind, /, **facts: Fact) -> None:
    """Write one line.

    Args:
        kind: What it is about.
        facts: What is known of it; ``None`` is left out.
    """
    line: dict[str, object] = {"message": kind, "stack": settings.stack_name()}
    line |= _invocation
    line |= {name: fact for name, fact in facts.items() if fact is not None}
    described: dict[tuple[tuple[str, ...], ...], list[dict[str, str]]] = {}
    for name, unit, source, sets in METRICS[kind]:
        if source and source not in line:
            continue
        line[name] = line.pop(source) if source else 1
        asked = (*sets, BY_TENANT[name]) if _by_tenant(name) else sets
        dimensions = tuple(
            ("stack", *each) for each in asked if all(line.get(part) for part in each)
        )
        metric = {"Name": name, "Unit": unit} if unit else {"Name": name}
        described.setdefault(dimensions, []).append(metric)
    line["_aws"] = {
        "Timestamp": round(time.time() * 1000),
        "CloudWatchMetrics": [
            {"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": found}
            for dimensions, found in described.items()
        ],
    }
    # In one piece: other threads may write as well.
    sys.stdout.write(json.dumps(line, separators=(",", ":"), default=str) + "\n")


def _by_tenant(name: str) -> bool:
    return name in BY_TENANT and settings.metrics_by_tenant()
