"""How values compare, and the tests of the grammar (``value is name``)."""

from collections.abc import Callable, Mapping
from typing import Final

from integrations.errors import ExpressionError
from integrations.workflows.expressions.access import Evaluation, plain_text
from integrations.workflows.expressions.values import (
    Missing,
    Value,
    as_integer,
    as_number,
    describe,
    present,
)


def same(evaluation: Evaluation, left: Value, right: Value) -> bool:
    """Whether two values are equal."""
    if isinstance(left, list | dict) and isinstance(right, list | dict):
        evaluation.budget.weigh(left)
        evaluation.budget.weigh(right)
    else:
        evaluation.budget.read(left)
    return bool(present(left) == present(right))


def order(evaluation: Evaluation, left: Value, right: Value) -> int:
    """-1, 0 or 1, as ``left`` is below, equal to or above ``right``: two numbers or two texts."""
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    if not numbers and not (isinstance(left, str) and isinstance(right, str)):
        kinds = f"{describe(present(left))} and {describe(present(right))}"
        raise ExpressionError(f"cannot tell which of {kinds} is larger")
    evaluation.budget.read(left)
    return int(left > right) - int(left < right)


def contains(evaluation: Evaluation, container: Value, member: Value) -> bool:
    """Whether a text holds a text, a list an item, or an object a key."""
    if isinstance(container, str):
        if not isinstance(member, str):
            raise ExpressionError(f"cannot look for {describe(present(member))} in text")
        evaluation.budget.step(1 + len(container) // 256)
        return member in container
    if isinstance(container, dict):
        return isinstance(member, str) and member in container
    if isinstance(container, list):
        evaluation.budget.step(1 + len(container))
        if isinstance(member, list | dict):
            evaluation.budget.weigh(container)
            evaluation.budget.weigh(member)
        return present(member) in container
    raise ExpressionError(f"cannot look into {describe(present(container))}")


def _of_type(*types: type, but: tuple[type, ...] = ()) -> Callable[..., bool]:
    def test(_: Evaluation, value: Value) -> bool:
        return isinstance(value, types) and not isinstance(value, but)

    return test


def _ordered(*wanted: int) -> Callable[..., bool]:
    def test(evaluation: Evaluation, value: Value, other: Value) -> bool:
        return order(evaluation, value, other) in wanted

    return test


def _divisible(_: Evaluation, value: Value, num: Value) -> bool:
    divisor = as_number(num)
    if not divisor:
        raise ExpressionError("cannot divide by zero")
    return as_number(value) % divisor == 0


def _starts(evaluation: Evaluation, value: Value, start: Value) -> bool:
    return plain_text(evaluation, value).startswith(plain_text(evaluation, start))


def _ends(evaluation: Evaluation, value: Value, end: Value) -> bool:
    return plain_text(evaluation, value).endswith(plain_text(evaluation, end))


def _within(evaluation: Evaluation, value: Value, seq: Value) -> bool:
    return contains(evaluation, seq, value)


def _differs(evaluation: Evaluation, value: Value, other: Value) -> bool:
    return not same(evaluation, value, other)


TESTS: Final[Mapping[str, Callable[..., bool]]] = {
    "!=": _differs,
    "<": _ordered(-1),
    "<=": _ordered(-1, 0),
    "==": same,
    ">": _ordered(1),
    ">=": _ordered(0, 1),
    "boolean": _of_type(bool),
    "containing": contains,
    "defined": lambda _, value: not isinstance(value, Missing),
    "divisibleby": _divisible,
    "endingwith": _ends,
    "eq": same,
    "equalto": same,
    "even": lambda _, value: as_integer(value) % 2 == 0,
    "false": lambda _, value: value is False,
    "float": _of_type(float),
    "ge": _ordered(0, 1),
    "greaterthan": _ordered(1),
    "gt": _ordered(1),
    "in": _within,
    "integer": _of_type(int, but=(bool,)),
    "iterable": _of_type(list, dict),
    "le": _ordered(-1, 0),
    "lessthan": _ordered(-1),
    "lt": _ordered(-1),
    "mapping": _of_type(dict),
    "ne": _differs,
    "none": lambda _, value: value is None,
    "number": _of_type(int, float, but=(bool,)),
    "odd": lambda _, value: as_integer(value) % 2 == 1,
    "sequence": _of_type(list),
    "startingwith": _starts,
    "string": _of_type(str),
    "true": lambda _, value: value is True,
    "undefined": lambda _, value: isinstance(value, Missing),
}
