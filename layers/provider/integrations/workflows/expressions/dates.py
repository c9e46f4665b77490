"""Filters for moments: RFC 3339 text or epoch numbers in, texts in a time zone out."""

import math
from collections.abc import Callable, Mapping
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta, tzinfo
from typing import Final

from integrations.errors import ExpressionError
from integrations.models import rfc3339
from integrations.workflows.expressions.access import Evaluation, plain_text, shown
from integrations.workflows.expressions.values import Value, as_integer, as_number
from integrations.workflows.zones import nearest_zones, zone

MILLISECONDS_FROM: Final = 100_000_000_000
"""Epoch numbers from here on (the year 5138 in seconds) are taken for milliseconds."""

_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_MONTHS_A_YEAR: Final = 12
_HALF_A_DAY: Final = 12
_LONGEST_TIME: Final = 64


def _zone(name: str) -> tzinfo:
    try:
        return zone(name)
    except ValueError:
        near = nearest_zones(name)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ExpressionError(f"there is not a time zone {shown(name)}{hint}") from None


def _time(value: Value) -> datetime:
    """A moment from RFC 3339 text (without an offset: UTC) or from an epoch number."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value[:_LONGEST_TIME].strip())
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = as_number(value)
        if abs(seconds) >= MILLISECONDS_FROM:
            seconds /= 1000
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise ExpressionError(f"needs a time, not {shown(value)}") from None


def _in_zone(moment: datetime, where: tzinfo) -> datetime:
    try:
        return moment.astimezone(where)
    except OverflowError:
        raise ExpressionError("needs a time in the calendar's range") from None


def _date(
    evaluation: Evaluation,
    value: Value,
    format: Value = "%Y-%m-%d %H:%M",  # noqa: A002 - what templates call it
    tz: Value = "UTC",
) -> Value:
    moment = _in_zone(_time(value), _zone(plain_text(evaluation, tz)))
    return evaluation.budget.text(_formatted(evaluation, moment, plain_text(evaluation, format)))


def _directives(moment: datetime) -> dict[str, str]:
    """What each letter after ``%`` stands for, as POSIX has it in the C locale.

    https://pubs.opengroup.org/onlinepubs/9799919799/functions/strftime.html
    """
    iso = moment.isocalendar()
    day_of_year = moment.timetuple().tm_yday
    sunday_week = (day_of_year + 6 - moment.isoweekday() % 7) // 7
    monday_week = (day_of_year + 6 - moment.weekday()) // 7
    return {
        "Y": f"{moment.year:04}", "y": f"{moment.year % 100:02}", "C": f"{moment.year // 100:02}",
        "G": f"{iso.year:04}", "g": f"{iso.year % 100:02}", "V": f"{iso.week:02}",
        "U": f"{sunday_week:02}", "W": f"{monday_week:02}",
        "m": f"{moment.month:02}", "B": _MONTHS[moment.month - 1],
        "b": _MONTHS[moment.month - 1][:3], "h": _MONTHS[moment.month - 1][:3],
        "d": f"{moment.day:02}", "e": f"{moment.day:2}", "j": f"{day_of_year:03}",
        "A": _DAYS[moment.weekday()], "a": _DAYS[moment.weekday()][:3],
        "u": str(moment.isoweekday()), "w": str(moment.isoweekday() % 7),
        "H": f"{moment.hour:02}", "I": f"{(moment.hour - 1) % _HALF_A_DAY + 1:02}",
        "p": "AM" if moment.hour < _HALF_A_DAY else "PM",
        "M": f"{moment.minute:02}", "S": f"{moment.second:02}", "f": f"{moment.microsecond:06}",
        "z": f"{moment:%z}", "Z": moment.tzname() or "", "s": str(math.floor(moment.timestamp())),
        "F": f"{moment.year:04}-{moment.month:02}-{moment.day:02}",
        "D": f"{moment.month:02}/{moment.day:02}/{moment.year % 100:02}",
        "T": f"{moment.hour:02}:{moment.minute:02}:{moment.second:02}",
        "R": f"{moment.hour:02}:{moment.minute:02}", "n": "\n", "t": "\t",
    }  # fmt: skip


def _formatted(evaluation: Evaluation, moment: datetime, template: str) -> str:
    """``strftime`` with a closed list of directives: the C library's takes widths of any size."""
    directives = _directives(moment)
    first, *rest = template.replace("%%", "%\0").split("%")
    evaluation.budget.step(1 + len(rest))
    evaluation.budget.allocate(len(template) + 10 * len(rest))
    parts = [first]
    for piece in rest:
        if piece.startswith("\0"):
            parts.append("%" + piece[1:])
            continue
        plain = piece.startswith("-")  # %-d: without what fills it up
        letter, tail = piece[plain : plain + 1], piece[plain + 1 :]
        if letter not in directives:
            raise ExpressionError(f"there is no time format %{letter}")
        text = directives[letter]
        parts.append((_unfilled(text) if plain else text) + tail)
    return "".join(parts)


def _unfilled(text: str) -> str:
    if not text.strip().isdigit():
        return text
    return text.strip().lstrip("0") or "0"


def _date_add(
    evaluation: Evaluation,
    value: Value,
    days: Value = 0,
    hours: Value = 0,
    minutes: Value = 0,
    seconds: Value = 0,
    weeks: Value = 0,
    months: Value = 0,
    years: Value = 0,
    tz: Value = "UTC",
) -> Value:
    """A moment so much later: days, weeks, months and years by the calendar and clock of ``tz``.

    ``days=1`` is the same time of day tomorrow, even over a clock change; ``hours=24`` is 24 hours
    later. The 31st plus one month is that month's last day. A time that a clock change
    leaves out is moved on by what it left out; of one that comes twice it is the first.
    """
    where = _zone(plain_text(evaluation, tz))
    whole_days, part_of_a_day = divmod(as_number(days) + 7 * as_number(weeks), 1)
    whole_months = as_integer(months) + _MONTHS_A_YEAR * as_integer(years)
    try:
        moment = _time(value)
        if whole_days or whole_months:
            local = _in_zone(moment, where).replace(tzinfo=None)
            later = _months_later(local, whole_months) + timedelta(days=whole_days)
            moment = later.replace(tzinfo=where).astimezone(UTC)
        exactly = timedelta(
            days=part_of_a_day,
            hours=as_number(hours),
            minutes=as_number(minutes),
            seconds=as_number(seconds),
        )
        return rfc3339(moment.astimezone(UTC) + exactly)
    except (OverflowError, ValueError):
        raise ExpressionError("gives a time beyond the calendar's range") from None


def _months_later(local: datetime, months: int) -> datetime:
    year, month = divmod(local.year * _MONTHS_A_YEAR + local.month - 1 + months, _MONTHS_A_YEAR)
    if not MINYEAR <= year <= MAXYEAR:
        raise OverflowError
    from calendar import monthrange  # which brings the locale's names of days along

    last = monthrange(year, month + 1)[1]
    return local.replace(year=year, month=month + 1, day=min(local.day, last), fold=0)


def _timestamp(_: Evaluation, value: Value) -> Value:
    return math.floor(_time(value).timestamp())


FILTERS: Final[Mapping[str, Callable[..., Value]]] = {
    "date": _date,
    "dateAdd": _date_add,
    "timestamp": _timestamp,
}
