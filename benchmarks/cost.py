"""What a million webhooks and executions cost, from the calls and the CPU that were measured."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PRICES = json.loads(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))
MEMORY = (128, 256, 512, 1024, 1769)
CHOSEN = 512
"""What the template gives, in MB."""

PARTS = ("Lambda", "API Gateway", "SQS", "DynamoDB", "KMS", "Secrets", "logs")
BILLED_AS = {
    "GetItem": "dynamodb read",
    "Query": "dynamodb read",
    "Scan": "dynamodb read",
    "PutItem": "dynamodb write",
    "UpdateItem": "dynamodb write",
    "DeleteItem": "dynamodb write",
    "SendMessage": "sqs request",
    "SendMessageBatch": "sqs request",
    "Decrypt": "kms request",
    "GenerateDataKey": "kms request",
    "GetSecretValue": "secret read",
}
INDEX_WRITES = {"PutItem": 1}
"""An execution is written to its table's index, too."""


@dataclass(frozen=True, slots=True)
class Work:
    """One invocation: its AWS calls, its CPU, and the provider calls that it waits for."""

    calls: Sequence[str]
    cpu_ms: float
    provider_calls: int = 0
    messages: int = 0
    by_api: bool = False

    def milliseconds(self, memory: int) -> float:
        """How long it takes with so much memory."""
        told = PRICES["assumptions"]
        waits = len(self.calls) * told["aws_call_ms"]
        waits += self.provider_calls * told["provider_call_ms"]
        return float(waits + self.cpu_ms * max(1.0, told["mb_per_vcpu"] / memory))

    def dollars(self, memory: int, architecture: str = "arm64") -> dict[str, float]:
        """What a million of them cost, by service."""
        prices: Mapping[str, float] = PRICES["usd_per_million"]
        compute = self.milliseconds(memory) / 1000 * memory / 1024
        told: dict[str, Any] = PRICES["assumptions"]
        held = {
            "Lambda": prices["lambda request"]
            + compute * PRICES["usd_per_gb_second"][architecture] * 1e6,
            "API Gateway": prices["http api request"] if self.by_api else 0.0,
            # A message is received and deleted, too.
            "SQS": 2 * self.messages * prices["sqs request"],
            "logs": told["log_bytes_per_invocation"] / 1e9 * PRICES["usd_per_log_gb"] * 1e6,
        }
        for call in self.calls:
            kind = BILLED_AS[call]
            service = {"dynamodb": "DynamoDB", "sqs": "SQS", "kms": "KMS", "secret": "Secrets"}
            name = service[kind.partition(" ")[0]]
            times = 1 + INDEX_WRITES.get(call, 0)
            held[name] = held.get(name, 0.0) + times * prices[kind]
        return held


def total(parts: Mapping[str, float]) -> float:
    """The sum of all services."""
    return sum(parts.values())


def sum_of(works: Sequence[Work], memory: int) -> dict[str, float]:
    """What a million of all these together cost, by service."""
    held = dict.fromkeys(PARTS, 0.0)
    for work in works:
        for service, dollars in work.dollars(memory).items():
            held[service] += dollars
    return held
