"""Run MiniStack for as long as the process that started it lives. Runs in .venv-ministack.

Standard input is a pipe that its parent holds open. When the parent ends, however it ends, the pipe
closes and MiniStack is asked to stop, which saves its state: nothing is lost and nothing is left.
"""

import fcntl
import hashlib
import hmac
import logging
import os
import queue
import select
import signal
import sys
import tempfile
import termios
import threading
import time
import zipfile
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from hypercorn.config import Config  # type: ignore[import-not-found]
from ministack import app  # type: ignore[import-not-found]  # is in an environment of its own
from ministack.core import iam_evaluator, lambda_runtime  # type: ignore[import-not-found]
from ministack.core.responses import (  # type: ignore[import-not-found]
    _account_from_sts_session,
    get_account_id,
    get_region,
)
from ministack.services import (  # type: ignore[import-not-found]
    apigateway,
    lambda_svc,
    scheduler,
    sts,
)

sys.path.append(str(Path(__file__).resolve().parent.parent))

from local import translations
from local.gate import App, Gate, Message, Receive, Scope, Send

BODY = 6
"""Where a request's body is among what MiniStack invokes a function with."""

# What is replaced below, as MiniStack has it.
role_credentials = lambda_runtime.execution_credentials
register_session = sts.register_session
update_schedule = scheduler._update_schedule
delete_schedule = scheduler._delete_schedule


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


class Log:
    """What one process of a function writes to its standard error, in whole lines.

    A thread takes it as it comes, so that the process never waits for us. A function writes its log
    before its answer: when the answer is here, one more look takes what is left, and waits for
    nothing.
    """

    def __init__(self, process: Any, lines: queue.Queue[str]) -> None:
        self.process = process
        self._lines = lines
        self._begun = b""
        self._taking = threading.Lock()

    def take(self) -> bool:
        """Take what is in the pipe; tell whether there was anything."""
        with self._taking:
            pipe = self.process.stderr.fileno()
            count = fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4)
            waiting = int.from_bytes(count, sys.byteorder)
            came = os.read(pipe, waiting) if waiting else b""
            *whole, self._begun = (self._begun + came).split(b"\n")
            for line in whole:
                self._lines.put(line.decode(errors="replace"))
            return bool(came)

    def follow(self) -> None:
        """Take everything until the process has ended."""
        poll = select.poll()
        with suppress(OSError, ValueError):  # its pipe has been closed
            poll.register(self.process.stderr, select.POLLIN)
            while True:
                ((_, events),) = poll.poll()
                if not self.take() and not events & select.POLLIN:
                    return


def follow_log(worker: Any) -> None:
    """Follow the log of a function's process; in the place of MiniStack's own thread."""
    worker.log = Log(worker._proc, worker._stderr_queue)
    worker.log.follow()


def drain_log(worker: Any) -> str:
    """Return what a function has logged when its answer is here; MiniStack waits 50 ms for it."""
    log = getattr(worker, "log", None)
    with suppress(OSError, ValueError):  # it has ended
        if log and log.process is worker._proc:
            log.take()
    return str(worker._drain_stderr())


def secrets_of(key: str) -> dict[str, str]:
    """Return the secret and the token that go with the access key of a function's role."""
    root = os.environ["AWS_SECRET_ACCESS_KEY"].encode()
    return {
        name: hmac.digest(root, f"{name} of {key}".encode(), "sha256").hex()
        for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    }


def unguessable(config: dict[str, Any]) -> dict[str, str]:
    """Return the credentials of a function's role; MiniStack makes their secrets of its name."""
    made: dict[str, str] = role_credentials(config)
    return made | secrets_of(made["AWS_ACCESS_KEY_ID"])


def keep_session(key: str, session: dict[str, Any]) -> None:
    """Keep a session; one of a function with the secrets that the function was given.

    Each new process of a function keeps the session of its role again, while others use it: there
    must be no moment with other secrets in it. Only functions' sessions have no end.
    """
    if "Expiration" not in session:
        ours = secrets_of(key)
        session = session | {
            "SecretAccessKey": ours["AWS_SECRET_ACCESS_KEY"],
            "SessionToken": ours["AWS_SESSION_TOKEN"],
        }
    register_session(key, session)


def replace_credentials() -> None:
    """From now on the functions have credentials that nobody can compute from their names."""
    lambda_runtime.execution_credentials = lambda_svc.execution_credentials = unguessable
    sts.register_session = keep_session


def forget_firing(name: str, group: str) -> None:
    """Take it that a schedule has not fired.

    MiniStack notes a ``cron(…)`` as fired when it first looks at it, keeps the note when the
    schedule is replaced or removed, and never fires an ``at(…)`` that has one.
    """
    key = (get_account_id(), get_region(), f"{group}/{name}")
    scheduler._schedule_last_fired.pop(key, None)


def replace_schedule(name: str, body: dict[str, Any]) -> Any:
    """Replace a schedule."""
    answer = update_schedule(name, body)
    if str(body.get("ScheduleExpression")).startswith("at("):
        forget_firing(name, body.get("GroupName", "default"))
    return answer


def remove_schedule(name: str, query: dict[str, Any]) -> Any:
    """Remove a schedule."""
    answer = delete_schedule(name, query)
    forget_firing(name, query.get("groupName", "default"))
    return answer


def fire_on_time() -> None:
    """From now on a schedule fires within a second, and as what it is now."""
    scheduler._SCHEDULE_TICK_INTERVAL = 1
    scheduler._update_schedule = replace_schedule
    scheduler._delete_schedule = remove_schedule


def secret_of(access_key: str, token: str) -> str | None:
    """Return the secret key that goes with an access key and its session token."""
    account = (
        _account_from_sts_session(access_key)
        or iam_evaluator.find_iam_access_key_account(access_key)
        or get_account_id()
    )
    found = iam_evaluator.resolve_credential(access_key, account, token)
    if isinstance(found, iam_evaluator.CredentialResolutionError):
        return None
    secret: str = found.secret_access_key
    return secret


_IS_UTF8: ContextVar[bool] = ContextVar("_IS_UTF8")


async def invoke_whole(*given: Any, **named: Any) -> Any:
    """Invoke a function for a request of the HTTP API, its body byte for byte.

    MiniStack decodes what is called text as UTF-8 and replaces what is none. Whatever is no UTF-8
    (JSON in another character set, a packed body) goes to the function as base64 instead.
    """
    body = given[BODY]
    try:
        (body or b"").decode()
    except UnicodeDecodeError:
        is_utf8 = False
    else:
        is_utf8 = True
    _IS_UTF8.set(is_utf8)
    return await invoke_lambda_proxy(*given, **named)


def is_text(content_type: str | None) -> bool:
    """Tell whether the body of the request at hand goes to its function as text."""
    return _IS_UTF8.get() and bool(is_text_by_type(content_type))


def without_botocore(bootstrap: str) -> str:
    """Return what a function's process runs, without counting how deep it invokes others.

    MiniStack imports botocore in each process for it, which is a third of what the process takes to
    start; here no function invokes another.
    """
    counting = "    _ms_install_invoke_depth()\n"
    if counting not in bootstrap:
        raise RuntimeError("MiniStack starts functions in another way now")
    return bootstrap.replace(counting, "")


def stop_with_parent() -> None:
    """Wait for the pipe to close, then ask this process to stop.

    What the functions are in the midst of ends with them, as in a crash: their messages come again.
    """
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
    while True:
        lambda_runtime.reset()
        time.sleep(0.1)


def ending_at_once(served: App) -> App:
    """Return an application after whose shutdown, when all is saved, the process is over.

    Else it waits for each thread that serves somebody still, however long that takes.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.shutdown.complete":
                logging.shutdown()
                sys.stdout.flush()
                os._exit(0)

        await served(scope, receive, answer if scope["type"] == "lifespan" else send)

    return serve


if __name__ == "__main__":
    # Ctrl-C at a terminal reaches the whole foreground group; stopping is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=stop_with_parent, daemon=True).start()
    lambda_runtime.zipfile = _Zipfile
    lambda_runtime.Worker._read_stderr = follow_log
    lambda_runtime.Worker._drain_stderr_bounded = drain_log
    lambda_runtime._PYTHON_WORKER_SCRIPT = without_botocore(lambda_runtime._PYTHON_WORKER_SCRIPT)
    replace_credentials()
    fire_on_time()
    translations.keep()
    is_text_by_type = apigateway._v2_request_body_is_text
    apigateway._v2_request_body_is_text = is_text
    invoke_lambda_proxy = apigateway._invoke_lambda_proxy
    apigateway._invoke_lambda_proxy = invoke_whole
    # Taken out of what the functions' processes inherit.
    gate_secret = os.environ.pop("GATE_SECRET")
    app.app = Gate(
        ending_at_once(app.app),
        port=int(os.environ["GATEWAY_PORT"]),
        secret=gate_secret,
        secret_of=secret_of,
    )
    # How long requests in flight may take to end; those of the functions have been ended.
    Config.graceful_timeout = 1.0
    sys.argv = ["ministack"]
    app.main()
