"""That no secret is where it must not be: in a log line, or in the clear in a table."""

import json
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from local.platform import Platform

TABLES = ("Connections", "Handshakes", "Webhooks", "Workflows", "Executions", "Tokens")


def assert_absent(platform: Platform, secrets: Iterable[str]) -> None:
    """None of these is in a log or in a table; a state is nowhere, but by its hash."""
    log = "\n".join([platform.log.read_text(encoding="utf-8", errors="replace"), *lines(platform)])
    held = items(platform)
    # Which tests ran against this platform is chance: what they did must be in its log.
    handshakes = {item["status"] for item in held if "stateHash" in item}
    if handshakes:
        line = "POST /api/integrations/oauth/start/{providerId}"
        assert line in log, "the functions log elsewhere"
    if any(end in status for status in handshakes for end in ("completed", "failed")):
        assert "login ended" in log
    stored = "".join(json.dumps(item) for item in held)
    for secret in secrets:
        for form in {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}:
            # An assertion would compare megabytes.
            if form in log:
                pytest.fail(f"a secret is in the log behind: {before(log, form)}")
            if form in stored:
                pytest.fail(f"a secret is in a table behind: {before(stored, form)}")


def before(text: str, part: str) -> str:
    at = text.index(part)
    return text[max(0, at - 200) : at]


def lines(platform: Platform) -> Iterator[str]:
    """Every line that the functions have logged."""
    logs = platform.client("logs")
    for groups in logs.get_paginator("describe_log_groups").paginate():
        for group in groups["logGroups"]:
            name = group["logGroupName"]
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=name):
                yield from (event["message"] for event in page["events"])


def items(platform: Platform) -> list[Any]:
    """Every item of every table, as DynamoDB tells it."""
    dynamodb = platform.client("dynamodb")
    found: list[Any] = []
    for table in TABLES:
        pages = dynamodb.get_paginator("scan").paginate(TableName=platform.name(f"{table}Table"))
        found += [
            {name: str(value) for name, value in item.items()}
            for page in pages
            for item in page["Items"]
        ]
    return found
