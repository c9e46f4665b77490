"""Telegram: whatever a bot sends and manages, and whatever Telegram tells it.

https://core.telegram.org/bots/api

The requests are in ``api``, the methods and what they take in ``methods``, the updates in
``events``; here is what they add up to.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from mimetypes import guess_type
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr

from integrations.errors import ProviderUnavailable, RequestRejected
from integrations.models import Account, Json
from integrations.providers.base import (
    Action,
    Call,
    Credentials,
    Endpoint,
    Inbound,
    Provider,
    Subscription,
    Trigger,
    Verified,
)
from integrations.providers.telegram import api, methods
from integrations.providers.telegram.events import KINDS, matches, normalize, told

# -- Credentials -----------------------------------------------------------------------------


def _token(value: SecretStr) -> SecretStr:
    """Let through what has a token's shape: nothing that would change the URL it is part of."""
    if not re.fullmatch(r"[0-9]+:[A-Za-z0-9_-]+", value.get_secret_value()):
        message = "must look like 123456789:AAE…, as @BotFather gives it"
        raise ValueError(message)
    return value


def _server(value: str | None) -> str | None:
    """Let through an http or https address without user, query or fragment; cut the slash."""
    if not value:
        return None
    parts = urlsplit(value)
    plain = not (parts.query or parts.fragment or "@" in parts.netloc or re.search(r"\s", value))
    if parts.scheme not in {"http", "https"} or not parts.hostname or not plain:
        message = "must be an http or https address without user, query or fragment"
        raise ValueError(message)
    return value.rstrip("/")


class TelegramCredentials(Credentials):
    """A bot's token from https://t.me/BotFather, and where its Bot API server is."""

    bot_token: Annotated[
        SecretStr,
        Field(
            title="Bot token",
            description="What @BotFather gave for the bot, e.g. 123456789:AAE…",
            max_length=256,
        ),
        AfterValidator(_token),
    ]
    api_base: Annotated[
        str | None,
        Field(
            title="Bot API server",
            description="The address of a self-hosted Bot API server; empty for Telegram's own.",
            max_length=2048,
        ),
        AfterValidator(_server),
    ] = None


def verify(call: Call[TelegramCredentials]) -> Verified[TelegramCredentials]:
    """Ask Telegram who the bot is: https://core.telegram.org/bots/api#getme.

    Raises:
        CredentialsRejected: No bot has this token.
        ProviderUnavailable: The server is down, or is no Bot API server.
    """
    me = api.invoke(_bot(call), "getMe", {}).result
    if not isinstance(me, dict) or not isinstance(me.get("id"), int):
        raise ProviderUnavailable("The server did not answer getMe as a Bot API server does")
    label = f"@{me['username']}" if me.get("username") else str(me.get("first_name", me["id"]))
    details: dict[str, Json] = {
        "username": me.get("username"),
        "firstName": me.get("first_name"),
        "canJoinGroups": me.get("can_join_groups"),
        "canReadAllGroupMessages": me.get("can_read_all_group_messages"),
        "supportsInlineQueries": me.get("supports_inline_queries"),
    }
    account = Account(id=str(me["id"]), label=label, details=details)
    return Verified(account=account, message=f"Connected as {label}")


def _bot(call: Call[TelegramCredentials]) -> api.Bot:
    server = call.credentials.api_base or call.addresses.telegram_api
    token = call.credentials.bot_token.get_secret_value()
    return api.Bot(token, server.rstrip("/"), call.http)


# -- Actions ---------------------------------------------------------------------------------

# The quote too: harmless in a text, and needed in <a href="…">.
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"})
_ESCAPED = {
    ("MarkdownV2", "text"): r"[\\_*\[\]()~`>#+\-=|{}.!]",
    ("MarkdownV2", "code"): r"[\\`]",
    ("MarkdownV2", "link"): r"[\\)]",
    ("Markdown", "text"): r"[_*`\[]",
}


def escape(_: Call[TelegramCredentials], params: methods.Escape) -> Json:
    """Make a text safe to stand inside formatted text: nothing in it is markup any more.

    Returns:
        ``{"text": …}``.
    """
    if params.parse_mode == "HTML":
        return {"text": params.text.translate(_HTML)}
    pattern = _ESCAPED.get((params.parse_mode, params.within))
    text = re.sub(pattern, r"\\\g<0>", params.text) if pattern else params.text
    return {"text": text}


def download_file(call: Call[TelegramCredentials], params: methods.GetFile) -> Json:
    """Fetch a file that the bot was sent: https://core.telegram.org/bots/api#getfile.

    Returns:
        ``{"fileId", "size", "file": {"fileName", "contentType", "contentBase64"}}``; ``file`` may
        be given as it is to whatever takes an upload.

    Raises:
        RequestRejected: There is no such file, or it is over 4 MB.
    """
    found = api.invoke(_bot(call), "getFile", {"file_id": params.file_id}).result
    path = found.get("file_path") if isinstance(found, dict) else None
    size = found.get("file_size") if isinstance(found, dict) else None
    if isinstance(size, int) and size > api.MAX_DOWNLOAD:
        raise RequestRejected(api.too_large(size))
    if not isinstance(path, str) or not path:
        raise RequestRejected("Telegram names no path for this file: bots get files up to 20 MB")
    response = api.download(_bot(call), path)
    name = path.rpartition("/")[2]
    # Telegram serves everything as application/octet-stream; the name knows better.
    file: dict[str, Json] = {
        "fileName": name,
        "contentType": guess_type(name)[0] or "application/octet-stream",
        "contentBase64": b64encode(response.content).decode(),
    }
    return {"fileId": params.file_id, "size": len(response.content), "file": file}


def call_method(call: Call[TelegramCredentials], params: methods.AnyCall) -> Json:
    """Call a method that has no action of its own.

    Returns:
        ``{"result": …}`` as Telegram gives it, and the notes of ``api.Answer``.
    """
    given, files = methods.outgoing(params.params)
    answer = api.invoke(
        _bot(call), params.method, given, files, parse_fallback=params.parse_fallback
    )
    return {"result": answer.result, **answer.notes}


def _output(noun: str, answer: api.Answer) -> Json:
    """What a step sees: the ids at hand, the whole result under its noun, and the notes.

    A message gives ``{"messageId", "chatId", "message"}``, an album ``{"messageIds", "chatId",
    "messages"}``, a plain yes ``{"ok": true}``.
    """
    result = answer.result
    if isinstance(result, bool):
        return {"ok": result, **answer.notes}
    ids: dict[str, Json] = {}
    if noun == "message":
        message = api.as_object(result)
        ids = {
            "messageId": message.get("message_id"),
            "chatId": api.as_object(message.get("chat")).get("id"),
        }
    elif noun == "messages":
        messages = (
            [api.as_object(message) for message in result] if isinstance(result, list) else []
        )
        ids = {
            "messageIds": [message.get("message_id") for message in messages],
            "chatId": api.as_object(messages[0].get("chat")).get("id") if messages else None,
        }
    return {**ids, noun: result, **answer.notes}


def _action(
    name: str,
    title: str,
    params: type[methods.MethodParams],
    example: Mapping[str, Json],
    *,
    returns: str = "message",
    idempotent: bool = False,
) -> Action:
    """The action for a Bot API method: its name is the method's.

    Args:
        name: The method's name.
        title: What it does, in a few words.
        params: The model of its parameters.
        example: Parameters that fit.
        returns: What a result is called in the output, where it is more than a yes.
        idempotent: Whether a repetition does no harm.
    """

    def run(call: Call[TelegramCredentials], given: methods.MethodParams) -> Json:
        request, files = given.request()
        fallback = bool(getattr(given, "parse_fallback", False))
        answer = api.invoke(_bot(call), name, request, files, parse_fallback=fallback)
        return _output(returns, answer)

    return Action(
        name=name, title=title, params=params, run=run, example=example, idempotent=idempotent
    )


_CHAT: Mapping[str, Json] = {"chatId": 123456789}
_MESSAGE: Mapping[str, Json] = {"chatId": 123456789, "messageId": 42}
_IMAGE = "https://example.com/cat.jpg"
_MARKUP: Json = {"inline_keyboard": [[{"text": "Yes", "callback_data": "yes"}]]}

ACTIONS = (
    _action(
        "sendMessage",
        "Send a text",
        methods.SendMessage,
        {
            **_CHAT,
            "text": "Order <b>42</b> is <i>paid</i>",
            "parseMode": "HTML",
            "parseFallback": True,
            "linkPreviewOptions": {"is_disabled": True},
            "replyMarkup": _MARKUP,
        },
    ),
    _action(
        "sendPhoto",
        "Send a photo",
        methods.SendPhoto,
        {**_CHAT, "photo": _IMAGE, "caption": "A cat"},
    ),
    _action(
        "sendDocument",
        "Send a file",
        methods.SendDocument,
        {**_CHAT, "document": {"fileName": "order.txt", "contentBase64": "T3JkZXIgNDI="}},
    ),
    _action(
        "sendVideo",
        "Send a video",
        methods.SendVideo,
        {**_CHAT, "video": "https://example.com/cat.mp4", "supportsStreaming": True},
    ),
    _action(
        "sendAudio",
        "Send music",
        methods.SendAudio,
        {**_CHAT, "audio": "https://example.com/song.mp3", "performer": "Ann", "title": "Song"},
    ),
    _action(
        "sendVoice",
        "Send a voice message",
        methods.SendVoice,
        {**_CHAT, "voice": "AwACAgIAAxkBAAIBZ2Ym"},
    ),
    _action(
        "sendAnimation",
        "Send an animation",
        methods.SendAnimation,
        {**_CHAT, "animation": "https://example.com/cat.gif"},
    ),
    _action(
        "sendVideoNote",
        "Send a round video",
        methods.SendVideoNote,
        {**_CHAT, "videoNote": "DQACAgIAAxkBAAIBaGYm", "length": 240},
    ),
    _action(
        "sendSticker",
        "Send a sticker",
        methods.SendSticker,
        {**_CHAT, "sticker": "CAACAgIAAxkBAAIBaWYm"},
    ),
    _action(
        "sendMediaGroup",
        "Send an album",
        methods.SendMediaGroup,
        {
            **_CHAT,
            "media": [
                {"type": "photo", "media": _IMAGE, "caption": "Two cats"},
                {
                    "type": "photo",
                    "media": {"fileName": "cat.png", "contentBase64": "iVBORw0KGgo="},
                },
            ],
        },
        returns="messages",
    ),
    _action(
        "sendLocation",
        "Send a point on the map",
        methods.SendLocation,
        {**_CHAT, "latitude": 48.2082, "longitude": 16.3738},
    ),
    _action(
        "sendVenue",
        "Send a place",
        methods.SendVenue,
        {
            **_CHAT,
            "latitude": 48.2082,
            "longitude": 16.3738,
            "title": "Stephansdom",
            "address": "Stephansplatz 3, Wien",
        },
    ),
    _action(
        "sendContact",
        "Send a contact",
        methods.SendContact,
        {**_CHAT, "phoneNumber": "+431234567", "firstName": "Ann"},
    ),
    _action(
        "sendPoll",
        "Send a poll or a quiz",
        methods.SendPoll,
        {**_CHAT, "question": "Lunch?", "options": ["Soup", {"text": "Salad"}]},
    ),
    _action("sendDice", "Throw a die", methods.SendDice, {**_CHAT, "emoji": "🎲"}),
    _action(
        "sendChatAction",
        "Show that the bot is typing",
        methods.SendChatAction,
        {**_CHAT, "action": "typing"},
        idempotent=True,
    ),
    _action(
        "forwardMessage",
        "Forward a message",
        methods.ForwardMessage,
        {**_MESSAGE, "fromChatId": "@news"},
    ),
    _action(
        "copyMessage",
        "Copy a message",
        methods.CopyMessage,
        {**_MESSAGE, "fromChatId": "@news", "caption": "From the news"},
    ),
    _action(
        "editMessageText",
        "Change a message's text",
        methods.EditMessageText,
        {**_MESSAGE, "text": "Order 42 is on its way"},
        idempotent=True,
    ),
    _action(
        "editMessageCaption",
        "Change a caption",
        methods.EditMessageCaption,
        {**_MESSAGE, "caption": "A sleeping cat"},
        idempotent=True,
    ),
    _action(
        "editMessageReplyMarkup",
        "Change a message's buttons",
        methods.EditMessageReplyMarkup,
        {**_MESSAGE, "replyMarkup": _MARKUP},
        idempotent=True,
    ),
    _action("deleteMessage", "Delete a message", methods.DeleteMessage, _MESSAGE, idempotent=True),
    _action("pinChatMessage", "Pin a message", methods.PinChatMessage, _MESSAGE, idempotent=True),
    # Without a messageId each repetition would unpin another one.
    _action("unpinChatMessage", "Unpin a message", methods.UnpinChatMessage, _MESSAGE),
    _action(
        "answerCallbackQuery",
        "Answer the press of a button",
        methods.AnswerCallbackQuery,
        {"callbackQueryId": "4382bfdwdsb323b2d9", "text": "Noted"},
        idempotent=True,
    ),
    _action("getMe", "Show the bot", methods.NoMethodParams, {}, returns="bot", idempotent=True),
    _action("getChat", "Show a chat", methods.GetChat, _CHAT, returns="chat", idempotent=True),
    _action(
        "getChatMember",
        "Show a member of a chat",
        methods.GetChatMember,
        {**_CHAT, "userId": 987654321},
        returns="member",
        idempotent=True,
    ),
    _action(
        "getFile",
        "Show a file's size and path",
        methods.GetFile,
        {"fileId": "BQACAgIAAxkBAAIBamYm"},
        returns="file",
        idempotent=True,
    ),
    Action(
        name="downloadFile",
        title="Fetch a file that the bot was sent (up to 4 MB)",
        params=methods.GetFile,
        run=download_file,
        example={"fileId": "BQACAgIAAxkBAAIBamYm"},
        idempotent=True,
    ),
    _action(
        "setWebhook",
        "Set the webhook",
        methods.SetWebhook,
        {"url": "https://example.com/telegram", "allowedUpdates": ["message"]},
        idempotent=True,
    ),
    _action("deleteWebhook", "Remove the webhook", methods.DeleteWebhook, {}, idempotent=True),
    _action(
        "getWebhookInfo",
        "Show the webhook",
        methods.NoMethodParams,
        {},
        returns="webhook",
        idempotent=True,
    ),
    Action(
        name="call",
        title="Call any other Bot API method",
        params=methods.AnyCall,
        run=call_method,
        example={
            "method": "setMyCommands",
            "params": {"commands": [{"command": "start", "description": "Begin"}]},
        },
    ),
    Action(
        name="escape",
        title="Make a text safe inside formatted text",
        params=methods.Escape,
        run=escape,
        example={"text": "1 + 1 = 2!", "parseMode": "MarkdownV2"},
        idempotent=True,
    ),
)


# -- Triggers and webhooks -------------------------------------------------------------------

TRIGGERS = tuple(
    Trigger(
        type=f"telegram.{name}",
        title=kind.title,
        filters=kind.filters,
        matches=matches,
        example=told(name, {"update_id": 700000001, name: kind.example}),
    )
    for name, kind in KINDS.items()
)


def subscribe(call: Call[TelegramCredentials], subscription: Subscription) -> None:
    """Have Telegram send what workflows wait for: https://core.telegram.org/bots/api#setwebhook.

    The kinds are named one by one: by default Telegram leaves some out.

    Raises:
        RequestRejected: Telegram does not take the address (not https, an odd port).
        ProviderError: As for every call.
    """
    kinds = {event.removeprefix("telegram.") for event in subscription.events}
    params: dict[str, Json] = {
        "url": subscription.url,
        "secret_token": subscription.secret.get_secret_value(),
        "allowed_updates": [name for name in KINDS if name in kinds],
    }
    api.invoke(_bot(call), "setWebhook", params)


def unsubscribe(call: Call[TelegramCredentials], subscription: Subscription) -> None:
    """Have Telegram send nothing more to us: https://core.telegram.org/bots/api#deletewebhook.

    A webhook that somebody has pointed elsewhere in the meantime is not ours to remove.

    Raises:
        ProviderError: As for every call.
    """
    bot = _bot(call)
    present = api.as_object(api.invoke(bot, "getWebhookInfo", {}).result).get("url")
    if present == subscription.url:
        api.invoke(bot, "deleteWebhook", {})


PROVIDER = Provider(
    id="telegram",
    title="Telegram",
    docs_url="https://core.telegram.org/bots/api",
    credentials=TelegramCredentials,
    verify=verify,
    actions=ACTIONS,
    triggers=TRIGGERS,
    inbound=Inbound(
        endpoint=lambda _: Endpoint(verification={"type": "telegram"}),
        normalize=normalize,
        targets=lambda account: {account.id: account.label},
        subscribe=subscribe,
        unsubscribe=unsubscribe,
    ),
)
