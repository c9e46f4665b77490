"""What a million webhooks and executions cost, from the calls, the CPU and the units measured."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PRICES = json.loads(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))
ASSUMED: Mapping[str, Any] = PRICES["assumptions"]
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
"""DynamoDB's calls are counted in units, at the wire: see `units`."""


@dataclass(frozen=True, slots=True)
class Work:
    """One invocation.

    Attributes:
        calls: The AWS operations that it calls.
        cpu_ms: Its CPU, warm.
        cold_cpu_ms: The CPU of a cold start, INIT and the first invocation together.
        provider_calls: Of the providers, which it waits for.
        messages: That bring it.
        by_api: Whether a request brings it.
        authorized: Whether the authorizer runs before, where its answer is not remembered.
        part_of_requests: Whether it is the authorizer: invoked for that share of requests alone.
    """

    calls: Sequence[str]
    cpu_ms: float
    cold_cpu_ms: float
    provider_calls: int = 0
    messages: int = 0
    by_api: bool = False
    authorized: bool = False
    part_of_requests: bool = False

    @property
    def share(self) -> float:
        """How many invocations there are for one request."""
        return float(ASSUMED["authorizer_share"]) if self.part_of_requests else 1.0

    def milliseconds(self, memory: int) -> float:
        """How long it takes with so much memory, warm."""
        waits = len(self.calls) * ASSUMED["aws_call_ms"]
        waits += self.provider_calls * ASSUMED["provider_call_ms"]
        return float(waits + self.cpu_ms * _slowdown(memory))

    def lambda_dollars(self, memory: int) -> float:
        """What Lambda takes for a million of them, cold starts left out."""
        request: float = PRICES["usd_per_million"]["lambda request"]
        return request + _compute(self.milliseconds(memory), memory)

    def dollars(self, memory: int) -> dict[str, float]:
        """What a million of them cost, by service; DynamoDB's units are not in it."""
        prices: Mapping[str, float] = PRICES["usd_per_million"]
        cold = ASSUMED["cold_share"] * self.cold_cpu_ms * _slowdown(memory)
        log_bytes = ASSUMED["log_bytes_per_invocation"]
        if self.by_api:
            log_bytes += ASSUMED["access_log_bytes"]
        by_service = {
            "Lambda": self.lambda_dollars(memory),
            "INIT": _compute(cold, memory),
            "API Gateway": prices["http api request"] if self.by_api else 0.0,
            # A message is received and deleted, too.
            "SQS": 2 * self.messages * prices["sqs request"],
            "logs": log_bytes / 1e9 * PRICES["usd_per_log_gb"] * 1e6,
            "X-Ray": ASSUMED["traced_share"] * prices["trace"],
        }
        for call in self.calls:
            if call in SERVICES:
                service, price = SERVICES[call]
                by_service[service] = by_service.get(service, 0.0) + prices[price]
        return {service: dollars * self.share for service, dollars in by_service.items()}


def _slowdown(memory: int) -> float:
    return max(1.0, float(ASSUMED["mb_per_vcpu"]) / memory)


def _compute(milliseconds: float, memory: int) -> float:
    per_second: float = PRICES["usd_per_gb_second"]["arm64"]
    return milliseconds / 1000 * memory / 1024 * per_second * 1e6


def total(parts: Mapping[str, float]) -> float:
    """The sum of all services."""
    return sum(parts.values())


def sum_of(
    works: Sequence[Work], units: Mapping[str, float], memory: int = CHOSEN
) -> dict[str, float]:
    """What a million of all these together cost, by service.

    Args:
        works: The invocations.
        units: DynamoDB's `writes` and `reads` of all of them, indexes included.
        memory: In MB.
    """
    by_service = dict.fromkeys(PARTS, 0.0)
    for work in works:
        for service, dollars in work.dollars(memory).items():
            by_service[service] += dollars
    prices: Mapping[str, float] = PRICES["usd_per_million"]
    by_service["DynamoDB"] = units["writes"] * prices["dynamodb write"]
    by_service["DynamoDB"] += units["reads"] * prices["dynamodb read"]
    return by_service
