"""What becomes of a message: changed, deleted, pinned; and the answer to a button.

https://core.telegram.org/bots/api#updating-messages
"""

from typing import Annotated, Self

from pydantic import (
    Field,
    model_validator,
)

from integrations import mistakes
from integrations.providers.telegram.actions.method import MARKUP, MESSAGE, method_action
from integrations.providers.telegram.actions.params import (
    Captioned,
    ChatId,
    Entities,
    Existing,
    ForBusiness,
    MessageId,
    MethodParams,
    ParseFallback,
    ParseMode,
    Shape,
    Text,
)


class EditMessageText(Existing):
    """Takes what https://core.telegram.org/bots/api#editmessagetext takes."""

    text: Text | None = None
    parse_mode: ParseMode = None
    entities: Entities = None
    link_preview_options: Shape | None = None
    rich_message: Annotated[Shape | None, Field(description="Instead of a text")] = None
    parse_fallback: ParseFallback = True

    @model_validator(mode="after")
    def _has_text(self) -> Self:
        if (self.text is None) == (self.rich_message is None):
            raise mistakes.at(("text", "needs either text or richMessage"))
        return self


EDIT_MESSAGE_TEXT = method_action(
    "editMessageText",
    "Change a message's text",
    EditMessageText,
    {**MESSAGE, "text": "Order 42 is on its way"},
    idempotent=True,
)


class EditMessageCaption(Captioned, Existing):
    """Takes what https://core.telegram.org/bots/api#editmessagecaption takes."""

    show_caption_above_media: bool | None = None


EDIT_MESSAGE_CAPTION = method_action(
    "editMessageCaption",
    "Change a caption",
    EditMessageCaption,
    {**MESSAGE, "caption": "A sleeping cat"},
    idempotent=True,
)


class EditMessageReplyMarkup(Existing):
    """Takes what https://core.telegram.org/bots/api#editmessagereplymarkup takes."""


EDIT_MESSAGE_REPLY_MARKUP = method_action(
    "editMessageReplyMarkup",
    "Change a message's buttons",
    EditMessageReplyMarkup,
    {**MESSAGE, "replyMarkup": MARKUP},
    idempotent=True,
)


class DeleteMessage(MethodParams):
    """Takes what https://core.telegram.org/bots/api#deletemessage takes."""

    chat_id: ChatId
    message_id: MessageId


DELETE_MESSAGE = method_action(
    "deleteMessage", "Delete a message", DeleteMessage, MESSAGE, idempotent=True, returns=""
)


class PinChatMessage(ForBusiness, DeleteMessage):
    """Takes what https://core.telegram.org/bots/api#pinchatmessage takes."""

    disable_notification: bool | None = None


PIN_CHAT_MESSAGE = method_action(
    "pinChatMessage", "Pin a message", PinChatMessage, MESSAGE, idempotent=True, returns=""
)


class UnpinChatMessage(ForBusiness):
    """Takes what https://core.telegram.org/bots/api#unpinchatmessage takes."""

    chat_id: ChatId
    message_id: Annotated[int | None, Field(description="By default the newest pinned one")] = None


# Without a messageId each repetition would unpin another one.
UNPIN_CHAT_MESSAGE = method_action(
    "unpinChatMessage", "Unpin a message", UnpinChatMessage, MESSAGE, returns=""
)


class AnswerCallbackQuery(MethodParams):
    """Takes what https://core.telegram.org/bots/api#answercallbackquery takes."""

    callback_query_id: Text
    text: Annotated[str | None, Field(max_length=200)] = None
    show_alert: bool | None = None
    url: str | None = None
    cache_time: int | None = None


ANSWER_CALLBACK_QUERY = method_action(
    "answerCallbackQuery",
    "Answer the press of a button",
    AnswerCallbackQuery,
    {"callbackQueryId": "4382bfdwdsb323b2d9", "text": "Noted"},
    idempotent=True,
    returns="",
)


ACTIONS = (
    EDIT_MESSAGE_TEXT,
    EDIT_MESSAGE_CAPTION,
    EDIT_MESSAGE_REPLY_MARKUP,
    DELETE_MESSAGE,
    PIN_CHAT_MESSAGE,
    UNPIN_CHAT_MESSAGE,
    ANSWER_CALLBACK_QUERY,
)
