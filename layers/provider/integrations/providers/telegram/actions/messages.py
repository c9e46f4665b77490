"""Texts, places, contacts, polls, and messages that are there already.

https://core.telegram.org/bots/api#sendmessage
"""

from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    WithJsonSchema,
)

from integrations.providers.telegram.actions.method import CHAT, MARKUP, MESSAGE, method_action
from integrations.providers.telegram.actions.params import (
    Captioned,
    ChatId,
    Content,
    Entities,
    ForBusiness,
    Message,
    MessageId,
    ParseFallback,
    ParseMode,
    Posted,
    Sent,
    Shape,
    Suggestible,
    Text,
    ToChat,
    WithKeyboard,
    option,
)


class SendMessage(Content):
    """Takes what https://core.telegram.org/bots/api#sendmessage takes."""

    text: Annotated[
        Text,
        Field(
            description="Up to 4096 characters after parsing",
            json_schema_extra={"x-control": "multiline"},
        ),
    ]
    parse_mode: ParseMode = None
    entities: Entities = None
    link_preview_options: Annotated[
        Shape | None, Field(description='E.g. {"is_disabled": true}')
    ] = None
    parse_fallback: ParseFallback = True


SEND_MESSAGE = method_action(
    "sendMessage",
    "Send a text",
    SendMessage,
    {
        **CHAT,
        "text": "Order <b>42</b> is <i>paid</i>",
        "parseMode": "HTML",
        "linkPreviewOptions": {"is_disabled": True},
        "replyMarkup": MARKUP,
    },
)


class Place(Content):
    """A point on the map."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]


class SendLocation(Place):
    """Takes what https://core.telegram.org/bots/api#sendlocation takes."""

    horizontal_accuracy: Annotated[float | None, Field(ge=0, le=1500)] = None
    live_period: int | None = None
    heading: int | None = None
    proximity_alert_radius: int | None = None


SEND_LOCATION = method_action(
    "sendLocation",
    "Send a point on the map",
    SendLocation,
    {**CHAT, "latitude": 48.2082, "longitude": 16.3738},
)


class SendVenue(Place):
    """Takes what https://core.telegram.org/bots/api#sendvenue takes."""

    title: Text
    address: Text
    foursquare_id: str | None = None
    foursquare_type: str | None = None
    google_place_id: str | None = None
    google_place_type: str | None = None


SEND_VENUE = method_action(
    "sendVenue",
    "Send a place",
    SendVenue,
    {
        **CHAT,
        "latitude": 48.2082,
        "longitude": 16.3738,
        "title": "Stephansdom",
        "address": "Stephansplatz 3, Wien",
    },
)


class SendContact(Content):
    """Takes what https://core.telegram.org/bots/api#sendcontact takes."""

    phone_number: Text
    first_name: Text
    last_name: str | None = None
    vcard: str | None = None


SEND_CONTACT = method_action(
    "sendContact",
    "Send a contact",
    SendContact,
    {**CHAT, "phoneNumber": "+431234567", "firstName": "Ann"},
)


class SendPoll(WithKeyboard, ForBusiness, Posted):
    """Takes what https://core.telegram.org/bots/api#sendpoll takes."""

    question: Text
    question_parse_mode: ParseMode = None
    question_entities: Entities = None
    options: Annotated[
        list[
            Annotated[
                Shape, BeforeValidator(option), WithJsonSchema({"type": ["string", "object"]})
            ]
        ],
        Field(min_length=1, description='Texts, or objects such as {"text": "Yes"}'),
    ]
    is_anonymous: bool | None = None
    type: Literal["regular", "quiz"] | None = None
    allows_multiple_answers: bool | None = None
    allows_revoting: bool | None = None
    shuffle_options: bool | None = None
    allow_adding_options: bool | None = None
    hide_results_until_closes: bool | None = None
    members_only: bool | None = None
    country_codes: list[str] | None = None
    correct_option_ids: Annotated[
        list[int] | None, Field(description="A quiz's right answers, counted from 0")
    ] = None
    explanation: str | None = None
    explanation_parse_mode: ParseMode = None
    explanation_entities: Entities = None
    explanation_media: Shape | None = None
    open_period: int | None = None
    close_date: Annotated[int | None, Field(description="Unix time")] = None
    is_closed: bool | None = None
    description: str | None = None
    description_parse_mode: ParseMode = None
    description_entities: Entities = None
    media: Shape | None = None
    parse_fallback: ParseFallback = True


SEND_POLL = method_action(
    "sendPoll",
    "Send a poll or a quiz",
    SendPoll,
    {**CHAT, "question": "Lunch?", "options": ["Soup", {"text": "Salad"}]},
)


class SendDice(Message):
    """Takes what https://core.telegram.org/bots/api#senddice takes."""

    emoji: Annotated[str | None, Field(description="🎲 🎯 🏀 ⚽ 🎳 or 🎰")] = None


SEND_DICE = method_action("sendDice", "Throw a die", SendDice, {**CHAT, "emoji": "🎲"})


class SendChatAction(ForBusiness, ToChat):
    """Takes what https://core.telegram.org/bots/api#sendchataction takes."""

    action: Annotated[Text, Field(description="typing, upload_photo, record_voice …")]


SEND_CHAT_ACTION = method_action(
    "sendChatAction",
    "Show that the bot is typing",
    SendChatAction,
    {**CHAT, "action": "typing"},
    idempotent=True,
    returns="",
)


class ForwardMessage(Suggestible, Sent):
    """Takes what https://core.telegram.org/bots/api#forwardmessage takes."""

    from_chat_id: ChatId
    message_id: MessageId
    video_start_timestamp: int | None = None


FORWARD_MESSAGE = method_action(
    "forwardMessage",
    "Forward a message",
    ForwardMessage,
    {**MESSAGE, "fromChatId": "@news"},
)


class CopyMessage(Captioned, WithKeyboard, Suggestible, Posted):
    """Takes what https://core.telegram.org/bots/api#copymessage takes."""

    from_chat_id: ChatId
    message_id: MessageId
    video_start_timestamp: int | None = None
    show_caption_above_media: bool | None = None


COPY_MESSAGE = method_action(
    "copyMessage",
    "Copy a message",
    CopyMessage,
    {**MESSAGE, "fromChatId": "@news", "caption": "From the news"},
)


ACTIONS = (
    SEND_MESSAGE,
    SEND_LOCATION,
    SEND_VENUE,
    SEND_CONTACT,
    SEND_POLL,
    SEND_DICE,
    SEND_CHAT_ACTION,
    FORWARD_MESSAGE,
    COPY_MESSAGE,
)
