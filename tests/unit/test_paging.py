"""The tokens of lists, and the one loop over pages."""

import base64
import json
from collections.abc import Mapping
from itertools import islice
from typing import Any, cast

import pytest

from integrations.errors import InvalidInput
from integrations.storage.aws import Aws, item, pages, rows
from integrations.storage.paging import decode_token, encode_token


def raw(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_token_comes_back_as_it_was() -> None:
    assert decode_token(encode_token({"id": "a", "key": "b"}), "id", "key") == {
        "id": "a",
        "key": "b",
    }


@pytest.mark.parametrize(
    "token",
    [
        "",
        "%",
        "é",
        "\ud800",
        raw("[]"),
        raw('{"id": 1}'),
        raw('{"id": ""}'),
        raw('{"other": "a"}'),
        raw('{"id": "a", "more": "b"}'),
        raw('{"id": "\\ud800"}'),
        raw(json.dumps({"id": "a" * 257})),
        raw("[" * 100_000),
    ],
)
def test_what_is_no_token_of_this_list_is_refused(token: str) -> None:
    with pytest.raises(InvalidInput, match="nextToken"):
        decode_token(token, "id")


class _Table:
    """Three pages of two rows each, the last one empty."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def dynamodb(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        assert operation == "Query"
        start = int(request.get("ExclusiveStartKey", {"n": {"N": "0"}})["n"]["N"])
        self.asked.append(start)
        if start >= 4:
            return {"Items": []}
        found = [item({"n": start + 1}), item({"n": start + 2})]
        return {"Items": found, "LastEvaluatedKey": item({"n": start + 2})}


def test_all_pages_are_read_to_the_end() -> None:
    table = _Table()
    assert [row["n"] for row in rows(cast("Aws", table), "Query", {})] == [1, 2, 3, 4]
    assert table.asked == [0, 2, 4]


def test_no_page_is_read_that_nobody_wants() -> None:
    table = _Table()
    (page, reached), *_ = islice(pages(cast("Aws", table), "Query", {}), 1)
    assert ([row["n"] for row in page], reached) == ([1, 2], {"n": 2})
    assert table.asked == [0]
