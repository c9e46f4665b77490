"""What parameters of Telegram's methods are made of, and how they become a request.

https://core.telegram.org/bots/api#available-methods

The models are put together as Telegram's methods are: what goes to a chat, what is a new message,
what has a caption. Names are Telegram's in camelCase; what is inside an object is in Telegram's own
shape (``{"inline_keyboard": [[{"text": "Yes", "callback_data": "yes"}]]}``). A file is a URL, a
file_id, or an upload ``{"fileName", "contentBase64", "contentType"?}``, in nested objects too.
"""

from collections.abc import Callable, Mapping
from mimetypes import guess_type
from typing import Annotated, Self, cast

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from integrations import mistakes
from integrations.errors import FieldError, InvalidParams
from integrations.models import Json
from integrations.providers.base import Params
from integrations.providers.files import StoredBytes, decoded

type Part = tuple[str, bytes | StoredBytes, str]
"""A file that goes along: its name, its bytes or where they are, its content type."""

MAX_UPLOAD = 50 * 1024 * 1024


MAX_PHOTO = 10 * 1024 * 1024


MAX_CALLBACK_DATA = 64


type Shape = dict[str, Json]
"""An object in Telegram's own shape, with Telegram's own names."""


def _content(value: object) -> object:
    """What a base64 text holds, or stands for."""
    if not isinstance(value, str):
        return value
    over = f"is over the {MAX_UPLOAD // 2**20} MB that a bot may upload"
    if len(value) > MAX_UPLOAD // 3 * 4 + 4:
        raise ValueError(over)
    try:
        content = decoded("".join(value.split()))
    except ValueError:
        message = "is not base64"
        raise ValueError(message) from None
    if len(content) > MAX_UPLOAD:
        raise ValueError(over)
    return content


def _is_not_empty(content: bytes | StoredBytes) -> bytes | StoredBytes:
    if not content:
        message = "must not be empty"
        raise ValueError(message)
    return content


class Upload(Params):
    """A file whose bytes come along."""

    model_config = ConfigDict(defer_build=True)

    file_name: Annotated[
        str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f/\\]+$", min_length=1, max_length=255)
    ]
    content: Annotated[
        bytes | StoredBytes,
        BeforeValidator(_content),
        WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
        AfterValidator(_is_not_empty),
        Field(alias="contentBase64", repr=False),
    ]
    content_type: Annotated[
        str | None, Field(pattern=r"^[\w.+-]+/[\w.+-]+$", max_length=127, examples=["image/png"])
    ] = None

    def part(self) -> Part:
        """The upload as a part of a multipart body."""
        guess = guess_type(self.file_name)[0] or "application/octet-stream"
        return self.file_name, self.content, self.content_type or guess


def is_photo(value: str | Upload) -> str | Upload:
    """Let through what Telegram takes as a photo.

    Raises:
        ValueError: An upload is too large.
    """
    if isinstance(value, Upload) and len(value.content) > MAX_PHOTO:
        message = f"is over the {MAX_PHOTO // 2**20} MB of a photo; sendDocument takes more"
        raise ValueError(message)
    return value


def _keyboard(markup: Shape) -> Shape:
    """Find what Telegram would call BUTTON_DATA_INVALID without naming the button."""
    rows = markup.get("inline_keyboard")
    for number, row in enumerate(rows if isinstance(rows, list) else []):
        for index, button in enumerate(row if isinstance(row, list) else []):
            data = button.get("callback_data") if isinstance(button, dict) else None
            if isinstance(data, str) and not 1 <= len(data.encode()) <= MAX_CALLBACK_DATA:
                # Not the data: they may hold a secret, and cut in two nothing would know it.
                place = f"inline_keyboard[{number}][{index}].callback_data"
                raise mistakes.at((place, f"must have 1 to {MAX_CALLBACK_DATA} bytes"))
    return markup


def option(value: object) -> object:
    """A text may stand for an option; templates make a number of ``{{ 1 + 1 }}``."""
    is_text = isinstance(value, str | int | float) and not isinstance(value, bool)
    return {"text": str(value)} if is_text else value


ChatId = Annotated[
    StrictInt | Annotated[str, StringConstraints(pattern=r"^(@[A-Za-z0-9_]{1,64}|-?[0-9]{1,20})$")],
    Field(description="A chat's id, or @name of a public channel or group", examples=[123456789]),
]


MessageId = Annotated[int, Field(description="The message's id in its chat")]


Text = Annotated[str, StringConstraints(min_length=1)]


# Neither a path nor file:…, which a self-hosted server would read from its own disk.
Reference = Annotated[
    str,
    Field(
        pattern=r"^(https?://\S+|[A-Za-z0-9_-]+)$",
        max_length=4096,
        description="A URL for Telegram to fetch, or the file_id of what Telegram has already",
    ),
]


File = Reference | Upload


ParseMode = Annotated[str | None, Field(description="MarkdownV2, HTML or Markdown")]


Entities = Annotated[
    list[Shape] | None,
    Field(description="https://core.telegram.org/bots/api#messageentity, instead of a parse mode"),
]


Markup = Annotated[
    Annotated[Shape, AfterValidator(_keyboard)] | None,
    Field(
        description="An inline or reply keyboard in Telegram's shape, e.g. "
        '{"inline_keyboard": [[{"text": "Yes", "callback_data": "yes"}]]}'
    ),
]


ParseFallback = Annotated[
    bool, Field(description="Send as plain text if Telegram cannot parse the markup")
]


class MethodParams(Params):
    """Parameters of a Bot API method. What is not given is not sent.

    The models below name their bases last to first, for pydantic lists the fields of the last base
    first: so a form begins with the chat.
    """

    # Some forty models: each is built when first used, not when a function starts. Templates keep
    # native types, and a text that happens to be a number is still a text.
    model_config = ConfigDict(defer_build=True, coerce_numbers_to_str=True)

    def request(self) -> tuple[dict[str, Json], dict[str, Part]]:
        """The parameters in Telegram's own names, and the files that go along.

        Raises:
            InvalidParams: An upload in a nested object is malformed.
        """
        given = {name: getattr(self, name) for name in type(self).model_fields}
        given.pop("parse_fallback", None)
        return outgoing(given, to_camel)


class ToChat(MethodParams):
    """Whatever goes to a chat."""

    chat_id: ChatId
    message_thread_id: Annotated[int | None, Field(description="A forum's topic")] = None


class Sent(ToChat):
    """Whatever makes a new message."""

    disable_notification: Annotated[bool | None, Field(description="Deliver silently")] = None
    protect_content: Annotated[bool | None, Field(description="No forwarding, no saving")] = None
    message_effect_id: str | None = None


class Posted(Sent):
    """A new message of the bot's own."""

    allow_paid_broadcast: bool | None = None
    reply_parameters: Annotated[
        Shape | None,
        Field(description='The message that this one answers, e.g. {"message_id": 42}'),
    ] = None


class ForBusiness(MethodParams):
    """What a bot may do for a business account."""

    business_connection_id: str | None = None


class ToDirectMessages(MethodParams):
    """What may go to a channel's direct messages."""

    direct_messages_topic_id: int | None = None


class Suggestible(ToDirectMessages):
    """What may be suggested to a channel."""

    suggested_post_parameters: Shape | None = None


class WithKeyboard(MethodParams):
    """What may carry buttons."""

    reply_markup: Markup = None


class Message(WithKeyboard, Suggestible, ForBusiness, Posted):
    """A message with all that Telegram knows to add."""


class Content(Message):
    """A message that a group's member alone may be shown."""

    ephemeral_message_parameters: Shape | None = None


class Captioned(MethodParams):
    """What has a text below it."""

    caption: Annotated[
        str | None,
        Field(description="Up to 1024 characters", json_schema_extra={"x-control": "multiline"}),
    ] = None
    parse_mode: ParseMode = None
    caption_entities: Entities = None
    parse_fallback: ParseFallback = True


class Visual(MethodParams):
    """What is looked at."""

    show_caption_above_media: bool | None = None
    has_spoiler: bool | None = None


class Thumbnailed(MethodParams):
    """What may have a preview: a JPEG of at most 200 kB and 320 pixels, uploaded."""

    thumbnail: Upload | None = None


class Existing(MethodParams):
    """A message that is there already: in a chat, or sent by way of an inline query."""

    chat_id: ChatId | None = None
    message_id: Annotated[int | None, Field(description="With chatId")] = None
    inline_message_id: Annotated[str | None, Field(description="Instead of the two others")] = None
    business_connection_id: str | None = None
    reply_markup: Markup = None

    @model_validator(mode="after")
    def _is_addressed(self) -> Self:
        in_chat = self.chat_id is not None and self.message_id is not None
        if not in_chat and self.inline_message_id is None:
            raise mistakes.at(("chatId", "needs chatId and messageId, or inlineMessageId"))
        return self


PROSE = frozenset({"text", "caption", "question", "explanation", "description", "message_text"})


def outgoing(
    given: Mapping[str, object], called: Callable[[str], str]
) -> tuple[dict[str, Json], dict[str, Part]]:
    """Take the uploads out of parameters, each replaced by what refers to it.

    https://core.telegram.org/bots/api#sending-files

    Args:
        given: The parameters by Telegram's names.
        called: What the sender calls each of them.

    Returns:
        The parameters without their uploads and without what was not given; the files.

    Raises:
        InvalidParams: An upload is malformed, or a file is named by a path.
    """
    params: dict[str, Json] = {}
    files: dict[str, Part] = {}

    def refer(value: object, name: str, place: str) -> Json:
        value = _upload_or_same(value, place)
        if isinstance(value, Upload):
            part = f"file{len(files)}"
            files[part] = value.part()
            return f"attach://{part}"
        if isinstance(value, dict):
            return {key: refer(inner, key, f"{place}.{key}") for key, inner in value.items()}
        if isinstance(value, list):
            return [refer(inner, name, f"{place}[{n}]") for n, inner in enumerate(value)]
        if isinstance(value, str) and value.startswith("file:/") and name not in PROSE:
            # A self-hosted server with --local would read it from its own disk.
            message = "a file is given by URL, by file_id or as an upload, not by a path"
            raise InvalidParams("A file is named by a path", [FieldError(place, message)])
        return cast("Json", value)

    for name, value in given.items():
        upload = _upload_or_same(value, called(name))
        if isinstance(upload, Upload):
            # The plain form, which every server knows: the part has the parameter's own name.
            files[name] = upload.part()
        elif upload is not None:
            params[name] = refer(upload, name, called(name))
    return params, files


def _upload_or_same(value: object, place: str) -> object:
    """The upload that an object describes; anything else as it is."""
    if not (isinstance(value, dict) and "contentBase64" in value):
        return value
    try:
        return Upload.model_validate(value)
    except ValidationError as error:
        errors = error.errors(include_input=False, include_url=False)
        found = mistakes.field_errors(errors, value)
        wrong = [each._replace(field=f"{place}.{each.field}".rstrip(".")) for each in found]
        raise InvalidParams(f"The upload at {place} is malformed", wrong) from None
