"""DynamoDB's pages: the one loop over ``Query`` and ``Scan``.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from integrations.storage.aws.attributes import attributes
from integrations.storage.aws.client import Aws


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
