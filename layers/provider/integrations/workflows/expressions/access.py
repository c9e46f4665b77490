"""How expressions look into values, and what an evaluation knows.

This is the only way in: there are no attributes and no methods.
"""

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Final, NamedTuple

from integrations.errors import ExpressionError
from integrations.workflows.expressions.budget import Budget
from integrations.workflows.expressions.values import (
    Missing,
    Value,
    as_list,
    describe,
    present,
    to_text,
)

_NAMES_SHOWN: Final = 8
"""Enough of an object's names to find a typing error."""

_LONGEST_SHOWN: Final = 60

ACCEPT_MISSING: Final = frozenset({"default", "d", "get", "defined", "undefined"})
"""The filters and tests that are there for what is missing; all others raise its reason."""


class Evaluation(NamedTuple):
    """What a filter knows of the evaluation that it is called in.

    Attributes:
        now: What ``now()`` gives.
        budget: What it may spend.
        derived: Takes every value that was made of a secret; ``None`` where nobody asks.
    """

    now: datetime
    budget: Budget
    derived: list[Value] | None = None


def look_up(value: Value, key: Value, path: str = "the value") -> Value:
    """An object's field or a list's item; ``Missing`` with the reason where there is none.

    This is the only way into a value: there are no attributes and no methods.
    """
    if isinstance(value, Missing):
        return value
    if isinstance(value, dict) and isinstance(key, str) and key in value:
        return value[key]
    if _is_position(value, key) and -len(value) <= key < len(value):
        return value[key]
    return Missing(f"{path} {_why_not(value, key)}")


def _is_position(value: Value, key: Value) -> bool:
    return isinstance(value, list | str) and isinstance(key, int) and not isinstance(key, bool)


def _why_not(value: Value, key: Value) -> str:
    if _is_position(value, key):
        return f"has no [{shown(key)}]; its length is {len(value)}"
    if not isinstance(value, dict):
        return f"is {describe(value)} and has no {shown(key)}"
    if value.get("truncated") is True and "preview" in value:
        return f"was too large to be stored whole, and {shown(key)} was cut off"
    known = [name[:40] for name in islice(value, _NAMES_SHOWN)]
    if len(value) > _NAMES_SHOWN:
        known.append("…")
    listed = ", ".join(known) or "nothing"
    return f"has no {shown(key)}; it has: {listed}"


def shown(key: Value) -> str:
    """A value in an error: the beginning of a text or a number, else only its kind."""
    if isinstance(key, str):
        return repr(key[:_LONGEST_SHOWN])
    return repr(key)[:_LONGEST_SHOWN] if isinstance(key, int | float | None) else describe(key)


def nearest(name: Value, known: Iterable[str]) -> str:
    """``; did you mean 'upper'?``, where a known name is like the one that was given."""
    if not isinstance(name, str) or len(name) > _LONGEST_SHOWN:
        return ""
    from difflib import get_close_matches

    found = get_close_matches(name, known, n=3)
    return f"; did you mean {' or '.join(map(repr, found))}?" if found else ""


def at_path(evaluation: Evaluation, value: Value, path: Value) -> Value:
    """The value at a dotted path, e.g. ``address.city`` or ``0``."""
    if isinstance(path, str):
        evaluation.budget.step(1 + path.count("."))
        for part in path.split("."):
            value = look_up(value, int(part) if part.isascii() and part.isdigit() else part)
        return value
    return look_up(value, path)


def column(evaluation: Evaluation, value: Value, attribute: Value) -> list[Value]:
    """A list, or one attribute of each of its items."""
    items = as_list(value)
    evaluation.budget.step(1 + len(items))
    if attribute is None:
        return items
    return [present(at_path(evaluation, item, attribute)) for item in items]


def plain_text(evaluation: Evaluation, value: Value) -> str:
    """The text of a text, a number or a boolean; not of a list or an object."""
    if isinstance(present(value), list | dict):
        raise ExpressionError(f"needs text, not {describe(value)}")
    text = to_text(evaluation.budget, value)
    evaluation.budget.read(text)
    return text
