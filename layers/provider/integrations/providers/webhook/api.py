"""How a receiver is called: the headers of a message, and what its answer means.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hashlib
import re
import secrets
import time
from base64 import b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from itertools import chain
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import (
    SecretStr,
)

from integrations import secret_headers, signatures, strict_json
from integrations.errors import (
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from integrations.models import Json
from integrations.outbound.content import Content, Sink, StoredFile
from integrations.outbound.http import Response
from integrations.providers.base import FileStore
from integrations.providers.masking import Masking
from integrations.providers.webhook.bodies import media_type, read_json, read_text

MAX_URL = 2048


def is_url(value: str) -> str:
    """Let an http or https URL without a user through, as pydantic's validators do."""
    try:
        parts = urlsplit(value)
        well_formed = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError("must be a URL with a host and, at most, a port up to 65535") from None
    if parts.scheme not in {"http", "https"} or not well_formed or re.search(r"\s", value):
        raise ValueError("must be an http or https URL")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or a password")
    return value


MAX_BODY = 64 * 1024
MAX_WHOLE_BODY = 8 * 1024 * 1024
"""How much JSON of an answer a step sees; what is not JSON is shown to ``MAX_BODY``."""

_FILES = (
    "image/", "audio/", "video/", "font/",
    "application/octet-stream", "application/pdf", "application/zip", "application/gzip",
)  # fmt: skip
"""What media types of files begin with; anything else may be text."""

_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+")
_UNFIT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f/\\]")

"""Bytes of an answer's body that a step's output holds."""
_MAX_DETAIL = 300
SHOWN_HEADERS = frozenset({
    "content-type",
    "date",
    "etag",
    "last-modified",
    "location",
    "request-id",
    "x-request-id",
})  # fmt: skip
SET_BY_US = frozenset({
    "host",
    "content-length",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "integrations-hops",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
})  # fmt: skip
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_TEXT = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,8192}")
_TRY_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY})
_LONGEST_SECRET = 8192
_LENGTH_DIGITS = 20
_WORD = r"[A-Z]?[a-z]{1,15}([A-Z][a-z]{2,14}){0,3}"
_PLAIN_WORDS = re.compile(
    rf"{_WORD}([-_.]{_WORD})*|v\d[a-z0-9.]{{0,7}}|\d{{1,5}}|20\d\d-\d\d-\d\d|"
)
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")


def header_problems(headers: Mapping[str, str], field: str) -> list[tuple[str, str]]:
    """What is wrong with headers that a user gave; ``field`` is where they stand."""
    problems: list[tuple[str, str]] = []
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            problems.append((field, "holds a name that is not the name of a header"))
        elif name.lower() in SET_BY_US:
            problems.append((f"{field}.{name}", "is set by the connection itself"))
        elif not _TEXT.fullmatch(value):
            problems.append((f"{field}.{name}", "holds characters that a header must not hold"))
    if len({name.lower() for name in headers}) < len(headers):
        problems.append((field, "holds a name twice"))
    return problems


def merged(own: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Ours, replaced by what a step gives under the same name in whatever case."""
    names = {name.lower() for name in given}
    return {name: value for name, value in own.items() if name.lower() not in names} | dict(given)


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    """The origin of a URL: https://www.rfc-editor.org/rfc/rfc6454#section-4."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]


def secrets_in(url: str) -> list[str]:
    """What may be a permission in a URL: all of its path and query that is more than plain words.

    Words such as ``messages`` or ``createOrder`` stand in answers for themselves, as do the numbers
    and dates of ``limit=1000`` and ``api-version=2016-10-01``, and ``/v1/orders`` in links that a
    further step follows; a query's value counts where its name says that it is a secret, too.
    """
    parts = urlsplit(url)
    found = [each for each in parts.path.split("/") if not _PLAIN_WORDS.fullmatch(each)]
    if found:
        found.append(parts.path.rstrip("/"))
    found += [
        value
        for name, value in parse_qsl(parts.query)
        if secret_headers.is_secret(name) or not _PLAIN_WORDS.fullmatch(value)
    ]
    return list(dict.fromkeys(form for each in found for form in (each, unquote(each))))


def message_headers(
    secret: SecretStr | None, key: str | None, body: bytes | Content
) -> dict[str, str]:
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md."""
    if key and not _PLAIN_ID.fullmatch(key):
        key = hashlib.sha256(key.encode()).hexdigest()
    message_id = f"msg_{key or secrets.token_urlsafe(18)}"
    timestamp = int(time.time())
    if secret is None:
        return {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    pieces = [body] if isinstance(body, bytes) else body
    return signatures.sign_standard_webhook(
        secret.get_secret_value(), message_id, timestamp, pieces
    )


def raise_for(answer: Response, scope: str, masking: Masking) -> None:
    """Raise for every status but 2xx; a receiver's limit is that of its origin."""
    status = answer.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    from integrations.outbound.retry_after import retry_after

    # A receiver may repeat what it was sent.
    words = " ".join(masking.text(answer.text[:MAX_BODY]).split())[:_MAX_DETAIL]
    detail = f"The receiver answered {status}" + (f": {words}" if words else "")
    if status < HTTPStatus.BAD_REQUEST:
        detail = f"The receiver answered with a redirect ({status}); redirects are not followed"
        raise RequestRejected(detail, status=status)
    wait = retry_after(answer.headers)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise RateLimited(detail, scope=scope, status=status, retry_after=wait)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _TRY_LATER:
        raise ProviderUnavailable(detail, status=status, retry_after=wait, outcome_unknown=True)
    raise RequestRejected(detail, status=status)


def sink_for(files: FileStore, masking: Masking, headers: Mapping[str, str]) -> Sink | None:
    """What takes the body of an answer that is a file, without secrets; ``None`` for any other."""

    def store(pieces: Iterable[bytes]) -> StoredFile:
        return files.store(masking.pieces(pieces))

    def store_if_long(pieces: Iterable[bytes]) -> StoredFile | bytes:
        begun = bytearray()
        coming = iter(pieces)
        for piece in coming:
            begun += piece
            if len(begun) > MAX_WHOLE_BODY:
                return store(chain([bytes(begun)], coming))
        return bytes(begun)

    length = headers.get("content-length", "")
    # What has more digits is no length, and of thousands of them Python makes no number.
    size = int(length) if length.isdecimal() and len(length) < _LENGTH_DIGITS else None
    if size is not None and size <= MAX_BODY:
        return None
    is_file = media_type(headers.get("content-type", "")).startswith(_FILES)
    if is_file or (size is not None and size > MAX_WHOLE_BODY):
        return store
    return store_if_long


def answered_file(answer: Response, masking: Masking, url: str | None) -> Json:
    """An answer's body as a file, without secrets, named by the end of the step's own URL."""
    kind = media_type(answer.headers.get("content-type", ""))
    kind = kind if _MEDIA_TYPE.fullmatch(kind) else "application/octet-stream"
    name = unquote(urlsplit(url or "").path.rpartition("/")[2]) or "answer"
    name = _UNFIT_IN_NAMES.sub("_", masking.text(name))[:255]
    if answer.stored:
        stored = answer.stored
        return {"id": stored.file_id, "name": name, "mediaType": kind, "size": stored.size}
    content = b64encode(masking.content(answer.content)).decode()
    return {"fileName": name, "contentType": kind, "contentBase64": content}


def shown_body(answer: Response, masking: Masking, limit: int = MAX_BODY) -> tuple[Json, bool]:
    """An answer's body as a step sees it, without secrets, and whether it was cut.

    JSON is seen whole up to ``limit`` bytes, text up to ``MAX_BODY``.
    """
    if not answer.content:
        return None, False
    content_type = answer.headers.get("content-type", "")
    cut = len(answer.content) > MAX_BODY
    if len(answer.content) <= limit:
        try:
            # Whatever its type: "17" is a number here.
            return masking.json(strict_json.read(answer.content)), False
        except strict_json.NotJson:
            with suppress(ValueError):
                return masking.json(read_json(answer.content, content_type)), False
    # A little more than is shown, so that no secret is cut in two before it is looked for.
    content = masking.content(answer.content[: limit + _LONGEST_SECRET])
    return masking.json(read_text(content[:MAX_BODY], content_type, cut=cut)), cut
