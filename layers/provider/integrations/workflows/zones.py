"""Time zones by their IANA names (https://www.iana.org/time-zones)."""

from collections.abc import Sequence
from datetime import tzinfo
from functools import lru_cache

NOT_PLACES = ("right/", "posix/", "Factory", "posixrules", "localtime", "leap")
"""What the database's folder also holds: zones that count leap seconds, copies, and one for a
machine that nobody has set. None is a zone that a person means."""


def zone(name: str) -> tzinfo:
    """The time zone of a name, e.g. ``Europe/Zurich`` or ``UTC``.

    Raises:
        ValueError: There is none.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if name.startswith(NOT_PLACES) or not name.isascii():
        raise ValueError("is not a time zone")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("is not a time zone") from None


def nearest_zones(name: str) -> Sequence[str]:
    """The names that are like one that there is not."""
    return _nearest(name[:64])


@lru_cache(maxsize=64)
def _nearest(name: str) -> Sequence[str]:
    """Remembered, for it opens each zone's file, and a loop may have one name in all its rounds."""
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    known = sorted(each for each in available_timezones() if not each.startswith(NOT_PLACES))
    by_end = {each.lower().rpartition("/")[2]: each for each in known}
    wanted = name.lower().replace(" ", "_")
    found = [by_end[end] for end in get_close_matches(wanted.rpartition("/")[2], by_end, n=3)]
    return tuple(found or get_close_matches(name, known, n=3))
