"""What a million deliveries cost, and a stack that does nothing: of what was counted."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.template import resources

PRICES = json.loads(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))
ASSUMED: Mapping[str, Any] = PRICES["assumptions"]
MILLION: Mapping[str, float] = PRICES["usd_per_million"]
MONTH: Mapping[str, float] = PRICES["usd_per_month"]
MEMORY = (128, 256, 512, 1024, 1769)
CHOSEN = 512
"""What the template gives, in MB."""
PARTS = (
    "Lambda", "INIT", "API Gateway", "SQS", "DynamoDB", "KMS", "S3", "Secrets", "logs", "X-Ray",
)  # fmt: skip
SERVICES = {
    "SendMessage": ("SQS", "sqs request"),
    "SendMessageBatch": ("SQS", "sqs request"),
    "Decrypt": ("KMS", "kms request"),
    "GenerateDataKey": ("KMS", "kms request"),
    "GetSecretValue": ("Secrets", "secret read"),
    "PUT": ("S3", "s3 write"),
    "GET": ("S3", "s3 read"),
}
"""DynamoDB's calls are counted in units, by the items' and the indexes' sizes: see `growth`."""

CONSUMERS = ("dispatch_event", "run_workflow")
"""Whom messages bring to work."""

CONTEXT = {
    "requestId": "JKJaXmPLvHcESHA=",
    "requestTime": "22/Nov/2026:12:00:00 +0000",
    "routeKey": "POST /api/webhooks/{webhookId}",
    "path": "/api/webhooks/Py1ArFoFUHN7HbEBKl99lo34wVsb9GV",
    "authorizer.tenant": "-",
    "status": "200",
    "responseLatency": "25",
    "responseLength": "79",
    "identity.sourceIp": "203.0.113.117",
    "error.message": "-",
    "integrationErrorMessage": "-",
    "integration.status": "200",
}
"""What API Gateway writes into a line of the access log for one delivery."""

type Parts = dict[str, float]


@dataclass(frozen=True, slots=True)
class Work:
    """One invocation.

    Attributes:
        calls: The AWS operations that it calls, and how often.
        cpu_ms: Its CPU, warm.
        cold_cpu_ms: The CPU of a cold start, INIT and the first invocation together.
        provider_calls: Of the providers, which it waits for.
        times: How many invocations it takes: less than one where several share it.
        by_message: Whether messages bring it: they are received and deleted together.
        log_bytes: What it logs.
        by_api: Whether a request brings it.
        share: How many there are for a request: the authorizer's answer is remembered.
    """

    calls: Mapping[str, float]
    cpu_ms: float
    cold_cpu_ms: float
    provider_calls: int = 0
    times: float = 1.0
    by_message: bool = False
    log_bytes: float = 0.0
    by_api: bool = False
    share: float = 1.0

    def milliseconds(self, memory: int) -> float:
        """How long it takes with so much memory, warm."""
        waits = sum(self.calls.values()) * ASSUMED["aws_call_ms"]
        waits += self.provider_calls * ASSUMED["provider_call_ms"]
        return float(waits + self.cpu_ms * _slowdown(memory))

    def lambda_dollars(self, memory: int) -> float:
        """What Lambda takes for a million of them, cold starts left out."""
        requests = self.times * MILLION["lambda request"]
        return requests + _compute(self.milliseconds(memory), memory)

    def dollars(self, memory: int) -> Parts:
        """What a million of them cost, by service; DynamoDB's units are not in it."""
        log_bytes = self.log_bytes + (access_log_bytes() if self.by_api else 0)
        cold_cpu_ms = self.times * ASSUMED["cold_share"] * self.cold_cpu_ms
        parts = {
            "Lambda": self.lambda_dollars(memory),
            "INIT": _compute(cold_cpu_ms * _slowdown(memory), memory),
            "API Gateway": MILLION["http api request"] if self.by_api else 0.0,
            "SQS": 2 * self.times * _price("sqs request") if self.by_message else 0.0,
            "logs": log_bytes / 1e9 * PRICES["usd_per_log_gb"] * 1e6,
            "X-Ray": self.times * ASSUMED["traced_share"] * MILLION["trace"],
        }
        for call, times in self.calls.items():
            if call in SERVICES:
                service, price = SERVICES[call]
                parts[service] = parts.get(service, 0.0) + times * _price(price)
        return {service: dollars * self.share for service, dollars in parts.items()}


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run of the benchmark measured of a function, in milliseconds of CPU."""

    cpu_ms: float
    cold_cpu_ms: float


def delivery(
    counted: Mapping[str, Any],
    measured: Mapping[str, Measured],
    *,
    steps: int,
    memory: int = CHOSEN,
) -> Parts:
    """What a million deliveries cost, from the request to the end of what they start.

    Args:
        counted: Of one of them: `writes` and `reads`, and what its `functions` did (see `growth`).
        measured: Of each of those functions. Who takes several deliveries at once is taken to
            compute as long for each as for one alone.
        steps: How many steps it runs. Each further one is taken to need the CPU of the first.
        memory: In MB.
    """
    parts = dict.fromkeys(PARTS, 0.0)
    for function, done in counted["functions"].items():
        runs = function == "run_workflow"
        work = Work(
            calls=done["calls"],
            cpu_ms=measured[function].cpu_ms * (max(1, steps) if runs else 1),
            cold_cpu_ms=measured[function].cold_cpu_ms,
            provider_calls=steps if runs else 0,
            times=done["times"],
            by_message=function in CONSUMERS,
            by_api=function == "receive_webhook",
            log_bytes=done["log_bytes"],
        )
        for service, dollars in work.dollars(memory).items():
            parts[service] += dollars
    parts["DynamoDB"] += counted["writes"] * MILLION["dynamodb write"]
    parts["DynamoDB"] += counted["reads"] * MILLION["dynamodb read"]
    return parts


def status_request(reads: float, *works: Work) -> Parts:
    """What a million requests that only read cost, the authorizer's share included."""
    parts = dict.fromkeys(PARTS, 0.0)
    for work in works:
        for service, dollars in work.dollars(CHOSEN).items():
            parts[service] += dollars
    parts["DynamoDB"] += reads * MILLION["dynamodb read"]
    return parts


def month() -> Parts:
    """What a stack in which nothing happens costs in a month, by what it is for."""
    looked_at = sum(
        sum("MetricStat" in each for each in alarm.get("Metrics", ())) or 1
        for alarm in resources("AWS::CloudWatch::Alarm").values()
    )
    ticks = 2 * 30 * 24 * 60  # of the two functions that run each minute
    compute = _compute(ASSUMED["tick_calls"] * ASSUMED["aws_call_ms"], CHOSEN)
    queries = ASSUMED["tick_calls"] / 2 * MILLION["dynamodb read"]
    tick = MILLION["scheduler"] + MILLION["lambda request"] + compute + queries
    consumed = resources("AWS::Lambda::EventSourceMapping")
    return {
        "alarms": looked_at * MONTH["alarm metric"]
        + len(resources("AWS::CloudWatch::CompositeAlarm")) * MONTH["composite alarm"],
        "dashboard": MONTH["dashboard"],
        "key and secret": MONTH["key"] + MONTH["secret"],
        "the functions of each minute": ticks * tick / 1e6,
        "looking into empty queues": len(consumed) * MONTH["polled queue"],
    }


def access_log_bytes() -> int:
    """How long a delivery's line of the access log is, as the template formats it."""
    form = resources("AWS::Serverless::HttpApi")["HttpApi"]["AccessLogSettings"]["Format"]
    line = re.sub(r"\$context\.([A-Za-z]+(?:\.[A-Za-z]+)*)", lambda found: CONTEXT[found[1]], form)
    return len(line.encode())


def total(parts: Mapping[str, float]) -> float:
    """The sum of all parts."""
    return sum(parts.values())


def _price(name: str) -> float:
    """A request's price; every message of ours has a group, which makes the queue a fair one."""
    return MILLION[name] + (MILLION["fair queue surcharge"] if name == "sqs request" else 0.0)


def _slowdown(memory: int) -> float:
    return max(1.0, float(ASSUMED["mb_per_vcpu"]) / memory)


def _compute(milliseconds: float, memory: int) -> float:
    per_second: float = PRICES["usd_per_gb_second"]["arm64"]
    return milliseconds / 1000 * memory / 1024 * per_second * 1e6
