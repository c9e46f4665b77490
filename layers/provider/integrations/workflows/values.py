"""The values that expressions work on, and the budget that every evaluation has to live on.

Values are JSON, plus ``Missing`` for what is not there. Nothing here grows without the budget being
asked first, so neither time nor memory depends on what a template wants.
"""

import json
import math
import time
from typing import Any, Final, cast

from integrations.errors import ExpressionError
from integrations.models import Json

MAX_CHARACTERS: Final = 256 * 1024
"""The most that one value may hold, counting each character and each item."""

MAX_INDENTED: Final = 16 * 1024
MAX_DEPTH: Final = 64
MAX_INTEGER_BITS: Final = 256
MAX_EVALUATION_STEPS: Final = 200_000
MAX_ALLOCATED: Final = 8 * 1024 * 1024
MAX_SECONDS: Final = 5.0

_STEPS_BETWEEN_CLOCK_READS: Final = 1024

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


class Budget:
    """What one evaluation may spend. Spending more raises ``ExpressionError``."""

    __slots__ = ("_allocated", "_next_look", "_started", "_steps")

    def __init__(self) -> None:
        self._steps = 0
        self._allocated = 0
        self._next_look = _STEPS_BETWEEN_CLOCK_READS
        self._started = time.monotonic()

    def step(self, count: int = 1) -> None:
        """Pay for work: an operation, a round of a loop, an item that is looked at."""
        self._steps += count
        if self._steps < self._next_look:
            return
        if self._steps > MAX_EVALUATION_STEPS:
            raise ExpressionError(f"takes more than {MAX_EVALUATION_STEPS} steps")
        self._next_look = self._steps + _STEPS_BETWEEN_CLOCK_READS
        if time.monotonic() - self._started > MAX_SECONDS:
            raise ExpressionError(f"takes longer than {MAX_SECONDS:.0f} seconds")

    def allocate(self, characters: int) -> None:
        """Pay for a value of this size before it is made."""
        if characters > MAX_CHARACTERS:
            raise ExpressionError(f"gives a value of more than {MAX_CHARACTERS} characters")
        self._allocated += characters
        if self._allocated > MAX_ALLOCATED:
            raise ExpressionError(f"needs more than {MAX_ALLOCATED} characters of memory")

    def read(self, value: Value) -> None:
        """Pay for reading a text through: a step for each 256 characters."""
        if isinstance(value, str):
            self.step(1 + len(value) // 256)

    def weigh(self, value: Value) -> int:
        """Pay for looking at a value through and through.

        Returns:
            Its size in characters and items, at most ``MAX_CHARACTERS``.

        Raises:
            ExpressionError: It is larger than that, or nested too deeply. The same list taken into
                another one twice, and so on, is found out here before anything walks through it.
        """
        size = 0
        pending: list[tuple[Value, int]] = [(value, 1)]
        while pending:
            self.step()
            node, depth = pending.pop()
            if depth > MAX_DEPTH:
                raise ExpressionError(f"gives a value nested more than {MAX_DEPTH} levels deep")
            if isinstance(node, str):
                size += len(node)
            elif isinstance(node, list):
                size += len(node)
                if size <= MAX_CHARACTERS:
                    pending.extend((item, depth + 1) for item in node)
            elif isinstance(node, dict):
                size += sum(map(len, node)) + len(node)
                if size <= MAX_CHARACTERS:
                    pending.extend((item, depth + 1) for item in node.values())
            size += 1
            if size > MAX_CHARACTERS:
                raise ExpressionError(f"gives a value of more than {MAX_CHARACTERS} characters")
        return size

    def built[T: (list[Value], dict[str, Value])](self, value: T) -> T:
        """Pay for a list or an object that has just been put together of values that were there."""
        self.allocate(self.weigh(value))
        return value

    def text(self, value: str) -> str:
        """Pay for a text that has just been made; its size was bounded by what it was made of."""
        self.allocate(len(value))
        return value


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
    if not isinstance(number, int) or number.bit_length() > 63:  # noqa: PLR2004 - a machine word
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
        raise ExpressionError("gives something that is no number")
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
