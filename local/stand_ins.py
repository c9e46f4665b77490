"""The providers' stand-ins beside `make run STANDINS=1`: a process that ends with this one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from local.errors import PlatformError
from local.paths import ROOT

END_SECONDS = 5


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
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.stand_ins", "--for-run"),
            *(["--any-port"] if wanted == "any" else []),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is this process's to handle
        env={**os.environ, "PYTHONPATH": str(ROOT / "layers" / "provider")},
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            _, errors = process.communicate(timeout=END_SECONDS)
            last = (errors.strip().splitlines() or ["they ended at once"])[-1]
            raise PlatformError(f"the stand-ins do not start: {last}")
        yield StandIns(**json.loads(line))
    finally:
        if process.poll() is None:
            try:
                process.communicate(timeout=END_SECONDS)  # closes the pipe that it watches
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
