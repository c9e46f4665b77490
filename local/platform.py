"""The platform as one object: started, it is the whole stack behind a URL."""

import itertools
import platform as machine
import secrets
import zlib
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import botocore.exceptions

from local import (
    build,
    console,
    digest,
    locks,
    ministack,
    programs,
    proxy,
    redeploy,
    routes,
    sam,
    state,
)
from local.errors import PlatformError
from local.paths import STATE, TEMPLATE
from local.ports import is_free
from local.report import Report
from local.settings import TENANT
from local.tokens import ALL_SCOPES, Tokens
from tools.template import functions, template

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
        frontend_urls: Origins that may call the API from a browser; the template's FrontendUrl,
            when there are none.
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
        frontend_urls: Collection[str] = (),
        report: Report | None = None,
    ) -> None:
        self.state_dir = state_dir.resolve()
        self._port = port
        self._ministack_port = ministack_port
        self._parameters = dict(parameters or {})
        self._frontend_urls = tuple(frontend_urls)
        self._report = report or Report(quiet=True)
        self._running = ExitStack()
        self._state = state.State()
        self._ministack: ministack.MiniStack | None = None
        self._names: dict[str, str] = {}
        self._proxy: proxy.Proxy | None = None
        self._parts: dict[str, str] = {}
        # Parts that were put past CloudFormation.
        self._put: set[str] = set()
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
            # A restart must find the same address, which OAuth and webhooks have been given.
            self._port = listener.getsockname()[1]
            self.url = f"http://localhost:{self._port}"
            self._proxy = proxy.Proxy(listener)
            self._proxy.start()
            running.callback(self._proxy.stop)
            lock = running.enter_context(state.locked(self.state_dir))
            self._state = state.read(self.state_dir)
            self._state.port = self._port
            state.write(self.state_dir, self._state)
            parts = redeploy.parts()
            with programs.beside() as pool:
                built = pool.submit(build_all, self._report)
                self._start_ministack(running, lock)
                self._deploy(built.result())
            self.token = self._development_token()
            # What has changed since is seen then; the console's function is made by the build.
            self._parts = parts | redeploy.console_part()
            self._lead()
            self._running = running.pop_all()

    def update(
        self, parameters: Mapping[str, str], frontend_urls: Collection[str] = ()
    ) -> list[str]:
        """Bring the running stack up to the sources and to other parameters.

        What is served meanwhile is the stack as it was.

        Args:
            parameters: Of the template, as at the start.
            frontend_urls: As at the start.

        Returns:
            What changed: parts as `redeploy` names them, and `settings`.

        Raises:
            PlatformError: What changed cannot be deployed; the stack goes on as it was.
        """
        clear_template()
        found = redeploy.parts()
        changed = {part for part in found if found[part] != self._parts.get(part)}
        other = (dict(parameters), tuple(frontend_urls)) != (
            self._parameters,
            self._frontend_urls,
        )
        if not changed and not other:
            return []
        whole = redeploy.REST in changed or found.keys() != self._parts.keys()
        # Until all of it is there, the next start takes nothing for deployed.
        self._state.deployed = None
        state.write(self.state_dir, self._state)
        previous = self._parameters, self._frontend_urls
        self._parameters, self._frontend_urls = dict(parameters), tuple(frontend_urls)
        try:
            if whole:
                self._deploy(build_all(self._report))
                self._put.clear()
                found = redeploy.parts()
            else:
                if other:
                    self._update_parameters()
                    # CloudFormation has put the code back that it knows.
                    changed |= self._put
                if redeploy.CONSOLE in changed:
                    console.build(self._report)
                    changed = changed - {redeploy.CONSOLE} | {redeploy.CONSOLE_FUNCTION}
                    found |= redeploy.console_part()
                redeploy.Redeployment(self.client("lambda"), self.name).put(sorted(changed))
                self._put |= changed
        except Exception:
            self._parameters, self._frontend_urls = previous
            # Some of it may be there already: it is put again, though it be as it was before.
            self._parts |= dict.fromkeys(changed, "")
            raise
        self._parts = found
        self._lead()
        return sorted(changed) + ["settings"] * other

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

    def client(self, service: str) -> Any:
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
        own = self._ministack_port or self._state.ministack_port
        with self._report.step("Starting MiniStack"):
            while self._ministack is None:
                port = own or port_for(self.state_dir)
                if port != self._state.ministack_port:
                    # What was deployed names MiniStack's old address.
                    self._state.ministack_port, self._state.deployed = port, None
                    state.write(self.state_dir, self._state)
                server = ministack.MiniStack(self.state_dir, port)
                running.callback(server.stop)
                try:
                    server.start(keep_open=(lock,))
                except ministack.PortTaken:
                    # A port that was free, until another new stack was faster.
                    if own:
                        raise
                else:
                    self._ministack = server

    def _all_parameters(self) -> dict[str, str]:
        return {
            "Stage": "local",
            "Architecture": "arm64" if machine.machine() in {"arm64", "aarch64"} else "x86_64",
            "AwsEndpointUrl": self.endpoint_url,
            "AllowLoopback": "true",
            # MiniStack runs five executions at a time, whatever the template's MaxRunners.
            "MaxRunnersPerTenant": "3",
            "PublicBaseUrl": self.url,
            **self._parameters,
        }

    def _deploy(self, built: str) -> None:
        parameters = self._all_parameters()
        wanted = digest.of_values(built, parameters, self.stack, ",".join(self._frontend_urls))
        parameters["Revision"] = wanted
        if self._state.deployed == wanted and self._is_deployed():
            self._names = routes.names_of(self.client("cloudformation"), self.stack)
            return
        self._state.deployed = None
        state.write(self.state_dir, self._state)
        with locks.shared(BUILD), self._report.step("Deploying the stack"):
            self._create_bucket()
            sam.deploy(
                BUILD / build.PACKED,
                stack=self.stack,
                bucket=BUCKET,
                parameters=parameters,
                aws=self.aws,
                log=self.state_dir / "deploy.log",
                report=self._report,
            )
        self._import_routes()
        self._state.deployed = wanted
        state.write(self.state_dir, self._state)

    def _update_parameters(self) -> None:
        """Change the deployed stack's parameters alone."""
        cloudformation = self.client("cloudformation")
        given = {**self._all_parameters(), "Revision": self._names["Revision"]}
        try:
            cloudformation.update_stack(
                StackName=self.stack,
                UsePreviousTemplate=True,
                Parameters=[
                    {"ParameterKey": name, "ParameterValue": value} for name, value in given.items()
                ],
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            )
            waiter = cloudformation.get_waiter("stack_update_complete")
            waiter.wait(StackName=self.stack, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        except (
            botocore.exceptions.ClientError,
            botocore.exceptions.WaiterError,
        ) as error:
            raise PlatformError(f"the settings were not taken: {error}") from None
        self._import_routes()

    def _import_routes(self) -> None:
        cloudformation = self.client("cloudformation")
        with self._report.step("Importing the routes"):
            self._state.api_id = routes.import_routes(
                cloudformation,
                self.client("apigatewayv2"),
                self.stack,
                frontend_urls=self._frontend_urls,
            )
        self._names = routes.names_of(cloudformation, self.stack)

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
        token = file.read_text(encoding="utf-8").strip() if file.is_file() else ""
        if not token:
            token = f"ib_{secrets.token_urlsafe(32)}"
            state.write_secret(file, f"{token}\n")
        if not self.tokens.holds(token):
            self.tokens.put(token, tenant=TENANT, name="development", scopes=ALL_SCOPES)
        return token

    def _lead(self) -> None:
        """Let the proxy serve what is deployed."""
        if self._proxy is None or self._state.api_id is None:
            raise PlatformError(f"{TEMPLATE.name} makes no API")
        self._proxy.lead_to(
            proxy.Target(
                endpoint_url=self.endpoint_url,
                api_id=self._state.api_id,
                token=self.token,
                secret=self._started().credentials.gate_secret,
                frontend_urls=self._frontend_urls or (self._names["FrontendUrl"],),
            )
        )


def build_all(report: Report) -> str:
    """Build what every platform on this machine deploys; returns its digest."""
    with locks.exclusively(BUILD):
        built = build.build(BUILD, architecture="host", report=report)
        build.pack(BUILD)
        return built


def clear_template() -> None:
    """Forget the template as it was."""
    template.cache_clear()
    functions.cache_clear()


def port_for(state_dir: Path) -> int:
    """Return a port for a new MiniStack: its own for each state folder, or the next that is free.

    It stays below the ports that systems give to outgoing connections, so that it is still there
    at the next start.
    """
    first = PORTS.start + zlib.crc32(str(state_dir).encode()) % len(PORTS)
    candidates = itertools.chain(range(first, PORTS.stop), range(PORTS.start, first))
    return next(port for port in candidates if is_free(port))
