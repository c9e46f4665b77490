"""The way out, closed for a while, or to the ports of this machine that are the platform's own."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final


class EgressClosed(RuntimeError):
    """Something wanted out where nothing may leave: a defect, never a user's mistake."""


_CLOSED: Final = ContextVar("egress_closed", default=False)


@contextmanager
def closed() -> Iterator[None]:
    """Let nothing out to providers from within."""
    token = _CLOSED.set(True)
    try:
        yield
    finally:
        _CLOSED.reset(token)


_OWN_PORTS: Final[set[int]] = set()


def close_ports(ports: Iterable[int]) -> None:
    """Close ports of loopback for this process: AWS's stand-in and Lambda's runtime answer there.

    The local platform alone lets loopback be reached, and those are not for a tenant's requests.
    """
    _OWN_PORTS.clear()
    _OWN_PORTS.update(ports)


def is_own(port: int) -> bool:
    """Whether a port of loopback is closed."""
    return port in _OWN_PORTS


def check() -> None:
    """Where every connection and every look-up of a name passes.

    Raises:
        EgressClosed: Nothing may leave from here.
    """
    if _CLOSED.get():
        raise EgressClosed("nothing may leave from here")
