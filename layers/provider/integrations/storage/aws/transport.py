"""HTTP/1.1 to AWS: kept connections, answers read by llhttp, one limit of time for each exchange.

``http.client`` reads an answer's headers through ``email``, which takes longer than all the rest of
a call; ``httptools`` is llhttp, the parser of Node (``docs/performance.md``).
"""

import errno
import os
import re
import select
import socket
import ssl
import time
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

CONNECT_SECONDS = 1.0
"""In one region a connection takes milliseconds; a lost first packet is sent again after a second,
which another try does as well."""

IDLE = 8
"""How many connections to one host wait for their next use."""

MOST_HEAD = 64 * 1024
MOST_BODY = 64 * 1024 * 1024
"""AWS's largest answer, of ``BatchGetItem``, is 16 MB; JSON may make more of it."""

AMAZON_ROOTS = f"{__file__.rsplit('/', 4)[0]}/amazon-roots.pem"
"""The layer's file of Amazon's own root certificates: AWS's endpoints need no others, and the usual
hundred and more take five times as long to load."""

_OF_AMAZON = (".amazonaws.com", ".api.aws")
"""Hosts with certificates under those roots. Partitions with domains of their own (China, the
isolated ones) have other authorities."""

_URL = re.compile(r"((https?)://(\[[0-9A-Fa-f:.]+\]|[^/:?#@\[\]]+)(?::([0-9]+))?)([/?].*)?")
"""Origin, scheme, host, port and target. ``urllib.parse`` reads more than the addresses of AWS, and
is a thirtieth of the receiver's cold start."""

_PORTS = {"http": 80, "https": 443}

_READ_BYTES = 64 * 1024

_ALIVE = {
    "SO_KEEPALIVE": (socket.SOL_SOCKET, 1),
    "TCP_NODELAY": (socket.IPPROTO_TCP, 1),
    "TCP_KEEPIDLE": (socket.IPPROTO_TCP, 20),
    "TCP_KEEPINTVL": (socket.IPPROTO_TCP, 5),
    "TCP_KEEPCNT": (socket.IPPROTO_TCP, 3),
    # What was sent and is not even acknowledged for so long (ms) ends the connection: the other
    # side is gone, and waiting for the answer's whole time would tell nothing more.
    "TCP_USER_TIMEOUT": (socket.IPPROTO_TCP, 1000),
}
"""Options of each socket, where the system has them (macOS lacks some)."""


class BadAnswer(ConnectionError):
    """What came is not one whole HTTP answer."""


def roots(ca_bundle: str = "", host: str = "") -> str | None:
    """The file of the certificates that AWS is known by; ``None`` for the system's own.

    Args:
        ca_bundle: A file that takes their place.
        host: Who is to be known.
    """
    if ca_bundle:
        return ca_bundle
    there = host.endswith(_OF_AMAZON) and os.path.isfile(AMAZON_ROOTS)  # noqa: PTH113 - as in endpoints.py
    return AMAZON_ROOTS if there else None


class Answer(NamedTuple):
    """An answer of AWS.

    Attributes:
        status: HTTP's.
        body: All of it.
        error: What ``x-amzn-ErrorType`` says, where a protocol names an error there.
    """

    status: int
    body: bytes
    error: str = ""


class Transport:
    """Sends requests. Several threads may share one.

    Args:
        ca_bundle: A file of certificates in place of Amazon's own.
    """

    def __init__(self, ca_bundle: str = "") -> None:
        self._ca_bundle = ca_bundle
        self._idle: dict[str, list[socket.socket]] = {}

    def send(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        seconds: float,
        method: str = "POST",
    ) -> Answer:
        """Send one request; its answer.

        A kept connection that turns out to be closed is not a failure: the request goes out once
        more by another.

        Args:
            url: Where to; its query is sent as it stands.
            headers: All of them but the body's length.
            body: What is sent.
            seconds: How long it may take, from connecting to the answer's last byte.
            method: HTTP's.

        Raises:
            OSError: There was no whole answer in this time.
            ValueError: A header would begin a line of its own, or the address is none.
        """
        until = time.monotonic() + seconds
        found = _URL.fullmatch(url)
        if not found:
            raise ValueError("this is no address of AWS")
        origin, scheme, host, port, target = found.groups()
        target = target if target and target[0] == "/" else f"/{target or ''}"
        message = _message(method, target, headers, body)
        while (idle := self._idle_connection(origin)) is not None:
            answer = _Reader()
            try:
                return self._exchange(origin, idle, message, answer, until)
            except OSError as failure:
                if answer.began or _ran_out(failure):
                    raise
        fresh = _connected(
            host.strip("[]"),
            int(port or _PORTS[scheme]),
            secure=scheme == "https",
            ca_bundle=self._ca_bundle,
            until=until,
        )
        return self._exchange(origin, fresh, message, _Reader(), until)

    def _exchange(
        self,
        origin: str,
        connection: socket.socket,
        message: bytes,
        answer: "_Reader",
        until: float,
    ) -> Answer:
        try:
            connection.settimeout(_left(until))
            connection.sendall(message)
            while not answer.whole:
                connection.settimeout(_left(until))
                answer.feed(connection.recv(_READ_BYTES))
        except BaseException:
            connection.close()
            raise
        idle = self._idle.setdefault(origin, [])
        if answer.keeps_alive and len(idle) < IDLE:
            idle.append(connection)
        else:
            connection.close()
        return Answer(answer.status, b"".join(answer.body), answer.error)

    def _idle_connection(self, origin: str) -> socket.socket | None:
        """A connection that was used before, and that nobody has closed as far as one can see."""
        idle = self._idle.get(origin)
        while idle:
            try:
                connection = idle.pop()
            except IndexError:
                return None  # another thread was faster
            if _is_quiet(connection):
                return connection
            connection.close()
        return None


class _Reader:
    """Reads one answer, fed with what arrives. llhttp calls the ``on_`` methods."""

    def __init__(self) -> None:
        self.began = self.whole = self.keeps_alive = False
        self.status = 0
        self.error = ""
        self.body: list[bytes] = []
        self._head = self._length = 0
        self._framed = self._in_body = False
        self._parser: HttpResponseParser | None = HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Take what arrived; nothing at all is the connection's end."""
        if not data:
            if not self._in_body or self._framed:
                raise BadAnswer("the connection was closed before the answer's end")
            self.whole = True  # an answer of HTTP/1.0 ends with its connection
            return
        self.began = True
        if not self._in_body:
            self._head += len(data)
        try:
            assert self._parser is not None
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as failure:
            if self.whole:
                self.keeps_alive = False
                return
            raise BadAnswer(f"it is not HTTP: {failure}") from None
        if self._length > MOST_BODY or (not self._in_body and self._head > MOST_HEAD):
            raise BadAnswer("the answer is too long")

    def on_message_begin(self) -> None:
        if self.whole:
            self.keeps_alive = False  # what follows a whole answer was not asked for
        else:
            self._framed = False

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._framed |= name in {b"content-length", b"transfer-encoding"}
        if name == b"x-amzn-errortype":
            self.error = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if not self.whole and self._parser is not None:
            self.status = self._parser.get_status_code()
            self._in_body = not self._is_interim

    def on_body(self, part: bytes) -> None:
        if not self.whole:
            self.body.append(part)
            self._length += len(part)

    def on_message_complete(self) -> None:
        if not self.whole and not self._is_interim and self._parser is not None:
            self.whole = True
            self.keeps_alive = self._parser.should_keep_alive()

    @property
    def _is_interim(self) -> bool:
        """Whether another answer follows, as after ``100 Continue``."""
        return self.status < 200  # noqa: PLR2004 - the first final status


def _message(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = [
        f"{method} {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header must be one line")
    if body or method == "POST":
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _connected(
    host: str, port: int, *, secure: bool, ca_bundle: str, until: float
) -> socket.socket:
    failure: OSError = OSError(errno.EADDRNOTAVAIL, f"{host} has no address")
    kind = socket.SOCK_STREAM
    for family, _, protocol, _, address in socket.getaddrinfo(host, port, type=kind):
        connection = socket.socket(family, kind, protocol)
        try:
            for name, (level, value) in _ALIVE.items():
                if hasattr(socket, name):
                    connection.setsockopt(level, getattr(socket, name), value)
            connection.settimeout(min(CONNECT_SECONDS, _left(until)))
            connection.connect(address)
            if secure:
                context = _context(roots(ca_bundle, host))
                return context.wrap_socket(connection, server_hostname=host)
        except OSError as this:
            connection.close()
            failure = this
            continue
        return connection
    raise failure


@cache
def _context(bundle: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=bundle)


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left


def _ran_out(failure: OSError) -> bool:
    """Whether it was our own limit: the system says with a number that the other side is gone."""
    return isinstance(failure, TimeoutError) and failure.errno is None


def _is_quiet(connection: socket.socket) -> bool:
    """Whether an idle connection holds nothing to read: what could be read there is its end."""
    if isinstance(connection, ssl.SSLSocket) and connection.pending():
        return False
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return not poll.poll(0)
