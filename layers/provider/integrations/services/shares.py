"""Fair shares: one tenant's slow executions must not take all of the runners.

A run holds one of its tenant's slots; without one it comes again later, by a message of its own.
Who starts few executions holds no slots and pays no writes. That is safe by arithmetic: a run takes
two minutes at most (the function's timeout), and counts as one of few for ``FRESH`` after its
start, so those under way began in four minutes at most; and few is a quarter of the share.
"""

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from integrations.storage.aws import AwsError
from integrations.storage.slots import Slots

_log = logging.getLogger(__name__)

FRESH: Final = timedelta(minutes=1)
"""How long a message counts as one of few: those that lay in the queue may come all at once."""

MOST_RESENT: Final = 10_000
"""Of so many messages a process knows that they wait; of older ones it sends each copy again."""

LONGEST_WAIT: Final = 30
"""Seconds until a run without a slot is tried again, at most; the first time it is one."""


class Share:
    """What one tenant may have of the runners.

    Args:
        slots: The table.
        limit: How many runners at a time.
    """

    def __init__(self, slots: Slots, limit: int) -> None:
        self._slots = slots
        self._limit = limit

    @contextmanager
    def hold(self, tenant: str, lease: timedelta) -> Iterator[bool]:
        """Hold a slot meanwhile.

        Args:
            tenant: Whose.
            lease: When it is free again though nobody says so: the process is dead by then.

        Yields:
            Whether there was one.
        """
        slot = self._slots.take(tenant, "runs", self._limit, lease)
        try:
            yield slot is not None
        finally:
            if slot is not None:
                try:
                    self._slots.free(slot)
                except AwsError:  # its lease ends
                    _log.warning("a slot was not given back", exc_info=True)


class Resent:
    """What this process has sent once more to wait for its turn, and how often that had been sent.

    A queue delivers more than once at times, and so does a process that dies before it deletes.
    If each copy of a message became the next one, a tenant that waits long would fill its queue:
    a copy that is older than what was sent, and so is in the queue, is not sent again.
    """

    def __init__(self) -> None:
        self._tries: dict[str, int] = {}

    def has_newer(self, key: str, tries: int) -> bool:
        """Whether a message is in the queue that was sent later than this copy of it.

        Args:
            key: What the message is called, each time that it is sent.
            tries: How often it had been sent once more when this copy was.
        """
        return self._tries.get(key, -1) > tries

    def note(self, key: str, tries: int) -> None:
        """Keep that a message was sent, and is in the queue."""
        self._tries.pop(key, None)
        self._tries[key] = tries
        if len(self._tries) > MOST_RESENT:
            del self._tries[next(iter(self._tries))]


def wait(tries: int) -> float:
    """Seconds until what had no room is tried again: ever longer, and not all at once.

    Args:
        tries: How often it had none before.
    """
    longest = min(2.0 ** min(tries, 10), LONGEST_WAIT)
    return random.uniform(longest / 2, longest)
