"""Tell whoever waits what is going on."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

QUIET_SECONDS = 10.0
"""How long a step may be silent before a line says that it goes on."""


def one_line(text: str) -> str:
    """What others wrote, as it may stand in a terminal: on one line, and nothing that steers it."""
    joined = " ".join(text.splitlines())
    return "".join(each if each.isprintable() else "\ufffd" for each in joined)


class Report:
    """Prints each step when it begins and when it has ended; a quiet one prints nothing.

    Steps may go on beside each other, in threads.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._lock = threading.Lock()
        self._going_on: dict[str, float] = {}
        self._said_at = 0.0

    def say(self, text: str = "") -> None:
        """Print a line."""
        with self._lock:
            self._print(text)

    def tick(self) -> None:
        """Show, from time to time, what is still under way."""
        with self._lock:
            now = time.monotonic()
            if self._going_on and now - self._said_at >= QUIET_SECONDS:
                steps = (f"{title} {now - at:.0f} s" for title, at in self._going_on.items())
                self._print(f"  … {', '.join(steps)}")

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Print `title`, and when the step has ended the seconds that it took."""
        began = time.monotonic()
        with self._lock:
            self._going_on[title] = began
            self._print(f"{title} …")
        try:
            yield
        except BaseException:
            with self._lock:
                del self._going_on[title]
            raise
        with self._lock:
            del self._going_on[title]
            self._print(f"{title}: {time.monotonic() - began:.1f} s")

    def _print(self, text: str) -> None:
        self._said_at = time.monotonic()
        if not self._quiet:
            print(text, flush=True)
