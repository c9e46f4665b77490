"""Connections to AWS: kept, checked before their next use, and only to who AWS is known to be."""

import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from integrations.storage.aws.transport import Transport
from tests.fakes.certificates import Authority


class Server(ThreadingHTTPServer):
    daemon_threads = True

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
    server: Server

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
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running
        running.shutdown()


def test_a_connection_is_kept(server: Server) -> None:
    transport = Transport()
    for number in range(5):
        assert transport.post(server.url, {}, b"%d" % number) == (200, b"%d" % number)
    assert server.connections == 1


def test_a_connection_that_was_closed_meanwhile_is_not_used_again(server: Server) -> None:
    server.hang_up = True
    transport = Transport()
    for _ in range(3):
        assert transport.post(server.url, {}, b"x") == (200, b"x")
        threading.Event().wait(0.05)
    assert server.connections == 3


def test_threads_do_not_get_in_each_others_way(server: Server) -> None:
    transport = Transport()
    bodies = [b"%d" % number for number in range(200)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda body: transport.post(server.url, {}, body), bodies))
    assert answers == [(200, body) for body in bodies]


def test_nobody_there_is_a_failure() -> None:
    with pytest.raises(OSError, match="refused"):
        Transport().post("http://127.0.0.1:9", {}, b"")


def test_only_the_given_roots_are_believed(server: Server, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("ours", "other")]
    for folder in folders:
        folder.mkdir()
    ours, other = map(Authority, folders)
    context = ours.server_context("localhost")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"https://localhost:{server.server_port}"
    assert Transport(str(ours.bundle)).post(url, {}, b"x") == (200, b"x")
    for bundle in (str(other.bundle), ""):
        with pytest.raises(ssl.SSLCertVerificationError):
            Transport(bundle).post(url, {}, b"x")
