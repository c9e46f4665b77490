"""An HTTP server on loopback that keeps what it is sent and answers what it is told to.

It plays whoever receives our webhooks. ``python -m tests.fakes.receiver 8089`` serves alone.
"""

import json
import ssl
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Self, override
from urllib.parse import parse_qsl, urlsplit

from tests.fakes.serving import Server


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    connection: int

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer.

    Attributes:
        status: The status.
        body: The body.
        headers: More headers.
        delay: Seconds to wait before answering.
        drip: Seconds between the body's bytes.
        hang_up: Close without an answer.
        raw: Send these bytes instead of a proper answer, and close.
        truncate: Announce more bytes than come.
    """

    status: int = 200
    body: bytes = b'{"ok":true}'
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drip: float = 0.0
    hang_up: bool = False
    raw: bytes | None = None
    truncate: bool = False


class Receiver:
    """The server. Use it as a context manager; port 0 takes a free one.

    Attributes:
        received: Every request, in order.
        default: The reply where none is queued.
    """

    def __init__(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.received: list[Received] = []
        self.default = Reply()
        self.closing = threading.Event()
        self._queue: deque[Reply] = deque()
        self._lock = threading.Lock()
        self._server = _Server(self, (host, port), tls)
        self._scheme = "https" if tls else "http"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """Its URL, by a name of your choice."""
        return f"{self._scheme}://{host}:{self.port}{path}"

    def reply(self, *replies: Reply) -> None:
        """Queue what to answer to the next requests."""
        self._queue.extend(replies)

    @property
    def last(self) -> Received:
        """The newest request."""
        return self.received[-1]

    def deliveries(self) -> Counter[str]:
        """How often each ``webhook-id`` came: more than once is what a receiver deduplicates."""
        return Counter(request.headers.get("webhook-id", "") for request in self.received)

    def take(self, request: Received) -> Reply:
        """Keep a request and say what to answer."""
        with self._lock:
            self.received.append(request)
            return self._queue.popleft() if self._queue else self.default

    def start(self) -> Self:
        """Serve in the background."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop serving."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class _Server(Server):
    def __init__(
        self,
        receiver: Receiver,
        address: tuple[str, int],
        tls: ssl.SSLContext | None,
    ) -> None:
        self.receiver = receiver
        super().__init__(address, _Handler)
        if tls is not None:
            # The handshake belongs to the connection's own thread, not to the accepting one.
            self.socket = tls.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    @override
    def server_bind(self) -> None:
        # HTTPServer would look its own name up, and so meet a test's DNS.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", int(self.server_address[1])

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the game."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits for an acknowledgement
    server: _Server

    def _handle(self) -> None:
        split = urlsplit(self.path)
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # no request: its sender gave up
            self.close_connection = True
            return
        request = Received(
            method=self.command,
            path=split.path,
            query=dict(parse_qsl(split.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
            connection=self.client_address[1],
        )
        receiver = self.server.receiver
        reply = receiver.take(request)
        receiver.closing.wait(reply.delay)
        if reply.hang_up:
            self.close_connection = True
        elif reply.raw is not None:
            self.wfile.write(reply.raw)
            self.close_connection = True
        else:
            self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in {"content-type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(reply.body) + 100 * reply.truncate))
        self.end_headers()
        if self.command == "HEAD":
            return
        if not reply.drip:
            self.wfile.write(reply.body)
        for byte in reply.body if reply.drip else b"":
            self.wfile.write(bytes([byte]))
            time.sleep(reply.drip)
        self.close_connection = self.close_connection or reply.truncate

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = _handle  # noqa: N815

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Tests are quiet."""


if __name__ == "__main__":
    with Receiver(int(sys.argv[1])) as alone:
        alone.closing.wait()
