"""How long an exchange may take and how much of it is read, whoever is at the other end.

A time-out alone bounds the gap between two bytes: a server that sends one every few seconds would
never be done. So each exchange has one deadline, and a budget of bytes.
"""

import io
import socket
import time
from dataclasses import dataclass
from typing import Any, override

from integrations.errors import ProviderUnavailable

CONNECT_TIMEOUT = 5.0
"""Seconds for reaching one address at most, and again for the TLS handshake."""

CONNECT_SECONDS = 10.0
"""Seconds for reaching a host by any of its addresses."""

MOST_ADDRESSES = 3
"""How many addresses of a kind (IPv4, IPv6) are tried: whoever owns a name may give it a hundred
that are dead."""

TOTAL_TIMEOUT = 60.0
"""Seconds for one request from look-up to last byte, redirects included."""

IDLE_TIMEOUT = 20.0
"""Seconds after which a kept connection is not trusted any more: a frozen Lambda cannot see that
the other side has hung up, and a request lost on a dead connection has an unknown outcome."""

_WRITE = 64 * 1024
"""Bytes of one write; OpenSSL waits within one until all of it is gone."""

WIRE_ALLOWANCE = 256 * 1024
"""What an answer may take on the wire beyond its body: status line, headers, chunk sizes."""


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

    def handshake_timeout(self) -> float:
        """Seconds for a TLS handshake.

        Raises:
            TimeoutError: The deadline has passed.
        """
        return min(CONNECT_TIMEOUT, self.remaining())

    def spend(self, count: int) -> None:
        """Take ``count`` bytes off the budget.

        Raises:
            ProviderUnavailable: It is used up.
        """
        self.wire_budget -= count
        if self.wire_budget < 0:
            raise too_large(self.host)


def send_all(sock: socket.socket, content: bytes | memoryview, flight: Flight) -> None:
    """Send bytes: as long as that takes, up to the flight's deadline.

    A body that goes out in pieces would else have a whole time-out for each of them, and with TLS
    ``sendall`` itself one for each of its writes.

    Raises:
        TimeoutError: The deadline has passed; some of it may be sent.
    """
    left = memoryview(content)
    while left:
        sock.settimeout(flight.remaining())
        left = left[sock.send(left[:_WRITE]) :]


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


def too_large(host: str, status: int | None = None) -> ProviderUnavailable:
    """The error for an answer that is over its budget."""
    detail = f"The answer of {host} is too large to be read"
    return ProviderUnavailable(
        detail, status=status, outcome_unknown=True, provider_code="answer_too_large"
    )
