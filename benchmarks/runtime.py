"""A Lambda on this machine: AWS's own runtime interface client, and the API that it polls.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import json
import queue
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from benchmarks.artifacts import Artifacts
from benchmarks.loopback import Handler, Server
from local.errors import PlatformError

SECONDS = 60
ARN = "arn:aws:lambda:us-east-1:123456789012:function:benchmark"
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


class FunctionFailed(Exception):
    """A function ended, or answered with an error of its own."""


class Lambda:
    """One instance of a function, kept warm while the context is open.

    Args:
        artifacts: What it runs of.
        path: Its PYTHONPATH: the function's folder and the layers.
        environment: Its variables.
        handler: The handler behind the one that measures.

    Attributes:
        began: The moment before its process was started, in nanoseconds of the monotonic clock.
    """

    def __init__(
        self, artifacts: Artifacts, path: list[Path], environment: Mapping[str, str], handler: str
    ) -> None:
        self.began = 0
        self._path = [artifacts.handlers, artifacts.runtime, *path]
        self._environment = dict(environment)
        self._handler = handler
        self._events: queue.Queue[bytes] = queue.Queue()
        self._answers: queue.Queue[tuple[bool, bytes]] = queue.Queue()
        self._server = Server(_handler_of(self))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._server.start()
        environment = self._environment | {
            "PYTHONPATH": ":".join(map(str, self._path)),
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_LAMBDA_LOG_LEVEL": "INFO",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "LAMBDA_TASK_ROOT": str(self._path[2] if len(self._path) > 3 else self._path[0]),  # noqa: PLR2004
            "PYTHONDONTWRITEBYTECODE": "1",
            "MEASURED_HANDLER": self._handler,
        }
        self.began = time.monotonic_ns()
        # Without `site`: nothing of the virtual environment, which has no bytecode, is in reach.
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-P", "-m", "awslambdaric", "measured.handler"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
        self._server.stop()

    def invoke(self, event: Any) -> Any:
        """Invoke the function; raises FunctionFailed."""
        self._events.put(json.dumps(event).encode())
        good, body = self._answer()
        if not good:
            raise FunctionFailed(body.decode())
        return json.loads(body)

    def _answer(self) -> tuple[bool, bytes]:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                return self._answers.get(timeout=1)
            except queue.Empty:
                ended = self._process and self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    raise FunctionFailed("it ended without an answer") from None

    def cpu(self) -> float:
        """Return the CPU seconds that the instance has used."""
        sample = self.invoke({"measure": "cpu"})
        refuse_compiling(sample)
        return float(sample["cpu"])

    def cold(self, event: Any) -> Any:
        """Invoke it for the first time: its answer, and the marks of its start."""
        sample = self.invoke({"measure": "cold", "event": event})
        refuse_compiling(sample)
        return sample

    # -- the runtime API ---------------------------------------------------------------------

    def next(self) -> bytes:
        """Wait for the next event."""
        return self._events.get()

    def answered(self, body: bytes, *, good: bool) -> None:
        """Take an answer, or an error."""
        self._answers.put((good, body))


def refuse_compiling(sample: Mapping[str, Any]) -> None:
    """Abort a run that has measured the compiler; raises PlatformError."""
    if sample["compiled"]:
        raise PlatformError(f"{sample['compiled'][0]} was compiled while it was measured")


def _handler_of(instance: Lambda) -> type[Handler]:
    class Runtime(Handler):
        def do_GET(self) -> None:  # noqa: N802 - the base class's name
            event = instance.next()
            headers = {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": str(uuid.uuid4()),
                "Lambda-Runtime-Deadline-Ms": str(round((time.time() + 120) * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": ARN,
                "Lambda-Runtime-Trace-Id": TRACE,
            }
            self.answer(200, headers, event)

        def do_POST(self) -> None:  # noqa: N802 - the base class's name
            body = self.body()
            self.answer(202, {}, b"")
            instance.answered(body, good=self.path.endswith("/response"))

    return Runtime
