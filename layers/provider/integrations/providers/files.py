"""Files among an action's parameters: bytes that come along, or a file of another step.

A file of another step stands apart, and its bytes are read when they are sent. What stands in the
place of its base64 until then is a name that no base64 is: see ``reference``.
"""

import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Any, Final

from pydantic import Field

from integrations.errors import FieldError, InvalidParams
from integrations.outbound.content import Content
from integrations.providers.base import Call, Params

_REFERENCE: Final = re.compile(r"stored:([0-9]{1,9}):([0-9a-z_]+)")
"""Anybody may write one among parameters: no more than it says is believed."""


@dataclass(frozen=True, slots=True)
class StoredBytes:
    """A file of another step; its length is that of its bytes."""

    file_id: str
    size: int

    def __len__(self) -> int:
        return self.size


def reference(file_id: str, size: int) -> str:
    """What stands for a file's bytes among parameters, in the place of their base64."""
    return f"stored:{size}:{file_id}"


def decoded(text: str) -> bytes | StoredBytes:
    """The bytes of a base64 text, or the file that it stands for.

    Raises:
        ValueError: It is neither.
    """
    if stored := _REFERENCE.fullmatch(text):
        return StoredBytes(stored[2], int(stored[1]))
    return b64decode(text, validate=True)


def opened(call: Call[Any], content: bytes | StoredBytes) -> bytes | Content:
    """What is sent of a file.

    Raises:
        InvalidParams: It is given by a reference where no step has given one, or by one that lies
            about its size, by which the limits were checked.
        UnknownFile: The step was given none with this id.
    """
    if isinstance(content, bytes):
        return content
    stored = call.files.content(content.file_id) if call.files else None
    if stored is None or len(stored) != len(content):
        detail = "is not base64"
        raise InvalidParams("A file cannot be read", [FieldError("contentBase64", detail)])
    return stored


class FileContent(Params):
    """A file of another step, or one whose bytes come along."""

    file_name: str = Field(min_length=1, max_length=255)
    content_type: str = Field(
        default="application/octet-stream", pattern=r"^[\w.+-]+/[\w.+-]+$", max_length=127
    )
    content_base64: str = Field(repr=False)

    def content(self) -> bytes | StoredBytes:
        """The bytes, or where they are.

        Raises:
            ValueError: They are not base64.
        """
        return decoded(self.content_base64)
