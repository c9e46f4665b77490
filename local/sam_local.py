"""`make sam-local`: the functions in Lambda's own containers, on the stack of `make run`.

Without FUNCTION it serves the API (`sam local start-api`), with it one function or all of them get
their inputs of `events/` (`sam local invoke`). A template is made for it: the functions as they are
built for Linux, with the environment that the deployed ones have.
"""

import fcntl
import hashlib
import ipaddress
import json
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.exceptions
from pydantic import SecretStr

from integrations.providers import registry
from integrations.providers.base import Addresses, OAuthApp
from integrations.storage.app_secret import fields_of
from local import build, examples, ministack, programs, relay, routes, sam, state
from local.errors import PlatformError
from local.paths import ROOT, STATE
from local.report import Report
from tools.template import resources, template

FOLDER = STATE / "sam-local"
PORT = 3001
WRAPPER = '#!/bin/sh\nexec /var/lang/bin/python3.13 -I -S /opt/relay.py "$@"\n'
COPIED = ("Handler", "Runtime", "MemorySize")
"""Of a function's properties, what a container takes from them beside code and environment."""
# A container starts within an invocation, and a laptop is slower than Lambda.
SHORTEST_TIMEOUT = 120
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
# Where browsers go, not functions; beside where people log in.
FOR_BROWSERS = {"PUBLIC_BASE_URL", "FRONTEND_URL", "ALLOWED_REDIRECT_URIS", "CONSOLE_TOKEN_ORIGIN"}
DOCKER = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY")
END_SECONDS = 60

READY = """
The API is served in Lambda's containers. Ctrl-C stops it. Where make run adds the development
token by itself, here each request has to carry it; a function's first request starts its container.

  curl http://localhost:{port}/api/integrations/status \\
    -H "Authorization: Bearer $(cat {token})"
"""


@dataclass(frozen=True)
class Request:
    """What make was asked for.

    Attributes:
        function: One function, `all`, or nothing for the API.
        case: One of its events, or `all`.
        port: Where the API is served.
        ports: More ports of this machine that the functions reach.
        arguments: SAM's own options.
    """

    function: str = ""
    case: str = "all"
    port: int = PORT
    ports: tuple[int, ...] = ()
    arguments: tuple[str, ...] = ()


def request_from(env: Mapping[str, str]) -> Request:
    """Read what make puts into the environment; raises PlatformError."""
    try:
        found = Request(
            function=env.get("FUNCTION", ""),
            case=env.get("EVENT") or "all",
            port=int(env.get("PORT") or PORT),
            ports=tuple(int(each) for each in env.get("PORTS", "").replace(",", " ").split()),
            arguments=tuple(shlex.split(env.get("ARGS", ""))),
        )
    except ValueError as error:
        raise PlatformError(f"PORT, PORTS or ARGS: {error}") from None
    if found.function:
        examples.chosen(found.function, found.case)
    return found


def architecture() -> str:
    """Name this machine's architecture as Lambda does."""
    return "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"


# -- The template ----------------------------------------------------------------------------


def suffix(checkout: Path = ROOT) -> str:
    """Return what tells this checkout's layers from another one's.

    SAM names the image of a function after the logical ids of its layers, and nothing else.
    """
    return hashlib.sha256(str(checkout).encode()).hexdigest()[:12]


def local_template(
    build_dir: Path, relay_dir: Path, environments: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """Return the template that SAM runs.

    Args:
        build_dir: The functions and layers, built.
        relay_dir: The layer that carries connections.
        environments: The functions' variables, by their logical ids.
    """
    layers = {f"{name}{suffix()}": build_dir / name for name in build.LAYERS}
    layers[f"Relay{suffix()}"] = relay_dir
    made: dict[str, Any] = {
        name: {
            "Type": "AWS::Serverless::LayerVersion",
            "Properties": {"ContentUri": str(folder)},
        }
        for name, folder in layers.items()
    }
    defaults = template()["Globals"]["Function"]
    for name, properties in resources("AWS::Serverless::Function").items():
        whole = {**defaults, **properties}
        made[name] = {
            "Type": "AWS::Serverless::Function",
            "Properties": {
                **{each: whole[each] for each in COPIED if each in whole},
                "CodeUri": str(build_dir / name),
                "Architectures": [architecture()],
                "Timeout": max(SHORTEST_TIMEOUT, whole["Timeout"]),
                "Environment": {"Variables": dict(environments[name])},
                "Layers": [{"Ref": layer} for layer in layers],
                "Events": {
                    event: each
                    for event, each in properties.get("Events", {}).items()
                    if each["Type"] == "HttpApi"
                },
            },
        }
    (api,) = resources("AWS::Serverless::HttpApi")
    auth = resources("AWS::Serverless::HttpApi")[api]["Auth"]
    made[api] = {"Type": "AWS::Serverless::HttpApi", "Properties": {"Auth": auth}}
    return {"Transform": "AWS::Serverless-2016-10-31", "Resources": made}


def write_relay(folder: Path, trusted: Path | None) -> None:
    """Write the layer that carries connections, and the certificates that stand-ins have."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(relay.__file__, folder / "relay.py")
    wrapper = folder / "relay"
    wrapper.write_text(WRAPPER, encoding="utf-8")
    wrapper.chmod(0o755)
    if trusted:
        shutil.copyfile(trusted, folder / "trusted.pem")


def ports_of(environments: Mapping[str, Mapping[str, str]]) -> set[int]:
    """Return the ports of this machine that functions reach, by their variables."""
    for_browsers = FOR_BROWSERS | login_settings()
    addresses = [
        urlsplit(value)
        for each in environments.values()
        for name, value in each.items()
        if name not in for_browsers and re.match(r"https?://", value)
    ]
    return {each.port for each in addresses if each.port and each.hostname in LOOPBACK}


def login_settings() -> set[str]:
    """Return the settings of the addresses at which people log in: each provider says which."""
    settings = registry.addresses()
    marked = Addresses(**{field: f"https://{field}.invalid" for field in settings})
    app = OAuthApp("", SecretStr(""))
    logins = (registry.get(each).oauth for each in registry.PROVIDER_IDS)
    urls = [each.authorization_url(app, marked, "", "", "") for each in logins if each]
    hosts = {urlsplit(url).hostname for url in urls}
    return {name for field, name in settings.items() if f"{field}.invalid" in hosts}


def mail_port(secret: Mapping[str, str]) -> set[int]:
    """Return the port of the stack's own mail server, where it is on this machine."""
    if secret.get("smtpHost") in LOOPBACK and secret.get("smtpPort"):
        return {int(secret["smtpPort"])}
    return set()


def deployed(
    client: Callable[[str], Any], stack: str
) -> tuple[dict[str, dict[str, str]], set[int]]:
    """Return the deployed functions' variables by logical ids, and the ports that they reach."""
    names = routes.names_of(client("cloudformation"), stack)
    pages = client("lambda").get_paginator("list_functions").paginate()
    by_name = {
        each["FunctionName"]: each["Environment"]["Variables"]
        for page in pages
        for each in page["Functions"]
        if "Environment" in each
    }
    wanted_ones = resources("AWS::Serverless::Function")
    if missing := [name for name in wanted_ones if names.get(name) not in by_name]:
        raise PlatformError(f"make run has not deployed {missing[0]} yet: wait for it")
    found = {name: by_name[names[name]] for name in wanted_ones}
    secret = client("secretsmanager").get_secret_value(SecretId=names["AppSecret"])
    return found, ports_of(found) | mail_port(fields_of(secret["SecretString"]))


# -- Docker ----------------------------------------------------------------------------------


def docker(*arguments: str) -> str:
    """Ask Docker; raises PlatformError where it does not answer."""
    try:
        asked = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, check=True, timeout=60
        )
    except FileNotFoundError:
        raise PlatformError("there is no docker here: install Docker Engine or Desktop") from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        lines = str(error.stderr or error).strip().splitlines()
        raise PlatformError(f"docker {arguments[0]}: {lines[-1] if lines else error}") from None
    return asked.stdout.strip()


def bridge() -> str | None:
    """Return this machine's address on Docker's bridge; None where Docker has a machine of its own.

    Docker Desktop's containers reach 127.0.0.1 of this machine by themselves.
    """
    if sys.platform != "linux" or "Desktop" in docker("info", "--format", "{{.OperatingSystem}}"):
        return None
    for each in json.loads(docker("network", "inspect", "bridge", "--format", "{{json .IPAM}}"))[
        "Config"
    ]:
        network = ipaddress.ip_network(each["Subnet"])
        if isinstance(network, ipaddress.IPv4Network):
            # Docker takes the network's first address for this machine, unless given another.
            return str(each.get("Gateway") or network[1])
    raise PlatformError("Docker's bridge has no address")


def containers() -> list[str]:
    """List the containers that run what this checkout has built."""
    lines = docker("ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Mounts}}").splitlines()
    return [line.split()[0] for line in lines if str(FOLDER) in line]


def remove_containers() -> None:
    """Remove what SAM has left, if anything."""
    if left := containers():
        docker("rm", "--force", *left)


# -- SAM -------------------------------------------------------------------------------------


@contextmanager
def exclusively() -> Iterator[None]:
    """Take the folder: whoever ends removes every container of it."""
    FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlatformError("make sam-local runs already in this checkout") from None
        yield


def environment(endpoint_url: str) -> dict[str, str]:
    """Return SAM's environment: MiniStack stands for AWS, in its own calls of STS too."""
    known = {name: os.environ[name] for name in DOCKER if name in os.environ}
    aws = ministack.environment(endpoint_url, state.DEFAULT)
    return programs.environment({**sam.settings(), **aws, **known})


def command(subcommand: str, *arguments: str) -> list[str]:
    """Return a command of `sam local`."""
    return [
        *(str(sam.SAM), "local", subcommand, *arguments),
        *("--template", str(FOLDER / "template.json")),
        *("--layer-cache-basedir", str(FOLDER / "layers")),
        *("--add-host", f"{relay.HOST}:host-gateway"),
    ]


def invoke(request: Request, env: Mapping[str, str], report: Report) -> int:
    """Give functions their events; returns how many of them failed."""
    memory = FOLDER / "ids.json"
    known = json.loads(memory.read_text(encoding="utf-8")) if memory.is_file() else {}
    ids = {folder: name for name, folder in _folders()}
    failed = 0
    for example in examples.chosen(request.function, request.case):
        file = FOLDER / "event.json"
        file.write_text(json.dumps(example.event(known)), encoding="utf-8")
        asked = subprocess.run(
            [
                *command("invoke", ids[example.function], "--event", str(file)),
                *request.arguments,
            ],
            cwd=FOLDER,
            env=dict(env),
            capture_output=True,
            text=True,
            start_new_session=True,
            check=False,
        )
        result = result_of(asked.stdout)
        bad = asked.returncode != 0 or failure_of(result) is not None
        failed += bad
        failure = f"  (FAILED: {failure_of(result)})" * bad
        report.say(f"{example.name}: {shown(result)}{failure}{surprise(example, result)}")
        if bad or request.function != "all":
            report.say(asked.stderr.strip() if bad else asked.stdout.strip())
        known |= examples.ids_in(examples.body_of(result))
        memory.write_text(json.dumps(known), encoding="utf-8")
    return failed


def _folders() -> Iterator[tuple[str, str]]:
    for name, properties in resources("AWS::Serverless::Function").items():
        yield name, Path(properties["CodeUri"]).name


def result_of(output: str) -> Any:
    """Return what a function answered: the last line that SAM prints."""
    try:
        return json.loads((output.strip().splitlines() or ["null"])[-1])
    except ValueError:
        return output.strip() or None


def failure_of(result: Any) -> str | None:
    """Return why an answer is a failure of the function itself; None where it is none."""
    if result is None or isinstance(result, str):
        return f"it answered {result!r}"
    if "errorType" in result:
        return f"{result['errorType']}: {result.get('errorMessage', '')}"
    if result.get("batchItemFailures"):
        return "it reports messages as failed"
    if result.get("statusCode") in {500, 503}:
        return f"status {result['statusCode']}"
    return None


def shown(result: Any) -> str:
    """Return an answer in a few words."""
    if isinstance(result, dict) and "statusCode" in result:
        body = examples.body_of(result)
        code = body.get("code", "") if isinstance(body, dict) else ""
        refused = result["statusCode"] >= HTTPStatus.BAD_REQUEST
        return f"{result['statusCode']} {code if refused else ''}".strip()
    return json.dumps(result)[:100]


def surprise(example: examples.Example, result: Any) -> str:
    """Return what README.md says instead, in brackets; nothing where the answer is as written."""
    if examples.answer_of(result) in example.answers:
        return ""
    return f"  (events/README.md: {' or '.join(example.answers)})"


def serve(request: Request, env: Mapping[str, str], report: Report) -> int:
    """Serve the API until Ctrl-C; returns SAM's own status."""
    report.say(READY.format(port=request.port, token=STATE.relative_to(ROOT) / "token"))
    process = subprocess.Popen(
        [
            *command("start-api", "--port", str(request.port), "--warm-containers", "LAZY"),
            *request.arguments,
        ],
        cwd=FOLDER,
        env=dict(env),
        start_new_session=True,  # Ctrl-C is this process's to hear
    )
    try:
        return process.wait()
    except KeyboardInterrupt:
        report.say("\nStopping; SAM removes its containers.")
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return 0


def run(request: Request, report: Report) -> int:
    """Build, relay and run; raises PlatformError."""
    docker("version", "--format", "{{.Server.Version}}")
    running, client = ministack.running()
    endpoint_url = running.endpoint_url or ""
    environments, ports = deployed(client, running.stack)
    ports |= set(request.ports)
    with exclusively(), ExitStack() as open_:
        build_dir = FOLDER / "build"
        build.build(build_dir, architecture=architecture(), report=report)
        trusted = STATE / "stand-ins" / "trusted.pem"
        write_relay(FOLDER / "relay", trusted if trusted.is_file() else None)
        more = {
            "AWS_LAMBDA_EXEC_WRAPPER": "/opt/relay",
            relay.PORTS: ",".join(map(str, sorted(ports))),
        }
        if trusted.is_file():
            more["SSL_CERT_FILE"] = "/opt/trusted.pem"
        made = local_template(
            build_dir,
            FOLDER / "relay",
            {name: {**each, **more} for name, each in environments.items()},
        )
        (FOLDER / "template.json").write_text(json.dumps(made, indent=1), encoding="utf-8")
        if address := bridge():
            try:
                open_.enter_context(relay.between(address, sorted(ports)))
            except OSError as error:
                raise PlatformError(
                    f"cannot listen on Docker's bridge, {address}: {error}"
                ) from None
        open_.callback(remove_containers)
        act = invoke if request.function else serve
        return act(request, environment(endpoint_url), report)


def main() -> None:
    """Do what make was asked for; what fails says why in one line."""
    programs.heed_the_end()
    try:
        failed = run(request_from(os.environ), Report())
    except (
        PlatformError,
        botocore.exceptions.BotoCoreError,
        botocore.exceptions.ClientError,
    ) as error:
        sys.exit(f"make sam-local: {error}")
    except KeyboardInterrupt:
        sys.exit("Stopped.")
    sys.exit(min(failed, 1))


if __name__ == "__main__":
    main()
