"""The forms of the web, read by a parser made for them.

- https://www.rfc-editor.org/rfc/rfc7578 (multipart/form-data)
- https://url.spec.whatwg.org/#application/x-www-form-urlencoded
- https://developer.paypal.com/api/nvp-soap/ipn/IPNandPDTVariables/ (a field that names the charset)
"""

import binascii
import quopri
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, override
from urllib.parse import parse_qsl, unquote_to_bytes

import multipart

from integrations.models import Json, gathered
from integrations.outbound.charset import charset, codec, decode

MAX_FIELDS: Final = 1000
"""How many fields a form may have; one with more is read as text."""

_BYTES: Final = "latin-1"
"""Holds any bytes as text, one character each, until it is known what they mean."""

_EXTENDED_NAME: Final = re.compile(r"""; *filename\* *= *"?([\w-]+)'[^';"]*'([^;"\s]*)""", re.ASCII)


class _Field(NamedTuple):
    """One field of a form, still in bytes (``name`` and ``file_name`` as ``_BYTES``)."""

    name: str
    content: bytes
    charset: str | None = None
    file_name: str | None = None
    content_type: str = ""


def read_urlencoded(body: bytes, content_type: str) -> Json:
    """The fields of an urlencoded form; a list where a name repeats.

    Raises:
        ValueError: It is none, or has more than ``MAX_FIELDS`` fields.
    """
    pairs = parse_qsl(
        body.decode(_BYTES), keep_blank_values=True, encoding=_BYTES, max_num_fields=MAX_FIELDS
    )
    fields = [_Field(name, value.encode(_BYTES)) for name, value in pairs]
    return _named(fields, _charset_of(fields, content_type))


def read_multipart(body: bytes, content_type: str) -> Json:
    """The fields of a multipart form; a file as ``{fileName, contentType, contentBase64}``.

    Raises:
        ValueError: It is none, or has more than ``MAX_FIELDS`` fields.
    """
    _, options = multipart.parse_options_header(content_type)
    fields = _parts(body, options.get("boundary", ""))
    return _named(fields, _charset_of(fields, content_type))


class _Parser(multipart.PushMultipartParser):  # type: ignore[misc]
    """The same for parts without a name, which say what they are by their content alone."""

    @override
    def _create_segment(self, headerlist: list[tuple[str, str]]) -> multipart.MultipartSegment:
        return multipart.MultipartSegment(headerlist)


def _parts(body: bytes, boundary: str) -> list[_Field]:
    fields: list[_Field] = []
    pieces: list[bytes] = []
    segment: multipart.MultipartSegment | None = None
    parser = _Parser(
        boundary.encode(), max_segment_count=MAX_FIELDS, header_charset=_BYTES, strict=False
    )
    with parser:
        for event in parser.parse(body):
            if isinstance(event, multipart.MultipartSegment):
                segment, pieces = event, []
            elif event is not None:
                pieces.append(bytes(event))
            elif segment is not None:
                fields.append(_field(segment, b"".join(pieces)))
    return fields


def _field(segment: multipart.MultipartSegment, content: bytes) -> _Field:
    disposition = str(segment.header("Content-Disposition", ""))
    # The parser's own reading cuts a path off a file's name; here it is what was sent.
    _, options = multipart.parse_options_header(disposition, unquote=_unquoted)
    file_name = options.get("filename")
    extended = _EXTENDED_NAME.search(disposition)
    if extended:
        encoded = decode(unquote_to_bytes(extended[2]), codec(extended[1]), marked=False)
        file_name = encoded.encode().decode(_BYTES)
    content_type = str(segment.header("Content-Type", ""))
    return _Field(
        name=options.get("name", ""),
        content=_transferred(content, str(segment.header("Content-Transfer-Encoding", ""))),
        charset=charset(content_type) if segment.charset else None,
        file_name=file_name,
        content_type=segment.content_type or "",
    )


def _unquoted(value: str, _is_file_name: bool = False) -> str:  # noqa: FBT001, FBT002 - its caller's
    unquoted: str = multipart.content_disposition_unquote(value)
    return unquoted


def _transferred(content: bytes, encoding: str) -> bytes:
    """The bytes that were meant; forms need no such encoding, but programs made for mail use it."""
    match encoding.strip().lower():
        case "base64":
            try:
                return b64decode(content, validate=False)
            except binascii.Error:
                return content
        case "quoted-printable":
            return quopri.decodestring(content)
        case _:
            return content


def _charset_of(fields: Sequence[_Field], content_type: str) -> str:
    """What the form's texts are in, where a field does not say it of itself."""
    named = charset(content_type) if "charset" in content_type.lower() else None
    if named:
        return named
    by_browser = _first(fields, "_charset_")
    if by_browser:
        return by_browser
    # A field of this name may be anybody's: it is asked where the texts are not UTF-8 alone.
    if not all(_is_utf8(field.content) for field in fields if field.file_name is None):
        return _first(fields, "charset") or "utf-8"
    return "utf-8"


def _first(fields: Iterable[_Field], name: str) -> str | None:
    label = next((field.content for field in fields if field.name == name), b"")
    return codec(label[:40].decode(_BYTES))


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _named(fields: Iterable[_Field], form_charset: str) -> Json:
    return gathered(
        (decode(field.name.encode(_BYTES), form_charset, marked=False), _value(field, form_charset))
        for field in fields
    )


def _value(field: _Field, form_charset: str) -> Json:
    encoded = b64encode(field.content).decode()
    if field.file_name is not None:
        return {
            "fileName": decode(field.file_name.encode(_BYTES), form_charset, marked=False),
            "contentType": field.content_type or "text/plain",
            "contentBase64": encoded,
        }
    try:
        return decode(field.content, field.charset or form_charset, marked=False)
    except ValueError:
        return {"base64": encoded}
