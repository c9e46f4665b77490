"""DynamoDB's expressions, as far as the storage uses them; anything else is refused.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

type Typed = Mapping[str, Any]
"""A value in DynamoDB's typed form, e.g. ``{"S": "text"}``."""

type Item = Mapping[str, Typed]
type Condition = Callable[[Item, Mapping[str, str], Item], bool]
"""Whether an item fulfils it, given the names and the values of the request."""

_TOKEN = re.compile(r"\s*(<>|<=|>=|[=<>(),]|[#:]?[A-Za-z_][A-Za-z0-9_]*)")
_SIGNS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# moto's list of them, without moto, whose import takes as long as a simulated day.
_MOTO = Path(str(distribution("moto").locate_file("moto")))
_RESERVED = frozenset((_MOTO / "dynamodb/parsing/reserved_keywords.txt").read_text().split())
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html"""

MOST_BYTES = 4096
MOST_OPERATORS = 300
"""https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

_OPERATOR = re.compile(r"\b(?:AND|OR|NOT|BETWEEN|IN)\b|<>|[<>]=?|=|\+|-|\b[a-z_]+\(")


class NotUnderstood(BaseException):
    """The storage says something that this stand-in does not know: teach it, or think again."""


class Refused(ValueError):
    """DynamoDB would refuse the request."""


def check_length(asked: Mapping[str, Any]) -> None:
    """Refuse expressions that are too long.

    Raises:
        Refused: One is.
    """
    for name, text in asked.items():
        if not name.endswith("Expression") or not isinstance(text, str):
            continue
        if len(text.encode()) > MOST_BYTES:
            size = f"expression size: {len(text.encode())}"
            detail = (
                f"Invalid {name}: Expression size has exceeded the maximum allowed size; {size}"
            )
            raise Refused(detail)
        if len(_OPERATOR.findall(text)) > MOST_OPERATORS:
            raise Refused(f"Invalid {name}: The expression contains too many operators")


def plain(typed: Typed) -> Any:
    """A typed value as something that compares: numbers as numbers, bytes by their base64."""
    ((kind, value),) = typed.items()
    if kind == "N":
        return float(value) if "." in value or "e" in value.lower() else int(value)
    if kind in {"S", "BOOL", "B"}:
        return value
    if kind == "SS":
        return frozenset(value)
    raise NotUnderstood(f"a value of type {kind}")


def _same_kind(one: Typed, other: Typed) -> bool:
    return one.keys() == other.keys()


@lru_cache(maxsize=4096)
def condition(text: str) -> Condition:
    """A condition or filter expression."""
    parser = _Parser(text)
    made = parser.any_of()
    parser.end()
    return made


@lru_cache(maxsize=512)
def key_condition(text: str) -> tuple[str, str, tuple[Any, ...] | None]:
    """The names of a query: the hash key's, its value's, and what is asked of the range key."""
    words = list(_words(text))
    if len(words) < 3 or words[1] != "=":
        raise NotUnderstood(text)
    hash_name, _, hash_value = words[:3]
    rest = words[3:]
    if not rest:
        return hash_name, hash_value, None
    match rest:
        case ["AND", name, "BETWEEN", low, "AND", high]:
            return hash_name, hash_value, ("BETWEEN", name, low, high)
        case ["AND", name, ("=" | "<" | "<=" | ">" | ">=") as sign, value]:
            return hash_name, hash_value, (sign, name, value)
        case ["AND", "begins_with", "(", name, ",", value, ")"]:
            return hash_name, hash_value, ("begins_with", name, value)
    raise NotUnderstood(text)


def compare(sign: str, one: Typed, other: Typed) -> bool:
    """One comparison; values of different types are never equal, nor less or more."""
    if not _same_kind(one, other):
        return sign == "<>"
    return bool(_SIGNS[sign](plain(one), plain(other)))


def attribute(token: str, names: Mapping[str, str]) -> str:
    """The attribute that a name of an expression means.

    Raises:
        Refused: It is undefined, or a reserved word.
    """
    if token.startswith("#"):
        if token not in names:
            raise Refused(f"An expression attribute name used is not defined: {token}")
        return names[token]
    if token.upper() in _RESERVED:
        raise Refused(f"Attribute name is a reserved keyword: {token}")
    return token


def _words(text: str) -> Iterator[str]:
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if not found:
            raise NotUnderstood(text)
        at = found.end()
        yield found[1]


class _Parser:
    """Recursive descent over OR, AND, NOT, parentheses, comparisons, BETWEEN and functions."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._words = list(_words(text))
        self._at = 0

    def _next(self) -> str:
        if self._at >= len(self._words):
            raise NotUnderstood(self._text)
        self._at += 1
        return self._words[self._at - 1]

    def _peek(self) -> str:
        return self._words[self._at] if self._at < len(self._words) else ""

    def _expect(self, word: str) -> None:
        if self._next() != word:
            raise NotUnderstood(self._text)

    def end(self) -> None:
        if self._at != len(self._words):
            raise NotUnderstood(self._text)

    def any_of(self) -> Condition:
        parts = [self._all_of()]
        while self._peek() == "OR":
            self._next()
            parts.append(self._all_of())
        if len(parts) == 1:
            return parts[0]
        return lambda item, names, values: any(each(item, names, values) for each in parts)

    def _all_of(self) -> Condition:
        parts = [self._one()]
        while self._peek() == "AND":
            self._next()
            parts.append(self._one())
        if len(parts) == 1:
            return parts[0]
        return lambda item, names, values: all(each(item, names, values) for each in parts)

    def _one(self) -> Condition:
        word = self._next()
        if word == "NOT":
            inner = self._one()
            return lambda item, names, values: not inner(item, names, values)
        if word == "(":
            inner = self.any_of()
            self._expect(")")
            return inner
        if word in {"attribute_exists", "attribute_not_exists"}:
            self._expect("(")
            name = self._next()
            self._expect(")")
            wanted = word == "attribute_exists"
            return lambda item, names, _: (attribute(name, names) in item) == wanted
        if word == "begins_with":
            return self._begins_with()
        return self._comparison(word)

    def _begins_with(self) -> Condition:
        self._expect("(")
        name = self._next()
        self._expect(",")
        value = self._next()
        self._expect(")")

        def holds(item: Item, names: Mapping[str, str], values: Item) -> bool:
            found = item.get(attribute(name, names))
            return found is not None and begins_with(found, values[value])

        return holds

    def _comparison(self, left: str) -> Condition:
        sign = self._next()
        if sign == "BETWEEN":
            low = self._next()
            self._expect("AND")
            high = self._next()

            def between(item: Item, names: Mapping[str, str], values: Item) -> bool:
                found = item.get(attribute(left, names))
                return (
                    found is not None
                    and compare(">=", found, values[low])
                    and compare("<=", found, values[high])
                )

            return between
        if sign not in _SIGNS:
            raise NotUnderstood(self._text)
        right = self._next()

        def holds(item: Item, names: Mapping[str, str], values: Item) -> bool:
            one, other = _operand(left, item, names, values), _operand(right, item, names, values)
            if one is None or other is None:
                return sign == "<>" and (one is None) != (other is None)
            return compare(sign, one, other)

        return holds


def begins_with(found: Typed, value: Typed) -> bool:
    """DynamoDB's function: of texts alone."""
    return _same_kind(found, value) and str(plain(found)).startswith(str(plain(value)))


def _operand(word: str, item: Item, names: Mapping[str, str], values: Item) -> Typed | None:
    if word.startswith(":"):
        if word not in values:
            raise Refused(f"An expression attribute value used is not defined: {word}")
        return values[word]
    return item.get(attribute(word, names))


# -- Updates ---------------------------------------------------------------------------------

_SECTION = re.compile(r"\b(SET|REMOVE|ADD)\b")
_SET = re.compile(r"\s*(#?\w+)\s*=\s*(?:(:\w+)|if_not_exists\(\s*(#?\w+)\s*,\s*(:\w+)\s*\))\s*")
_ADD = re.compile(r"\s*(#?\w+)\s+(:\w+)\s*")

type Change = tuple[str, str, str, str]
"""What is done, to which name, with which value; where it exists already, this name's value."""


@lru_cache(maxsize=4096)
def update(text: str) -> tuple[Change, ...]:
    """An update expression: ``SET``, ``REMOVE`` and ``ADD`` of whole attributes."""
    parts = _SECTION.split(text)
    if parts[0].strip() or len(parts) < 3:
        raise NotUnderstood(text)
    changes: list[Change] = []
    for kind, clauses in zip(parts[1::2], parts[2::2], strict=True):
        # A comma within if_not_exists does not part clauses.
        each = re.split(r",(?![^(]*\))", clauses)
        changes += [_clause(kind, clause, text) for clause in each]
    return tuple(changes)


def _clause(kind: str, clause: str, text: str) -> Change:
    if kind == "REMOVE":
        name = clause.strip()
        if re.fullmatch(r"#?\w+", name):
            return kind, name, "", ""
    pattern = _SET if kind == "SET" else _ADD
    found = pattern.fullmatch(clause)
    if kind == "REMOVE" or not found:
        raise NotUnderstood(text)
    if kind == "ADD":
        return kind, found[1], found[2], ""
    return kind, found[1], found[2] or found[4], found[3] or ""


def changed(
    text: str, item: Item, names: Mapping[str, str], values: Item
) -> tuple[dict[str, Typed], set[str]]:
    """An item after an update, and which attributes it names."""
    after = dict(item)
    touched: set[str] = set()
    for kind, token, value, fallback in update(text):
        name = attribute(token, names)
        if name in touched:
            raise Refused(f"Two document paths overlap with each other: {name}")
        touched.add(name)
        if kind == "REMOVE":
            after.pop(name, None)
            continue
        if value not in values:
            raise Refused(f"An expression attribute value used is not defined: {value}")
        if kind == "SET":
            there = item.get(attribute(fallback, names)) if fallback else None
            after[name] = there or values[value]
        else:
            after[name] = _added(item.get(name), values[value])
    return after, touched


def _added(there: Typed | None, more: Typed) -> Typed:
    if there is None:
        if not {"N", "SS"} & more.keys():
            raise Refused("ADD takes numbers and sets")
        return more
    if not _same_kind(there, more):
        raise Refused("An operand in the update expression has an incorrect data type")
    if "N" in more:
        return {"N": repr(plain(there) + plain(more))}
    if "SS" in more:
        return {"SS": sorted({*there["SS"], *more["SS"]})}
    raise Refused("ADD takes numbers and sets")
