"""Values as Facebook writes them.

Standard library only, as in ``events``.
"""

from datetime import datetime
from typing import Final

from integrations.models import from_epoch

_MILLISECONDS_FROM: Final = 10**11


def text(value: object) -> str | None:
    """Text, or a number as text: ids come as either."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def texts(value: object) -> list[str]:
    """The texts of a list."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def moment(value: object) -> datetime | None:
    """A Unix time, in seconds or milliseconds; Facebook's 0 means never."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        return None
    try:
        return from_epoch(value / 1000 if value >= _MILLISECONDS_FROM else value)
    except (OverflowError, ValueError, OSError):
        return None
