"""HTTP over connections that go where the guard allows, within bounds.

It stands on urllib3 alone, which botocore has loaded already.

https://urllib3.readthedocs.io/en/stable/reference/urllib3.connection.html
"""

import io
import json as jsonlib
import logging
import re
import socket
import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPResponse
from typing import Any, override
from urllib.parse import urlencode, urljoin

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, SSLError
from urllib3.exceptions import TimeoutError as UrllibTimeout
from urllib3.util import Url

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
from integrations.outbound.guard import connect, host_of, parse, port_of, tls_context

_OWN_HEADERS = {"Accept-Encoding": "gzip", "User-Agent": "integrations-backend/1"}
_KEPT_ACROSS_ORIGINS = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})
_MOVED = frozenset({HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.FOUND})
_REDIRECTS = _MOVED | {
    HTTPStatus.SEE_OTHER,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_HEADERS = re.compile(r"[^\t\x20-\x7e\x80-\xff]")

# Some lines that urllib3 logs hold the URL, and with it Telegram's token.
for _name in ("urllib3.connection", "urllib3.connectionpool"):
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
        return connect(
            self._dns_host.strip("[]"),
            self.port,
            allow_loopback=flight.allow_loopback,
            timeout=min(bounds.CONNECT_TIMEOUT, flight.remaining()),
        )

    @property
    @override
    def is_connected(self) -> bool:
        return time.monotonic() - self._used_at < bounds.IDLE_TIMEOUT and super().is_connected

    @override
    def request(self, *args: Any, **kwargs: Any) -> None:
        flight = _FLIGHT.get()
        if self.sock is None:
            self.connect()
        # Sending takes as long as it takes, up to the deadline: uploads are large.
        self.sock.settimeout(flight.remaining())
        flight.sent = True
        super().request(*args, **kwargs)

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


# -- Requests --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; implements ``base.Response``."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    host: str

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
    """Sends requests; implements ``base.Http``. One instance keeps its connections for reuse.

    Args:
        allow_loopback: Lets loopback addresses pass (the local platform's setting, nobody else's).
        total_timeout: Seconds that one request may take altogether.
    """

    def __init__(
        self,
        *,
        allow_loopback: bool = False,
        total_timeout: float = bounds.TOTAL_TIMEOUT,
    ) -> None:
        self._allow_loopback = allow_loopback
        self._total_timeout = total_timeout
        # A bare PoolManager: it reads no proxy settings from the environment and keeps no cookies.
        self._pools = urllib3.PoolManager(num_pools=32, maxsize=8)
        self._pools.pool_classes_by_scheme = {"http": _GuardedPool, "https": _GuardedTlsPool}

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | list[tuple[str, str]] | None = None,
        json: Json = None,
        data: Mapping[str, Any] | bytes | None = None,
        files: Mapping[str, tuple[str, bytes, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        max_redirects: int = 0,
        max_bytes: int = 8 * 1024 * 1024,
        read_timeout: float = 15.0,
    ) -> Answer:
        """Send one request and read the whole answer, whatever its status; see ``base.Http``.

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
        target = parse(url)
        if params:
            query = "&".join(filter(None, (target.query, urlencode(_pairs(params)))))
            target = target._replace(query=query)
        body, content_type = _body(json, data, files)
        sending = urllib3.HTTPHeaderDict(_OWN_HEADERS)
        if content_type:
            sending["Content-Type"] = content_type
        for name, value in (headers or {}).items():
            sending[name] = value
        _check_request_line(method, sending)
        flight = Flight(
            allow_loopback=self._allow_loopback,
            deadline=time.monotonic() + self._total_timeout,
            read_timeout=read_timeout,
        )
        token = _FLIGHT.set(flight)
        try:
            while True:
                answer = self._send(flight, method, target, sending, body, max_bytes)
                location = answer.headers.get("location")
                if max_redirects <= 0 or answer.status not in _REDIRECTS or not location:
                    return answer
                max_redirects -= 1
                method, target, sending, body = _redirected(
                    answer.status, location, method, target, sending, body
                )
        finally:
            _FLIGHT.reset(token)

    def _send(
        self,
        flight: Flight,
        method: str,
        target: Url,
        headers: urllib3.HTTPHeaderDict,
        body: bytes | None,
        max_bytes: int,
    ) -> Answer:
        flight.host = host = host_of(target)
        flight.wire_budget = max_bytes + bounds.WIRE_ALLOWANCE
        flight.sent = False
        secure = target.scheme == "https"
        pool = self._pools.connection_from_host(
            target.host,
            target.port,
            target.scheme,
            pool_kwargs={"ssl_context": tls_context()} if secure else None,
        )
        try:
            response = pool.urlopen(
                method,
                target.request_uri,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
                timeout=urllib3.Timeout(connect=bounds.CONNECT_TIMEOUT, read=flight.read_timeout),
                preload_content=False,
                decode_content=True,
            )
            try:
                content = _read(response, max_bytes, host)
            except BaseException:
                response.close()
                raise
            response.release_conn()
        except (HTTPError, OSError) as failure:
            raise _failure(failure, host, sent=flight.sent) from None
        return Answer(response.status, response.headers, content, host)


def _read(response: urllib3.BaseHTTPResponse, max_bytes: int, host: str) -> bytes:
    """Read the body piece by piece, so that a small archive of a huge body does not unpack."""
    pieces: list[bytes] = []
    size = 0
    while piece := response.read(65536, decode_content=True):
        size += len(piece)
        if size > max_bytes:
            raise too_large(host, response.status)
        pieces.append(piece)
    return b"".join(pieces)


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
        detail = f"{host} broke the connection off before its answer was whole"
        return ProviderUnavailable(detail, outcome_unknown=sent)
    return ProviderUnavailable(f"{host} could not be reached")


# -- Parts of a request ----------------------------------------------------------------------


def _redirected(
    status: int,
    location: str,
    method: str,
    target: Url,
    headers: urllib3.HTTPHeaderDict,
    body: bytes | None,
) -> tuple[str, Url, urllib3.HTTPHeaderDict, bytes | None]:
    """The request that a redirect asks for: https://www.rfc-editor.org/rfc/rfc9110#section-15.4."""
    goal = parse(urljoin(target.url, location))
    if target.scheme == "https" and goal.scheme != "https":
        detail = f"{host_of(target)} redirects from https to http"
        raise AddressRefused(detail)
    same_origin = (goal.scheme, host_of(goal), port_of(goal)) == (
        target.scheme,
        host_of(target),
        port_of(target),
    )
    see_other = status == HTTPStatus.SEE_OTHER and method != "HEAD"
    if see_other or (status in _MOVED and method == "POST"):
        method, body = "GET", None
        headers.discard("Content-Type")
    if not same_origin:
        if body is not None:
            detail = f"{host_of(target)} redirects a request with a body to another place"
            raise AddressRefused(detail)
        headers = urllib3.HTTPHeaderDict(
            {name: value for name, value in headers.items() if name.lower() in _KEPT_ACROSS_ORIGINS}
        )
    return method, goal, headers, body


def _check_request_line(method: str, headers: Mapping[str, str]) -> None:
    """Refuse what would break out of its line; ``http.client`` would put the value in its error."""
    errors = [
        FieldError(f"headers.{name}", "holds characters that a header must not hold")
        for name, value in headers.items()
        if not _TOKEN.fullmatch(name) or _NOT_IN_HEADERS.search(value)
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
    data: Mapping[str, Any] | bytes | None,
    files: Mapping[str, tuple[str, bytes, str]] | None,
) -> tuple[bytes | None, str | None]:
    """The body's bytes and its content type."""
    if json is not None:
        text = jsonlib.dumps(json, ensure_ascii=False)
        return text.encode("utf-8", "replace"), "application/json"
    if isinstance(data, bytes):
        return data, None
    if files:
        fields: list[tuple[str, Any]] = [*_pairs(data or {}), *files.items()]
        return urllib3.encode_multipart_formdata(fields)
    if data is not None:
        return urlencode(_pairs(data)).encode(), "application/x-www-form-urlencoded"
    return None, None
