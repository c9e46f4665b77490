"""The write units that the benchmark counts, against AWS's own rules."""

import pytest

from benchmarks import units

TABLE = units.Table(
    ("id",), (units.Index(("status",), frozenset({"at"})), units.Index(("owner",), None))
)


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
        (None, item(id="1", owner="ann", text="x" * 3000), 3 + 4),
        (None, item(id="1", status="new", text="x" * 3000), 3 + 1),
    ],
)
def test_a_write_costs_its_size_and_its_indexes(
    before: units.Item | None, after: units.Item | None, spent: int
) -> None:
    assert TABLE.units(before, after) == spent


def test_a_transaction_costs_twice() -> None:
    asked = {"TransactItems": [{"Put": {"TableName": "t", "Item": item(id="1")}}]}
    assert list(units.written("TransactWriteItems", asked)) == [("t", item(id="1"), 2)]


def test_an_item_is_as_large_as_aws_says() -> None:
    # Names and values in UTF-8; a list or a map 3 bytes, and 1 for each of its values.
    held = {"é": {"S": "ü"}, "n": {"N": "-12.5"}, "l": {"L": [{"BOOL": True}]}, "m": {"M": {}}}
    assert units.size(held) == (2 + 2) + (1 + 4) + (1 + 3 + 2) + (1 + 3)
