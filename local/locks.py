"""What several processes of this machine share, by a file that is locked beside it."""

import fcntl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path


def exclusively(path: Path) -> AbstractContextManager[None]:
    """Let no other process write to `path` meanwhile, or read there."""
    return _locked(path, fcntl.LOCK_EX)


def shared(path: Path) -> AbstractContextManager[None]:
    """Let no other process write to `path` meanwhile; others may read there, too."""
    return _locked(path, fcntl.LOCK_SH)


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, how)
        yield
