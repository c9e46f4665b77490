"""Run other programs: quietly, with what they print in a log, and never past our own end."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from local.report import Report

# What a program needs to know about the machine. Nothing else of this process's environment is
# passed on: neither AWS profiles nor the secrets of .env.
MACHINE = (
    "HOME", "LANG", "LC_ALL", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER",
    "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
)  # fmt: skip
_RUNNING: set[subprocess.Popen[bytes]] = set()
_STARTING = threading.Lock()
_ENDED = threading.Event()
LOOPBACK = "127.0.0.1,localhost,.localhost"


class ProgramError(Exception):
    """A program failed; `output` is everything that it printed."""

    def __init__(self, program: str, output: str) -> None:
        super().__init__(f"{program} failed")
        self.output = output


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a program: the machine's facts, pip's settings and `settings`."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if name in MACHINE or name.startswith("PIP_")
    }
    # A proxy is for the world outside, never for this machine.
    variables["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), LOOPBACK]))
    variables["no_proxy"] = variables["NO_PROXY"]
    return {**variables, **(settings or {})}


def run(
    command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], log: Path, report: Report
) -> None:
    """Run `command` to its end, what it prints in `log`; raises ProgramError when it fails.

    It has a process group of its own, so that Ctrl-C reaches this process alone, which then ends
    the whole group.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output, _STARTING:
        if _ENDED.is_set():
            raise ProgramError(Path(command[0]).name, "it was not started: the end has come")
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        _RUNNING.add(process)
    try:
        while process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.5)
                break
            report.tick()
    except BaseException:
        _end(process)
        process.wait()
        raise
    finally:
        _RUNNING.discard(process)
    if process.returncode:
        raise ProgramError(Path(command[0]).name, log.read_text(encoding="utf-8", errors="replace"))


def heed_the_end() -> None:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt, the first time; the cleaning up goes on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    raise KeyboardInterrupt


@contextmanager
def ending() -> Iterator[None]:
    """End the programs that run in threads where KeyboardInterrupt ends what is done in here."""
    try:
        yield
    except KeyboardInterrupt:
        _end_all()
        raise


@contextmanager
def beside() -> Iterator[ThreadPoolExecutor]:
    """Give a thread for programs beside those of this one; they end with what is done in here."""
    # The outer one is for what failed in here: then Ctrl-C comes while the thread is waited for.
    with ending(), ThreadPoolExecutor(1) as pool, ending():
        yield pool


def has_ended() -> bool:
    """Tell whether this process is ending: its threads have to, too."""
    return _ENDED.is_set()


def _end_all() -> None:
    """End every program that runs in one of this process's threads; none is started after."""
    with _STARTING:
        _ENDED.set()
        for process in list(_RUNNING):
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
