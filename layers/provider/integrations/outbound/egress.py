"""The way out, closed for a while: what only looks at something sends nothing."""

from collections.abc import Iterator
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


def check() -> None:
    """Where every connection and every look-up of a name passes.

    Raises:
        EgressClosed: Nothing may leave from here.
    """
    if _CLOSED.get():
        raise EgressClosed("nothing may leave from here")
