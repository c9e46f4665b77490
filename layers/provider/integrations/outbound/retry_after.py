"""How long a server asks to be left alone: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after."""

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

_LONGEST_WAIT = 24 * 3600.0


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer's ``Retry-After`` asks for, at most a day.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after

    Args:
        headers: The answer's headers; it names seconds or a date.

    Returns:
        ``None`` where it does not say, or says nothing that can be understood.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        wait = float(value)
    else:
        try:
            wait = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(wait, 0.0), _LONGEST_WAIT)
