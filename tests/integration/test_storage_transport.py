"""Connections to AWS: kept, checked before their next use, and only to who AWS is known to be.

And what is made of answers that are none.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from integrations.storage.aws import transport as module
from integrations.storage.aws.transport import BadAnswer, Transport
from tests.fakes.certificates import Authority
from tests.fakes.serving import Server


class Echo(Server):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.connections = 0
        self.hang_up = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tests are quiet."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Echo

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        # Without "Connection: close": as a server that tires of an idle connection.
        self.close_connection = self.server.hang_up

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Tests are quiet."""


@pytest.fixture
def server() -> Iterator[Echo]:
    with Echo() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def send(transport: Transport, url: str, body: bytes, seconds: float = 5.0) -> tuple[int, bytes]:
    status, answer, _ = transport.send(url, {"host": url.partition("//")[2]}, body, seconds=seconds)
    return status, answer


def test_a_connection_is_kept(server: Echo) -> None:
    transport = Transport()
    for number in range(5):
        assert send(transport, server.url, b"%d" % number) == (200, b"%d" % number)
    assert server.connections == 1


def test_a_connection_that_was_closed_meanwhile_is_not_used_again(server: Echo) -> None:
    server.hang_up = True
    transport = Transport()
    for _ in range(3):
        assert send(transport, server.url, b"x") == (200, b"x")
        threading.Event().wait(0.05)
    assert server.connections == 3


def test_threads_do_not_get_in_each_others_way(server: Echo) -> None:
    transport = Transport()
    bodies = [b"%d" % number for number in range(200)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda body: send(transport, server.url, body), bodies))
    assert answers == [(200, body) for body in bodies]


def test_nobody_there_is_a_failure() -> None:
    with pytest.raises(OSError, match="refused"):
        Transport().send("http://127.0.0.1:9", {}, b"", seconds=5)


def test_only_the_given_roots_are_believed(server: Echo, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("ours", "other")]
    for folder in folders:
        folder.mkdir()
    ours, other = map(Authority, folders)
    context = ours.server_context("localhost")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"https://localhost:{server.server_port}"
    assert send(Transport(str(ours.bundle)), url, b"x") == (200, b"x")
    for bundle in (str(other.bundle), ""):
        with pytest.raises(ssl.SSLCertVerificationError):
            send(Transport(bundle), url, b"x")


# -- A server that is none -------------------------------------------------------------------


class Raw:
    """A server that answers each connection's requests with the bytes that it was given.

    Attributes:
        connections: How many there were.
        requests: What was sent, as it came.
    """

    def __init__(self, *answers: Sequence[bytes]) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._answers = answers
        self.connections = 0
        self.requests: list[bytes] = []
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            number = min(self.connections, len(self._answers) - 1)
            self.connections += 1
            threading.Thread(
                target=self._serve, args=(connection, self._answers[number]), daemon=True
            ).start()

    def _serve(self, connection: socket.socket, answers: Sequence[bytes]) -> None:
        with connection:
            for answer in answers:
                request = connection.recv(65536)
                if not request:
                    return
                self.requests.append(request)
                connection.sendall(answer)

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def raw() -> Iterator[Callable[..., Raw]]:
    """Makes servers: for each connection the answers to its requests, after which it is closed."""
    made: list[Raw] = []

    def make(*answers: Sequence[bytes]) -> Raw:
        made.append(Raw(*answers))
        return made[-1]

    yield make
    for server in made:
        server.close()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK, b"ok"),
        (b"HTTP/1.1 200\r\ncontent-length:2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH:\t 2 \r\nX:\r\nY: \xfc\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + b"HTTP/1.1 103 Early\r\nA: b\r\n\r\n" + OK, b"ok"),
        (
            CHUNKED + b"1\r\no\r\n001;x=y\r\nk\r\n0\r\nTrailer: t\r\n\r\n",
            b"ok",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 30_000 + b"\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000, b"x" * 300_000),
    ],
    ids=range(12),
)
def test_what_is_an_answer_is_understood(
    raw: Callable[..., Raw], answer: bytes, body: bytes
) -> None:
    assert send(Transport(), raw([answer]).url, b"") == (204 if b"204" in answer else 200, body)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        CHUNKED + b"2\r\nok\r\n",
        CHUNKED + b"f" * 30 + b"\r\nok",
        CHUNKED + b"-2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + CHUNKED[17:] + b"2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nNo colon\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nA b: c\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000,
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 OK 200\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x16\x03\x01\x00\xa5\x01",
        b"<html>",
    ],
    ids=range(23),
)
def test_what_is_no_answer_is_a_failure(raw: Callable[..., Raw], answer: bytes) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - a cut connection or one that is not understood
        send(Transport(), raw([answer]).url, b"")


def test_an_answer_that_never_ends_is_not_kept_in_memory(
    raw: Callable[..., Raw], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BODY", 100_000)
    endless = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"400\r\n" + b"x" * 1024 + b"\r\n") * 400
    )
    with pytest.raises(BadAnswer, match="too long"):
        send(Transport(), raw([endless]).url, b"")


SECOND = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"


@pytest.mark.parametrize("surplus", [SECOND, b"garbage", SECOND[:20]])
def test_an_answer_that_was_not_asked_for_is_nobodys(
    raw: Callable[..., Raw], surplus: bytes
) -> None:
    server = raw([OK + surplus, OK], [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright"])
    transport = Transport()
    assert send(transport, server.url, b"") == (200, b"ok")
    assert send(transport, server.url, b"") == (200, b"right")


def test_a_header_cannot_begin_another(raw: Callable[..., Raw]) -> None:
    server = raw([OK])
    for headers in ({"a": "b\r\nc: d"}, {"a\n": "b"}, {"a": "\r"}):
        with pytest.raises(ValueError, match="one line"):
            Transport().send(server.url, headers, b"", seconds=5)
    assert server.requests == []


def test_a_request_is_sent_as_it_is(raw: Callable[..., Raw]) -> None:
    server = raw([OK])
    url = f"{server.url}/2021/credentials?a=b%20c"
    Transport().send(url, {"host": "h", "accept": "application/json"}, method="GET", seconds=5)
    assert server.requests == [
        b"GET /2021/credentials?a=b%20c HTTP/1.1\r\nhost: h\r\naccept: application/json\r\n\r\n"
    ]


# -- Connections that do not hold ------------------------------------------------------------


def test_a_connection_that_closes_under_a_request_is_opened_anew(
    raw: Callable[..., Raw], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the other side's end had been on its way while we looked.
    monkeypatch.setattr(module, "_is_quiet", lambda _: True)
    server = raw([OK, b""], [OK, b""], [OK])
    transport = Transport()
    for _ in range(3):
        assert send(transport, server.url, b"x") == (200, b"ok")
        time.sleep(0.02)
    assert server.connections == 3


def test_an_answer_that_was_begun_is_not_asked_for_again(raw: Callable[..., Raw]) -> None:
    server = raw([OK, b"HTTP/1.1 200 OK\r\nContent-Le"])
    transport = Transport()
    send(transport, server.url, b"x")
    with pytest.raises(BadAnswer, match="before the answer's end"):
        send(transport, server.url, b"x")
    assert server.connections == 1


def test_a_first_connection_that_is_cut_is_a_failure(raw: Callable[..., Raw]) -> None:
    server = raw([b""])
    with pytest.raises(OSError):  # noqa: PT011 - the end, or a reset
        send(Transport(), server.url, b"x")
    assert server.connections == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_who_never_answers_is_not_waited_for(black_hole: str, scheme: str) -> None:
    with pytest.raises(TimeoutError):
        send(Transport(), black_hole.replace("http", scheme), b"x", seconds=0.2)


def test_a_drop_now_and_then_is_no_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
                while True:
                    connection.sendall(b"x")
                    time.sleep(0.02)

        threading.Thread(target=drip, daemon=True).start()
        with pytest.raises(TimeoutError):
            send(Transport(), f"http://127.0.0.1:{listening.getsockname()[1]}", b"", seconds=0.3)


def test_the_system_looks_after_kept_connections(server: Echo) -> None:
    transport = Transport()
    send(transport, server.url, b"x")
    [[connection]] = transport._idle.values()
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1000


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("", "/"),
        ("/", "/"),
        ("/a/b?c=d", "/a/b?c=d"),
        ("?c=d", "/?c=d"),
    ],
)
def test_what_follows_the_host_is_asked_for(raw: Callable[..., Raw], url: str, asked: str) -> None:
    server = raw([OK])
    Transport().send(f"{server.url}{url}", {"host": "h"}, seconds=5, method="GET")
    [request] = server.requests
    assert request.startswith(f"GET {asked} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize(
    "url", ["", "ftp://h/", "http://", "http://a@h/", "http://[::1/", "http://h:x/", "//h/"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        Transport().send(url, {}, seconds=5)


@pytest.mark.parametrize(
    ("host", "amazons"),
    [
        ("dynamodb.eu-central-1.amazonaws.com", True),
        ("kms-fips.us-gov-west-1.amazonaws.com", True),
        ("sqs.eu-west-1.api.aws", True),
        ("dynamodb.cn-north-1.amazonaws.com.cn", False),
        ("sqs.eusc-de-east-1.amazonaws.eu", False),
        ("amazonaws.com.example.org", False),
    ],
)
def test_amazons_roots_are_for_amazons_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, *, amazons: bool
) -> None:
    bundle = tmp_path / "roots.pem"
    bundle.touch()
    monkeypatch.setattr(module, "AMAZON_ROOTS", str(bundle))
    assert module.roots("", host) == (str(bundle) if amazons else None)
    assert module.roots("own.pem", host) == "own.pem"
