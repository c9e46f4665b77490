"""Filters for values of every kind, and from one kind to another.

What cannot be converted is an error unless a default is given: an amount that silently became 0
would be booked.
"""

import math
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Final

from integrations import strict_json
from integrations.errors import ExpressionError
from integrations.workflows.expressions.access import Evaluation, plain_text, shown
from integrations.workflows.expressions.values import (
    Missing,
    Value,
    as_integer,
    as_number,
    checked_number,
    describe,
    present,
    to_json_text,
    to_text,
)

MAX_INDENT: Final = 8
MAX_PRECISION: Final = 30
LONGEST_NUMBER: Final = 400
"""Characters that are read of a number's text."""

DECIMAL: Final = 10

_NOT_GIVEN: Final = Missing("no default is given")


def _default(
    _: Evaluation,
    value: Value,
    default_value: Value = "",
    boolean: Value = False,
) -> Value:
    absent = isinstance(value, Missing) or (boolean and not value)
    return default_value if absent else value


def _length(evaluation: Evaluation, value: Value) -> Value:
    if isinstance(value, list | dict):
        return len(value)
    return len(plain_text(evaluation, value))


def _string(evaluation: Evaluation, value: Value) -> Value:
    return to_text(evaluation.budget, value)


def _tojson(evaluation: Evaluation, value: Value, indent: Value = None) -> Value:
    if indent is not None and not 0 <= as_integer(indent) <= MAX_INDENT:
        raise ExpressionError(f"needs an indent from 0 to {MAX_INDENT}")
    return to_json_text(evaluation.budget, value, indent=indent)


def _fromjson(evaluation: Evaluation, value: Value) -> Value:
    text = plain_text(evaluation, value)
    evaluation.budget.allocate(len(text))
    try:
        parsed: Value = strict_json.read(text)
    except strict_json.NotJson:
        raise ExpressionError("needs JSON, and this is none") from None
    evaluation.budget.weigh(parsed)
    return parsed


# -- Numbers ---------------------------------------------------------------------------------


def _int(
    evaluation: Evaluation, value: Value, default: Value = _NOT_GIVEN, base: Value = DECIMAL
) -> Value:
    evaluation.budget.step()
    radix = as_integer(base)
    try:
        if not isinstance(value, str):
            return checked_number(int(as_number(value)))
        text = _numeral(value)
        if radix != DECIMAL:
            return checked_number(int(text, radix))
        if text.lstrip("+-").isdecimal():
            return checked_number(int(text))  # a float would lose the digits of a long id
        return checked_number(int(float(text)))
    except (ValueError, OverflowError, ExpressionError):
        return _otherwise(default, value, "a whole number")


def _float(evaluation: Evaluation, value: Value, default: Value = _NOT_GIVEN) -> Value:
    evaluation.budget.step()
    try:
        number = float(_numeral(value) if isinstance(value, str) else as_number(value))
    except (ValueError, OverflowError, ExpressionError):
        number = math.nan
    return number if math.isfinite(number) else _otherwise(default, value, "a number")


def _numeral(text: str) -> str:
    """A number's text as Python reads it, without the underscores of Python's own source."""
    if len(text) > LONGEST_NUMBER or "_" in text:
        raise ValueError("is not a number")
    return text.strip()


def _otherwise(default: Value, value: Value, wanted: str) -> Value:
    if default is not _NOT_GIVEN:
        return default
    described = shown(value) if isinstance(value, str) else describe(present(value))
    raise ExpressionError(f"needs {wanted}, not {described}; a default in brackets would be taken")


def _abs(_: Evaluation, value: Value) -> Value:
    return abs(as_number(value))


def _precision(value: Value) -> int:
    precision = as_integer(value)
    if abs(precision) > MAX_PRECISION:
        raise ExpressionError(f"needs a precision of at most {MAX_PRECISION}")
    return precision


def _round(_: Evaluation, value: Value, precision: Value = 0, method: Value = "common") -> Value:
    """As Jinja2: ``common`` takes a half to the even neighbour."""
    digits = _precision(precision)
    number = as_number(value)
    if method == "common":
        return checked_number(round(float(number), digits))
    if method not in {"ceil", "floor"}:
        raise ExpressionError("needs the method 'common', 'ceil' or 'floor'")
    scale = 10.0**digits
    towards = math.ceil if method == "ceil" else math.floor
    return checked_number(towards(number * scale) / scale)


def _number(
    evaluation: Evaluation,
    value: Value,
    decimals: Value = 2,
    point: Value = ".",
    thousands: Value = "",
) -> Value:
    """A number as people write it: ``1234.5|number(2, ',', '.')`` is ``1.234,50``.

    A half goes up, away from zero, by the number's decimal digits as they are written; ``-0.001``
    with two decimals is ``0.00``.
    """
    digits = max(0, _precision(decimals))
    dot, group = plain_text(evaluation, point), plain_text(evaluation, thousands)
    exact = Decimal(str(as_number(value) + 0))
    if exact.adjusted() + digits < -1:
        exact = Decimal(0)  # nothing of it is left, and its zeros could be very many
    rounded = exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP, _WIDE)
    plain = f"{rounded or abs(rounded):,f}"
    evaluation.budget.allocate(len(plain) * (1 + len(group)) + len(dot))
    return dot.join(part.replace(",", group) for part in plain.split("."))


_WIDE: Final = Context(prec=400)
"""Enough for the largest float (309 digits) with the most decimals."""

FILTERS: Final[Mapping[str, Callable[..., Value]]] = {
    "abs": _abs,
    "count": _length,
    "d": _default,
    "default": _default,
    "float": _float,
    "fromjson": _fromjson,
    "int": _int,
    "length": _length,
    "number": _number,
    "round": _round,
    "string": _string,
    "tojson": _tojson,
}
