"""How long the present invocation may still take: Lambda says it once, where an event comes in."""

import time
from math import inf
from typing import Protocol

from integrations import memory

_present: dict[str, float] = memory.mapping()
"""``ends``: when the present invocation is ended by force, in monotonic seconds."""


class Context(Protocol):
    """What Lambda gives a function beside the event, as far as it is used here."""

    def get_remaining_time_in_millis(self) -> int:
        """Until the invocation is ended by force."""


def begin(context: Context) -> None:
    """An invocation begins: what it waits for, it waits for until its own end."""
    _present["ends"] = time.monotonic() + context.get_remaining_time_in_millis() / 1000


def seconds_left() -> float:
    """Until the present invocation is ended by force; infinite outside of any."""
    return _present.get("ends", inf) - time.monotonic()
