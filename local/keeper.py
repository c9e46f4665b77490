"""Run MiniStack for as long as the process that started it lives. Runs in .venv-ministack.

Standard input is a pipe that its parent holds open. When the parent ends, however it ends, the pipe
closes and MiniStack is asked to stop, which saves its state: nothing is lost and nothing is left.
"""

import hashlib
import os
import signal
import sys
import tempfile
import threading
import zipfile
from pathlib import Path

from ministack.app import main  # type: ignore[import-not-found]  # is in an environment of its own
from ministack.core import lambda_runtime  # type: ignore[import-not-found]


class UnpackedOnce(zipfile.ZipFile):
    """An archive whose content is unpacked once, and from then on linked to.

    MiniStack unpacks the layers for every process of a function: two thousand files each time, by
    the one process that everything else waits for. On Lambda they are read-only, so they can be
    shared.
    """

    # Not `_lock`: each archive has one of its own by that name.
    _unpacking = threading.Lock()

    def namelist(self) -> list[str]:
        """Tell the names at the top: the links that `extractall` makes."""
        return sorted({name.partition("/")[0] for name in super().namelist()})

    def extractall(  # type: ignore[override]  # MiniStack asks for nothing else
        self, path: str | os.PathLike[str]
    ) -> None:
        """Link what is in the archive into a folder."""
        listed = repr([(each.filename, each.CRC) for each in self.infolist()])
        name = hashlib.sha256(listed.encode()).hexdigest()[:16]
        unpacked = Path(tempfile.gettempdir(), "unpacked", name)
        with self._unpacking:
            if not unpacked.exists():
                half_done = unpacked.with_suffix(".part")
                super().extractall(half_done, self.infolist())
                half_done.rename(unpacked)
        for top in unpacked.iterdir():
            Path(path, top.name).symlink_to(top)


class _Zipfile:
    """The module `zipfile`, as far as MiniStack uses it for functions."""

    ZipFile = UnpackedOnce
    BadZipFile = zipfile.BadZipFile
    LargeFileError = zipfile.LargeZipFile


def stop_with_parent() -> None:
    """Wait for the pipe to close, then ask this process to stop."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    # Ctrl-C at a terminal reaches the whole foreground group; stopping is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=stop_with_parent, daemon=True).start()
    lambda_runtime.zipfile = _Zipfile
    sys.argv = ["ministack"]
    main()
