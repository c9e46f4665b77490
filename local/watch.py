"""Tell when something has changed that `make run` deploys: the sources, the template, `.env`."""

import time
from collections.abc import Iterator
from pathlib import Path

from local import console, digest
from local.paths import ROOT

EVERY_SECONDS = 0.5
# Made by the build, and so no reason for one.
MADE = ROOT / "functions" / "get_console" / "site"
Snapshot = frozenset[tuple[str, int, int]]


def snapshot() -> Snapshot:
    """Return each watched file's path, time of change and size."""
    roots = (*digest.SOURCES, *console.SOURCES, ".env")
    return frozenset(stamps(ROOT / root for root in roots))


def stamps(roots: Iterator[Path]) -> Iterator[tuple[str, int, int]]:
    """Give what is looked at of each file in some folders."""
    for root in roots:
        for path in digest.files([root]):
            if path.is_relative_to(MADE) or path.name in console.GENERATED:
                continue
            try:
                found = path.stat()
            except FileNotFoundError:  # an editor's temporary file
                continue
            yield str(path), found.st_mtime_ns, found.st_size


def changes(last: Snapshot) -> Iterator[None]:
    """Wait for changes since `last`, for ever; gives one when all has been still for a moment."""
    while True:
        now = snapshot()
        if now == last:
            time.sleep(EVERY_SECONDS)
            continue
        while now != last:
            last = now
            time.sleep(EVERY_SECONDS / 2)
            now = snapshot()
        yield
