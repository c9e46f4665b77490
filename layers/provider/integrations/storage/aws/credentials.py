"""Credentials of an endpoint beside the function, as SnapStart and containers have them.

A function that starts from a snapshot has no keys in its environment: it asks an endpoint on its
own machine, and again before they expire. botocore does it, too, and costs more to import than a
start from a snapshot saves (``docs/performance.md``); its rules are kept: which hosts may be asked,
what a token may look like, how long is waited.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from math import inf
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from integrations.errors import ServiceUnavailable
from integrations.storage.aws.sigv4 import AwsCredentials
from integrations.storage.aws.transport import Transport

EARLY: Final = 15 * 60
"""With less than this many seconds left, new ones are asked for."""

LAST: Final = 60
"""With less than this left, credentials are used no more: a request signed now may arrive later."""

RETRY_AFTER: Final = 30
"""Where asking failed and the old ones are still good: so many seconds until it is tried again."""

ATTEMPTS: Final = 3
SECONDS: Final = 2.0

_HOSTS: Final = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost"})


class NoCredentials(ServiceUnavailable):
    """The endpoint gives no credentials now."""


class ContainerCredentials:
    """The present credentials; calling it gives them. Several threads may share one.

    Args:
        url: ``AWS_CONTAINER_CREDENTIALS_FULL_URI``.
        token: ``AWS_CONTAINER_AUTHORIZATION_TOKEN``; ``""`` for none.
        token_file: ``AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE``, which goes before ``token`` and is
            read each time; ``""`` for none.
        time_left: For how many seconds one may wait in all.
        clock: Seconds since 1970.
        sleep: Waits for so many seconds.

    Raises:
        ValueError: The URL is of a host that may not be asked.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        token_file: str = "",
        time_left: Callable[[], float] = lambda: inf,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not _may_be_asked(url):
            host = urlsplit(url).hostname
            raise ValueError(f"credentials are not asked for at {host!r}, which is another machine")
        self._url = url
        self._token = token
        self._token_file = token_file
        self._time_left = time_left
        self._clock = clock
        self._sleep = sleep
        self._transport = Transport()
        self._lock = threading.Lock()
        self._present: tuple[AwsCredentials, float] | None = None
        self._ask_at = 0.0

    def __call__(self) -> AwsCredentials:
        """The present credentials.

        Raises:
            NoCredentials: There are none, or only some that expire, and the endpoint gives no new
                ones.
        """
        with self._lock:
            if self._present is None or self._clock() >= self._ask_at:
                self._renew()
            assert self._present is not None
            return self._present[0]

    def _renew(self) -> None:
        moment = self._clock()
        last = self._present[1] - LAST if self._present else 0.0
        try:
            credentials, expires_at = self._asked(ATTEMPTS if last <= moment else 1)
        except NoCredentials:
            if last <= moment:
                self._present = None
                raise
            self._ask_at = min(moment + RETRY_AFTER, last)
            return
        self._present = credentials, expires_at
        # Those that live for a shorter time than the usual hours are used for half of it.
        left = expires_at - self._clock()
        self._ask_at = expires_at - min(EARLY, left / 2)

    def _asked(self, attempts: int) -> tuple[AwsCredentials, float]:
        reason = "no time is left"
        for attempt in range(attempts):
            if attempt:
                self._sleep(0.1 * 2**attempt)
            seconds = min(SECONDS, self._time_left())
            if seconds <= 0:
                break
            try:
                status, body, _ = self._transport.send(
                    self._url, self._headers(), seconds=seconds, method="GET"
                )
            except OSError as failure:
                reason = type(failure).__name__
                continue
            if status == HTTPStatus.OK:
                try:
                    return _read(json.loads(body), self._clock())
                except (ValueError, TypeError, LookupError) as failure:
                    # Not its text, which may hold what is secret.
                    reason = f"an answer that cannot be read ({type(failure).__name__})"
            else:
                reason = f"status {status}"
        raise NoCredentials(f"The endpoint of credentials gives none: {reason}")

    def _headers(self) -> dict[str, str]:
        token = self._token
        if self._token_file:
            token = Path(self._token_file).read_text(encoding="utf-8")
        headers = {"host": urlsplit(self._url).netloc, "accept": "application/json"}
        return headers | ({"authorization": token} if token else {})


def _read(document: dict[str, Any], moment: float) -> tuple[AwsCredentials, float]:
    credentials = AwsCredentials(
        str(document["AccessKeyId"]), str(document["SecretAccessKey"]), str(document["Token"])
    )
    expires_at = datetime.fromisoformat(document["Expiration"]).timestamp()
    if expires_at - LAST <= moment:
        raise ValueError("they have expired")
    return credentials, expires_at


def _may_be_asked(url: str) -> bool:
    """Whether a host is this very machine, or known to be beside it, or proves who it is by TLS."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or host in _HOSTS:
        return parts.scheme in {"http", "https"}
    import ipaddress

    try:
        return parts.scheme == "http" and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
