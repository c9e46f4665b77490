"""The ports of this machine."""

import socket
from contextlib import suppress


def is_free(port: int) -> bool:
    """Tell whether nothing listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def is_served(port: int) -> bool:
    """Tell whether somebody answers at a port of `localhost`, by IPv6 or by IPv4.

    A browser tries `::1` first. Who has that address alone leaves the one of 127.0.0.1 free, and on
    macOS who has all addresses does, too.
    """
    for address in ("::1", "127.0.0.1"):
        with suppress(OSError), socket.create_connection((address, port), timeout=1):
            return True
    return False


def free() -> int:
    """Name a port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
