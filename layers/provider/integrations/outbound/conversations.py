"""Conversations with servers that stay open between the calls of one run.

A mail takes four exchanges; to connect, to secure the connection and to log in before it takes
eight more, and a mail server that sees a log-in for each of a thousand mails shuts its door. So the
rounds of a ``forEach`` share one conversation. It ends with the run at the latest: what a frozen
process holds open, nobody can trust.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from integrations.outbound.bounds import IDLE_TIMEOUT

MOST: Final = 4
"""How many are open beside each other; the one that was idle longest ends for one more."""


class _Open(NamedTuple):
    key: object
    conversation: Any
    end: Callable[[], None]
    since: float


class Conversations:
    """What is open, each for one caller at a time."""

    def __init__(self) -> None:
        self._open: list[_Open] = []

    def close(self) -> None:
        """End them all."""
        while self._open:
            _end(self._open.pop())

    def take(self, key: object) -> Any | None:
        """An open conversation, which is the caller's from now on; ``None`` where there is none.

        Args:
            key: With whom and as whom: what is given back under an equal one.
        """
        for each in self._open:
            if each.key == key:
                self._open.remove(each)
                if time.monotonic() - each.since < IDLE_TIMEOUT:
                    return each.conversation
                _end(each)
                break
        return None

    def give_back(self, key: object, conversation: object, end: Callable[[], None]) -> None:
        """Let the next caller have a conversation.

        Args:
            key: As ``take`` is given it.
            conversation: It is ready for the next exchange.
            end: Ends it.
        """
        if len(self._open) >= MOST:
            _end(self._open.pop(0))
        self._open.append(_Open(key, conversation, end, time.monotonic()))


def _end(each: _Open) -> None:
    with suppress(Exception):  # its last exchange went well: how it ends is nobody's concern
        each.end()
