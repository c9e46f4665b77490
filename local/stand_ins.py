"""The providers' stand-ins beside `make run STANDINS=1`: a process that ends with this one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from local.errors import PlatformError
from local.paths import ROOT, STATE

END_SECONDS = 5
LOG = STATE / "stand-ins.log"


@dataclass(frozen=True)
class StandIns:
    """What the process printed.

    Attributes:
        settings: What leads to them, by their names in .env.
        trusted: A file of certificates that the functions have to trust.
        page: The address of their page.
        bot: The token of the bot that there is.
    """

    settings: Mapping[str, str]
    trusted: str
    page: str
    bot: str


@contextmanager
def beside(wanted: str) -> Iterator[StandIns | None]:
    """Run them, or nobody.

    Args:
        wanted: What make was given as STANDINS: nothing or 0 for nobody, `any` for ports that are
            free, else their own ports.

    Raises:
        PlatformError: They do not start; what they said is shown.
    """
    if wanted in {"", "0"}:
        yield None
        return
    LOG.parent.mkdir(mode=0o700, exist_ok=True)
    # A file, and no pipe: nobody reads it while they run, and a full pipe would stop them.
    with LOG.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.stand_ins", "--for-run"),
                *(["--any-port"] if wanted == "any" else []),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C is this process's to handle
            env={**os.environ, "PYTHONPATH": str(ROOT / "layers" / "provider")},
        )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            process.wait(timeout=END_SECONDS)
            said = LOG.read_text(encoding="utf-8", errors="replace").split("\n")
            last = next(filter(None, map(str.strip, reversed(said))), "they ended at once")
            raise PlatformError(f"the stand-ins do not start: {last}")
        yield StandIns(**json.loads(line))
    finally:
        if process.poll() is None:
            try:
                process.communicate(timeout=END_SECONDS)  # closes the pipe that it watches
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
