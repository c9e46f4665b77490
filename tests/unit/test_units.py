"""The units that the tests and the benchmark count, against AWS's own rules."""

import json

import pytest

from benchmarks.reads import Reads
from tests.fakes.write_units import Item, item_size, write_units

KEY = ["id"]
INDEXES = [(["status"], {"at"}), (["owner"], None)]


def item(**values: str) -> dict[str, dict[str, str]]:
    return {name: {"S": value} for name, value in values.items()}


@pytest.mark.parametrize(
    ("before", "after", "spent"),
    [
        # In no index.
        (None, item(id="1"), 1),
        (None, item(id="1", text="x" * 1000), 1),
        (None, item(id="1", text="x" * 1024), 2),
        # The larger of the two counts, and a removal as well.
        (item(id="1", text="x" * 3000), item(id="1"), 3),
        (item(id="1", text="x" * 3000), None, 3),
        # Each index that changes is a write of its own; one of a key is two.
        (None, item(id="1", status="new"), 2),
        (item(id="1", status="new"), item(id="1", status="done"), 3),
        (item(id="1", status="new"), item(id="1"), 2),
        (item(id="1", status="new", text="a"), item(id="1", status="new", text="b"), 1),
        (item(id="1", status="new", at="1"), item(id="1", status="new", at="2"), 2),
        # What is projected counts by its size.
        (None, item(id="1", owner="ann", text="x" * 3000), 3 + 3),
        (None, item(id="1", status="new", text="x" * 3000), 3 + 1),
    ],
)
def test_a_write_costs_its_size_and_its_indexes(
    before: Item | None, after: Item | None, spent: int
) -> None:
    assert write_units(KEY, INDEXES, before, after) == spent


def test_an_item_is_as_large_as_aws_says() -> None:
    # Names and values in UTF-8.
    assert item_size({"é": {"S": "ü"}, "n": {"N": "-12.5"}, "b": {"B": "AAAA"}}) == 4 + 5 + 4


@pytest.mark.parametrize(
    ("consistent", "length", "spent"), [(False, 10, 0.5), (True, 10, 1), (True, 5000, 2)]
)
def test_a_read_costs_by_what_it_gives(consistent: bool, length: int, spent: float) -> None:  # noqa: FBT001
    reads = Reads()
    asked = json.dumps({"TableName": "t", "ConsistentRead": consistent}).encode()
    rows = [item(id="x" * length)]
    reads.count("Query", asked, json.dumps({"Items": rows}).encode())
    assert reads.units == spent
    batch = {"RequestItems": {"t": {"Keys": [], "ConsistentRead": consistent}}}
    answer = json.dumps({"Responses": {"t": rows}}).encode()
    reads.count("BatchGetItem", json.dumps(batch).encode(), answer)
    assert reads.units == 2 * spent
