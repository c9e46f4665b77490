"""DynamoDB's pages: the one loop over ``Query`` and ``Scan``, and the one over many keys.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html
"""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from integrations.storage.aws.attributes import Attribute, attributes, item
from integrations.storage.aws.client import PAUSE_SECONDS, Aws, AwsUnavailable

BATCH: Final = 100
"""The most that one ``BatchGetItem`` takes."""

BATCH_ATTEMPTS: Final = 6
"""How often it is sent for the same keys at most: an answer has 16 MB, and a busy table leaves out
what it has no room for."""


def pages(
    aws: Aws, operation: Literal["Query", "Scan"], request: Mapping[str, Any]
) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any] | None]]:
    """Page after page, as long as the caller wants more.

    Yields:
        The page's rows in Python's own values, and the key after which the next page begins;
        ``None`` where this is the last.
    """
    start = request.get("ExclusiveStartKey")
    while True:
        answer = aws.dynamodb(
            operation, {**request, **({"ExclusiveStartKey": start} if start else {})}
        )
        start = answer.get("LastEvaluatedKey")
        yield [attributes(each) for each in answer["Items"]], attributes(start) if start else None
        if not start:
            return


def rows(
    aws: Aws, operation: Literal["Query", "Scan"], request: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Every row of a query or a scan, in Python's own values."""
    for page, _ in pages(aws, operation, request):
        yield from page


def batch(
    aws: Aws,
    table: str,
    keys: Sequence[Mapping[str, Attribute]],
    reading: Mapping[str, Any] | None = None,
) -> Iterator[dict[str, Any]]:
    """The rows of these keys, in any order; those that are not there are left out.

    Args:
        aws: The way to DynamoDB.
        table: The table's name.
        keys: Any number, each once.
        reading: What else the request says: a projection, its names, consistency.

    Raises:
        AwsUnavailable: The table is too busy to answer for all.
    """
    for start in range(0, len(keys), BATCH):
        left: list[Any] = [item(key) for key in keys[start : start + BATCH]]
        for attempt in range(BATCH_ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0, PAUSE_SECONDS * 2**attempt))
            request = {"RequestItems": {table: {"Keys": left, **(reading or {})}}}
            answer = aws.dynamodb("BatchGetItem", request)
            yield from map(attributes, answer["Responses"].get(table, ()))
            left = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
            if not left:
                break
        else:
            detail = "the table did not answer for all"
            raise AwsUnavailable("BatchGetItem", "Throttling", detail)


def counted(aws: Aws, request: Mapping[str, Any]) -> int:
    """How many rows a query finds; the rows themselves stay where they are."""
    start: Mapping[str, Any] = {}
    total = 0
    while True:
        answer = aws.dynamodb("Query", {**request, "Select": "COUNT", **start})
        total += int(answer["Count"])
        if not answer.get("LastEvaluatedKey"):
            return total
        start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
