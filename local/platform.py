"""The platform as one object: started, it is the whole stack behind a URL."""

import itertools
import platform as machine
import secrets
import socket
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import botocore.exceptions

from local import build, digest, ministack, proxy, routes, sam, state
from local.errors import PlatformError
from local.paths import STATE, TEMPLATE
from local.report import Report
from local.tokens import ALL_SCOPES, Tokens

TENANT = "dev"
BUCKET = "deployments"
PORTS = range(20_000, 30_000)
# Every platform on this machine deploys the same build.
BUILD = STATE / "build"


class Platform:
    """The stack on this machine: MiniStack, what is deployed into it, and the proxy before it.

    Args:
        state_dir: Keeps everything from one start to the next; a new folder is a new platform.
        port: Where the API is served; 0 is any port that is free.
        ministack_port: Where MiniStack listens; the one that the state remembers, or a free one.
        parameters: Parameters of the template, by their names there.
        report: Hears how the start goes; nobody, when it is None.

    Use it as a context manager, or call `start` and `stop`. A stopped platform can be started again
    and has lost nothing.
    """

    def __init__(
        self,
        state_dir: Path = STATE,
        *,
        port: int = 0,
        ministack_port: int | None = None,
        parameters: Mapping[str, str] | None = None,
        report: Report | None = None,
    ) -> None:
        self.state_dir = state_dir.resolve()
        self._port = port
        self._ministack_port = ministack_port
        self._parameters = dict(parameters or {})
        self._report = report or Report(quiet=True)
        self._running = ExitStack()
        self._state = state.State()
        self._ministack: ministack.MiniStack | None = None
        self._names: dict[str, str] = {}
        self.url = ""
        self.token = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start all of it, and build and deploy what has changed since.

        Raises:
            PlatformError: A port is taken, the template is broken, or a part does not start.
        """
        with ExitStack() as running:
            listener = running.enter_context(proxy.listen(self._port))
            # A restart must find the same address, which OAuth and webhooks have been told.
            self._port = listener.getsockname()[1]
            self.url = f"http://localhost:{self._port}"
            lock = running.enter_context(state.locked(self.state_dir))
            self._state = state.read(self.state_dir)
            self._start_ministack(running, lock)
            self._deploy()
            self.token = self._development_token()
            self._serve(running, listener)
            self._running = running.pop_all()

    def stop(self) -> None:
        """Stop all of it; MiniStack saves its state."""
        self._running.close()
        self._ministack = None

    @property
    def endpoint_url(self) -> str:
        """MiniStack's address: what AWS_ENDPOINT_URL is for the AWS tools."""
        return self._started().endpoint_url

    @property
    def aws(self) -> dict[str, str]:
        """The environment that makes the AWS tools talk to the platform, as its root user."""
        return self._started().aws

    @property
    def stack(self) -> str:
        """The deployed stack's name."""
        return self._state.stack

    @property
    def log(self) -> Path:
        """MiniStack's own log; what the functions log is in its CloudWatch Logs."""
        return self.state_dir / "ministack.log"

    @property
    def tokens(self) -> Tokens:
        """The stack's API tokens."""
        return Tokens(self.client("dynamodb"), self.name("TokensTable"))

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        """Return a boto3 client of the platform's `service`, as its root user."""
        return self._started().client(service)

    def name(self, logical_id: str) -> str:
        """Return the physical name of a resource of the template, such as a table or a function."""
        return self._names[logical_id]

    def _started(self) -> ministack.MiniStack:
        if self._ministack is None:
            raise PlatformError("the platform is not started")
        return self._ministack

    def _start_ministack(self, running: ExitStack, lock: int) -> None:
        remembered = self._state.ministack_port
        port = self._ministack_port or remembered or port_for(self.state_dir)
        if port != remembered:
            # What was deployed names MiniStack's old address.
            self._state.ministack_port, self._state.deployed = port, None
            state.write(self.state_dir, self._state)
        server = ministack.MiniStack(self.state_dir, port)
        running.callback(server.stop)
        with self._report.step("Starting MiniStack"):
            server.start(keep_open=(lock,))
        self._ministack = server

    def _deploy(self) -> None:
        parameters = {
            "Stage": "local",
            "Architecture": "arm64" if machine.machine() in {"arm64", "aarch64"} else "x86_64",
            "AwsEndpointUrl": self.endpoint_url,
            "AllowLoopback": "true",
            "PublicBaseUrl": self.url,
            **self._parameters,
        }
        with build.exclusively(BUILD):
            built = build.build(BUILD, architecture="host", report=self._report)
            wanted = digest.of_values(built, parameters, self.stack)
            parameters["Revision"] = wanted
            if self._state.deployed == wanted and self._is_deployed():
                self._names = routes.names_of(self.client("cloudformation"), self.stack)
                return
            self._state.deployed = None
            state.write(self.state_dir, self._state)
            with self._report.step("Deploying the stack"):
                self._create_bucket()
                sam.deploy(
                    BUILD,
                    stack=self.stack,
                    bucket=BUCKET,
                    parameters=parameters,
                    aws=self.aws,
                    log=self.state_dir / "deploy.log",
                    report=self._report,
                )
        cloudformation = self.client("cloudformation")
        with self._report.step("Importing the routes"):
            self._state.api_id = routes.import_routes(
                cloudformation, self.client("apigatewayv2"), self.stack
            )
        self._names = routes.names_of(cloudformation, self.stack)
        self._state.deployed = wanted
        state.write(self.state_dir, self._state)

    def _is_deployed(self) -> bool:
        try:
            self.client("cloudformation").describe_stacks(StackName=self.stack)
            self.client("apigatewayv2").get_api(ApiId=self._state.api_id)
        except botocore.exceptions.ClientError:
            return False
        return True

    def _create_bucket(self) -> None:
        s3 = self.client("s3")
        if BUCKET not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}:
            s3.create_bucket(Bucket=BUCKET)

    def _development_token(self) -> str:
        """Return the platform's own token, from a file that its owner alone reads."""
        file = self.state_dir / "token"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(f"ib_{secrets.token_urlsafe(32)}\n", encoding="utf-8")
        token = file.read_text(encoding="utf-8").strip()
        if not self.tokens.holds(token):
            self.tokens.put(token, tenant=TENANT, name="development", scopes=ALL_SCOPES)
        return token

    def _serve(self, running: ExitStack, listener: socket.socket) -> None:
        if self._state.api_id is None:
            raise PlatformError(f"{TEMPLATE.name} makes no API")
        server = proxy.Proxy(
            listener,
            endpoint_url=self.endpoint_url,
            api_id=self._state.api_id,
            token=self.token,
            secret=self._started().credentials.gate_secret,
            frontend_urls=proxy.origins(self._names["FrontendUrl"]),
        )
        server.start()
        running.callback(server.stop)


def port_for(state_dir: Path) -> int:
    """Return a port for a new MiniStack: its own for each state folder, or the next that is free.

    It stays below the ports that systems give to outgoing connections, so that it is still there
    at the next start.
    """
    first = PORTS.start + zlib.crc32(str(state_dir).encode()) % len(PORTS)
    candidates = itertools.chain(range(first, PORTS.stop), range(PORTS.start, first))
    return next(port for port in candidates if ministack.is_free(port))
