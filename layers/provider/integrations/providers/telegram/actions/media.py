"""Photos, files, films, sounds and albums.

https://core.telegram.org/bots/api#sendphoto
"""

from typing import Annotated

from pydantic import (
    AfterValidator,
    Field,
)

from integrations.providers.telegram.actions.method import CHAT, IMAGE, method_action
from integrations.providers.telegram.actions.params import (
    Captioned,
    Content,
    File,
    ForBusiness,
    ParseFallback,
    Posted,
    Shape,
    Thumbnailed,
    ToDirectMessages,
    Visual,
    is_photo,
)


class SendPhoto(Visual, Captioned, Content):
    """Takes what https://core.telegram.org/bots/api#sendphoto takes."""

    photo: Annotated[File, AfterValidator(is_photo)]


SEND_PHOTO = method_action(
    "sendPhoto",
    "Send a photo",
    SendPhoto,
    {**CHAT, "photo": IMAGE, "caption": "A cat"},
)


class SendDocument(Thumbnailed, Captioned, Content):
    """Takes what https://core.telegram.org/bots/api#senddocument takes."""

    document: File
    disable_content_type_detection: bool | None = None


SEND_DOCUMENT = method_action(
    "sendDocument",
    "Send a file",
    SendDocument,
    {**CHAT, "document": {"fileName": "order.txt", "contentBase64": "T3JkZXIgNDI="}},
)


class SendVideo(Thumbnailed, Visual, Captioned, Content):
    """Takes what https://core.telegram.org/bots/api#sendvideo takes."""

    video: File
    duration: int | None = None
    width: int | None = None
    height: int | None = None
    cover: File | None = None
    start_timestamp: int | None = None
    supports_streaming: bool | None = None


SEND_VIDEO = method_action(
    "sendVideo",
    "Send a video",
    SendVideo,
    {**CHAT, "video": "https://example.com/cat.mp4", "supportsStreaming": True},
)


class SendAudio(Thumbnailed, Captioned, Content):
    """Takes what https://core.telegram.org/bots/api#sendaudio takes."""

    audio: File
    duration: int | None = None
    performer: str | None = None
    title: str | None = None


SEND_AUDIO = method_action(
    "sendAudio",
    "Send music",
    SendAudio,
    {**CHAT, "audio": "https://example.com/song.mp3", "performer": "Ann", "title": "Song"},
)


class SendVoice(Captioned, Content):
    """Takes what https://core.telegram.org/bots/api#sendvoice takes."""

    voice: File
    duration: int | None = None


SEND_VOICE = method_action(
    "sendVoice",
    "Send a voice message",
    SendVoice,
    {**CHAT, "voice": "AwACAgIAAxkBAAIBZ2Ym"},
)


class SendAnimation(Thumbnailed, Visual, Captioned, Content):
    """Takes what https://core.telegram.org/bots/api#sendanimation takes."""

    animation: File
    duration: int | None = None
    width: int | None = None
    height: int | None = None


SEND_ANIMATION = method_action(
    "sendAnimation",
    "Send an animation",
    SendAnimation,
    {**CHAT, "animation": "https://example.com/cat.gif"},
)


class SendVideoNote(Thumbnailed, Content):
    """Takes what https://core.telegram.org/bots/api#sendvideonote takes."""

    video_note: File
    duration: int | None = None
    length: int | None = None


SEND_VIDEO_NOTE = method_action(
    "sendVideoNote",
    "Send a round video",
    SendVideoNote,
    {**CHAT, "videoNote": "DQACAgIAAxkBAAIBaGYm", "length": 240},
)


class SendSticker(Content):
    """Takes what https://core.telegram.org/bots/api#sendsticker takes."""

    sticker: File
    emoji: str | None = None


SEND_STICKER = method_action(
    "sendSticker",
    "Send a sticker",
    SendSticker,
    {**CHAT, "sticker": "CAACAgIAAxkBAAIBaWYm"},
)


class SendMediaGroup(ToDirectMessages, ForBusiness, Posted):
    """Takes what https://core.telegram.org/bots/api#sendmediagroup takes."""

    media: Annotated[
        list[Shape],
        Field(
            min_length=2,
            max_length=10,
            description='E.g. [{"type": "photo", "media": "https://…"}, …]; '
            "the place of a URL may be taken by an upload",
        ),
    ]
    parse_fallback: ParseFallback = True


SEND_MEDIA_GROUP = method_action(
    "sendMediaGroup",
    "Send an album",
    SendMediaGroup,
    {
        **CHAT,
        "media": [
            {"type": "photo", "media": IMAGE, "caption": "Two cats"},
            {
                "type": "photo",
                "media": {"fileName": "cat.png", "contentBase64": "iVBORw0KGgo="},
            },
        ],
    },
    returns="messages",
)


ACTIONS = (
    SEND_PHOTO,
    SEND_DOCUMENT,
    SEND_VIDEO,
    SEND_AUDIO,
    SEND_VOICE,
    SEND_ANIMATION,
    SEND_VIDEO_NOTE,
    SEND_STICKER,
    SEND_MEDIA_GROUP,
)
