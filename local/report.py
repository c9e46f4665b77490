"""Tell whoever waits what is going on."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Report:
    """Prints each step with the time that it took; a quiet one prints nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet

    def say(self, text: str = "") -> None:
        """Print a line."""
        if not self._quiet:
            print(text, flush=True)

    def tick(self) -> None:
        """Show that a long step is still under way."""
        if not self._quiet:
            print(".", end="", flush=True)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Print `title`, and when the step has ended the seconds that it took."""
        began = time.monotonic()
        if not self._quiet:
            print(f"{title} ", end="", flush=True)
        try:
            yield
        except BaseException:
            if not self._quiet:
                print(file=sys.stdout, flush=True)
            raise
        if not self._quiet:
            print(f" {time.monotonic() - began:.1f} s", flush=True)
