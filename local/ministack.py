"""Start and stop MiniStack, the stand-in for AWS, with IAM enforced and its state on disk."""

import http.client
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from local import programs, state
from local.errors import PlatformError
from local.gate import HEALTH, SECRET_HEADER
from local.paths import ROOT, interpreter
from local.ports import is_free

REGION = "us-east-1"
START_SECONDS = 60
STOP_SECONDS = 60


class PortTaken(PlatformError):
    """Another program listens on MiniStack's port."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} is taken: stop what uses it, or choose another for MiniStack "
            "with MINISTACK_PORT=…"
        )


class MiniStack:
    """One MiniStack process on 127.0.0.1.

    Args:
        state_dir: Keeps its state, its log and its Lambdas' temporary files.
        port: Where it listens. Its queues' addresses contain it, so it belongs to the state.
    """

    def __init__(self, state_dir: Path, port: int) -> None:
        self.port = port
        self.endpoint_url = f"http://127.0.0.1:{port}"
        self.log = state_dir / "ministack.log"
        self.credentials = state.credentials(state_dir)
        self._state_dir = state_dir
        self._temporary = state_dir / "tmp"
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: dict[str, Any] = {}
        self._making = threading.Lock()

    def start(self, *, keep_open: tuple[int, ...] = ()) -> None:
        """Start it and wait until it answers.

        Args:
            keep_open: File descriptors that it inherits, and so holds until it has ended.

        Raises:
            PortTaken: Another listens there.
            PlatformError: It does not start.
        """
        if not is_free(self.port):
            raise PortTaken(self.port)
        self._clear()
        self._temporary.mkdir(parents=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [interpreter(".venv-ministack"), "-P", ROOT / "local" / "keeper.py"],
                cwd=self._state_dir,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=keep_open,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None:
                if not is_free(self.port):
                    raise PortTaken(self.port)
                raise PlatformError(f"MiniStack ended at once (see {self.log})")
            if time.monotonic() > deadline:
                raise PlatformError(
                    f"MiniStack did not answer in {START_SECONDS} s (see {self.log})"
                )
            time.sleep(0.05)

    def stop(self) -> None:
        """Ask it to save its state and end, and wait until it has."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.communicate(timeout=STOP_SECONDS)  # closes the pipe that it watches
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise PlatformError(
                f"MiniStack did not end in {STOP_SECONDS} s (see {self.log})"
            ) from None
        finally:
            self._clear()

    @property
    def pid(self) -> int | None:
        """The process's id, while it runs."""
        return self._process.pid if self._process else None

    @property
    def aws(self) -> dict[str, str]:
        """The environment that makes the AWS tools talk to it, as its root user."""
        return environment(self.endpoint_url, self._state_dir)

    def client(self, service: str) -> Any:
        """Return the client of one of its services, as its root user; threads may share it."""
        with self._making:
            if service not in self._clients:
                self._clients[service] = client(service, self.endpoint_url, self.credentials)
            return self._clients[service]

    def _clear(self) -> None:
        """Remove the Lambdas' unpacked layers, which are many megabytes each."""
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _environment(self) -> dict[str, str]:
        return programs.environment(
            {
                **self.credentials.environment,
                "GATE_SECRET": self.credentials.gate_secret,
                "GATEWAY_PORT": str(self.port),
                "BIND_HOST": "127.0.0.1",
                "MINISTACK_HOST": "localhost",
                "MINISTACK_REGION": REGION,
                "AUTH": "true",
                "PERSIST_STATE": "1",
                "STATE_DIR": str(self._state_dir / "ministack"),
                "S3_PERSIST": "1",
                "S3_DATA_DIR": str(self._state_dir / "s3"),
                "TMPDIR": str(self._temporary),
                "LOG_LEVEL": "INFO",
                # Listeners of services that the stack does not use.
                "SFTP_ENABLED": "0",
                "IOT_MTLS_ENABLED": "0",
            }
        )

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            headers = {SECRET_HEADER: self.credentials.gate_secret}
            connection.request("GET", HEALTH, headers=headers)
            response = connection.getresponse()
            return response.status == http.client.OK and isinstance(json.load(response), dict)
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()


def client(service: str, endpoint_url: str, credentials: state.Credentials) -> Any:
    """Return a client of a MiniStack's `service`, as its root user and past any proxy."""
    config = Config(proxies={}, retries={"max_attempts": 3, "mode": "standard"})
    if service == "s3":
        # Its presigned URLs would have an older signature, in this one region.
        config = config.merge(Config(signature_version="s3v4"))
    return _session().client(
        service,  # type: ignore[call-overload]  # a name known at run time only
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        config=config,
    )


@cache
def _session() -> boto3.session.Session:
    """boto3's session: it has read the services' models, which takes longer than most calls.

    It knows no profile: one that the environment names may be of another machine, or none.
    """
    nothing = (None, None, os.devnull, None)
    core = botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": nothing,
            "credentials_file": nothing,
        }
    )
    return boto3.session.Session(botocore_session=core)


def environment(endpoint_url: str, state_dir: Path) -> dict[str, str]:
    """Return what makes the AWS tools talk to a folder's MiniStack, as its root user."""
    return {
        **state.credentials(state_dir).environment,
        "AWS_ENDPOINT_URL": endpoint_url,
        # The first is boto3's and SAM's, the second is what AWS's command line asks first.
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }


def running() -> tuple[state.State, Callable[[str], Any]]:
    """Return what the platform of `make run` remembers, and what makes clients of its services.

    Raises:
        PlatformError: It does not run.
    """
    found = state.read(state.DEFAULT)
    endpoint_url = found.endpoint_url
    if endpoint_url is None or is_free(found.ministack_port or 0):
        raise PlatformError("nothing runs here: start it with make run")
    credentials = state.credentials(state.DEFAULT)
    return found, lambda service: client(service, endpoint_url, credentials)
