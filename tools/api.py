"""The API of a running stack over HTTP, for the tools that use it as anybody would."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST_SECONDS = 35.0
"""For one request: API Gateway itself gives up after 30 s."""


class Unexpected(Exception):
    """The stack answers something else than a working one does, or nothing; the message says."""


@dataclass(frozen=True)
class Answer:
    """What the stack answered.

    Attributes:
        status: HTTP's.
        body: The JSON value; the text where it is none.
    """

    status: int
    body: Any

    def expect(self, *statuses: int) -> Any:
        """The body, where the status is one of these.

        Raises:
            Unexpected: It is another one.
        """
        if self.status not in statuses:
            raise Unexpected(f"the answer is {self.status}: {json.dumps(self.body)[:300]}")
        return self.body


class Api:
    """The stack's API over HTTP.

    Args:
        url: Where it is, without a slash at the end.
        token: A token of a tenant, with the scopes `read` and `write`.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self._token = token

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: bool = True,
    ) -> Answer:
        """Send a request.

        Args:
            method: Of the request.
            path: Of the request, with its query.
            body: A JSON value.
            raw: A body as it is, in its place.
            headers: More headers.
            token: Show the token.

        Raises:
            Unexpected: No answer came.
        """
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
        if token:
            sent["Authorization"] = f"Bearer {self._token}"
        request = urllib.request.Request(  # noqa: S310 - the tools take http and https alone
            f"{self.url}{path}", data=content, headers=sent, method=method
        )
        try:
            try:
                answer = urllib.request.urlopen(request, timeout=REQUEST_SECONDS)  # noqa: S310
            except urllib.error.HTTPError as refusal:
                answer = refusal
            with answer:
                return Answer(answer.status, _value(answer.read()))
        except (OSError, http.client.HTTPException) as failure:
            raise Unexpected(f"{method} {path}: no answer: {failure}") from None


def _value(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8", "replace")
