"""Webhooks: takes in what any system posts, and posts to any URL, signed by Standard Webhooks.

https://www.standardwebhooks.com/
"""

import codecs
import hashlib
import json
import re
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from email.parser import BytesParser
from email.policy import HTTP
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qs, urlencode, urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    model_validator,
)

from integrations import signatures, strict_json
from integrations.errors import (
    FieldError,
    InvalidParams,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from integrations.models import Account, Delivery, Event, Json, rfc3339
from integrations.outbound.charset import charset
from integrations.providers.base import (
    Action,
    Call,
    Credentials,
    Endpoint,
    Inbound,
    Params,
    Provider,
    Response,
    Trigger,
    Verified,
)

# -- Credentials -----------------------------------------------------------------------------

RESERVED_IDS = frozenset({"facebook", "verify", "webhooks"})
"""Ids that mean something else: the stack's own webhooks, and a URL copied one part too long."""

_ID = re.compile(r"[A-Za-z0-9_-]{3,64}")
_MAX_URL = 2048


def _is_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or re.search(r"\s", value):
        raise ValueError("must be an http or https URL")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or a password")
    return value


def _webhook_id(url: str) -> str:
    return urlsplit(url).path.rstrip("/").rpartition("/")[2]


def _has_id(value: str) -> str:
    webhook_id = _webhook_id(value)
    if not _ID.fullmatch(webhook_id):
        raise ValueError(
            "must end in the webhook's id: 3 to 64 letters, digits, hyphens or underscores "
            "after the last slash"
        )
    if webhook_id.lower() in RESERVED_IDS:
        raise ValueError(f"must end in another id: {webhook_id!r} is reserved")
    return value


def _flag(value: object) -> object:
    """A form sends true and false as text; any other text is a secret of its own."""
    if isinstance(value, str):
        return {"true": True, "false": False, "": False}.get(value.strip().lower(), value)
    return value


class WebhookCredentials(Credentials):
    """A webhook of the user's: its id, how deliveries to it are verified, and where we send to."""

    url: Annotated[
        str,
        Field(
            title="URL",
            description="The last part of its path becomes the webhook's id on this backend: "
            "https://example.com/hooks/orders is served at /api/webhooks/orders.",
            max_length=_MAX_URL,
        ),
        AfterValidator(_is_url),
        AfterValidator(_has_id),
    ]
    secret: Annotated[
        SecretStr | None,
        Field(
            title="Secret",
            description="Signs what is sent, and verifies what comes in where that is asked for.",
            max_length=512,
        ),
    ] = None
    verify_secret: Annotated[
        bool | SecretStr,
        Field(
            title="Verify the secret",
            description="true: deliveries must carry the secret in X-Webhook-Secret. "
            "A text: they must carry (or be signed with) this one instead.",
        ),
        BeforeValidator(_flag),
    ] = False
    verify_token: Annotated[
        SecretStr | None,
        Field(
            title="Verify token",
            description="Answers a subscription challenge (hub.verify_token); "
            "empty for the secret that verifies deliveries.",
            max_length=512,
        ),
    ] = None
    verification: Annotated[
        # Texts of a model's own fields lose the spaces around them; a prefix must not: "Bearer ".
        dict[str, Any] | None,
        Field(
            title="Verification",
            description="How deliveries prove themselves: {type: secret, hmac, github, meta, "
            "standard-webhooks, stripe, telegram or none, …}.",
        ),
    ] = None
    outbound_url: Annotated[
        str | None,
        Field(
            title="Outbound URL",
            description="Where `send` posts to unless it is told another URL.",
            max_length=_MAX_URL,
            # Chat services put the whole permission into the path.
            repr=False,
        ),
        AfterValidator(lambda value: _is_url(value) if value else None),
    ] = None
    outbound_headers: dict[str, SecretStr] = Field(
        default_factory=dict,
        title="Outbound headers",
        description="Sent to the outbound URL's own host alone, e.g. Authorization.",
        max_length=20,
    )

    @property
    def webhook_id(self) -> str:
        """The webhook's id: the last part of the URL's path."""
        return _webhook_id(self.url)

    @property
    def rule(self) -> Mapping[str, Json]:
        """How deliveries are verified, the short form spelled out."""
        return self.verification or {"type": "secret" if self.verify_secret else "none"}

    @property
    def inbound_secret(self) -> SecretStr | None:
        """What verifies deliveries."""
        return self.verify_secret if isinstance(self.verify_secret, SecretStr) else self.secret

    @model_validator(mode="after")
    def _fits(self) -> Self:
        problems = [f"{error.field} {error.message}" for error in signatures.check(dict(self.rule))]
        if not problems:
            if self.verify_secret and self.rule["type"] == "none":
                problems.append("verifySecret does not go with verification.type none")
            held = self.inbound_secret
            problem = signatures.check_secret(self.rule, held.get_secret_value() if held else "")
            if problem:
                problems.append(f"secret {problem}")
        problems += _header_problems(
            {name: value.get_secret_value() for name, value in self.outbound_headers.items()},
            "outboundHeaders",
        )
        if self.outbound_headers and not self.outbound_url:
            problems.append("outboundHeaders needs an outboundUrl")
        if problems:
            raise ValueError("; ".join(problems))
        return self


# -- Test ------------------------------------------------------------------------------------


def verify(call: Call[WebhookCredentials]) -> Verified[WebhookCredentials]:
    """Check the settings, and that the outbound URL leads to a public address.

    Nothing is requested: whatever the URL is, a request to it could set something off.

    Raises:
        AddressRefused: The guard refuses the outbound URL.
        ProviderUnavailable: Its host does not resolve.
    """
    credentials = call.credentials
    parts = urlsplit(credentials.url)
    details: dict[str, Json] = {"verification": dict(credentials.rule)}
    message = f"Ready to receive at webhook {credentials.webhook_id}"
    if credentials.rule["type"] == "none":
        message += ", from anyone who knows its URL,"
    if credentials.outbound_url:
        from integrations.outbound import guard  # noqa: PLC0415 - a cold start without it

        host = guard.check_url(credentials.outbound_url, allow_loopback=call.allow_loopback).host
        details["outboundHost"] = host
        message += f" and to send to {host}"
    account = Account(
        id=credentials.webhook_id, label=f"{parts.hostname}{parts.path}", details=details
    )
    return Verified(account=account, message=message)


# -- Actions ---------------------------------------------------------------------------------

MAX_BODY = 64 * 1024
"""Bytes of an answer's body that a step's output holds."""

MAX_SENT = 1024 * 1024
"""Bytes of a body that is sent."""

_MAX_DETAIL = 300
_SHOWN_HEADERS = frozenset({
    "content-type",
    "date",
    "etag",
    "last-modified",
    "location",
    "request-id",
    "x-request-id",
})  # fmt: skip
_OURS = frozenset({
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
_TRY_LATER = frozenset({408, 425})
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")


def _header_problems(headers: Mapping[str, str], field: str) -> list[str]:
    problems = []
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            problems.append(f"{field} holds a name that is not the name of a header")
        elif name.lower() in _OURS:
            problems.append(f"{field}.{name} is set by the connection itself")
        elif not _TEXT.fullmatch(value):
            problems.append(f"{field}.{name} holds characters that a header must not hold")
    if len({name.lower() for name in headers}) < len(headers):
        problems.append(f"{field} holds a name twice")
    return problems


def _is_base64(value: str | None) -> str | None:
    try:
        b64decode(value or "", validate=True)
    except ValueError:
        raise ValueError("must be base64") from None
    return value


type _Scalar = str | int | float | bool | None


class Send(Params):
    """One request."""

    url: Annotated[
        str | None,
        Field(description="Where to; empty for the connection's outboundUrl.", max_length=_MAX_URL),
        AfterValidator(lambda value: _is_url(value) if value else None),
    ] = None
    method: Literal["POST", "PUT", "PATCH", "DELETE", "GET", "HEAD"] = "POST"
    headers: dict[str, str] = Field(default_factory=dict, max_length=50)
    query: dict[str, _Scalar | list[_Scalar]] = Field(
        default_factory=dict,
        description="Added to the URL's own; a list repeats a name.",
        max_length=100,
    )
    json_body: Annotated[Json, Field(alias="json", description="A body of JSON.")] = None
    form: Annotated[
        dict[str, _Scalar | list[_Scalar]] | None,
        Field(description="A body as a web form sends it.", max_length=1000),
    ] = None
    body: Annotated[
        str | None,
        Field(description="A body of text; set its Content-Type in the headers."),
    ] = None
    body_base64: Annotated[
        str | None,
        Field(description="A body of bytes, in base64."),
        AfterValidator(_is_base64),
    ] = None
    timeout_seconds: Annotated[float, Field(ge=1, le=30)] = 15.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        bodies = self.model_fields_set & {"json_body", "form", "body", "body_base64"}
        if len(bodies) > 1:
            raise ValueError("only one of json, form, body and bodyBase64 can be the body")
        if bodies and self.method in {"GET", "HEAD"}:
            raise ValueError(f"{self.method} has no body")
        problems = _header_problems(self.headers, "headers")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def content(self) -> tuple[bytes | None, str | None]:
        """The body's bytes and its content type."""
        if "json_body" in self.model_fields_set:
            text = json.dumps(self.json_body, ensure_ascii=False, allow_nan=False)
            return text.encode(), "application/json"
        if self.form is not None:
            form = urlencode(_pairs(self.form)).encode()
            return form, "application/x-www-form-urlencoded"
        if self.body is not None:
            return self.body.encode(), "text/plain; charset=utf-8"
        if self.body_base64 is not None:
            return b64decode(self.body_base64), "application/octet-stream"
        return None, None


def _pairs(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, item if isinstance(item, str) else json.dumps(item))
        for name, value in fields.items()
        for item in (value if isinstance(value, list) else [value])
        if item is not None
    ]


def send(call: Call[WebhookCredentials], params: Send) -> Json:
    """Send one request; with a secret it is signed by Standard Webhooks.

    A repetition carries the same ``webhook-id``, by which receivers recognise it. Redirects are
    not followed: a webhook's URL is where it says it is.

    Returns:
        ``{"status", "headers", "body", "truncated"?}``; the body is JSON where it is JSON.

    Raises:
        InvalidParams: There is no URL, or the body is too large.
        RequestRejected: The receiver refused it for good (a redirect counts as that).
        RateLimited: It asks for patience.
        ProviderUnavailable: It is down, or did not answer; worth another try.
    """
    credentials = call.credentials
    url = params.url or credentials.outbound_url
    if not url:
        detail = "Where to? Give a url, or save an outboundUrl with the connection"
        raise InvalidParams(detail, [FieldError("url", "is required")])
    try:
        body, content_type = params.content()
    except ValueError:
        detail = "The body holds half a Unicode character, or a number that JSON does not have"
        raise InvalidParams(detail, [FieldError("body", detail)]) from None
    if body is not None and len(body) > MAX_SENT:
        detail = f"The body has {len(body)} bytes; {MAX_SENT} are allowed"
        raise InvalidParams(detail, [FieldError("body", detail)])
    own: dict[str, str] = {"Integrations-Hops": str(call.hops + 1)}
    if content_type:
        own["Content-Type"] = content_type
    if credentials.outbound_url and _origin(url) == _origin(credentials.outbound_url):
        own |= {
            name: value.get_secret_value() for name, value in credentials.outbound_headers.items()
        }
    own |= _message_headers(credentials.secret, call.idempotency_key, body or b"")
    answer = call.http.request(
        params.method,
        url,
        params=_pairs(params.query),
        data=body,
        headers=_merged(own, params.headers),
        read_timeout=params.timeout_seconds,
    )
    _raise_for(
        answer, [value.get_secret_value() for value in credentials.outbound_headers.values()]
    )
    shown, truncated = _shown_body(answer)
    result: dict[str, Json] = {
        "status": answer.status,
        "headers": {
            name.lower(): value
            for name, value in answer.headers.items()
            if name.lower() in _SHOWN_HEADERS
        },
        "body": shown,
    }
    return result | {"truncated": True} if truncated else result


def _merged(own: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Ours, replaced by what a step gives under the same name in whatever case."""
    names = {name.lower() for name in given}
    return {name: value for name, value in own.items() if name.lower() not in names} | dict(given)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]


def _message_headers(secret: SecretStr | None, key: str | None, body: bytes) -> dict[str, str]:
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md."""
    if key and not _PLAIN_ID.fullmatch(key):
        key = hashlib.sha256(key.encode()).hexdigest()
    message_id = f"msg_{key or secrets.token_urlsafe(18)}"
    timestamp = int(time.time())
    if secret is None:
        return {"webhook-id": message_id, "webhook-timestamp": str(timestamp)}
    return signatures.sign_standard_webhook(secret.get_secret_value(), message_id, timestamp, body)


def _raise_for(answer: Response, masked: list[str]) -> None:
    """Raise for every status but 2xx."""
    status = answer.status
    if 200 <= status < 300:  # noqa: PLR2004
        return
    from integrations.outbound.retry_after import retry_after  # noqa: PLC0415 - loaded by now

    said = answer.text[: _MAX_DETAIL * 4]
    for value in masked:
        # A receiver may repeat what it was sent.
        said = said.replace(value, "…") if value else said
    said = " ".join(said.split())[:_MAX_DETAIL]
    detail = f"The receiver answered {status}" + (f": {said}" if said else "")
    if 300 <= status < 400:  # noqa: PLR2004
        detail = f"The receiver answered with a redirect ({status}); redirects are not followed"
        raise RequestRejected(detail, status=status)
    wait = retry_after(answer.headers)
    if status == 429:  # noqa: PLR2004
        raise RateLimited(detail, status=status, retry_after=wait)
    if status >= 500 or status in _TRY_LATER:  # noqa: PLR2004
        raise ProviderUnavailable(detail, status=status, retry_after=wait, outcome_unknown=True)
    raise RequestRejected(detail, status=status)


def _shown_body(answer: Response) -> tuple[Json, bool]:
    """An answer's body as a step sees it, and whether it was cut."""
    content = answer.content
    if not content:
        return None, False
    if len(content) <= MAX_BODY:
        parsed: Json = _parse_json(content)
        if parsed is not _NOT_JSON:
            return parsed, False
    cut = len(content) > MAX_BODY
    return _decoded(content[:MAX_BODY], answer.headers.get("content-type", ""), cut=cut), cut


# -- Triggers --------------------------------------------------------------------------------

_NOT_JSON: Any = object()


class WebhookFilters(Params):
    """Which deliveries start a workflow."""

    content_type: Annotated[
        str | None,
        Field(description="Only bodies of this media type, e.g. application/json."),
    ] = None


def matches(data: Mapping[str, Json], filters: WebhookFilters) -> bool:
    """Whether a delivery passes the filters."""
    wanted = filters.content_type
    return not wanted or _media_type(str(data.get("contentType") or "")) == wanted.strip().lower()


def normalize(delivery: Delivery) -> list[Event]:
    """A delivery as one event, its body in the plainest shape that it has.

    JSON becomes its value, a form an object of its fields (a list where a name repeats, a file as
    ``{fileName, contentType, contentBase64}``), text a string, and everything else
    ``{"base64": …}``. A body that is not what its content type says is not lost for it.
    """
    content_type = delivery.headers.get("content-type", "")
    data: dict[str, Json] = {
        "body": _body(delivery.body, content_type),
        "contentType": content_type or None,
        "headers": dict(delivery.headers),
        "query": dict(delivery.query),
        "receivedAt": rfc3339(delivery.received_at),
        "eventId": delivery.event_id,
        "webhookId": delivery.webhook_id,
    }
    event = Event(type="webhook", id=delivery.event_id, target=delivery.webhook_id, data=data)
    return [event]


def _body(body: bytes, content_type: str) -> Json:
    if not body:
        return None
    kind = _media_type(content_type)
    if kind == "application/x-www-form-urlencoded":
        fields = _form(body)
        if fields is not None:
            return fields
    elif kind == "multipart/form-data":
        fields = _multipart(body, content_type)
        if fields is not None:
            return fields
    # Some senders call their JSON text/plain (Amazon SNS does), or say nothing at all.
    elif kind.endswith("json") or body.lstrip()[:1] in {b"{", b"["}:
        parsed: Json = _parse_json(body)
        if parsed is not _NOT_JSON:
            return parsed
    return _decoded(body, content_type)


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _decoded(body: bytes, content_type: str, *, cut: bool = False) -> Json:
    """Text where it is text; of a cut body the last character may be cut too, and is dropped."""
    name = charset(content_type)
    try:
        text = codecs.getincrementaldecoder(name or "")().decode(body, final=not cut)
        text.encode()
    except (UnicodeError, LookupError):
        return {"base64": b64encode(body).decode()}
    return text


def _parse_json(body: bytes) -> Any:  # noqa: ANN401 - a JSON value, or the mark that it is none
    try:
        return strict_json.read(body)
    except strict_json.NotJson:
        return _NOT_JSON


def _form(body: bytes) -> Json:
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        return None
    return {
        name: values[0] if len(values) == 1 else list(values) for name, values in fields.items()
    }


def _multipart(body: bytes, content_type: str) -> Json:
    if not content_type.isascii() or not content_type.isprintable():
        return None
    head = f"content-type: {content_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    if not message.is_multipart():
        return None
    fields: dict[str, list[Json]] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            return None
        file_name = part.get_filename()
        value: Json = _decoded(content, str(part.get("content-type", "")))
        if file_name is not None:
            value = {
                "fileName": file_name,
                "contentType": part.get_content_type(),
                "contentBase64": b64encode(content).decode(),
            }
        fields.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def _endpoint(credentials: WebhookCredentials) -> Endpoint:
    return Endpoint(
        webhook_id=credentials.webhook_id,
        verification=credentials.rule,
        secret=credentials.inbound_secret,
        verify_token=credentials.verify_token or credentials.inbound_secret,
    )


PROVIDER = Provider(
    id="webhook",
    title="Webhook",
    docs_url="https://www.standardwebhooks.com/",
    credentials=WebhookCredentials,
    verify=verify,
    actions=(
        Action(
            name="send",
            title="Send a request",
            params=Send,
            run=send,
            example={
                "url": "https://example.com/hooks/orders",
                "method": "POST",
                "headers": {"X-Source": "orders"},
                "json": {"type": "order.paid", "data": {"id": 42}},
            },
            # A repetition carries the same webhook-id.
            idempotent=True,
        ),
    ),
    triggers=(
        Trigger(
            type="webhook",
            title="A webhook was called",
            filters=WebhookFilters,
            matches=matches,
            example={
                "body": {"order": {"id": 42, "total": "19.90"}},
                "contentType": "application/json",
                "headers": {"content-type": "application/json", "user-agent": "Shop/2.1"},
                "query": {},
                "receivedAt": "2026-11-22T12:00:00.000Z",
                "eventId": "webhook-id:msg_p5jXN8AQM9LWM0D4loKWxJek",
                "webhookId": "orders",
            },
        ),
    ),
    inbound=Inbound(
        endpoint=_endpoint,
        normalize=normalize,
        targets=lambda account: {account.id: account.label},
    ),
)
