"""Counting what may come in floods, without a write for each.

The first is written at once, the others are added up. What a process still has to write when it
ends is lost: these are no invoices.

Nothing heavy may be imported here: the receiver uses it.
"""

import time
from collections.abc import Callable

MAX_NAMES = 4096


class _Account:
    __slots__ = ("at", "pending", "tokens")

    def __init__(self, tokens: float, at: float) -> None:
        self.tokens = tokens
        self.at = at
        self.pending = 0


class Sampler:
    """Tells when a count may be written.

    Args:
        burst: How many writes a name has at once.
        seconds: How long until it has another one.
        monotonic: Seconds that pass.
    """

    def __init__(
        self, burst: int, seconds: float, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst = burst
        self._seconds = seconds
        self._monotonic = monotonic
        self._accounts: dict[str, _Account] = {}

    def take(self, name: str, count: int = 1) -> int:
        """Count something.

        Returns:
            What is to be written now, earlier counts included; 0 where it must wait.
        """
        moment = self._monotonic()
        account = self._accounts.get(name)
        if account is None:
            if len(self._accounts) >= MAX_NAMES:
                self._accounts.clear()
            account = self._accounts[name] = _Account(self._burst, moment)
        account.tokens += (moment - account.at) / self._seconds
        account.tokens = min(account.tokens, self._burst)
        account.at = moment
        account.pending += count
        if account.tokens < 1:
            return 0
        account.tokens -= 1
        due, account.pending = account.pending, 0
        return due
