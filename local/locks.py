"""What several processes of this machine share, by a file that is locked beside it."""

import fcntl
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from local import programs
from local.errors import PlatformError

POLL_SECONDS = 0.05
SILENT_SECONDS = 2.0
"""How long one waits before a line says so."""


def exclusively(path: Path) -> AbstractContextManager[None]:
    """Let no other process write to `path` meanwhile, or read there.

    Raises:
        PlatformError: This process was ended while it waited.
    """
    return _locked(path, fcntl.LOCK_EX)


def shared(path: Path) -> AbstractContextManager[None]:
    """Let no other process write to `path` meanwhile; others may read there, too.

    Raises:
        PlatformError: This process was ended while it waited.
    """
    return _locked(path, fcntl.LOCK_SH)


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    says_at = time.monotonic() + SILENT_SECONDS
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        # No signal wakes a thread that waits in the kernel: Ctrl-C would wait with it.
        while True:
            try:
                fcntl.flock(lock, how | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                pass
            if programs.has_ended():
                raise PlatformError(f"stopped, while another process had {path}")
            if time.monotonic() > says_at:
                says_at = float("inf")
                print(f"Waiting for another process, which has {path}", file=sys.stderr, flush=True)
            time.sleep(POLL_SECONDS)
        yield
