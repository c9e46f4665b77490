"""The values that expressions work on: JSON, plus ``Missing`` for what is not there."""

import json
import math
from typing import Any, Final, cast

from integrations.errors import ExpressionError
from integrations.models import Json
from integrations.workflows.expressions.budget import Budget

MAX_INDENTED: Final = 16 * 1024
MAX_INTEGER_BITS: Final = 256
WORD_BITS: Final = 64


type Value = Any
"""JSON or ``Missing``. The type checker cannot follow what a template does; the functions look."""


_KINDS: Final = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


class Missing:
    """What is not there. It may be looked into and asked about; any other use raises its reason."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


def describe(value: Value) -> str:
    """What kind of thing a value is, in a person's words."""
    return _KINDS.get(type(value), "nothing")


def present(value: Value) -> Value:
    """``value``, where there is one.

    Raises:
        ExpressionError: It is missing.
    """
    if isinstance(value, Missing):
        raise ExpressionError(value.reason)
    return value


def as_number(value: Value) -> int | float:
    """``value``, where it is a number; booleans count as 0 and 1."""
    if isinstance(value, int | float):
        return value
    raise ExpressionError(f"needs a number, not {describe(present(value))}")


def as_integer(value: Value) -> int:
    """``value``, where it is a whole number that fits a machine word."""
    number = as_number(value)
    if not isinstance(number, int) or number.bit_length() >= WORD_BITS:
        raise ExpressionError(f"needs a whole number, not {str(number)[:40]}")
    return number


def as_list(value: Value) -> list[Value]:
    """``value``, where it is a list; an object stands for its keys."""
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return list(value)
    raise ExpressionError(f"needs a list, not {describe(present(value))}")


def as_object(value: Value) -> dict[str, Value]:
    """``value``, where it is an object."""
    if isinstance(value, dict):
        return value
    raise ExpressionError(f"needs an object, not {describe(present(value))}")


def checked_number(value: Value) -> int | float:
    """``value``, where it is a number that JSON can carry and that is not absurdly long."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError("gives a number that is too large or is none")
    if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
        raise ExpressionError(f"gives a whole number of more than {MAX_INTEGER_BITS} bits")
    if not isinstance(value, int | float):  # a root of a negative number is complex
        raise ExpressionError("gives something that is not a number")
    return value


def to_json_text(budget: Budget, value: Value, *, indent: int | None = None) -> str:
    """``value`` as JSON, compact where there is no ``indent``."""
    # Escaping makes six characters of one at most, an indent some hundred: too much for large ones.
    size = budget.weigh(value)
    if indent is not None and size > MAX_INDENTED:
        raise ExpressionError(f"indents a value of more than {MAX_INDENTED} characters")
    budget.allocate(size)
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)
    return budget.text(text)


def to_text(budget: Budget, value: Value) -> str:
    """``value`` as it stands in a text: ``null`` is empty, lists and objects are JSON."""
    match present(value):
        case str():
            return cast("str", value)
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
    return to_json_text(budget, value)


def detached(budget: Budget, value: Value) -> Json:
    """A copy of a result that shares nothing with what it was made of, and that can be stored.

    Half a surrogate pair, which is no text, becomes a question mark.
    """
    if present(value) is None or isinstance(value, bool | int | float):
        return cast("Json", value)
    budget.allocate(budget.weigh(value))
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return cast("Json", json.loads(text.encode(errors="replace")))
