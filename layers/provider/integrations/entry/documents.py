"""Documents that are the same for everybody: the catalogue and the API's own description.

Files that ``make docs`` wrote are answered with an ``ETag`` (RFC 9110 §8.8.3) and, where the client
takes it, compressed. Standard library only: nothing else is needed to answer a file.
"""

import base64
import gzip
import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from integrations.entry.headers import headers_of
from integrations.entry.problem import NEVER_STORED, problem_of
from integrations.errors import IntegrationError
from integrations.services import catalogue

type _Event = dict[str, Any]

OPENAPI = Path(__file__).parents[1] / "data" / "openapi.json"
MAX_AGE_SECONDS = 300


@cache
def _etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


@cache
def _compressed(content: bytes) -> str:
    return base64.b64encode(gzip.compress(content, mtime=0)).decode("ascii")


def _answer(event: _Event, content: bytes) -> dict[str, Any]:
    asked = headers_of(event)
    etag = _etag(content)
    headers = {
        "Cache-Control": f"max-age={MAX_AGE_SECONDS}",
        "ETag": etag,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": NEVER_STORED["X-Content-Type-Options"],
    }
    if _matches(asked.get("if-none-match", ""), etag):
        return {"statusCode": HTTPStatus.NOT_MODIFIED.value, "headers": headers, "body": ""}
    headers["Content-Type"] = "application/json"
    answer: dict[str, Any] = {"statusCode": HTTPStatus.OK.value, "headers": headers}
    if _takes_gzip(asked.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        return answer | {"body": _compressed(content), "isBase64Encoded": True}
    return answer | {"body": content.decode()}


def _matches(condition: str, etag: str) -> bool:
    """Whether ``If-None-Match`` names this document; it compares weakly (RFC 9110 §13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in condition.split(",")]
    return etag in tags or tags == ["*"]


def _takes_gzip(accepted: str) -> bool:
    """Whether ``Accept-Encoding`` allows gzip (RFC 9110 §12.5.3)."""
    for coding in accepted.lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() in {"gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


def _document(content: Callable[[Mapping[str, str]], bytes], event: _Event) -> dict[str, Any]:
    try:
        return _answer(event, content(event.get("pathParameters") or {}))
    except IntegrationError as failure:
        return problem_of(failure).response(event["requestContext"].get("requestId", ""))


def get_openapi(event: _Event, _context: object) -> dict[str, Any]:
    """``200`` with the OpenAPI document."""
    return _document(lambda _: OPENAPI.read_bytes(), event)


def list_integrations(event: _Event, _context: object) -> dict[str, Any]:
    """``200`` with the whole catalogue."""
    return _document(lambda _: catalogue.text(), event)


def get_integration(event: _Event, _context: object) -> dict[str, Any]:
    """``200`` with one provider's entry; ``404`` where there is no such provider."""
    return _document(lambda path: catalogue.entry(path["providerId"]), event)
