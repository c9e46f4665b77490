"""``make sam-local``: its template, its relay, and what it makes of an answer."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import examples, ports, relay, sam_local
from local.errors import PlatformError
from tests.backend import eventually
from tools.template import resources

FUNCTIONS = resources("AWS::Serverless::Function")


@pytest.fixture
def echo() -> Iterator[int]:
    """A server of 127.0.0.1 that answers what it hears in capitals, once the other side is done."""

    def serve() -> None:
        while True:
            try:
                near, _ = server.accept()
            except OSError:
                return
            with near:
                received = b""
                while chunk := near.recv(1000):
                    received += chunk
                near.sendall(received.upper())

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def ask(address: str, port: int, text: bytes) -> bytes:
    with socket.create_connection((address, port), timeout=5) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(1000):
            received += chunk
        return received


needs_addresses = pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is Linux's alone")


@needs_addresses
def test_the_relay_carries_both_ways_while_it_runs_and_no_longer(echo: int) -> None:
    with relay.between("127.0.0.2", [echo]):
        assert ask("127.0.0.2", echo, b"x" * 200_000) == b"X" * 200_000
        assert ask("127.0.0.2", echo, b"again") == b"AGAIN"
    with pytest.raises(ConnectionRefusedError):
        ask("127.0.0.2", echo, b"x")


@needs_addresses
def test_a_port_that_is_taken_leaves_no_other_one_taken(echo: int) -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"), relay.between("127.0.0.2", [echo, port]):
            pass
    with relay.between("127.0.0.2", [echo, port]):
        pass


@needs_addresses
def test_as_a_wrapper_it_becomes_the_runtime_and_leaves_a_relay() -> None:
    port = ports.free()
    # The host's name leads nowhere here: the runtime is connected, and then the connection ends.
    runtime = f"""
import os, socket
with socket.create_connection(("127.0.0.1", {port}), timeout=20) as near:
    print(os.getpid(), near.recv(10), flush=True)
"""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", relay.__file__, sys.executable, "-c", runtime],
        env={**os.environ, relay.PORTS: str(port)},
        stdout=subprocess.PIPE,
        text=True,
    )
    text, _ = process.communicate(timeout=30)
    assert text.split() == [str(process.pid), "b''"]
    assert eventually(lambda: ports.is_free(port))  # the relay ends with its runtime


def template_of(**variables: str) -> dict[str, dict[str, object]]:
    environments = {name: dict(variables) for name in FUNCTIONS}
    made = sam_local.local_template(Path("/build"), Path("/relay"), environments)
    declared: dict[str, dict[str, object]] = json.loads(json.dumps(made))["Resources"]
    return declared


def test_each_function_has_its_code_its_variables_its_routes_and_this_checkouts_layers() -> None:
    made = template_of(X="1")
    layers = [
        name for name, each in made.items() if each["Type"] == "AWS::Serverless::LayerVersion"
    ]
    assert layers == [
        f"{name}{sam_local.suffix()}" for name in ("DependenciesLayer", "ProviderLayer", "Relay")
    ]
    assert sam_local.suffix(Path("/a")) != sam_local.suffix(Path("/b"))
    for name, properties in FUNCTIONS.items():
        declared = made[name]["Properties"]
        assert isinstance(declared, dict)
        assert declared["CodeUri"] == f"/build/{name}"
        assert declared["Environment"] == {"Variables": {"X": "1"}}
        assert declared["Layers"] == [{"Ref": layer} for layer in layers]
        assert declared["Architectures"] == [sam_local.architecture()]
        routes = {
            each
            for each, event in properties.get("Events", {}).items()
            if event["Type"] == "HttpApi"
        }
        assert set(declared["Events"]) == routes


def test_only_the_ports_that_functions_need_are_carried() -> None:
    variables = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "TELEGRAM_API_BASE": "http://localhost:8081/bot",
        "SHEETS_API_BASE": "https://sheets.googleapis.com",
        "FACEBOOK_GRAPH_BASE": "https://graph.example.com:8443",
        "PUBLIC_BASE_URL": "http://localhost:3000",
        "FRONTEND_URL": "http://localhost:5173",
        "EVENTS_TABLE": "events",
    }
    assert sam_local.ports_of({"F": variables}) == {4566, 8081}
    assert sam_local.mail_port({"smtpHost": "localhost", "smtpPort": "1025"}) == {1025}
    assert sam_local.mail_port({"smtpHost": "mail.example.com", "smtpPort": "587"}) == set()
    assert sam_local.mail_port({"smtpHost": "", "smtpPort": ""}) == set()


def test_make_is_understood() -> None:
    found = sam_local.request_from(
        {
            "FUNCTION": "get-status",
            "EVENT": "",
            "PORT": "",
            "PORTS": "8080, 9000",
            "ARGS": "--debug -d '5 6'",
        }
    )
    assert (found.function, found.case, found.port) == ("get-status", "all", 3001)
    assert found.ports == (8080, 9000)
    assert found.arguments == ("--debug", "-d", "5 6")


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"FUNCTION": "get_moon"}, "no function get_moon"),
        ({"FUNCTION": "get_status", "EVENT": "some"}, "no event some: it has all"),
        ({"PORT": "x"}, "PORT"),
        ({"ARGS": "'"}, "ARGS"),
    ],
)
def test_what_make_cannot_mean_is_said(env: dict[str, str], words: str) -> None:
    with pytest.raises(PlatformError, match=words):
        sam_local.request_from(env)


@pytest.mark.parametrize(
    ("output", "failure"),
    [
        ('{"statusCode": 404, "body": "{}"}', None),
        ('log\n{"statusCode": 500, "body": "{}"}', "status 500"),
        ('{"errorType": "KeyError", "errorMessage": "x"}', "KeyError: x"),
        ('{"batchItemFailures": []}', None),
        ('{"batchItemFailures": [{"itemIdentifier": "1"}]}', "it reports messages as failed"),
        ('{"isAuthorized": true}', None),
        ("", "it answered None"),
        ("no JSON", "it answered 'no JSON'"),
    ],
)
def test_a_failure_is_the_functions_own(output: str, failure: str | None) -> None:
    assert sam_local.failure_of(sam_local.result_of(output)) == failure


@pytest.mark.parametrize(
    ("answers", "result", "message"),
    [
        (("200",), {"statusCode": 200}, ""),
        (("200", "409"), {"statusCode": 409}, ""),
        (("200", "409"), {"statusCode": 422}, "  (events/README.md: 200 or 409)"),
        (("-",), {"isAuthorized": True}, ""),
        (("-",), {"batchItemFailures": []}, ""),
        (("401",), None, "  (events/README.md: 401)"),
    ],
)
def test_an_answer_that_is_not_as_written_is_said(
    answers: tuple[str, ...], result: object, message: str
) -> None:
    assert sam_local.surprise(examples.Example("f", "c", answers), result) == message


def test_a_function_has_its_events_in_their_order() -> None:
    assert [each.case for each in examples.chosen("complete-oauth", "all")] == ["denied", "granted"]
    assert len(examples.chosen("all", "all")) == len(examples.in_order())


def test_where_people_log_in_is_for_browsers_alone() -> None:
    assert sam_local.login_settings() == {"FACEBOOK_DIALOG_BASE", "GOOGLE_AUTH_URL"}
