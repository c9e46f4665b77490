"""HTTP over connections that go where the guard allows, within bounds.

A session of requests, whose adapter makes guarded connections. It takes nothing from the
environment, stores no cookie and follows no redirect by itself: each is a request of its own here.

https://requests.readthedocs.io/en/latest/user/advanced/#transport-adapters
https://urllib3.readthedocs.io/en/stable/reference/urllib3.connection.html
"""

import io
import json as jsonlib
import logging
import re
import socket
import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from functools import partial
from http import HTTPStatus
from http.client import HTTPResponse
from http.cookiejar import DefaultCookiePolicy
from math import inf
from typing import Any, Final, NamedTuple, Unpack, override
from urllib.parse import urljoin

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import DecodeError, HTTPError, MaxRetryError, SSLError
from urllib3.exceptions import TimeoutError as UrllibTimeout
from urllib3.fields import RequestField
from urllib3.filepost import choose_boundary
from urllib3.util import Url

with warnings.catch_warnings():
    # The layer has no library that guesses charsets, and nothing here asks requests for a guess.
    warnings.filterwarnings("ignore", message="Unable to find acceptable character detection")
    from requests import PreparedRequest, Request, Session
    from requests.adapters import HTTPAdapter
    from requests.exceptions import InvalidURL, RequestException

from integrations import strict_json
from integrations.errors import (
    AddressRefused,
    FieldError,
    InvalidParams,
    ProviderTimeout,
    ProviderUnavailable,
)
from integrations.models import Json
from integrations.outbound import bounds
from integrations.outbound.bounds import BoundedReader, Flight, too_large
from integrations.outbound.charset import charset
from integrations.outbound.content import MAX_STORED, PIECE, Content, StoredFile
from integrations.outbound.guard import connect, host_of, parse, port_of, tls_context
from integrations.outbound.http import ChooseSink, Options

MAX_BYTES: Final = 8 * 1024 * 1024
READ_TIMEOUT: Final = 15.0
_OWN_HEADERS = {"Accept-Encoding": "gzip", "User-Agent": "integrations-backend/1"}
_SENT_TO_OTHER_ORIGINS = frozenset({
    "accept", "accept-encoding", "accept-language", "user-agent", "via"
})  # fmt: skip
_MOVED = frozenset({HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND})
_REDIRECTS = _MOVED | {
    HTTPStatus.SEE_OTHER,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_GZIP: Final = b"\x1f"
_MAX_MEMBERS: Final = 2000
"""How many packed parts may follow each other: each copies what was read behind it."""
_NOT_IN_HEADERS = re.compile(r"[^\t\x20-\x7e\x80-\xff]")

# Some lines that urllib3 logs hold the URL, and with it Telegram's token.
for _name in ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry"):
    logging.getLogger(_name).setLevel(logging.ERROR)

_FLIGHT: ContextVar[Flight] = ContextVar("flight")


# -- Inside the connection -------------------------------------------------------------------


class _BoundedResponse(HTTPResponse):
    """``http.client``'s parser of answers, reading through a ``BoundedReader``."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(BoundedReader(sock, _FLIGHT.get()))


class _GuardedConnection(HTTPConnection):
    """A connection that goes where the guard allows; it fails where there is no flight."""

    response_class = _BoundedResponse
    _used_at = 0.0

    @override
    def _new_conn(self) -> socket.socket:
        flight = _FLIGHT.get()
        sock = connect(
            self._dns_host.strip("[]"),
            self.port,
            allow_loopback=flight.allow_loopback,
            seconds=flight.remaining(),
        )
        # What comes next on it is the TLS handshake.
        sock.settimeout(flight.handshake_timeout())
        return sock

    @property
    @override
    def is_connected(self) -> bool:
        return time.monotonic() - self._used_at < bounds.IDLE_TIMEOUT and super().is_connected

    @override
    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()
        flight = _FLIGHT.get()
        flight.remaining()  # what has no time is not begun
        flight.sent = True
        super().request(*args, **kwargs)

    @override
    def send(self, data: Any) -> None:
        # Sending takes as long as it takes, up to the deadline: uploads are large.
        bounds.send_all(self.sock, data, _FLIGHT.get())

    @override
    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        self._used_at = time.monotonic()
        return super().getresponse()


class _GuardedTlsConnection(_GuardedConnection, HTTPSConnection):
    """The same with TLS; certificate and SNI are for the name, not for the address."""


class _GuardedPool(HTTPConnectionPool):
    ConnectionCls = _GuardedConnection


class _GuardedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTlsConnection


class _GuardedAdapter(HTTPAdapter):
    """Sends what a session prepared, over guarded connections and with our own TLS settings."""

    @override
    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _GuardedPool, "https": _GuardedTlsPool}

    @override
    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, {"ssl_context": tls_context()} if host["scheme"] == "https" else {}

    @override
    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the context above verifies, and this would add certifi's roots to it."""


class _Session(Session):
    @override
    def get_redirect_target(self, resp: Any) -> None:
        """None: to prepare a redirect, a session would read the answer's body without a bound."""


# -- Requests --------------------------------------------------------------------------------


class Answer(NamedTuple):
    """What came back; implements ``http.Response``."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    host: str
    stored: StoredFile | None = None

    @property
    def text(self) -> str:
        """The body as text, by the charset that its content type names, else UTF-8."""
        name = charset(self.headers.get("content-type", ""))
        return self.content.decode(name or "utf-8", "replace").removeprefix("\ufeff")

    def json(self) -> Json:
        """The body as JSON.

        Raises:
            ProviderUnavailable: It is not JSON.
        """
        try:
            return strict_json.read(self.content)
        except strict_json.NotJson:
            detail = f"{self.host} answered with status {self.status} and no JSON"
            raise ProviderUnavailable(detail, status=self.status) from None


class Outbound:
    """Sends requests; implements ``http.Http``. One instance keeps its connections for reuse.

    Args:
        allow_loopback: Lets loopback addresses pass (the local platform's setting, nobody else's).
        total_timeout: Seconds that one request may take altogether.
        time_left: For how many seconds whoever asks may still wait.
    """

    def __init__(
        self,
        *,
        allow_loopback: bool = False,
        total_timeout: float = bounds.TOTAL_TIMEOUT,
        time_left: Callable[[], float] = lambda: inf,
    ) -> None:
        self._allow_loopback = allow_loopback
        self._total_timeout = total_timeout
        self._time_left = time_left
        session = _Session()
        session.trust_env = False  # no proxies, no .netrc, no bundle of certificates
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        session.headers.clear()
        session.headers.update(_OWN_HEADERS)
        if allow_loopback:
            # The platform's proxy answers on this machine, too, to whom it takes for the developer:
            # what a tenant has this backend ask for says that it came through another's hands.
            session.headers["Via"] = "1.1 integrations-backend"
        adapter = _GuardedAdapter(pool_connections=32, pool_maxsize=8, max_retries=0)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        self._session = session

    def request(self, method: str, url: str, **options: Unpack[Options]) -> Answer:
        """Send one request and read the whole answer, whatever its status; see ``Http``.

        In ``params`` and form ``data``, ``None`` leaves a field out, a list repeats it, booleans
        become ``true`` and ``false`` and objects JSON. A redirect beyond ``max_redirects`` is
        returned as the answer that it is. To another origin no header goes along that could be a
        secret, and no body.

        Raises:
            AddressRefused: The guard refuses the scheme, the port or the address, or a redirect
                leaves TLS, or would carry a body to another origin.
            InvalidParams: A header or the method holds what HTTP does not allow.
            ProviderTimeout: No answer in time; ``outcome_unknown`` tells whether it was sent.
            ProviderUnavailable: Could not connect, or the answer broke off or is too large.
        """
        parse(url)
        headers = options.get("headers") or {}
        sending = {name: value.strip(" \t") for name, value in headers.items()}
        _check_request_line(method, sending)
        content, content_type = _body(
            options.get("json"), options.get("data"), options.get("files")
        )
        if content_type and "content-type" not in map(str.lower, sending):
            sending["Content-Type"] = content_type
        params = _pairs(options.get("params") or {})
        asked = Request(method, url, params=params, data=content, headers=sending)
        try:
            request = self._session.prepare_request(asked)
        except InvalidURL:
            raise AddressRefused("The URL is malformed") from None
        seconds = min(self._total_timeout, options.get("total_timeout", inf), self._time_left())
        flight = Flight(
            allow_loopback=self._allow_loopback,
            deadline=time.monotonic() + seconds,
            read_timeout=options.get("read_timeout", READ_TIMEOUT),
        )
        max_bytes = options.get("max_bytes", MAX_BYTES)
        redirects = options.get("max_redirects", 0)
        sink = options.get("sink")
        token = _FLIGHT.set(flight)
        try:
            while True:
                # What is judged is what is sent: the URL as the library has written it.
                target = parse(request.url or "")
                answer = self._send(flight, request, host_of(target), max_bytes, sink)
                location = answer.headers.get("location")
                if redirects <= 0 or answer.status not in _REDIRECTS or not location:
                    return answer
                redirects -= 1
                _redirect(request, answer.status, target, location)
        finally:
            _FLIGHT.reset(token)

    def _send(
        self,
        flight: Flight,
        request: PreparedRequest,
        host: str,
        max_bytes: int,
        sink: ChooseSink | None,
    ) -> Answer:
        flight.host = host
        flight.wire_budget = max_bytes + bounds.WIRE_ALLOWANCE
        flight.sent = False
        try:
            response = self._session.send(
                request,
                stream=True,
                allow_redirects=False,
                timeout=(bounds.CONNECT_TIMEOUT, flight.read_timeout),
            )
            content, stored = b"", None
            try:
                take = sink(response.headers) if sink and response.ok else None
                if take:
                    flight.wire_budget += MAX_STORED
                    taken = take(_pieces(response.raw, MAX_STORED, host))
                    if isinstance(taken, bytes):
                        content = taken
                    else:
                        stored = taken
                else:
                    content = b"".join(_pieces(response.raw, max_bytes, host))
            except BaseException:
                response.close()
                raise
            response.raw.release_conn()
        except (HTTPError, OSError) as failure:
            raise _failure(_cause(failure), host, sent=flight.sent) from None
        return Answer(response.status_code, response.headers, content, host, stored)


def _pieces(response: urllib3.BaseHTTPResponse, max_bytes: int, host: str) -> Iterator[bytes]:
    """Read the body piece by piece, so that a small archive of a huge body does not unpack."""
    encoding = response.headers.get("content-encoding", "").strip().lower()
    is_gzip = encoding in {"gzip", "x-gzip"}
    read = partial(response.read, PIECE, decode_content=not is_gzip)
    size = 0
    for piece in _unpacked(iter(read, b"")) if is_gzip else iter(read, b""):
        size += len(piece)
        if size > max_bytes:
            raise too_large(host, response.status)
        yield piece


def _unpacked(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """What was packed by gzip, to its end; urllib3 takes what breaks off for the whole.

    Raises:
        DecodeError: It is no gzip, its end is missing, or it has too many parts.
    """
    unpacker: Any = None
    members = 0
    try:
        for piece in pieces:
            packed = piece
            while packed:
                if unpacker is None or unpacker.eof:
                    if unpacker and not packed.startswith(_GZIP):
                        return  # what fills the rest up, as gzip itself lets pass
                    members += 1
                    if members > _MAX_MEMBERS:
                        raise DecodeError("the packed body has too many parts")
                    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
                if plain := unpacker.decompress(packed, PIECE):
                    yield plain
                packed = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
    except zlib.error as failure:
        raise DecodeError(str(failure)) from None
    if unpacker and not unpacker.eof:
        raise DecodeError("the packed body breaks off")


def _cause(failure: Exception) -> Exception:
    """The error of urllib3 or of a socket that requests has wrapped."""
    while isinstance(failure, (RequestException, MaxRetryError)):
        inner = failure.reason if isinstance(failure, MaxRetryError) else [*failure.args, None][0]
        if not isinstance(inner, Exception):
            break
        failure = inner
    return failure


def _is_timeout(failure: BaseException) -> bool:
    return isinstance(failure, (TimeoutError, UrllibTimeout)) or any(
        isinstance(cause, TimeoutError) for cause in failure.args
    )


def _failure(failure: Exception, host: str, *, sent: bool) -> ProviderUnavailable:
    """Our error for one of urllib3's, whose own texts hold the URL."""
    if _is_timeout(failure):
        what = "did not answer in time" if sent else "could not be reached in time"
        return ProviderTimeout(f"{host} {what}", outcome_unknown=sent)
    if isinstance(failure, SSLError):
        cause = failure.args[0] if failure.args else failure
        why = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or "TLS error"
        detail = f"A secure connection to {host} failed: {why}"
        return ProviderUnavailable(detail, outcome_unknown=sent, provider_code="tls_failed")
    if sent:
        detail = f"{host} closed the connection before its answer was complete"
        return ProviderUnavailable(detail, outcome_unknown=sent)
    return ProviderUnavailable(f"{host} could not be reached")


# -- Parts of a request ----------------------------------------------------------------------


def _redirect(request: PreparedRequest, status: int, target: Url, location: str) -> None:
    """Turn a request into the one that a redirect asks for.

    https://www.rfc-editor.org/rfc/rfc9110#section-15.4
    """
    goal = parse(urljoin(target.url, location))
    if target.scheme == "https" and goal.scheme != "https":
        detail = f"{host_of(target)} redirects from https to http"
        raise AddressRefused(detail)
    same_origin = (goal.scheme, host_of(goal), port_of(goal)) == (
        target.scheme,
        host_of(target),
        port_of(target),
    )
    see_other = status == HTTPStatus.SEE_OTHER and request.method != "HEAD"
    if see_other or (status in _MOVED and request.method == "POST"):
        request.method, request.body = "GET", None
        for name in ("Content-Type", "Content-Length"):
            request.headers.pop(name, None)
    if not same_origin:
        if request.body is not None:
            detail = f"{host_of(target)} redirects a request with a body to another place"
            raise AddressRefused(detail)
        for name in set(request.headers):
            if name.lower() not in _SENT_TO_OTHER_ORIGINS:
                del request.headers[name]
    try:
        request.prepare_url(goal.url, None)
    except InvalidURL:
        raise AddressRefused("The URL is malformed") from None


def _check_request_line(method: str, headers: Mapping[str, str]) -> None:
    """Refuse what would break out of its line; ``http.client`` would put the value in its error."""
    errors = [
        FieldError(f"headers.{name}", "holds characters that a header must not hold")
        for name, value in headers.items()
        if not _TOKEN.fullmatch(name) or _NOT_IN_HEADERS.search(value) or value[:1].isspace()
    ]
    if not _TOKEN.fullmatch(method):
        errors.append(FieldError("method", "is not an HTTP method"))
    if errors:
        raise InvalidParams("The request cannot be sent as it is", errors)


def _pairs(fields: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in fields.items() if isinstance(fields, Mapping) else fields:
        if isinstance(value, (list, tuple)):
            pairs.extend((name, _text(item)) for item in value)
        elif value is not None:
            pairs.append((name, _text(value)))
    return pairs


def _text(value: object) -> str:
    if isinstance(value, (bool, dict)):
        return jsonlib.dumps(value)
    return str(value)


def _body(
    json: Json,
    data: Mapping[str, Any] | bytes | Content | None,
    files: Mapping[str, tuple[str, bytes | Content, str]] | None,
) -> tuple[bytes | Content | list[tuple[str, str]] | None, str | None]:
    """What the library makes the body of, and its content type where the library sets none."""
    if files:
        # Not by the library, which puts a body with files together in memory.
        fields = _pairs(data) if isinstance(data, Mapping) else []
        return _multipart(fields, files.items())
    if json is not None:
        # Not by the library, whose JSON escapes all but ASCII and is up to three times as long.
        text = jsonlib.dumps(json, ensure_ascii=False)
        return text.encode("utf-8", "replace"), "application/json"
    if isinstance(data, Content) and not data.size:
        return b"", None  # of a stream without bytes the library would make chunks
    return (_pairs(data) if isinstance(data, Mapping) else data), None


def _multipart(
    fields: Iterable[tuple[str, str]],
    files: Iterable[tuple[str, tuple[str, bytes | Content, str]]],
) -> tuple[Content, str]:
    """A body of multipart/form-data and its content type: https://www.rfc-editor.org/rfc/rfc7578.

    Args:
        fields: Names and texts.
        files: Field names, and each file's name, content and content type.
    """
    boundary = choose_boundary()
    parts: list[bytes | Content] = []

    def add(name: str, content: bytes | Content, file_name: str | None, kind: str | None) -> None:
        part = RequestField(name, b"", filename=file_name)
        part.make_multipart(content_type=kind)
        head = f"--{boundary}\r\n{part.render_headers()}"
        parts.extend((head.encode("utf-8", "replace"), content, b"\r\n"))

    for name, text in fields:
        add(name, text.encode("utf-8", "replace"), None, None)
    for name, (file_name, content, kind) in files:
        add(name, content, file_name, kind)
    parts.append(f"--{boundary}--\r\n".encode())
    return Content.joined(parts), f"multipart/form-data; boundary={boundary}"
