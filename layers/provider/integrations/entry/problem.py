"""Errors as ``application/problem+json`` (RFC 9457). Standard library only: every route uses it."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from math import ceil
from typing import Any, NamedTuple

from integrations import errors
from integrations.errors import FieldError, IntegrationError

MAX_EVENT_BYTES = 6 * 1024 * 1024
"""Lambda takes so much in one invocation, and answers with as much: the event as JSON, all of it.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

MAX_BODY_BYTES = MAX_EVENT_BYTES - 64 * 1024
"""What of it a body may take: headers, path and context need the rest.

In the event, text is a JSON string, in which quotes, backslashes and line breaks take two bytes;
anything else is base64, so that about 4.6 MB of bytes fit."""

NEVER_STORED = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""On every answer of JSON that says nothing else: it is one caller's, and is what it says it is."""

BUSY = "This backend is busy, or what it stands on does not answer; try again in a moment"

MAX_FIELDS = 50
MAX_FIELD = 200
"""What is repeated of mistakes: whatever was sent as a name may be anything, and many."""


def size_refusal(body: str, *, is_base64: bool) -> "Problem | None":
    """Why a body is too large, as it stands in its event; ``None`` where it is not.

    AWS itself refuses what is over Lambda's limit, before any function is asked.
    """
    size = len(body)
    if not is_base64 and size > MAX_BODY_BYTES // 6:  # no character takes more
        size = len(json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    if size <= MAX_BODY_BYTES:
        return None
    detail = f"The body is over the limit of {MAX_BODY_BYTES} bytes"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "payload_too_large", detail)


STATUS: tuple[tuple[type[IntegrationError], HTTPStatus], ...] = (
    (errors.InvalidRedirect, HTTPStatus.BAD_REQUEST),
    (errors.InvalidInput, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.Forbidden, HTTPStatus.FORBIDDEN),
    (errors.NotFound, HTTPStatus.NOT_FOUND),
    (errors.Conflict, HTTPStatus.CONFLICT),
    (errors.HandshakeRefused, HTTPStatus.BAD_REQUEST),
    (errors.SignatureRefused, HTTPStatus.UNAUTHORIZED),
    (errors.ChallengeRefused, HTTPStatus.FORBIDDEN),
    (errors.QuotaExceeded, HTTPStatus.TOO_MANY_REQUESTS),
    (errors.RateLimited, HTTPStatus.TOO_MANY_REQUESTS),
    (errors.ProviderTimeout, HTTPStatus.GATEWAY_TIMEOUT),
    (errors.ProviderUnavailable, HTTPStatus.BAD_GATEWAY),
    (errors.ProviderError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.ServiceUnavailable, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.ExpressionError, HTTPStatus.UNPROCESSABLE_ENTITY),
)
"""Which error is which status; the first that fits. What is not here is ours: 500."""


class Problem(NamedTuple):
    """One refusal, ready to be answered."""

    status: HTTPStatus
    code: str
    detail: str
    fields: Sequence[FieldError] = ()
    more: Mapping[str, object] = {}
    retry_after: float | None = None
    headers: Mapping[str, str] = {}

    @property
    def waiting(self) -> dict[str, str]:
        """The header that says when it may be tried again, where that is known."""
        return {} if self.retry_after is None else {"Retry-After": str(ceil(self.retry_after))}

    def response(self, request_id: str = "") -> dict[str, Any]:
        """The answer, as payload format 2.0 has it."""
        body: dict[str, object] = {
            "type": f"urn:integrations:problem:{self.code}",
            "title": self.code.replace("_", " ").capitalize(),
            "status": int(self.status),
            "detail": self.detail,
            "code": self.code,
            "requestId": request_id,
            **self.more,
        }
        if self.fields:
            body["errors"] = [
                {"field": each.field[:MAX_FIELD], "message": each.message}
                for each in self.fields[:MAX_FIELDS]
            ]
        headers = {"Content-Type": "application/problem+json", **NEVER_STORED, **self.headers}
        return {
            "statusCode": int(self.status),
            "headers": headers | self.waiting,
            "body": json.dumps(body),
            "isBase64Encoded": False,
        }


def problem_of(failure: IntegrationError) -> Problem:
    """An error of ours as a problem.

    Raises:
        IntegrationError: The very one given, where it is no answer to a caller but a fault of ours.
    """
    status = next((status for kind, status in STATUS if isinstance(failure, kind)), None)
    if status is None:
        raise failure
    more: dict[str, object] = {}
    if isinstance(failure, errors.ProviderError):
        facts = {"status": failure.status, "code": failure.provider_code, **failure.data}
        if known := {name: each for name, each in facts.items() if each is not None}:
            more["provider"] = known
    detail = failure.detail
    if isinstance(failure, errors.ServiceUnavailable):
        detail = BUSY  # what failed within is nobody's business but ours
    return Problem(
        status,
        failure.code,
        detail,
        failure.errors if isinstance(failure, errors.InvalidInput) else (),
        more,
        getattr(failure, "retry_after", None),
    )
