"""What ``+``, ``*``, ``<`` and their like do with values."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from integrations.errors import ExpressionError
from integrations.workflows.expressions.access import Evaluation
from integrations.workflows.expressions.budget import Budget
from integrations.workflows.expressions.comparisons import contains, order, same
from integrations.workflows.expressions.values import (
    Value,
    as_integer,
    as_number,
    checked_number,
    describe,
)

MAX_EXPONENT: Final = 1024


def _add(budget: Budget, left: Value, right: Value) -> Value:
    if isinstance(left, str) and isinstance(right, str):
        budget.allocate(len(left) + len(right))
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        budget.step(len(left) + len(right))
        return budget.built(left + right)
    return checked_number(_numbers("add", left, right, lambda a, b: a + b))


def _multiply(budget: Budget, left: Value, right: Value) -> Value:
    if isinstance(left, int) and isinstance(right, str | list):
        left, right = right, left
    if isinstance(left, str | list) and isinstance(right, int):
        times = max(0, as_integer(right))
        budget.allocate(len(left) * times)
        if isinstance(left, str):
            return left * times
        budget.step(len(left) * times)
        return budget.built(left * times)
    return checked_number(_numbers("multiply", left, right, lambda a, b: a * b))


def _power(_: Budget, left: Value, right: Value) -> Value:
    base, exponent = as_number(left), as_number(right)
    if abs(exponent) > MAX_EXPONENT:
        raise ExpressionError(f"cannot raise to more than the power of {MAX_EXPONENT}")
    if isinstance(base, int):
        checked_number(base)
    return checked_number(_numbers("raise", base, exponent, lambda a, b: a**b))


def _arithmetic(word: str, compute: Callable[[Any, Any], Value]) -> Callable[..., Value]:
    return lambda _, left, right: checked_number(_numbers(word, left, right, compute))


def _numbers(word: str, left: Value, right: Value, compute: Callable[[Any, Any], Value]) -> Value:
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        hint = "; '~' joins texts" if isinstance(left, str) or isinstance(right, str) else ""
        raise ExpressionError(f"cannot {word} {describe(left)} and {describe(right)}{hint}")
    try:
        return compute(left, right)
    except ZeroDivisionError:
        raise ExpressionError("cannot divide by zero") from None
    except OverflowError:
        raise ExpressionError("gives a number that is too large") from None


BINARY: Final[Mapping[str, Callable[[Budget, Value, Value], Value]]] = {
    "Add": _add,
    "Sub": _arithmetic("subtract", lambda a, b: a - b),
    "Mul": _multiply,
    "Div": _arithmetic("divide", lambda a, b: a / b),
    "FloorDiv": _arithmetic("divide", lambda a, b: a // b),
    "Mod": _arithmetic("divide", lambda a, b: a % b),
    "Pow": _power,
}

COMPARISONS: Final[Mapping[str, Callable[[Evaluation, Value, Value], bool]]] = {
    "eq": same,
    "ne": lambda evaluation, left, right: not same(evaluation, left, right),
    "lt": lambda evaluation, left, right: order(evaluation, left, right) < 0,
    "lteq": lambda evaluation, left, right: order(evaluation, left, right) <= 0,
    "gt": lambda evaluation, left, right: order(evaluation, left, right) > 0,
    "gteq": lambda evaluation, left, right: order(evaluation, left, right) >= 0,
    "in": lambda evaluation, left, right: contains(evaluation, right, left),
    "notin": lambda evaluation, left, right: not contains(evaluation, right, left),
}
