"""The parts of the local platform that need nothing running."""

import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import urlsplit

import botocore.session
import pytest
import requests
from multidict import CIMultiDict

from local import (
    environment,
    gate,
    ministack,
    platform,
    programs,
    proxy,
    sam,
    settings,
    stacks,
    state,
)
from local.errors import PlatformError
from local.report import Report
from tests.fakes.serving import Server
from tools.template import Resolver

# -- settings --


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings.NAME.findall((settings.ROOT / ".env.example").read_text("utf-8")):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_settings")
class TestSettings:
    def load(self, directory: Path, text: str) -> settings.Settings:
        file = directory / ".env"
        file.write_text(text, encoding="utf-8")
        return settings.load(file)

    def test_no_file_is_all_defaults(self, tmp_path: Path) -> None:
        assert settings.load(tmp_path / ".env") == settings.Settings()

    def test_names_become_parameters_and_empty_values_none(self, tmp_path: Path) -> None:
        text = 'PORT=3001\nGOOGLE_CLIENT_ID=abc\nSMTP_PASS="a b=c"\nGRAPH_API_VERSION=\n'
        found = self.load(tmp_path, text)
        assert found.port == 3001
        assert found.parameters == settings.OURS | {"GoogleClientId": "abc", "SmtpPass": "a b=c"}

    def test_environment_wins(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PORT", "4000")
        assert self.load(tmp_path, "PORT=3001\n").port == 4000

    @pytest.mark.parametrize("text", ["GOGLE_CLIENT_ID=x", "PORT=abc", "PORT=0", "PORT=65536"])
    def test_mistakes_are_named(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(PlatformError, match=text.split("=", maxsplit=1)[0]):
            self.load(tmp_path, text)

    @pytest.mark.parametrize(
        "text",
        [
            "FRONTEND_URL=app.example",
            "FRONTEND_URL=https://a.example/path",
            "FRONTEND_URL=https://a.example,b.example",
            "PUBLIC_BASE_URL=abc.example",
            "LOG_LEVEL=LOUD",
            "SMTP_PORT=smtp",
            "JWT_ISSUER=issuer.example",
        ],
    )
    def test_what_the_template_would_refuse_is_named_as_env_names_it(
        self, tmp_path: Path, text: str
    ) -> None:
        name, _, value = text.partition("=")
        with pytest.raises(PlatformError, match=f"^{name} is ") as refused:
            self.load(tmp_path, text)
        assert value not in str(refused.value)

    def test_a_file_in_another_encoding_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / ".env"
        file.write_text("PORT=3001\n", encoding="utf-16")
        with pytest.raises(PlatformError, match=r"\.env is not UTF-8"):
            settings.load(file)

    def test_a_slash_at_the_end_of_an_origin_means_nothing(self, tmp_path: Path) -> None:
        text = (
            "FRONTEND_URL=http://a.example/, https://b.example\nPUBLIC_BASE_URL=https://c.example/"
        )
        found = self.load(tmp_path, text)
        assert found.frontend_urls == ("http://a.example", "https://b.example")
        assert found.parameters == settings.OURS | {
            "FrontendUrl": "http://a.example,https://b.example",
            "AllowedRedirectUris": "http://a.example,https://b.example",
            "PublicBaseUrl": "https://c.example",
        }

    def test_every_name_is_a_parameter_of_the_template(self) -> None:
        names = settings.NAME.findall((settings.ROOT / ".env.example").read_text("utf-8"))
        template = (settings.ROOT / "template.yaml").read_text("utf-8")
        for name in set(names) - settings.OWN:
            assert f"\n  {settings.parameter(name)}:\n    Type: " in template


# -- what goes wrong in SAM, in one line --


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            "Starting Build\n\nBuild Failed\nError: PythonPipBuilder:Validation - no python\n",
            "Build Failed PythonPipBuilder:Validation - no python",
        ),
        (
            "Initiating deployment\n\nError: Failed to create changeset,\nParameter 'X' is bad\n",
            "Failed to create changeset, Parameter 'X' is bad",
        ),
        (
            (
                "*** Error compiling '/tmp/x/python/integrations/a.py'...\n"
                '  File "/opt/python/integrations/a.py", line 44\n    def def\n        ^^^\n'
                "SyntaxError: invalid syntax\n\nBuild Failed\nError: Make Failed: Error 1\n"
            ),
            "integrations/a.py, line 44: SyntaxError: invalid syntax",
        ),
        (
            (
                "[[E3002: Resource properties] (Additional properties ('Foo')) matched 12]\n"
                "Error: Linting failed. At least one linting rule was matched\n"
            ),
            "line 12: E3002 Additional properties ('Foo')",
        ),
        ("something else", "something else"),
    ],
)
def test_reason(output: str, expected: str) -> None:
    assert sam.reason(output) == expected


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "eu-central-1"),
        ({"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
    ],
)
def test_a_stack_is_deployed_where_it_is_looked_for_then(
    variables: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profile = tmp_path / "config"
    profile.write_text("[default]\nregion = eu-central-1\n", encoding="utf-8")
    for name in [each for each in os.environ if each.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {"AWS_CONFIG_FILE": str(profile), **variables}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(stacks, "_outputs", lambda *_: {})
    assert stacks.of("shop", None).client("dynamodb").meta.region_name == expected

    for name, value in sam.environment(["deploy"], os.environ).items():
        monkeypatch.setenv(name, value)
    assert botocore.session.Session().get_config_variable("region") == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["--debug", "validate", "--lint"], "us-east-1"),
        (["build"], "us-east-1"),
        (["local", "invoke"], "us-east-1"),
        (["deploy", "--stack-name", "local"], None),
        (["delete"], None),
    ],
)
def test_only_what_asks_aws_nothing_gets_a_region_that_nobody_named(
    command: list[str], expected: str | None
) -> None:
    assert sam.environment(command, {}).get("AWS_DEFAULT_REGION") == expected
    assert sam.environment(command, {"AWS_REGION": "eu-west-1"})["AWS_DEFAULT_REGION"] == (
        "eu-west-1"
    )


# -- programs --


def test_programs_get_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLIENT_SECRET", "secret")
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("NO_PROXY", "intranet")
    found = programs.environment({"X": "1"})
    assert "PATH" in found
    assert found["X"] == "1"
    assert found["NO_PROXY"] == "intranet,127.0.0.1,localhost,.localhost"
    assert not {"GOOGLE_CLIENT_SECRET", "AWS_PROFILE"} & set(found)


def test_failed_program_says_what_it_printed(tmp_path: Path) -> None:
    with pytest.raises(programs.ProgramError) as failed:
        programs.run(
            ["sh", "-c", "echo out; echo err >&2; exit 3"],
            cwd=tmp_path,
            env=programs.environment(),
            log=tmp_path / "log",
            report=Report(quiet=True),
        )
    assert failed.value.output == "out\nerr\n"


# -- state --


def test_state_is_remembered(tmp_path: Path) -> None:
    assert state.read(tmp_path) == state.State()
    remembered = state.State(ministack_port=20_001, deployed="digest", api_id="abc")
    state.write(tmp_path, remembered)
    assert state.read(tmp_path) == remembered
    (tmp_path / "platform.json").write_text('{"of": "another version"}', encoding="utf-8")
    assert state.read(tmp_path) == state.State()


@pytest.mark.parametrize("left", [None, "", "ib_kept\n"])
def test_the_token_is_whole_and_its_owner_s_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: str | None
) -> None:
    if left is not None:  # nothing is what a full disk leaves
        (tmp_path / "token").write_text(left, encoding="utf-8")
    held: list[str] = []

    class Table:
        def holds(self, token: str) -> bool:
            return token in held

        def put(self, token: str, **_: object) -> None:
            held.append(token)

    monkeypatch.setattr(platform.Platform, "tokens", Table())
    token = platform.Platform(tmp_path)._development_token()
    assert held == [token]
    assert token == "ib_kept" if left else len(token) == 46
    assert (tmp_path / "token").read_text(encoding="utf-8") == f"{token}\n"
    if not left:
        assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600


def test_state_folder_is_one_process_s(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with state.locked(folder):
        assert folder.stat().st_mode & 0o777 == 0o700
        with pytest.raises(PlatformError, match="running already"), state.locked(folder):
            pytest.fail("two have it")
    with state.locked(folder):
        pass


# -- routes --


def test_intrinsic_functions_become_what_they_stand_for() -> None:
    names = {"Api": "abc", "Fn.Arn": "arn:fn", "AWS::Region": "us-east-1"}
    body = {
        "a": {"Ref": "Api"},
        "b": [{"Fn::GetAtt": ["Fn", "Arn"]}, 1, None],
        "c": {"Fn::Sub": "${AWS::Region}/${Fn.Arn}"},
        "d": {"Fn::Sub": ["${AWS::Region}/${own}", {"own": {"Ref": "Api"}}]},
    }
    assert Resolver(names)(body) == {
        "a": "abc",
        "b": ["arn:fn", 1, None],
        "c": "us-east-1/arn:fn",
        "d": "us-east-1/abc",
    }


# -- proxy --


OWN = {"Host": "localhost:3000"}


@pytest.mark.parametrize(
    "headers",
    [
        OWN,
        {"Host": "127.0.0.1:3000"},
        OWN | {"Origin": "http://localhost:3000"},
        OWN | {"Origin": "http://localhost:5173"},
        OWN | {"Origin": "https://app.example"},
        OWN | {"Sec-Fetch-Site": "same-origin"},
        OWN | {"Sec-Fetch-Site": "none"},
        # A preflighted request of the frontend's page.
        OWN | {"Origin": "https://app.example", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_this_machine_and_the_frontends_use_the_token(headers: dict[str, str]) -> None:
    assert may_use(headers)


@pytest.mark.parametrize(
    "headers",
    [
        OWN | {"Origin": "https://evil.example"},
        OWN | {"Origin": "null"},
        OWN | {"Origin": ""},
        # Another server on this machine: a page of it is no page of ours.
        OWN | {"Origin": "http://localhost:8000"},
        OWN | {"Origin": "http://127.0.0.1:5173"},
        OWN | {"Sec-Fetch-Site": "cross-site"},
        OWN | {"Sec-Fetch-Site": "same-site"},
        OWN | {"Sec-Fetch-Site": "something-new"},
        # A name that an attacker's DNS turns to this machine, and another port's requests.
        {"Host": "evil.example:3000"},
        {"Host": "localhost.evil.example:3000"},
        {"Host": "localhost:3001"},
        {"Host": "localhost"},
        {},
        # Tunnels, with the Host rewritten.
        OWN | {"Forwarded": "for=203.0.113.7"},
        OWN | {"X-Forwarded-For": "203.0.113.7"},
        OWN | {"x-forwarded-host": "abc.ngrok.app"},
        OWN | {"X-Forwarded-Proto": "https"},
        OWN | {"X-Real-IP": "203.0.113.7"},
        OWN | {"X-Original-Host": "abc.ngrok.app"},
        OWN | {"CF-Connecting-IP": "203.0.113.7"},
        OWN | {"Via": "1.1 tunnel"},
        # What a tenant has the stack send: an action, a workflow's step.
        OWN | {"Via": "1.1 integrations-backend"},
        OWN | {"Integrations-Hops": "1"},
    ],
)
def test_nobody_else_uses_the_token(headers: dict[str, str]) -> None:
    assert not may_use(headers)


def may_use(headers: dict[str, str]) -> bool:
    frontends = settings.origins("http://localhost:5173, https://app.example/")
    return proxy.may_use_token(CIMultiDict(headers), proxy.own_origins(3000), frontends)


class Upstream(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        seen = {"path": self.path, "headers": self.headers.items(), "body": body.hex()}
        answer = json.dumps(seen).encode()
        self.send_response(302)
        self.send_header("Location", "https://elsewhere.example/?a=%20b")
        self.send_header("Set-Cookie", "a=1")
        self.send_header("Set-Cookie", "b=2")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def served() -> Iterator[str]:
    upstream = Server(("127.0.0.1", 0), Upstream)
    Thread(target=upstream.serve_forever, daemon=True).start()
    listener = proxy.listen(0)
    endpoint = f"http://127.0.0.1:{upstream.server_port}"
    server = proxy.Proxy(listener)
    server.start()
    server.lead_to(proxy.Target(endpoint, api_id="abc", token="ib_dev", secret="gate"))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.stop()
    upstream.shutdown()
    upstream.server_close()


def test_proxy_says_that_the_stack_is_starting() -> None:
    listener = proxy.listen(0)
    server = proxy.Proxy(listener)
    server.start()
    answer = requests.get(f"http://127.0.0.1:{listener.getsockname()[1]}/api/x", timeout=10)
    server.stop()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]


def test_proxy_passes_everything_on(served: str) -> None:
    body = bytes(range(256))
    path = "/api/x%2Fy/%7Bz%7D?a=%20b&a=+c&empty"
    answer = requests.post(
        served + path,
        data=body,
        headers={"X-Twice": "1", "Authorization": "Bearer mine", "Accept-Encoding": "br"},
        allow_redirects=False,
        timeout=10,
    )
    seen = answer.json()
    headers = {name.lower(): value for name, value in seen["headers"]}
    assert seen["path"] == path
    assert bytes.fromhex(seen["body"]) == body
    assert headers["authorization"] == "Bearer mine"
    assert headers["accept-encoding"] == "br"
    assert headers["host"].startswith("abc.execute-api.localhost:")
    assert answer.status_code == 302
    assert answer.headers["Location"] == "https://elsewhere.example/?a=%20b"
    assert answer.raw.headers.getlist("Set-Cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("target", ["http://x/api/x", "x://u@127.0.0.1:9/api/x"])
def test_proxy_serves_no_url_of_another_host(served: str, target: str) -> None:
    address = urlsplit(served)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        assert connection.recv(1024).startswith(b"HTTP/1.1 404 ")


def test_proxy_adds_the_token(served: str) -> None:
    url = f"{served}/api/x"
    theirs = {"x-LOCAL-platform": "mine"}
    seen = requests.post(url, headers=theirs, allow_redirects=False, timeout=10).json()
    headers = [(name.lower(), value) for name, value in seen["headers"]]
    assert ("authorization", "Bearer ib_dev") in headers
    assert [value for name, value in headers if name == gate.SECRET_HEADER] == ["gate"]


@pytest.mark.parametrize(
    "path",
    [
        "/_ministack/reset",
        "/%5fministack/reset",
        "/_aws/x",
        "/2015-03-31/functions/",
        "/apis",
        "/x",
    ],
)
def test_proxy_passes_nothing_else_on(served: str, path: str) -> None:
    request = requests.Request("POST", served).prepare()
    request.url = served + path
    with requests.Session() as session:
        assert session.send(request, timeout=10).status_code == 404


@pytest.mark.parametrize(
    "path", ["/", "/console/", "/console/a.js", "/connect", "/docs", "/docs/x"]
)
def test_proxy_passes_the_console_on(served: str, path: str) -> None:
    answer = requests.post(served + path, allow_redirects=False, timeout=10)
    assert answer.json()["path"] == path


def test_taken_port_is_named(served_port: int) -> None:
    with pytest.raises(PlatformError, match=f"port {served_port} is taken"):
        proxy.listen(served_port)


# -- MiniStack's own keys, whatever else the shell has --


def test_no_profile_of_the_shell_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "of-another-machine")
    ministack._session.cache_clear()
    keys = state.Credentials("AKIA", "secret", "gate")
    made = ministack.client("dynamodb", "http://127.0.0.1:1", keys)
    assert made.meta.region_name == ministack.REGION


def test_the_tools_of_a_shell_take_these_keys_and_no_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running = state.State(ministack_port=20_000)
    monkeypatch.setattr(ministack, "running", lambda: (running, None))
    monkeypatch.setattr(environment, "DEFAULT", tmp_path)
    environment.main()
    others = {"AWS_PROFILE": "work", "AWS_SESSION_TOKEN": "of-work", "AWS_REGION": "eu-west-1"}
    shown = "import boto3; each = boto3.session.Session(); print(each.get_credentials().token)"
    script = f"{capsys.readouterr().out}\n{shlex.quote(sys.executable)} -c {shlex.quote(shown)}"
    told = f'{script}\necho "$AWS_REGION $AWS_ENDPOINT_URL"'
    answer = subprocess.run(
        ["/bin/sh", "-c", told],
        env={**os.environ, **others},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "None\nus-east-1 http://127.0.0.1:20000\n"


# -- MiniStack's port --


class Faster:
    """MiniStack, where others have taken its first ports since one looked."""

    taken = 2
    tried: ClassVar[list[int]] = []

    def __init__(self, _state_dir: Path, port: int) -> None:
        self.port = port

    def start(self, **_: object) -> None:
        self.tried.append(self.port)
        if len(self.tried) <= self.taken:
            raise ministack.PortTaken(self.port)

    def stop(self) -> None:
        """Nothing runs."""


@pytest.fixture
def _faster(monkeypatch: pytest.MonkeyPatch) -> None:
    Faster.tried.clear()
    free = iter(range(20_000, 20_010))
    monkeypatch.setattr(platform.ministack, "MiniStack", Faster)
    monkeypatch.setattr(platform, "port_for", lambda _: next(free))


def start_ministack(made: platform.Platform) -> None:
    made._state = state.read(made.state_dir)
    with ExitStack() as running:
        made._start_ministack(running, 0)


@pytest.mark.usefixtures("_faster")
def test_of_two_new_stacks_with_one_port_the_slower_takes_another(tmp_path: Path) -> None:
    start_ministack(platform.Platform(tmp_path))
    assert Faster.tried == [20_000, 20_001, 20_002]
    assert state.read(tmp_path).ministack_port == 20_002


@pytest.mark.usefixtures("_faster")
def test_a_stack_with_a_port_of_its_own_takes_no_other(tmp_path: Path) -> None:
    state.write(tmp_path, state.State(ministack_port=20_005, deployed="x"))
    with pytest.raises(PlatformError, match="port 20005 is taken"):
        start_ministack(platform.Platform(tmp_path))
    assert Faster.tried == [20_005]
    assert state.read(tmp_path).deployed == "x"
