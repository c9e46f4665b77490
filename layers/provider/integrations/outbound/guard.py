"""Which addresses may be reached, judged where the connection is made.

Addresses come from users (webhook targets, mail servers, self-hosted APIs), so a request could be
aimed at what only this machine or its network can see: the metadata service, the runtime's own API,
a private network. The guard therefore judges the address that is *connected to*, inside the
connection itself: a name is resolved once, every address it has is judged, and the socket goes to
one of those; there is no second look-up that a hostile DNS server could answer differently. Each
redirect is a new request and is judged again.

It does the same as the guards of the field: Advocate's (judge the socket, not the URL),
requests-hardened's (judge, then connect to what was judged) and the Fetch standard's list of ports
that are not for HTTP.

https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

import ipaddress
import math
import socket
import ssl
import time
from collections import Counter
from typing import Any

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from integrations import memory
from integrations.errors import AddressRefused, ProviderTimeout, ProviderUnavailable
from integrations.outbound import bounds, egress
from integrations.outbound.domains import to_ascii

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

type _Address = tuple[socket.AddressFamily, tuple[Any, ...]]


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
        EgressClosed: Nothing may leave from here.
    """
    egress.check()
    try:
        found = socket.getaddrinfo(to_ascii(host), port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        detail = f"The host {host} was not found"
        raise ProviderUnavailable(detail, provider_code="host_not_found") from None
    except (UnicodeError, ValueError, OverflowError):
        detail = "The host is not a valid name"
        raise AddressRefused(detail) from None
    addresses: list[_Address] = [(family, sockaddr) for family, _, _, _, sockaddr in found]
    opens_loopback = allow_loopback and not egress.is_own(port)
    for _, sockaddr in addresses:
        if not is_allowed(str(sockaddr[0]), allow_loopback=opens_loopback):
            # The address itself stays out of it: it would map a private network for whoever asks.
            detail = f"The host {host} leads to an address that is not public"
            raise AddressRefused(detail)
    return addresses


def connect(
    host: str, port: int, *, allow_loopback: bool = False, seconds: float = math.inf
) -> socket.socket:
    """Connect to ``host`` by TCP, to an address that the guard has judged.

    Args:
        host: A name or an IP address (without brackets).
        port: The port.
        allow_loopback: Lets loopback addresses pass.
        seconds: For the look-up and the addresses together, where that is less than
            ``CONNECT_SECONDS``. Each address has its share of what is left.

    Returns:
        The connected socket, with a time-out.

    Raises:
        AddressRefused: The guard refuses where the name leads.
        ProviderTimeout: No address answered in time; nothing was sent.
        ProviderUnavailable: The name does not resolve, or the connection was refused.
    """
    deadline = time.monotonic() + min(seconds, bounds.CONNECT_SECONDS)
    addresses = _few(resolve(host, port, allow_loopback=allow_loopback))
    timed_out = False
    for tried, (family, sockaddr) in enumerate(addresses):
        left = deadline - time.monotonic()
        if left <= 0:
            timed_out = True
            break
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
        except OSError:  # there is no such kind of address here (IPv6, where it is switched off)
            continue
        try:
            sock.settimeout(min(bounds.CONNECT_TIMEOUT, left / (len(addresses) - tried)))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(sockaddr)
        except OSError as failure:
            sock.close()
            timed_out = timed_out or isinstance(failure, TimeoutError)
        else:
            return sock
    if timed_out:
        detail = f"The host {host} did not answer on port {port} in time"
        raise ProviderTimeout(detail)
    detail = f"The host {host} refused the connection on port {port}"
    raise ProviderUnavailable(detail, provider_code="connection_refused")


def _few(addresses: list[_Address]) -> list[_Address]:
    """The first addresses of each kind, in their order: one kind may lead nowhere from here."""
    counts: Counter[socket.AddressFamily] = Counter()
    found = []
    for family, sockaddr in addresses:
        counts[family] += 1
        if counts[family] <= bounds.MOST_ADDRESSES:
            found.append((family, sockaddr))
    return found


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
    parsed = parse(url)
    resolve(host_of(parsed), port_of(parsed), allow_loopback=allow_loopback)
    return parsed


def parse(url: str) -> Url:
    """The parts of a URL that a request may go to, by its scheme and its port.

    Raises:
        AddressRefused: The guard refuses it as it is written.
    """
    try:
        parsed = parse_url(url)
        if parsed.host and parsed.host.startswith("["):
            ipaddress.IPv6Address(host_of(parsed))  # the pattern of parse_url is wider
    except (LocationParseError, UnicodeError, ValueError):
        raise AddressRefused("The URL is malformed") from None
    if parsed.scheme not in {"http", "https"}:
        raise AddressRefused("The URL must begin with http:// or https://")
    if not parsed.host:
        raise AddressRefused("The URL names no host")
    if parsed.auth is not None:
        raise AddressRefused("The URL must not hold a user name or a password")
    if port_of(parsed) in NOT_HTTP_PORTS:
        detail = f"Port {parsed.port} is not for HTTP"
        raise AddressRefused(detail)
    return parsed


def host_of(parsed: Url) -> str:
    """The host's name or address, without brackets."""
    return (parsed.host or "").strip("[]")


def port_of(parsed: Url) -> int:
    """The port, the scheme's own where the URL names none."""
    if parsed.port is not None:
        return parsed.port
    return 443 if parsed.scheme == "https" else 80


@memory.once
def tls_context() -> ssl.SSLContext:
    """The TLS settings of everything outbound: certificate and name are verified, always.

    The trusted roots are the system's (``SSL_CERT_FILE`` names others, see OpenSSL); where the
    system has none, those that botocore brings along.
    """
    context = ssl.create_default_context()
    paths = ssl.get_default_verify_paths()
    if paths.cafile is None and paths.capath is None and not context.get_ca_certs():
        from importlib.resources import files

        context.load_verify_locations(cadata=files("botocore").joinpath("cacert.pem").read_text())
    return context


class Tls:
    """The same for one exchange, as smtplib uses a context: the handshake is over in time.

    Args:
        flight: The exchange.
    """

    def __init__(self, flight: bounds.Flight) -> None:
        self._flight = flight

    def wrap_socket(self, sock: socket.socket, *, server_hostname: str) -> ssl.SSLSocket:
        """Secure a connection by a handshake."""
        sock.settimeout(self._flight.handshake_timeout())
        return tls_context().wrap_socket(sock, server_hostname=server_hostname)
