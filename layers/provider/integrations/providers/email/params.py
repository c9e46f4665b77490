"""What a message is made of."""

import re
from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from integrations import mistakes
from integrations.providers.base import Params
from integrations.providers.email.addresses import (
    CONTROL,
    are_mailboxes,
    flat,
    is_mailbox,
    mailboxes,
)
from integrations.providers.email.media_types import media_type_of
from integrations.providers.files import decoded
from integrations.strict_model import StrictModel

MAX_RECIPIENTS = 100
MAX_ATTACHMENTS = 50 * 1024 * 1024
"""Bytes of all attachments together; base64 makes them a third more, and most servers take less."""
MAX_HEADER = 2000
"""Characters of a header's value."""

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,76}")
SET_BY_US = frozenset({
    "bcc",
    "cc",
    "date",
    "dkim-signature",
    "from",
    "in-reply-to",
    "message-id",
    "mime-version",
    "received",
    "references",
    "reply-to",
    "return-path",
    "sender",
    "subject",
    "to",
})  # fmt: skip
_MESSAGE_ID = re.compile(r"<[^\s<>@]{1,250}@[^\s<>@]{1,250}>")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,80}/[A-Za-z0-9!#$&^_.+-]{1,80}")


def _is_line(value: str) -> str:
    if CONTROL.search(value):
        raise ValueError("must not hold line breaks or other control characters")
    return value


def _is_text(value: str | None) -> str | None:
    if value is not None and re.search(r"[\x00\ud800-\udfff]", value):
        raise ValueError("holds characters that no text has")
    return value


def message_ids(value: str | list[str] | None) -> list[str]:
    """Message ids with their angle brackets, from a text with spaces or a list.

    Raises:
        ValueError: One of them is none.
    """
    texts = value.split() if isinstance(value, str) else value or []
    ids = [text if text.startswith("<") else f"<{text}>" for text in texts]
    for message_id in ids:
        if not _MESSAGE_ID.fullmatch(message_id) or not message_id.isascii():
            raise ValueError("must hold message ids: <id@example.com>")
    return ids


def _are_message_ids(value: str | list[str] | None) -> str | list[str] | None:
    message_ids(value)
    return value


def _are_headers(value: dict[str, str]) -> dict[str, str]:
    if wrong := [*_wrong_headers(value)]:
        raise mistakes.at(*wrong)
    return value


def _wrong_headers(headers: dict[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in headers.items():
        lower = name.lower()
        if not _HEADER.fullmatch(name):
            yield "", f"holds what is not the name of a header: {name[:64]!r}"
        elif lower in SET_BY_US or lower.startswith(("content-", "resent-")):
            yield name, "has a parameter of its own, or is set by us"
        elif CONTROL.search(value):
            yield name, "must not hold line breaks or other control characters"
        elif len(value) > MAX_HEADER:
            yield name, f"takes at most {MAX_HEADER} characters"


class Attachment(StrictModel):
    """A file of a message; with ``cid`` an image inside the HTML (``<img src="cid:logo">``)."""

    file_name: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_is_line)]
    content_type: Annotated[
        str | None, Field(description="Empty: what the file's name says.", max_length=200)
    ] = None
    content_base64: str
    cid: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9._-]{1,60}(@[A-Za-z0-9._-]{1,60})?$")] = (
        None
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.content_type and not _MEDIA_TYPE.fullmatch(self.content_type):
            raise mistakes.at(("contentType", "must be a media type such as image/png"))
        try:
            decoded(self.content_base64)
        except ValueError:
            raise mistakes.at(("contentBase64", "must be base64")) from None
        return self

    @property
    def size(self) -> int:
        """How many bytes the file has."""
        return len(decoded(self.content_base64))

    @property
    def media_type(self) -> tuple[str, str]:
        """The media type's two parts; what would have to be a message in itself is plain bytes."""
        given = self.content_type or media_type_of(self.file_name)
        main, _, sub = given.lower().partition("/")
        return ("application", "octet-stream") if main in {"message", "multipart"} else (main, sub)


type _Mailboxes = Annotated[
    str | list[str],
    Field(
        description="One address, several with commas, or a list: Ann <ann@example.com>. What a "
        "template puts in is one, whatever commas it holds; or a list."
    ),
    BeforeValidator(flat),
    AfterValidator(are_mailboxes),
]
type _Text = Annotated[str | None, Field(max_length=5_000_000), AfterValidator(_is_text)]


class SendEmail(Params):
    """A message."""

    comma_lists = frozenset({"to", "cc", "bcc", "replyTo"})

    model_config = ConfigDict(coerce_numbers_to_str=True)

    to: _Mailboxes = ""
    cc: _Mailboxes = ""
    bcc: _Mailboxes = ""
    from_: Annotated[
        str | None,
        Field(alias="from", description="Empty for the connection's sender.", max_length=320),
        AfterValidator(is_mailbox),
    ] = None
    reply_to: _Mailboxes = ""
    subject: Annotated[str, Field(max_length=900), AfterValidator(_is_line)] = ""
    text: _Text = None
    html: _Text = None
    attachments: list[Attachment] = Field(default_factory=list, max_length=50)
    headers: Annotated[dict[str, str], Field(max_length=50), AfterValidator(_are_headers)] = Field(
        default_factory=dict, description="More headers, e.g. List-Unsubscribe."
    )
    in_reply_to: Annotated[
        str | None,
        Field(description="The Message-ID of the message that this one answers.", max_length=600),
        AfterValidator(_are_message_ids),
    ] = None
    references: Annotated[
        str | list[str] | None,
        Field(description="The Message-IDs of the thread; empty for inReplyTo."),
        AfterValidator(_are_message_ids),
    ] = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        count = len(self.recipients)
        if not 1 <= count <= MAX_RECIPIENTS:
            message = f"to, cc and bcc must name 1 to {MAX_RECIPIENTS} recipients"
            raise mistakes.at(("to", message))
        if self.text is None and self.html is None and not self.attachments:
            raise mistakes.at(("text", "or html is required"))
        if self.html is None and any(attachment.cid for attachment in self.attachments):
            raise mistakes.at(("html", "is required where an attachment has a cid"))
        if sum(one.size for one in self.attachments) > MAX_ATTACHMENTS:
            message = f"must not have more than {MAX_ATTACHMENTS} bytes together"
            raise mistakes.at(("attachments", message))
        return self

    @property
    def recipients(self) -> list[str]:
        """Whom it goes to, each once."""
        boxes = [*mailboxes(self.to), *mailboxes(self.cc), *mailboxes(self.bcc)]
        return list(dict.fromkeys(box.addr_spec for box in boxes))
