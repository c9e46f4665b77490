"""HTTP to AWS by the standard library: connections are kept open and checked before they are used.

urllib3 would do it as well, and takes as long to import as ``http.client`` and ``ssl`` together
(``docs/performance.md``).
"""

import select
import ssl
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

CONNECT_SECONDS = 2
READ_SECONDS = 10
IDLE = 8
"""How many connections to one host wait for their next use."""

AMAZON_ROOTS = Path(__file__).parents[3] / "amazon-roots.pem"
"""The layer's file of Amazon's own root certificates: AWS's endpoints need no others, and the usual
hundred and more take five times as long to load."""

FAILURES = (OSError, HTTPException)
"""What ``Transport.post`` raises where no answer came."""


def roots(ca_bundle: str = "") -> str | None:
    """The file of the certificates that AWS is known by; ``None`` for the system's own.

    Args:
        ca_bundle: A file that takes their place.
    """
    return ca_bundle or (str(AMAZON_ROOTS) if AMAZON_ROOTS.is_file() else None)


class Transport:
    """Sends requests. Several threads may share one.

    Args:
        ca_bundle: A file of certificates in place of Amazon's own.
    """

    def __init__(self, ca_bundle: str = "") -> None:
        self._ca_bundle = ca_bundle
        self._idle: dict[str, list[HTTPConnection]] = {}

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=roots(self._ca_bundle))

    def post(self, url: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Send a ``POST /``; the status and the body of the answer.

        Raises:
            OSError, HTTPException: There was none, or not a whole one.
        """
        connection = self._connection(url)
        try:
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            answer = response.read()
        except BaseException:
            connection.close()
            raise
        idle = self._idle.setdefault(url, [])
        if response.will_close or len(idle) >= IDLE:
            connection.close()
        else:
            idle.append(connection)
        return response.status, answer

    def _connection(self, url: str) -> HTTPConnection:
        idle = self._idle.get(url)
        while idle:
            try:
                connection = idle.pop()
            except IndexError:
                break  # another thread was faster
            if _is_open(connection):
                return connection
            connection.close()
        parts = urlsplit(url)
        host = parts.hostname or ""
        made = (
            HTTPSConnection(host, parts.port, timeout=CONNECT_SECONDS, context=self._context)
            if parts.scheme == "https"
            else HTTPConnection(host, parts.port, timeout=CONNECT_SECONDS)
        )
        made.connect()
        made.sock.settimeout(READ_SECONDS)
        return made


def _is_open(connection: HTTPConnection) -> bool:
    """Whether the other side still holds an idle connection: what can be read there is its end."""
    if connection.sock is None:
        return False
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return not poll.poll(0)
