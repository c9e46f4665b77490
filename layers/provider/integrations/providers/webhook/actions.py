"""What a webhook can do: send one request."""

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlencode

from pydantic import (
    AfterValidator,
    Field,
    model_validator,
)
from pydantic.alias_generators import to_camel

from integrations import mistakes, secret_headers, strict_json
from integrations.errors import (
    FieldError,
    InvalidParams,
)
from integrations.models import Json
from integrations.outbound.content import Content
from integrations.outbound.http import Response
from integrations.providers.base import Action, Call, Params
from integrations.providers.files import FileContent, StoredBytes, opened
from integrations.providers.masking import Masking
from integrations.providers.webhook.api import (
    MAX_BODY,
    MAX_URL,
    MAX_WHOLE_BODY,
    SHOWN_HEADERS,
    answered_file,
    header_problems,
    is_url,
    merged,
    message_headers,
    origin_of,
    raise_for,
    secrets_in,
    shown_body,
    sink_for,
)
from integrations.providers.webhook.credentials import WebhookCredentials

MAX_SENT = 1024 * 1024
MAX_SENT_FILE = 50 * 1024 * 1024
"""Bytes of a body that is sent."""


def _is_base64(value: str | None) -> str | None:
    try:
        b64decode(value or "", validate=True)
    except ValueError:
        raise ValueError("must be base64") from None
    return value


def _may_be_sent(headers: dict[str, str]) -> dict[str, str]:
    if problems := header_problems(headers, ""):
        raise mistakes.at(*((field.removeprefix("."), problem) for field, problem in problems))
    return headers


type _Scalar = str | int | float | bool | None


class Send(Params):
    """One request."""

    url: Annotated[
        str | None,
        Field(description="Where to; empty for the connection's outboundUrl.", max_length=MAX_URL),
        AfterValidator(lambda value: is_url(value) if value else None),
    ] = None
    method: Literal["POST", "PUT", "PATCH", "DELETE", "GET", "HEAD"] = "POST"
    headers: Annotated[dict[str, str], Field(max_length=50), AfterValidator(_may_be_sent)] = Field(
        default_factory=dict
    )
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
    file: Annotated[
        FileContent | None,
        Field(description="A body of a file's bytes, of the file's own type."),
    ] = None
    timeout_seconds: Annotated[float, Field(ge=1, le=30)] = 15.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        bodies = self.model_fields_set & {"json_body", "form", "body", "body_base64", "file"}
        if len(bodies) > 1:
            shown = "only one of json, form, body, bodyBase64 and file can be the body"
            raise mistakes.at(
                *((to_camel(name.removesuffix("_body")), shown) for name in sorted(bodies))
            )
        if bodies and self.method in {"GET", "HEAD"}:
            raise mistakes.at(("method", f"{self.method} has no body"))
        return self

    def content(self) -> tuple[bytes | StoredBytes | None, str | None]:
        """The body and its content type."""
        if "json_body" in self.model_fields_set:
            strict_json.check_depth(self.json_body)
            text = json.dumps(self.json_body, ensure_ascii=False, allow_nan=False)
            return text.encode(), "application/json"
        if self.form is not None:
            form = urlencode(_pairs(self.form)).encode()
            return form, "application/x-www-form-urlencoded"
        if self.body is not None:
            return self.body.encode(), "text/plain; charset=utf-8"
        if self.body_base64 is not None:
            return b64decode(self.body_base64), "application/octet-stream"
        if self.file is not None:
            return self.file.content(), self.file.content_type
        return None, None


def _pairs(fields: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, item if isinstance(item, str) else json.dumps(item))
        for name, value in fields.items()
        for item in (value if isinstance(value, list) else [value])
        if item is not None
    ]


def send(call: Call[WebhookCredentials], params: Send) -> Json:
    """Send one request; to the outbound URL's origin it is signed by Standard Webhooks.

    Outbound headers and the secret's signature go to that origin alone. What an answer repeats of
    them, or of what may be a permission in the outbound URL, is masked. A repetition carries the
    same ``webhook-id``, by which receivers recognise it. Redirects are not followed: a webhook's
    URL is where it says it is.

    Returns:
        ``{"status", "headers", "body", "truncated"?}``; the body is JSON where it is JSON. In a
        workflow what is neither JSON nor short text is a ``file`` as well.

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
    body, content_type = _bounded_content(call, params)
    own: dict[str, str] = {"Integrations-Hops": call.lineage()} if call.lineage else {}
    if content_type:
        own["Content-Type"] = content_type
    signing = None
    # Secrets are for the saved place alone: anywhere else they would be somebody's to use.
    if credentials.outbound_url and origin_of(url) == origin_of(credentials.outbound_url):
        signing = credentials.secret
        own |= {
            name: value.get_secret_value() for name, value in credentials.outbound_headers.items()
        }
    own |= message_headers(signing, call.idempotency_key, body or b"")
    scheme, host, port = origin_of(url)
    scope = f"origin {scheme}://{host}:{port}"
    call.check_pause(scope)
    masking = Masking([*_secrets_sent(credentials, params), *call.hidden])
    files = call.files
    answer = call.http.request(
        params.method,
        url,
        params=_pairs(params.query),
        data=body,
        headers=merged(own, params.headers),
        read_timeout=params.timeout_seconds,
        sink=(lambda headers: sink_for(files, masking, headers)) if files else None,
    )
    raise_for(answer, scope, masking)
    return _shown(answer, masking, params.url, in_workflow=files is not None)


def _bounded_content(call: Call[Any], params: Send) -> tuple[bytes | Content | None, str | None]:
    """The body and its content type; raises ``InvalidParams`` where it cannot be sent."""
    try:
        body, content_type = params.content()
    except ValueError:
        if params.file is not None:
            detail = "is not base64"
            place = FieldError("file.contentBase64", detail)
            raise InvalidParams("A file cannot be read", [place]) from None
        detail = (
            "The body holds half a Unicode character or a number that JSON does not have, or is "
            f"nested deeper than {strict_json.MAX_DEPTH} levels"
        )
        raise InvalidParams(detail, [FieldError("body", detail)]) from None
    most = MAX_SENT if params.file is None else MAX_SENT_FILE
    if body is not None and len(body) > most:
        detail = f"The body has {len(body)} bytes; {most} are allowed"
        raise InvalidParams(detail, [FieldError("body", detail)])
    return None if body is None else opened(call, body), content_type


def _shown(
    answer: Response, masking: Masking, url: str | None, *, in_workflow: bool
) -> dict[str, Json]:
    """What a step sees of a receiver's answer."""
    shown, truncated = shown_body(answer, masking, MAX_WHOLE_BODY if in_workflow else MAX_BODY)
    result: dict[str, Json] = {
        "status": answer.status,
        "headers": {
            name.lower(): masking.text(value)
            for name, value in answer.headers.items()
            if name.lower() in SHOWN_HEADERS
        },
        "body": shown,
    }
    is_bytes = isinstance(shown, dict) and shown.keys() == {"base64"}
    if in_workflow and (truncated or is_bytes or answer.stored):
        result["file"] = answered_file(answer, masking, url)
        if not truncated:
            result["body"] = None
    return result | {"truncated": True} if truncated else result


def _secrets_sent(credentials: WebhookCredentials, params: Send) -> list[str]:
    """What a request holds that no answer may repeat: the connection's secrets and a step's."""
    # A step's own URL is for its readers to see.
    url = "" if params.url else credentials.outbound_url or ""
    own = [credentials.secret, credentials.inbound_secret, credentials.verify_token]
    return [
        *(value.get_secret_value() for value in own if value is not None),
        *(value.get_secret_value() for value in credentials.outbound_headers.values()),
        *secrets_in(url),
        *(value for name, value in params.headers.items() if secret_headers.is_secret(name)),
    ]


ACTIONS = (
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
)
