"""What expressions can call: filters (``value|name``), tests (``value is name``) and functions.

Each takes the evaluation first: its budget and its ``now``. None takes a regular expression, none
formats with a template of its own, and each pays before it makes something larger than its input.
"""

import html
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from urllib.parse import quote, urlencode

from integrations import strict_json
from integrations.errors import ExpressionError
from integrations.models import rfc3339
from integrations.workflows.values import (
    Budget,
    Missing,
    Value,
    as_integer,
    as_list,
    as_number,
    as_object,
    checked_number,
    describe,
    present,
    to_json_text,
    to_text,
)

MAX_RANGE: Final = 10_000
MAX_INDENT: Final = 8
MAX_PRECISION: Final = 30
MILLISECONDS_FROM: Final = 100_000_000_000
"""Epoch numbers from here on (the year 5138 in seconds) are taken for milliseconds."""

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_MARKDOWN_SPECIAL = frozenset("\\_*[]()~`>#+-=|{}.!")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a filter knows of the evaluation that it is called in."""

    now: datetime
    budget: Budget = field(default_factory=Budget)


# -- Looking into values ---------------------------------------------------------------------


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
        return f"has no [{_shown(key)}]; its length is {len(value)}"
    if not isinstance(value, dict):
        return f"is {describe(value)} and has no {_shown(key)}"
    if value.get("truncated") is True and "preview" in value:
        return f"was too large to be kept whole, and {_shown(key)} was cut off"
    known = [name[:40] for name in value]
    # Enough of the names to find a typing error.
    listed = ", ".join(known[:8] + ["…"] * (len(known) > 8)) or "nothing"  # noqa: PLR2004
    return f"has no {_shown(key)}; it has: {listed}"


def _shown(key: Value) -> str:
    return repr(key)[:60] if isinstance(key, str | int | float | None) else describe(key)


def _attribute(value: Value, path: Value) -> Value:
    """The value at a dotted path, e.g. ``address.city`` or ``0``."""
    if isinstance(path, str):
        for part in path.split("."):
            value = look_up(value, int(part) if part.isascii() and part.isdigit() else part)
        return value
    return look_up(value, path)


def _column(evaluation: Evaluation, value: Value, attribute: Value) -> list[Value]:
    """A list, or one attribute of each of its items."""
    items = as_list(value)
    evaluation.budget.step(1 + len(items))
    if attribute is None:
        return items
    return [present(_attribute(item, attribute)) for item in items]


def _folded(value: Value, case_sensitive: Value) -> Value:
    return value.lower() if isinstance(value, str) and not case_sensitive else value


def _plain_text(evaluation: Evaluation, value: Value) -> str:
    """The text of a text, a number or a boolean; not of a list or an object."""
    if isinstance(present(value), list | dict):
        raise ExpressionError(f"needs text, not {describe(value)}")
    text = to_text(evaluation.budget, value)
    evaluation.budget.read(text)
    return text


# -- Filters: anything -----------------------------------------------------------------------


def _default(
    _: Evaluation,
    value: Value,
    default_value: Value = "",
    boolean: Value = False,  # noqa: FBT002 - Jinja2's signature
) -> Value:
    absent = isinstance(value, Missing) or (boolean and not value)
    return default_value if absent else value


def _length(evaluation: Evaluation, value: Value) -> Value:
    if isinstance(value, list | dict):
        return len(value)
    return len(_plain_text(evaluation, value))


def _string(evaluation: Evaluation, value: Value) -> Value:
    return to_text(evaluation.budget, value)


def _tojson(evaluation: Evaluation, value: Value, indent: Value = None) -> Value:
    if indent is not None and not 0 <= as_integer(indent) <= MAX_INDENT:
        raise ExpressionError(f"needs an indent from 0 to {MAX_INDENT}")
    return to_json_text(evaluation.budget, value, indent=indent)


def _fromjson(evaluation: Evaluation, value: Value) -> Value:
    text = _plain_text(evaluation, value)
    evaluation.budget.allocate(len(text))
    try:
        parsed: Value = strict_json.read(text)
    except strict_json.NotJson:
        raise ExpressionError("needs JSON, and this is none") from None
    evaluation.budget.weigh(parsed)
    return parsed


# -- Filters: text ---------------------------------------------------------------------------


def _upper(evaluation: Evaluation, value: Value) -> Value:
    return evaluation.budget.text(_plain_text(evaluation, value).upper())


def _lower(evaluation: Evaluation, value: Value) -> Value:
    return evaluation.budget.text(_plain_text(evaluation, value).lower())


def _title(evaluation: Evaluation, value: Value) -> Value:
    return evaluation.budget.text(_plain_text(evaluation, value).title())


def _capitalize(evaluation: Evaluation, value: Value) -> Value:
    return evaluation.budget.text(_plain_text(evaluation, value).capitalize())


def _trim(evaluation: Evaluation, value: Value, chars: Value = None) -> Value:
    stripped = None if chars is None else _plain_text(evaluation, chars)
    text = _plain_text(evaluation, value)
    evaluation.budget.step(1 + len(text) * len(stripped or "") // 1024)
    return evaluation.budget.text(text.strip(stripped))


def _replace(
    evaluation: Evaluation, value: Value, old: Value, new: Value, count: Value = None
) -> Value:
    text, before = _plain_text(evaluation, value), _plain_text(evaluation, old)
    after = _plain_text(evaluation, new)
    limit = -1 if count is None else as_integer(count)
    found = text.count(before) if limit < 0 else min(text.count(before), limit)
    evaluation.budget.allocate(max(0, len(text) + found * (len(after) - len(before))))
    return text.replace(before, after, limit)


def _truncate(  # noqa: PLR0917 - Jinja2's signature
    evaluation: Evaluation,
    value: Value,
    length: Value = 255,
    killwords: Value = False,  # noqa: FBT002 - Jinja2's signature
    end: Value = "...",
    leeway: Value = 0,
) -> Value:
    text, tail = _plain_text(evaluation, value), _plain_text(evaluation, end)
    limit = as_integer(length)
    if limit < len(tail):
        raise ExpressionError(f"needs a length of at least {len(tail)}")
    if len(text) <= limit + max(0, as_integer(leeway)):
        return text
    kept = text[: limit - len(tail)]
    if not killwords:
        kept = kept.rsplit(" ", 1)[0]
    return evaluation.budget.text(kept + tail)


def _split(
    evaluation: Evaluation, value: Value, separator: Value = None, maxsplit: Value = -1
) -> Value:
    text = _plain_text(evaluation, value)
    by = None if separator is None else _plain_text(evaluation, separator)
    if by == "":
        raise ExpressionError("needs a separator that is not empty")
    limit = as_integer(maxsplit)
    evaluation.budget.step(1 + (len(text) // 8 if by is None else text.count(by)))
    evaluation.budget.allocate(len(text))
    return evaluation.budget.built(list(text.split(by, limit)))


def _join(evaluation: Evaluation, value: Value, d: Value = "", attribute: Value = None) -> Value:
    between = _plain_text(evaluation, d)
    parts = [to_text(evaluation.budget, x) for x in _column(evaluation, value, attribute)]
    evaluation.budget.allocate(sum(map(len, parts)) + len(between) * max(0, len(parts) - 1))
    return between.join(parts)


def _urlencode(evaluation: Evaluation, value: Value) -> Value:
    if isinstance(value, dict):
        pairs = [(key, _plain_text(evaluation, item)) for key, item in value.items()]
        evaluation.budget.allocate(sum(len(key) + len(item) for key, item in pairs))
        return evaluation.budget.text(urlencode(pairs, quote_via=quote, errors="replace"))
    text = _plain_text(evaluation, value)
    evaluation.budget.allocate(len(text))
    return evaluation.budget.text(quote(text, safe="", errors="replace"))


def _escape_html(evaluation: Evaluation, value: Value) -> Value:
    text = _plain_text(evaluation, value)
    evaluation.budget.allocate(len(text))
    return evaluation.budget.text(html.escape(text))


def _escape_markdown(evaluation: Evaluation, value: Value) -> Value:
    text = _plain_text(evaluation, value)
    evaluation.budget.allocate(len(text))
    escaped = "".join(f"\\{char}" if char in _MARKDOWN_SPECIAL else char for char in text)
    return evaluation.budget.text(escaped)


# -- Filters: numbers ------------------------------------------------------------------------


def _int(evaluation: Evaluation, value: Value, default: Value = 0, base: Value = 10) -> Value:
    try:
        if isinstance(value, str):
            text = value[:400].strip()
            whole = int(text, as_integer(base)) if base != 10 else int(float(text))  # noqa: PLR2004
            if base == 10 and text.lstrip("+-").isdecimal():  # noqa: PLR2004 - decimal
                whole = int(text)  # a float would lose the digits of a long id
        else:
            whole = int(as_number(value))
    except (ValueError, OverflowError, ExpressionError):
        return default
    evaluation.budget.step()
    return checked_number(whole)


def _float(evaluation: Evaluation, value: Value, default: Value = 0.0) -> Value:
    evaluation.budget.step()
    try:
        number = float(value[:400] if isinstance(value, str) else as_number(value))
    except (ValueError, OverflowError, ExpressionError):
        return default
    return number if math.isfinite(number) else default


def _abs(_: Evaluation, value: Value) -> Value:
    return abs(as_number(value))


def _precision(value: Value) -> int:
    precision = as_integer(value)
    if abs(precision) > MAX_PRECISION:
        raise ExpressionError(f"needs a precision of at most {MAX_PRECISION}")
    return precision


def _round(_: Evaluation, value: Value, precision: Value = 0, method: Value = "common") -> Value:
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
    """A number as people write it: ``1234.5|number(2, ',', '.')`` is ``1.234,50``."""
    digits = max(0, _precision(decimals))
    dot, group = _plain_text(evaluation, point), _plain_text(evaluation, thousands)
    plain = f"{as_number(value):,.{digits}f}"
    evaluation.budget.allocate(len(plain) * (1 + len(group)) + len(dot))
    return dot.join(part.replace(",", group) for part in plain.split("."))


# -- Filters: lists and objects --------------------------------------------------------------


def _first(evaluation: Evaluation, value: Value) -> Value:
    items = value if isinstance(value, str) else _column(evaluation, value, None)
    return items[0] if items else Missing("there is no first item: the list is empty")


def _last(evaluation: Evaluation, value: Value) -> Value:
    items = value if isinstance(value, str) else _column(evaluation, value, None)
    return items[-1] if items else Missing("there is no last item: the list is empty")


def _list(evaluation: Evaluation, value: Value) -> Value:
    if isinstance(value, str):
        evaluation.budget.step(len(value))
        return evaluation.budget.built(list(value))
    return evaluation.budget.built(list(_column(evaluation, value, None)))


def _reverse(evaluation: Evaluation, value: Value) -> Value:
    if isinstance(value, str):
        evaluation.budget.read(value)
        return evaluation.budget.text(value[::-1])
    return evaluation.budget.built(_column(evaluation, value, None)[::-1])


def _sort(
    evaluation: Evaluation,
    value: Value,
    reverse: Value = False,  # noqa: FBT002 - Jinja2's signature
    case_sensitive: Value = False,  # noqa: FBT002 - Jinja2's signature
    attribute: Value = None,
) -> Value:
    keys = _column(evaluation, value, attribute)
    items = as_list(value)
    evaluation.budget.step(len(items) * max(1, len(items).bit_length()))
    evaluation.budget.weigh(keys)
    order = sorted(
        range(len(items)),
        key=lambda index: _folded(keys[index], case_sensitive),
        reverse=bool(reverse),
    )
    return evaluation.budget.built([items[index] for index in order])


def _unique(
    evaluation: Evaluation,
    value: Value,
    case_sensitive: Value = False,  # noqa: FBT002 - Jinja2's signature
    attribute: Value = None,
) -> Value:
    keys = _column(evaluation, value, attribute)
    evaluation.budget.weigh(keys)
    first: dict[str, Value] = {}
    for key, item in zip(keys, as_list(value), strict=True):
        first.setdefault(json.dumps(_folded(key, case_sensitive), sort_keys=True), item)
    return evaluation.budget.built(list(first.values()))


def _extreme(which: Callable[..., Value]) -> Callable[..., Value]:
    def pick(evaluation: Evaluation, value: Value, attribute: Value = None) -> Value:
        keys = _column(evaluation, value, attribute)
        items = as_list(value)
        evaluation.budget.weigh(keys)
        if not items:
            return Missing("there is no such item: the list is empty")
        return items[which(range(len(items)), key=keys.__getitem__)]

    return pick


def _sum(evaluation: Evaluation, value: Value, attribute: Value = None, start: Value = 0) -> Value:
    total = as_number(start)
    for item in _column(evaluation, value, attribute):
        total = checked_number(total + as_number(item))
    return total


def _map(
    evaluation: Evaluation,
    value: Value,
    *arguments: Value,
    attribute: Value = None,
    default: Value = None,
) -> Value:
    """``map(attribute='name')``, or ``map('upper')`` with the filter's own arguments."""
    items = as_list(value)
    evaluation.budget.step(1 + len(items))
    if attribute is not None:
        if arguments:
            raise ExpressionError("map needs an attribute or a filter, not both")
        found = [_attribute(item, attribute) for item in items]
        if default is not None:
            found = [default if isinstance(item, Missing) else item for item in found]
        return evaluation.budget.built([present(item) for item in found])
    if not arguments:
        raise ExpressionError("map needs an attribute or a filter")
    run = _named(FILTERS, arguments[0], "filter")
    return evaluation.budget.built(
        [present(run(evaluation, item, *arguments[1:])) for item in items]
    )


def _picking(*, wanted: bool, by_attribute: bool) -> Callable[..., Value]:
    def pick(evaluation: Evaluation, value: Value, *arguments: Value) -> Value:
        items = as_list(value)
        evaluation.budget.step(1 + len(items))
        keys = items
        if by_attribute:
            if not arguments:
                raise ExpressionError("needs the name of an attribute")
            keys = [_attribute(item, arguments[0]) for item in items]
            arguments = arguments[1:]
        run = _named(TESTS, arguments[0], "test") if arguments else _truthy
        asks = bool(arguments) and arguments[0] in ACCEPT_MISSING
        picked = [
            item
            for item, key in zip(items, keys, strict=True)
            # Filtering by a field that some items lack is what one does with other people's data.
            if wanted
            == ((asks or not isinstance(key, Missing)) and run(evaluation, key, *arguments[1:]))
        ]
        return evaluation.budget.built(picked)

    return pick


def _named[T](registry: Mapping[str, T], name: Value, kind: str) -> T:
    found = registry.get(name) if isinstance(name, str) else None
    if found is None:
        raise ExpressionError(f"there is no {kind} {_shown(name)}")
    return found


def _items(evaluation: Evaluation, value: Value) -> Value:
    return evaluation.budget.built([[key, item] for key, item in as_object(value).items()])


def _dictsort(evaluation: Evaluation, value: Value) -> Value:
    pairs = sorted(as_object(value).items(), key=lambda pair: pair[0].lower())
    evaluation.budget.step(1 + len(pairs))
    return evaluation.budget.built([[key, item] for key, item in pairs])


def _keys(evaluation: Evaluation, value: Value) -> Value:
    return evaluation.budget.built(list(as_object(value)))


def _values(evaluation: Evaluation, value: Value) -> Value:
    return evaluation.budget.built(list(as_object(value).values()))


def _get(_: Evaluation, value: Value, key: Value, default: Value = None) -> Value:
    found = look_up(value, key)
    return default if isinstance(found, Missing) else found


# -- Filters: times --------------------------------------------------------------------------


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - few templates need it

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ExpressionError(f"there is no time zone {_shown(name)}") from None


def _time(value: Value) -> datetime:
    """A moment from RFC 3339 text (without an offset: UTC) or from an epoch number."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value[:64].strip())
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = as_number(value)
        if abs(seconds) >= MILLISECONDS_FROM:
            seconds /= 1000
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise ExpressionError(f"needs a time, not {_shown(value)}") from None


def _date(
    evaluation: Evaluation,
    value: Value,
    format: Value = "%Y-%m-%d %H:%M",  # noqa: A002 - what templates call it
    tz: Value = "UTC",
) -> Value:
    zone = _zone(_plain_text(evaluation, tz))
    try:
        moment = _time(value).astimezone(zone)
    except OverflowError:
        raise ExpressionError("needs a time in the calendar's range") from None
    return evaluation.budget.text(_formatted(evaluation, moment, _plain_text(evaluation, format)))


def _formatted(evaluation: Evaluation, moment: datetime, template: str) -> str:
    """``strftime`` with a closed list of directives: the C library's takes widths of any size."""
    offset = f"{moment:%z}"
    directives = {
        "Y": f"{moment.year:04}", "y": f"{moment.year % 100:02}",
        "m": f"{moment.month:02}", "B": _MONTHS[moment.month - 1],
        "b": _MONTHS[moment.month - 1][:3], "d": f"{moment.day:02}",
        "j": f"{moment.timetuple().tm_yday:03}", "A": _DAYS[moment.weekday()],
        "a": _DAYS[moment.weekday()][:3], "u": str(moment.isoweekday()),
        "V": f"{moment.isocalendar().week:02}", "H": f"{moment.hour:02}",
        "I": f"{(moment.hour - 1) % 12 + 1:02}", "p": "AM" if moment.hour < 12 else "PM",  # noqa: PLR2004
        "M": f"{moment.minute:02}", "S": f"{moment.second:02}", "f": f"{moment.microsecond:06}",
        "z": offset, "Z": moment.tzname() or "", "s": str(int(moment.timestamp())),
        "F": f"{moment.year:04}-{moment.month:02}-{moment.day:02}",
        "T": f"{moment.hour:02}:{moment.minute:02}:{moment.second:02}",
        "R": f"{moment.hour:02}:{moment.minute:02}", "%": "%",
    }  # fmt: skip
    first, *rest = template.replace("%%", "%\0").split("%")
    evaluation.budget.step(1 + len(rest))
    evaluation.budget.allocate(len(template) + 9 * len(rest))
    parts = [first]
    for piece in rest:
        if piece.startswith("\0"):
            parts.append("%" + piece[1:])
            continue
        plain = piece.startswith("-")  # %-d: without the leading zero
        letter, tail = piece[plain : plain + 1], piece[plain + 1 :]
        if letter not in directives:
            raise ExpressionError(f"there is no time format %{letter}")
        shown = directives[letter]
        parts.append(((shown.lstrip("0") or "0") if plain else shown) + tail)
    return "".join(parts)


def _date_add(  # noqa: PLR0917 - the units of time
    _: Evaluation,
    value: Value,
    days: Value = 0,
    hours: Value = 0,
    minutes: Value = 0,
    seconds: Value = 0,
    weeks: Value = 0,
) -> Value:
    try:
        shift = timedelta(
            days=as_number(days),
            hours=as_number(hours),
            minutes=as_number(minutes),
            seconds=as_number(seconds),
            weeks=as_number(weeks),
        )
        return rfc3339(_time(value) + shift)
    except OverflowError:
        raise ExpressionError("gives a time beyond the calendar's range") from None


def _timestamp(_: Evaluation, value: Value) -> Value:
    return int(_time(value).timestamp())


# -- Tests -----------------------------------------------------------------------------------


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


def _truthy(_: Evaluation, value: Value) -> bool:
    return bool(present(value))


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
    return _plain_text(evaluation, value).startswith(_plain_text(evaluation, start))


def _ends(evaluation: Evaluation, value: Value, end: Value) -> bool:
    return _plain_text(evaluation, value).endswith(_plain_text(evaluation, end))


def _within(evaluation: Evaluation, value: Value, seq: Value) -> bool:
    return contains(evaluation, seq, value)


def _differs(evaluation: Evaluation, value: Value, other: Value) -> bool:
    return not same(evaluation, value, other)


# -- Functions -------------------------------------------------------------------------------


def _now(evaluation: Evaluation) -> Value:
    return rfc3339(evaluation.now)


def _range(evaluation: Evaluation, *bounds: Value) -> Value:
    if not 1 <= len(bounds) <= 3:  # noqa: PLR2004 - start, stop, step
        raise ExpressionError("range needs one to three numbers")
    numbers = range(*(as_integer(bound) for bound in bounds))
    if len(numbers) > MAX_RANGE:
        raise ExpressionError(f"range gives {len(numbers)} numbers; {MAX_RANGE} are allowed")
    evaluation.budget.step(len(numbers))
    evaluation.budget.allocate(len(numbers))
    return list(numbers)


# -- The registries --------------------------------------------------------------------------

FILTERS: Final[Mapping[str, Callable[..., Value]]] = {
    "abs": _abs,
    "capitalize": _capitalize,
    "count": _length,
    "d": _default,
    "date": _date,
    "dateAdd": _date_add,
    "default": _default,
    "dictsort": _dictsort,
    "e": _escape_html,
    "escape": _escape_html,
    "escapeHtml": _escape_html,
    "escapeMarkdown": _escape_markdown,
    "first": _first,
    "float": _float,
    "fromjson": _fromjson,
    "get": _get,
    "int": _int,
    "items": _items,
    "join": _join,
    "keys": _keys,
    "last": _last,
    "length": _length,
    "list": _list,
    "lower": _lower,
    "map": _map,
    "max": _extreme(max),
    "min": _extreme(min),
    "number": _number,
    "reject": _picking(wanted=False, by_attribute=False),
    "rejectattr": _picking(wanted=False, by_attribute=True),
    "replace": _replace,
    "reverse": _reverse,
    "round": _round,
    "select": _picking(wanted=True, by_attribute=False),
    "selectattr": _picking(wanted=True, by_attribute=True),
    "sort": _sort,
    "split": _split,
    "string": _string,
    "sum": _sum,
    "timestamp": _timestamp,
    "title": _title,
    "tojson": _tojson,
    "trim": _trim,
    "truncate": _truncate,
    "unique": _unique,
    "upper": _upper,
    "urlencode": _urlencode,
    "values": _values,
}

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

FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = {"now": _now, "range": _range}

ACCEPT_MISSING: Final = frozenset({"default", "d", "get", "defined", "undefined"})
"""The filters and tests that are there for what is missing; all others raise its reason."""
