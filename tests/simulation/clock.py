"""Time and randomness of a simulated process: seconds pass only when nobody has anything to do.

The modules under test take ``time.monotonic`` by name when they are imported, so that this must be
installed before the first of them is: the simulation is a process of its own.
"""

import os
import random
import secrets
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from random import Random
from typing import Any

START = 1_795_348_800.0
"""22 November 2026, noon: the day of the example events."""

cpu_seconds = time.process_time
"""The processor's own time, which is real."""


def _nobody_sleeps(seconds: float) -> None:
    raise AssertionError(f"something outside of a simulated process sleeps {seconds} s")


class Clock:
    """The present moment of the whole simulated world; the scheduler moves it."""

    def __init__(self) -> None:
        self.now = START
        self.sleep: Callable[[float], None] = _nobody_sleeps


CLOCK = Clock()
_RANDOM = Random(0)


class _Moments:
    """What ``integrations.models`` uses of ``datetime``: it alone asks for the present."""

    @staticmethod
    def now(zone: tzinfo) -> datetime:
        return datetime.fromtimestamp(CLOCK.now, zone)

    fromtimestamp = datetime.fromtimestamp


def install() -> None:
    """Take the place of the process's clock, its randomness and its way out, for good."""
    time.time = lambda: CLOCK.now
    time.monotonic = lambda: CLOCK.now
    time.perf_counter = lambda: CLOCK.now
    time.sleep = _sleep
    real_gmtime = time.gmtime
    time.gmtime = lambda seconds=None: real_gmtime(CLOCK.now if seconds is None else seconds)
    os.urandom = _RANDOM.randbytes
    random._urandom = os.urandom  # type: ignore[attr-defined]
    secrets.token_bytes = lambda size=32: _RANDOM.randbytes(size)  # type: ignore[assignment]
    socket.getaddrinfo = _resolve
    socket.socket.connect = _nowhere  # type: ignore[method-assign]
    from integrations import models

    models.datetime = _Moments  # type: ignore[assignment,misc]


def reset(seed: int) -> None:
    """A new world's morning."""
    CLOCK.now = START
    random.seed(seed)
    _RANDOM.seed(seed)


def present() -> datetime:
    """The present moment, in UTC."""
    return datetime.fromtimestamp(CLOCK.now, UTC)


def _sleep(seconds: float) -> None:
    CLOCK.sleep(seconds)


def _resolve(host: Any, port: Any, *_: Any, **__: Any) -> list[Any]:
    """Every name leads to one public address."""
    del host
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port or 0))]


def _nowhere(*_: Any) -> None:
    raise AssertionError("a simulation has no network")
