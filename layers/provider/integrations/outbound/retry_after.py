"""How long a server asks to be left alone: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after."""

import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_WAIT: Final = 24 * 3600.0
"""Seconds. A longer wait is no wait but a mistake, or an outage that nobody can foresee."""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer's ``Retry-After`` asks for, from 0 to ``LONGEST_WAIT``.

    Args:
        headers: The answer's headers, names in any case. The value is a number of seconds, with a
            fraction or without, or a date of HTTP.

    Returns:
        ``None`` where it does not say, or says nothing that can be understood.
    """
    value = next((text for name, text in headers.items() if name.lower() == "retry-after"), "")
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,100}(\.[0-9]{1,100})?", value):
        return bounded(float(value))
    try:
        date = parsedate_to_datetime(value)
        # A date without a zone is in UTC, as HTTP's dates are.
        return bounded(
            (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time.time()
        )
    except (ValueError, OverflowError):
        return None


def bounded(seconds: float) -> float:
    """A wait that a provider asks for in a way of its own, from 0 to ``LONGEST_WAIT``."""
    return min(max(seconds, 0.0), LONGEST_WAIT)
