"""A body in the plainest shape that it has."""

import zlib
from base64 import b64encode
from typing import Final

from integrations import strict_json
from integrations.errors import InvalidInput
from integrations.models import Json
from integrations.outbound.charset import charset, decode

MAX_UNPACKED: Final = 6 * 1000 * 1000
"""Bytes of a body, as everywhere on this API; a packed one must not unpack to more."""

_MAX_LAYERS: Final = 2
_BEFORE_JSON: Final = b"\xef\xbb\xbf\xfe\xff\x00 \t\r\n"
"""Byte order marks, the other halves of UTF-16 and UTF-32, and white space."""

_GZIP: Final = b"\x1f\x8b"

_MAX_MEMBERS: Final = 200
"""How many packed parts may follow each other. Two bytes are a part of nothing, and each of two
million would copy the rest; who packs in blocks (bgzip: 64 KB) needs a hundred."""


def read_body(body: bytes, content_type: str) -> Json:
    """A body as JSON, see ``events.normalize``."""
    if not body:
        return None
    kind = media_type(content_type)
    # Some senders call their JSON text/plain (Amazon SNS does), a form (curl does, left to itself),
    # or say nothing at all.
    try:
        return read_json(body, content_type)
    except ValueError:
        pass
    try:
        if kind == "application/x-www-form-urlencoded":
            from integrations.providers.webhook import forms

            return forms.read_urlencoded(body, content_type)
        if kind == "multipart/form-data":
            from integrations.providers.webhook import forms

            return forms.read_multipart(body, content_type)
    except ValueError:
        pass
    return read_text(body, content_type)


def media_type(content_type: str) -> str:
    """The media type of a content type, in lower case, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def read_text(body: bytes, content_type: str, *, cut: bool = False) -> Json:
    """Text where it is text; of a cut body the last character may be cut too, and is dropped."""
    try:
        return decode(body, charset(content_type), cut=cut)
    except ValueError:
        return {"base64": b64encode(body).decode()}


def read_json(body: bytes, content_type: str) -> Json:
    """A body that is JSON, by its type or by its looks.

    Raises:
        ValueError: It is not.
    """
    declared = media_type(content_type).endswith("json")
    if not declared and body.lstrip(_BEFORE_JSON)[:1] not in {b"{", b"["}:
        raise ValueError("does not look like JSON")
    try:
        # JSON in Unicode needs no name for it, and is read so whatever the name.
        return strict_json.read(body)
    except strict_json.NotJson:
        return strict_json.read(decode(body, charset(content_type)))


def unpacked(body: bytes, encodings: str) -> bytes:
    """A body without the encodings that its sender put around it.

    API Gateway hands a packed body on as it came. One that is not what its header says, or that is
    packed as nothing here unpacks (``br``, ``zstd``), is left as it is.

    Args:
        body: The bytes.
        encodings: ``Content-Encoding``: https://www.rfc-editor.org/rfc/rfc9110#field.content-encoding.

    Raises:
        InvalidInput: It unpacks to more than ``MAX_UNPACKED`` bytes.
    """
    names = [name.strip().lower() for name in encodings.split(",") if name.strip()]
    if len(names) > _MAX_LAYERS:
        return body
    unpacked_ = body
    for name in reversed(names):
        match name:
            case "identity":
                continue
            case "gzip" | "x-gzip" if unpacked_.startswith(_GZIP):
                plain = _inflated(unpacked_, 16 + zlib.MAX_WBITS)
            case "deflate":
                # Named after zlib's format, but some send the bare stream.
                plain = _inflated(unpacked_, zlib.MAX_WBITS)
                plain = _inflated(unpacked_, -zlib.MAX_WBITS) if plain is None else plain
            case _:
                return body
        if plain is None:
            return body
        unpacked_ = plain
    return unpacked_


def _inflated(packed: bytes, window: int) -> bytes | None:
    plain = bytearray()
    try:
        for _ in range(_MAX_MEMBERS):
            if not packed:
                return bytes(plain)
            unpacker = zlib.decompressobj(window)
            plain += unpacker.decompress(packed, MAX_UNPACKED + 1 - len(plain))
            if len(plain) > MAX_UNPACKED:
                raise InvalidInput(f"The body unpacks to more than {MAX_UNPACKED} bytes")
            if not unpacker.eof:
                return None
            packed = unpacker.unused_data
    except zlib.error:
        pass
    return None
