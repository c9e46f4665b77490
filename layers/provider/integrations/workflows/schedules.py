"""When a schedule fires: the cron that people know, turned into what EventBridge Scheduler takes.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

from calendar import monthrange
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from datetime import time as time_of_day
from typing import Final, NamedTuple

from integrations.errors import FieldError, InvalidInput
from integrations.models import Json
from integrations.workflows.zones import nearest_zones, zone

MAX_EXPRESSION: Final = 256

_MONTHS = {
    "JAN": 1, "FEB": 2, "MAR": 3, "APR": 4, "MAY": 5, "JUN": 6,
    "JUL": 7, "AUG": 8, "SEP": 9, "OCT": 10, "NOV": 11, "DEC": 12,
}  # fmt: skip
_DAYS = {"SUN": 0, "MON": 1, "TUE": 2, "WED": 3, "THU": 4, "FRI": 5, "SAT": 6}
_LONGEST = {2: 29, 4: 30, 6: 30, 9: 30, 11: 30}
_SUNDAY_TOO = 7
_EVENTBRIDGE_DAYS = {name: number + 1 for name, number in _DAYS.items()}
_UNITS = ("minute", "hour", "day")
_NO_SUCH_DAY = "names a day that none of its months has"
_CRON_FIELDS = 5  # minute, hour, day, month, weekday
_YEAR_DIGITS = 4


class Schedule(NamedTuple):
    """When a schedule fires, in EventBridge Scheduler's words.

    Attributes:
        expression: ``cron(…)`` of six fields, ``rate(…)`` or ``at(…)``.
        timezone: The IANA time zone that it is meant in.
    """

    expression: str
    timezone: str

    def last(self) -> datetime | None:
        """The moment of an ``at(…)``, the end of the last day of a ``cron(…)`` with years.

        After it, it never fires again. ``None`` where there is always a next time.
        """
        kind, _, inside = self.expression.removesuffix(")").partition("(")
        if kind == "at":
            wall = datetime.fromisoformat(inside)
        elif kind == "cron" and (day := _last_day(inside.split())) and day.year < _YEAR.high:
            wall = datetime.combine(day, time_of_day(23, 59, 59))
        else:
            return None
        return wall.replace(tzinfo=zone(self.timezone))

    def is_skipped(self) -> bool:
        """Whether it is an ``at(…)`` of an hour that clocks skip: Scheduler skips it, too.

        https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#daylist-savings-time
        """
        moment = self.last()
        if moment is None or not self.expression.startswith("at("):
            return False
        back = moment.astimezone(UTC).astimezone(moment.tzinfo)
        return back.replace(tzinfo=None) != moment.replace(tzinfo=None)


class _Field(NamedTuple):
    """One field of a cron expression."""

    name: str
    low: int
    high: int
    names: Mapping[str, int]

    @property
    def all(self) -> frozenset[int]:
        return frozenset(range(self.low, self.high + 1))


_MINUTE = _Field("minute", 0, 59, {})
_HOUR = _Field("hour", 0, 23, {})
_DAY_OF_MONTH = _Field("day of the month", 1, 31, {})
_MONTH = _Field("month", 1, 12, _MONTHS)
_DAY_OF_WEEK = _Field("day of the week", 0, 7, _DAYS)
_EVENTBRIDGE_DAY_OF_WEEK = _Field("day of the week", 1, 7, _EVENTBRIDGE_DAYS)
_YEAR = _Field("year", 1970, 2199, {})


def parse_schedule(fields: Mapping[str, Json]) -> Schedule:
    """Understand the fields of a ``schedule`` trigger.

    Args:
        fields: ``cron`` (five fields) or ``expression`` (EventBridge's), and ``timezone`` (UTC).

    Raises:
        InvalidInput: They make no schedule; ``errors`` names each field.
    """
    errors: list[FieldError] = []
    timezone = fields.get("timezone", "UTC")
    if not isinstance(timezone, str) or not _is_zone(timezone):
        near = nearest_zones(timezone) if isinstance(timezone, str) else []
        hint = (
            f"; did you mean {' or '.join(map(repr, near))}?" if near else ", e.g. 'Europe/Berlin'"
        )
        errors.append(
            FieldError("timezone", f"is not an IANA time zone{hint}", "unknown", tuple(near))
        )
    given = [name for name in ("cron", "expression") if fields.get(name) is not None]
    expression = ""
    if len(given) != 1:
        errors.append(FieldError("cron", "is needed, or 'expression' in its place; not both"))
    else:
        try:
            source = _text(fields[given[0]])
            expression = from_cron(source) if given[0] == "cron" else _eventbridge(source)
        except ValueError as error:
            errors.append(FieldError(given[0], str(error)))
    if errors:
        raise InvalidInput("This is not a schedule", errors)
    schedule = Schedule(expression, str(timezone))
    if schedule.is_skipped():
        message = f"names a time that clocks in {timezone} skip"
        raise InvalidInput("This is not a schedule", [FieldError(given[0], message)])
    return schedule


def understood(fields: Mapping[str, Json]) -> Schedule:
    """The schedule of fields that were checked when they were saved; it loads no time zone.

    Raises:
        ValueError: They would not be taken any more.
    """
    cron = fields.get("cron")
    expression = from_cron(_text(cron)) if cron else _eventbridge(_text(fields.get("expression")))
    return Schedule(expression, str(fields.get("timezone", "UTC")))


def _text(value: Json) -> str:
    if not isinstance(value, str) or len(value) > MAX_EXPRESSION:
        raise ValueError(f"needs to be text of at most {MAX_EXPRESSION} characters")
    return value


def from_cron(source: str) -> str:
    """A five-field cron as EventBridge's ``cron(…)``: six fields, days of the week from SUN = 1.

    Raises:
        ValueError: It is none, never comes true, or means what EventBridge cannot say.
    """
    parts = source.split()
    if len(parts) != _CRON_FIELDS:
        raise ValueError("needs five fields: minute hour day-of-month month day-of-week")
    minute, hour, day, month, weekday = (
        _values(part, field)
        for part, field in zip(
            parts, (_MINUTE, _HOUR, _DAY_OF_MONTH, _MONTH, _DAY_OF_WEEK), strict=True
        )
    )
    weekdays = frozenset(number % _SUNDAY_TOO + 1 for number in weekday)  # 0 and 7 are Sunday
    every_day, every_weekday = day == _DAY_OF_MONTH.all, weekdays == _EVENTBRIDGE_DAY_OF_WEEK.all
    if not every_day and not every_weekday:
        # Cron fires when either fits; EventBridge takes only one of them.
        raise ValueError("names days of the month and of the week; use one workflow for each")
    if min(day) > max(_LONGEST.get(number, 31) for number in month):
        raise ValueError(_NO_SUCH_DAY)
    days = _shown(day, _DAY_OF_MONTH) if every_weekday else "?"
    shown_weekdays = "?" if every_weekday else _shown(weekdays, _EVENTBRIDGE_DAY_OF_WEEK)
    first = f"{_shown(minute, _MINUTE)} {_shown(hour, _HOUR)}"
    return f"cron({first} {days} {_shown(month, _MONTH)} {shown_weekdays} *)"


def _values(text: str, field: _Field) -> frozenset[int]:
    """The numbers that one field of a cron stands for."""
    found: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = _number(step_text, field) if slash else 1
        if step < 1:
            raise ValueError(f"has a step of 0 in its {field.name}")
        low_text, dash, high_text = span.partition("-")
        if span == "*":
            low, high = field.low, field.high
        else:
            low = _within(low_text, field)
            high = _within(high_text, field) if dash else (field.high if slash else low)
        if low > high:
            raise ValueError(f"has a range that runs backwards in its {field.name}: {span!r}")
        found.update(range(low, high + 1, step))
    return frozenset(found)


def _number(text: str, field: _Field) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _YEAR_DIGITS):
        raise ValueError(f"has no number or name in its {field.name}: {text[:20]!r}")
    return int(text)


def _within(text: str, field: _Field) -> int:
    number = field.names.get(text.upper())
    if number is None:
        number = _number(text, field)
    if not field.low <= number <= field.high:
        raise ValueError(f"has {number} as its {field.name}; {field.low}-{field.high} are possible")
    return number


def _shown(numbers: frozenset[int], field: _Field) -> str:
    """A set of numbers as short as a cron field allows."""
    if numbers == field.all:
        return "*"
    return ",".join(_runs(sorted(numbers)))


def _runs(numbers: list[int]) -> Iterator[str]:
    while numbers:
        length = 1
        while length < len(numbers) and numbers[length] == numbers[0] + length:
            length += 1
        if length > 2:  # noqa: PLR2004 - two are as short apart
            yield f"{numbers[0]}-{numbers[length - 1]}"
            numbers = numbers[length:]
        else:
            yield str(numbers[0])
            numbers = numbers[1:]


# -- EventBridge's own expressions -----------------------------------------------------------


def _eventbridge(source: str) -> str:
    kind, bracket, rest = source.strip().partition("(")
    if not bracket or not rest.endswith(")") or kind not in {"cron", "rate", "at"}:
        raise ValueError("needs to be cron(…), rate(…) or at(…)")
    inside = rest[:-1].strip()
    if kind == "cron":
        return _eventbridge_cron(inside)
    if kind == "rate":
        return _rate(inside)
    try:
        moment = datetime.strptime(inside, "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 - in its time zone
    except ValueError:
        raise ValueError("needs at(yyyy-mm-ddThh:mm:ss)") from None
    return f"at({moment:%Y-%m-%dT%H:%M:%S})"


def _rate(inside: str) -> str:
    value, _, unit = inside.partition(" ")
    number = _number(value, _Field("rate", 1, 9999, {}))
    singular = unit.strip().removesuffix("s")
    if number < 1 or singular not in _UNITS:
        raise ValueError("needs rate(number minutes|hours|days)")
    return f"rate({number} {singular}{'s' * (number > 1)})"


def _eventbridge_cron(inside: str) -> str:
    parts = inside.split()
    if len(parts) != _CRON_FIELDS + 1:  # a year in addition
        raise ValueError("needs six fields: minutes hours day-of-month month day-of-week year")
    minute, hour, day, month, weekday, year = parts
    if (day == "?") == (weekday == "?"):
        raise ValueError("needs '?' in exactly one of day-of-month and day-of-week")
    for part, field in (minute, _MINUTE), (hour, _HOUR), (month, _MONTH), (year, _YEAR):
        _values(part, field)
    if day not in {"?", "L", "LW"}:
        # 15W: the weekday nearest to the 15th.
        nearest = day.removesuffix("W")
        _within(nearest, _DAY_OF_MONTH) if nearest != day else _values(day, _DAY_OF_MONTH)
    if weekday not in {"?", "L"}:
        _eventbridge_weekday(weekday)
    if _last_day(parts) is None:
        raise ValueError(_NO_SUCH_DAY)
    return f"cron({' '.join(parts)})"


def _last_day(parts: list[str]) -> date | None:
    """The last day on which EventBridge's six fields can fire; ``None`` where there is none.

    A day of the week comes in every month, and so do the last day (``L``, ``LW``) and a weekday
    near another (``15W``), where the month has that other.
    """
    _, _, day, month, _, year = parts
    fixed = None if day in {"?", "L", "LW"} else _values(day.removesuffix("W"), _DAY_OF_MONTH)
    months = sorted(_values(month, _MONTH), reverse=True)
    for each_year in sorted(_values(year, _YEAR), reverse=True):
        for each_month in months:
            longest = monthrange(each_year, each_month)[1]
            fitting = [each for each in fixed if each <= longest] if fixed else [longest]
            if fitting:
                last = longest if day.endswith("W") else max(fitting)
                return date(each_year, each_month, last)
    return None


def _eventbridge_weekday(text: str) -> None:
    field = _EVENTBRIDGE_DAY_OF_WEEK
    first, hash_sign, which = text.partition("#")
    if hash_sign:  # 3#2: the second Tuesday
        _within(first, field)
        _within(which, _Field("week of the month", 1, 5, {}))
    elif text.endswith("L"):  # 6L: the last Friday
        _within(text.removesuffix("L"), field)
    else:
        _values(text, field)


def _is_zone(name: str) -> bool:
    try:
        zone(name)
    except ValueError:
        return False
    return True
