"""A body in the plainest shape that it has."""

import codecs
from base64 import b64encode
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qs

from integrations import strict_json
from integrations.models import Json
from integrations.outbound.charset import charset

NOT_JSON: Any = object()


def read_body(body: bytes, content_type: str) -> Json:
    """A body as JSON, see ``events.normalize``."""
    if not body:
        return None
    kind = media_type(content_type)
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
        parsed: Json = parse_json(body)
        if parsed is not NOT_JSON:
            return parsed
    return decoded(body, content_type)


def media_type(content_type: str) -> str:
    """The media type of a content type, in lower case, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def decoded(body: bytes, content_type: str, *, cut: bool = False) -> Json:
    """Text where it is text; of a cut body the last character may be cut too, and is dropped."""
    name = charset(content_type)
    try:
        text = codecs.getincrementaldecoder(name or "")().decode(body, final=not cut)
        text.encode()
    except (UnicodeError, LookupError):
        return {"base64": b64encode(body).decode()}
    return text


def parse_json(body: bytes) -> Any:  # noqa: ANN401 - a JSON value, or the mark that it is none
    """A body as JSON; ``NOT_JSON`` where it is none."""
    try:
        return strict_json.read(body)
    except strict_json.NotJson:
        return NOT_JSON


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
        value: Json = decoded(content, str(part.get("content-type", "")))
        if file_name is not None:
            value = {
                "fileName": file_name,
                "contentType": part.get_content_type(),
                "contentBase64": b64encode(content).decode(),
            }
        fields.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}
