"""The one way out: every request to an address passes here, and its guard.

Addresses come from users (webhook targets, mail servers, self-hosted APIs), so a request could be
aimed at what only this machine or its network can see: the metadata service, the runtime's own API,
a private network. The guard therefore judges the address that is *connected to*, inside the
connection itself: a name is resolved once, every address it has is judged, and the socket goes to
one of those; there is no second look-up that a hostile DNS server could answer differently. Each
redirect is a new request and is judged again.

It stands on urllib3 alone, which botocore has loaded already (``requests`` would add its own weight
to each cold start and nothing that is used here). It does the same as the guards of the field:
Advocate's (judge the socket, not the URL), requests-hardened's (judge, then connect to what was
judged) and the Fetch standard's list of ports that are not for HTTP.

https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
https://urllib3.readthedocs.io/en/stable/reference/urllib3.connection.html
"""

import io
import ipaddress
import json as jsonlib
import logging
import re
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from http.client import HTTPResponse
from typing import Any, override
from urllib.parse import urlencode, urljoin

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, LocationParseError, SSLError
from urllib3.exceptions import TimeoutError as UrllibTimeout
from urllib3.util import Url, parse_url

from integrations import strict_json
from integrations.errors import (
    AddressRefused,
    FieldError,
    InvalidParams,
    ProviderTimeout,
    ProviderUnavailable,
)
from integrations.models import Json
from integrations.providers.charset import charset

CONNECT_TIMEOUT = 5.0
"""Seconds for reaching one address, and again for the TLS handshake."""

TOTAL_TIMEOUT = 60.0
"""Seconds for one request from look-up to last byte, redirects included."""

IDLE_TIMEOUT = 20.0
"""Seconds after which a kept connection is not trusted any more: a frozen Lambda cannot see that
the other side has hung up, and a request lost on a dead connection has an unknown outcome."""

WIRE_ALLOWANCE = 256 * 1024
"""What an answer may take on the wire beyond its body: status line, headers, chunk sizes."""

# https://fetch.spec.whatwg.org/#port-blocking
NOT_HTTP_PORTS = frozenset({
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101,
    102, 103, 104, 109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427,
    465, 512, 513, 514, 515, 526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990,
    993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667,
    6668, 6669, 6679, 6697, 10080,
})  # fmt: skip

# Judged by hand, because Python's ``is_global`` follows the registry (which calls some of them
# globally reachable) and has changed its mind on others between releases.
_GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NEVER = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # IETF protocol assignments
        "192.88.99.0/24",  # 6to4 relays
        "2001::/23",  # Teredo, ORCHID and other overlays
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3fff::/20",  # documentation
    )
)

_OWN_HEADERS = {"Accept-Encoding": "gzip", "User-Agent": "integrations-backend/1"}
_KEPT_ACROSS_ORIGINS = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})
_LONGEST_WAIT = 24 * 3600.0
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_HEADERS = re.compile(r"[^\t\x20-\x7e\x80-\xff]")

type _Address = tuple[socket.AddressFamily, tuple[Any, ...]]

# Some lines that urllib3 logs hold the URL, and with it Telegram's token.
for _name in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_name).setLevel(logging.ERROR)


# -- The guard -------------------------------------------------------------------------------


def is_allowed(address: str, *, allow_loopback: bool = False) -> bool:
    """Whether the guard lets a connection to this IP address pass.

    Public unicast addresses pass. Private, loopback, link-local (the metadata services'), shared,
    multicast, reserved and documentation ranges do not, nor what carries such an address inside.

    Args:
        address: An IPv4 or IPv6 address, as ``socket.getaddrinfo`` gives it.
        allow_loopback: Lets 127.0.0.0/8 and ::1 pass as well, and nothing else.
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in _NAT64:
            # How an IPv6-only subnet reaches an IPv4 host: judged by that host.
            ip = ipaddress.IPv4Address(ip.packed[-4:])
    if ip.is_loopback:
        return allow_loopback
    if isinstance(ip, ipaddress.IPv6Address) and ip not in _GLOBAL_V6:
        return False
    if any(ip in network for network in _NEVER if network.version == ip.version):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


def resolve(host: str, port: int, *, allow_loopback: bool = False) -> list[_Address]:
    """Look ``host`` up and judge every address that it has.

    One refused address refuses the name: a name with a public and a private address is an attack
    or a mistake, and neither should depend on which answer came first.

    Args:
        host: A name or an IP address (without brackets).
        port: The port.
        allow_loopback: Lets loopback addresses pass.

    Returns:
        What to connect to, in the resolver's order.

    Raises:
        AddressRefused: The name is malformed, or the guard refuses where it leads.
        ProviderUnavailable: The name does not resolve.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        detail = f"The host {host} was not found"
        raise ProviderUnavailable(detail, provider_code="host_not_found") from None
    except (UnicodeError, ValueError, OverflowError):
        detail = "The host is not a valid name"
        raise AddressRefused(detail) from None
    addresses: list[_Address] = [(family, sockaddr) for family, _, _, _, sockaddr in found]
    for _, sockaddr in addresses:
        if not is_allowed(str(sockaddr[0]), allow_loopback=allow_loopback):
            # The address itself stays out of it: it would map a private network for whoever asks.
            detail = f"The host {host} leads to an address that is not public"
            raise AddressRefused(detail)
    return addresses


def connect(
    host: str, port: int, *, allow_loopback: bool = False, timeout: float = CONNECT_TIMEOUT
) -> socket.socket:
    """Connect to ``host`` by TCP, to an address that the guard has judged.

    Args:
        host: A name or an IP address (without brackets).
        port: The port.
        allow_loopback: Lets loopback addresses pass.
        timeout: Seconds for each address, and the socket's time-out from then on.

    Returns:
        The connected socket.

    Raises:
        AddressRefused: The guard refuses where the name leads.
        ProviderTimeout: No address answered in time; nothing was sent.
        ProviderUnavailable: The name does not resolve, or the connection was refused.
    """
    timed_out = False
    for family, sockaddr in resolve(host, port, allow_loopback=allow_loopback):
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(sockaddr)
        except OSError as failure:
            sock.close()
            timed_out = timed_out or isinstance(failure, TimeoutError)
        else:
            return sock
    if timed_out:
        detail = f"The host {host} did not answer on port {port} within {timeout:g} s"
        raise ProviderTimeout(detail)
    detail = f"The host {host} refused the connection on port {port}"
    raise ProviderUnavailable(detail, provider_code="connection_refused")


def check_url(url: str, *, allow_loopback: bool = False) -> Url:
    """Judge a URL without sending anything: its scheme, its port and where its host leads.

    Args:
        url: What a user gave.
        allow_loopback: Lets loopback addresses pass.

    Returns:
        The URL's parts.

    Raises:
        AddressRefused: The guard refuses it.
        ProviderUnavailable: Its host does not resolve.
    """
    parsed = _parse(url)
    resolve(_host(parsed), _port(parsed), allow_loopback=allow_loopback)
    return parsed


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer's ``Retry-After`` asks for, at most a day.

    https://www.rfc-editor.org/rfc/rfc9110#field.retry-after

    Args:
        headers: The answer's headers; it names seconds or a date.

    Returns:
        ``None`` where it does not say, or says nothing that can be understood.
    """
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        wait = float(value)
    else:
        try:
            wait = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(wait, 0.0), _LONGEST_WAIT)


@cache
def tls_context() -> ssl.SSLContext:
    """The TLS settings of everything outbound: certificate and name are verified, always.

    The trusted roots are the system's (``SSL_CERT_FILE`` names others, see OpenSSL); where the
    system has none, those that botocore brings along.
    """
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and paths.capath is None and not context.get_ca_certs():
        from importlib.resources import files  # noqa: PLC0415 - macOS installers without roots only

        context.load_verify_locations(cadata=files("botocore").joinpath("cacert.pem").read_text())
    return context


# -- Inside the connection -------------------------------------------------------------------


@dataclass(slots=True)
class Flight:
    """One exchange under way: what its connection must know.

    Attributes:
        allow_loopback: Lets loopback addresses pass.
        deadline: When it must be over, in monotonic time.
        read_timeout: Seconds to wait between bytes.
        wire_budget: Bytes that may still be read.
        host: Whom it is with.
        sent: Whether anything was sent that could have an effect.
    """

    allow_loopback: bool
    deadline: float
    read_timeout: float
    wire_budget: int = 0
    host: str = ""
    sent: bool = False

    def remaining(self) -> float:
        """Seconds until the deadline.

        Raises:
            TimeoutError: It has passed.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def spend(self, count: int) -> None:
        """Take ``count`` bytes off the budget.

        Raises:
            ProviderUnavailable: It is used up.
        """
        self.wire_budget -= count
        if self.wire_budget < 0:
            raise _too_large(self.host)


_FLIGHT: ContextVar[Flight] = ContextVar("flight")


class BoundedReader(io.RawIOBase):
    """The socket as a file whose reads end at the flight's deadline and budget.

    A time-out alone bounds the gap between two bytes, and urllib3's own limits do not cover
    headers and chunk lines: a server that sends a byte every few seconds would never be done.
    """

    def __init__(self, sock: socket.socket, flight: Flight) -> None:
        self._sock = sock
        self._file = sock.makefile("rb", buffering=0)
        self._flight = flight

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any, /) -> int | None:
        flight = self._flight
        self._sock.settimeout(min(flight.read_timeout, flight.remaining()))
        count = self._file.readinto(buffer)
        flight.spend(count or 0)
        return count

    @override
    def close(self) -> None:
        self._file.close()
        super().close()


class _BoundedResponse(HTTPResponse):
    """``http.client``'s parser of answers, reading through a ``BoundedReader``."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
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
            timeout=min(CONNECT_TIMEOUT, flight.remaining()),
        )

    @property
    @override
    def is_connected(self) -> bool:
        return time.monotonic() - self._used_at < IDLE_TIMEOUT and super().is_connected

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
        return self.content.decode(name or "utf-8", "replace")

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
        total_timeout: float = TOTAL_TIMEOUT,
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
        target = _parse(url)
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

    def _send(  # noqa: PLR0917 - the parts of one request
        self,
        flight: Flight,
        method: str,
        target: Url,
        headers: urllib3.HTTPHeaderDict,
        body: bytes | None,
        max_bytes: int,
    ) -> Answer:
        flight.host = host = _host(target)
        flight.wire_budget = max_bytes + WIRE_ALLOWANCE
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
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=flight.read_timeout),
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
            raise _too_large(host, response.status)
        pieces.append(piece)
    return b"".join(pieces)


def _too_large(host: str, status: int | None = None) -> ProviderUnavailable:
    detail = f"The answer of {host} is larger than is read of one"
    return ProviderUnavailable(
        detail, status=status, outcome_unknown=True, provider_code="answer_too_large"
    )


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


def _parse(url: str) -> Url:
    try:
        parsed = parse_url(url)
    except (LocationParseError, UnicodeError, ValueError):
        raise AddressRefused("The URL is malformed") from None
    if parsed.scheme not in {"http", "https"}:
        raise AddressRefused("The URL must begin with http:// or https://")
    if not parsed.host:
        raise AddressRefused("The URL names no host")
    if parsed.auth is not None:
        raise AddressRefused("The URL must not hold a user name or a password")
    if _port(parsed) in NOT_HTTP_PORTS:
        detail = f"Port {parsed.port} is not for HTTP"
        raise AddressRefused(detail)
    return parsed


def _host(parsed: Url) -> str:
    return (parsed.host or "").strip("[]")


def _port(parsed: Url) -> int:
    if parsed.port is not None:
        return parsed.port
    return 443 if parsed.scheme == "https" else 80


def _redirected(  # noqa: PLR0917 - the parts of one request
    status: int,
    location: str,
    method: str,
    target: Url,
    headers: urllib3.HTTPHeaderDict,
    body: bytes | None,
) -> tuple[str, Url, urllib3.HTTPHeaderDict, bytes | None]:
    """The request that a redirect asks for: https://www.rfc-editor.org/rfc/rfc9110#section-15.4."""
    goal = _parse(urljoin(target.url, location))
    if target.scheme == "https" and goal.scheme != "https":
        detail = f"{_host(target)} redirects from https to http"
        raise AddressRefused(detail)
    same_origin = (goal.scheme, _host(goal), _port(goal)) == (
        target.scheme,
        _host(target),
        _port(target),
    )
    if (status == 303 and method != "HEAD") or (status in {301, 302} and method == "POST"):  # noqa: PLR2004
        method, body = "GET", None
        headers.discard("Content-Type")
    if not same_origin:
        if body is not None:
            detail = f"{_host(target)} redirects a request with a body to another place"
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
