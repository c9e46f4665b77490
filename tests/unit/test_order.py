"""The order of the end-to-end tests: each worker begins with its share of the long ones."""

from types import SimpleNamespace
from typing import cast

import pytest

from tests.conftest import dealt


def collected(*names: str) -> list[pytest.Item]:
    """Tests by name; those in capitals are long."""
    made = [
        SimpleNamespace(name=name, get_closest_marker=lambda _, name=name: name.isupper() or None)
        for name in names
    ]
    return cast("list[pytest.Item]", made)


def order(names: str, workers: int) -> str:
    return "".join(item.name for item in dealt(collected(*names), workers))


def test_each_worker_s_part_begins_with_a_long_one() -> None:
    assert order("abcXdeYfg", workers=3) == "XabYcdefg"
    assert order("abcdefXYZ", workers=2) == "XZabYcdef"


def test_without_workers_the_long_ones_are_the_first() -> None:
    assert order("abXcY", workers=1) == "XYabc"


def test_a_few_tests_for_many_workers_are_all_there() -> None:
    assert sorted(order("XaY", workers=6)) == ["X", "Y", "a"]
    assert order("", workers=4) == ""
