"""The webhook routes' side of a function: raw bytes in, as little as can be around them.

No resolver and no validation framework: they would be most of a cold start (docs/performance.md).
"""

import base64
import json
from http import HTTPStatus
from typing import Any

from integrations.entry import invocation, metrics, wiring
from integrations.entry.headers import headers_of
from integrations.entry.invocation import Context
from integrations.entry.problem import NEVER_STORED, Problem, problem_of, size_refusal
from integrations.errors import IntegrationError, ServiceUnavailable
from integrations.models import Json, gathered
from integrations.services.webhooks import CHALLENGE_PARAMETERS, Request, Undecided


def receive(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Take one delivery.

    Args:
        event: A request of payload format 2.0.
        context: Says how much time is left.

    Returns:
        ``200 {received, eventId}``, of a sender's ping without an event; ``401``, ``413``;
        ``503`` where it could not be made durable, so that the sender sends it again.
    """
    invocation.begin(context)
    metrics.begin(requestId=_request_id(event))
    is_base64 = bool(event.get("isBase64Encoded"))
    if refusal := size_refusal(event.get("body") or "", is_base64=is_base64):
        return refusal.response(_request_id(event))
    body = _raw_body(event)
    try:
        receipt = wiring.receiver().receive(_webhook_id(event), _request(event, body))
    except IntegrationError as failure:
        return _refused(event, failure)
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json", **NEVER_STORED},
        "body": json.dumps({"received": receipt.event_id is not None, "eventId": receipt.event_id}),
    }


def verify(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Answer one subscription challenge, or somebody who only looks whether a webhook is there.

    Args:
        event: A request of payload format 2.0.
        context: Says how much time is left.

    Returns:
        ``200`` with the challenge and nothing else, as plain text; ``403``. To a request
        that asks nothing an empty ``200``, whatever webhook it names: it is not even looked up.
    """
    invocation.begin(context)
    metrics.begin(requestId=_request_id(event))
    query = _query(event)
    if event["requestContext"]["http"]["method"] == "HEAD":
        query = {}
    if not query.keys() & CHALLENGE_PARAMETERS and not event["rawPath"].endswith("/verify"):
        return {
            "statusCode": 200,
            "headers": {"Content-Type": "text/plain; charset=utf-8", **NEVER_STORED},
            "body": "",
        }
    try:
        challenge = wiring.receiver().challenge(_webhook_id(event), query)
    except IntegrationError as failure:
        return _refused(event, failure)
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "text/plain; charset=utf-8", **NEVER_STORED},
        "body": challenge,
    }


def _request(event: dict[str, Any], body: bytes) -> Request:
    http = event["requestContext"]["http"]
    return Request(
        headers=headers_of(event),
        query=_query(event),
        body=body,
        method=str(http["method"]).upper(),
        path=str((event.get("pathParameters") or {}).get("path", "")).strip("/"),
        source_ip=str(http.get("sourceIp", "")),
    )


def _raw_body(event: dict[str, Any]) -> bytes:
    body = event.get("body") or ""
    if event.get("isBase64Encoded"):
        return base64.b64decode(body)
    return str(body).encode("utf-8", "surrogatepass")


def _webhook_id(event: dict[str, Any]) -> str:
    return str(event["pathParameters"]["webhookId"])


def _query(event: dict[str, Any]) -> dict[str, Json]:
    text = event.get("rawQueryString")
    if not text:
        return {}
    from urllib.parse import parse_qsl  # which those without a query need not wait for

    return gathered(parse_qsl(text, keep_blank_values=True))


def _request_id(event: dict[str, Any]) -> str:
    return str(event["requestContext"].get("requestId", ""))


def _refused(event: dict[str, Any], failure: IntegrationError) -> dict[str, Any]:
    try:
        if isinstance(failure, ServiceUnavailable):
            raise failure
        problem = problem_of(failure)
    except IntegrationError as ours:  # AWS does not answer, or a record is damaged
        if not isinstance(ours, Undecided):  # which one tenant's issuer can bring about
            metrics.observe("delivery", outcome="failed", error=ours.detail)
        detail = "The delivery could not be stored; send it again"
        problem = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "not_stored", detail, retry_after=5)
    return problem.response(_request_id(event))
