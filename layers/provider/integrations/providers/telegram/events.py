"""What Telegram tells a bot, as events that workflows can wait for.

https://core.telegram.org/bots/api#update

Standard library only: the dispatcher imports it, and none of the provider's models.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from integrations import comparison, strict_json
from integrations.errors import InvalidInput
from integrations.models import Delivery, Event, Json, as_object, from_epoch, rfc3339, text_of
from integrations.providers.telegram.kinds import KINDS

_COMMAND = re.compile(r"/([A-Za-z0-9_]{1,32})(?:@([A-Za-z0-9_]{1,64}))?(?:\s+(.*))?", re.DOTALL)
_MEDIA = ("document", "video", "animation", "audio", "voice", "video_note", "sticker")

OWN_NAME = "bot"
"""The webhook's query parameter that says the bot's own username."""

OWN_ID = "botId"
"""The webhook's query parameter that says the bot's own id."""


class _Command(NamedTuple):
    """A command at the beginning of a message: ``/name@bot arguments``."""

    name: str
    bot: str | None
    arguments: str


def describe(kind: str, update: dict[str, Json], own_name: str = "") -> dict[str, Json]:
    """What templates see of an update: the handy facts flat, all always there, and the whole.

    Args:
        kind: The update's kind.
        update: The update.
        own_name: The bot's username: a command to another bot is none of ours. Empty for unknown.
    """
    subject = as_object(update.get(kind))
    about = as_object(subject.get("message")) or subject
    boost = as_object(subject.get("boost")) or subject
    chat = as_object(about.get("chat"))
    text = next(
        (text for key in ("text", "caption", "query") if isinstance(text := subject.get(key), str)),
        None,
    )
    command = _command(subject, text)
    is_ours = (
        command is not None
        and (command.bot or own_name).casefold() == (own_name or command.bot or "").casefold()
    )
    arguments = command.arguments if command and is_ours else ""
    return {
        "kind": kind,
        "updateId": update["update_id"],
        "chatId": chat.get("id", subject.get("user_chat_id")),
        "chatType": chat.get("type", subject.get("chat_type")),
        "chatTitle": chat.get("title"),
        "chatUsername": chat.get("username"),
        "messageId": about.get("message_id"),
        "messageThreadId": _topic(about),
        "replyToMessageId": _replied_to(subject),
        "businessConnectionId": about.get("business_connection_id"),
        "from": _author(subject, boost),
        "isForwarded": "forward_origin" in subject,
        "text": text,
        "command": f"/{command.name}" if command and is_ours else None,
        "commandBot": command.bot if command else None,
        "args": list(arguments.split()),
        "argsText": arguments,
        "fileId": _file_id(subject),
        "callbackQueryId": subject.get("id") if kind == "callback_query" else None,
        "data": subject.get("data"),
        "date": _moment(subject.get("date")),
        "editDate": _moment(subject.get("edit_date")),
        "update": update,
    }


def _command(message: Mapping[str, Json], text: str | None) -> _Command | None:
    """The command that a message begins with.

    Telegram marks it: the same characters in a block of code, or behind other text, are none.
    """
    found = _COMMAND.fullmatch(text.strip()) if text else None
    if found is None:
        return None
    marks = message.get("entities" if "text" in message else "caption_entities")
    if isinstance(marks, list) and not any(
        mark.get("type") == "bot_command" and mark.get("offset") == 0
        for mark in map(as_object, marks)
    ):
        return None
    return _Command(found[1], found[2], found[3] or "")


def _topic(message: Mapping[str, Json]) -> Json:
    """The topic that a message is in; the number of a mere thread of replies is none."""
    return message.get("message_thread_id") if message.get("is_topic_message") is True else None


def _replied_to(message: Mapping[str, Json]) -> Json:
    """The message that this one answers; every message in a topic names the topic's first one."""
    replied_to = as_object(message.get("reply_to_message")).get("message_id")
    topic = _topic(message)
    return None if topic is not None and replied_to == topic else replied_to


def _author(subject: Mapping[str, Json], boost: Mapping[str, Json]) -> Json:
    """Who did it.

    For a chat that acts as itself (an anonymous administrator, a channel in its group) Telegram
    puts a made-up user beside it, which is nobody.
    """
    for name in ("sender_chat", "actor_chat", "voter_chat"):
        if chat := as_object(subject.get(name)):
            return {
                "id": chat.get("id"),
                "isBot": False,
                "firstName": chat.get("title"),
                "lastName": None,
                "username": chat.get("username"),
                "languageCode": None,
            }
    user = (
        as_object(subject.get("from"))
        or as_object(subject.get("user"))
        or as_object(as_object(boost.get("source")).get("user"))
    )
    if not user:
        return None
    return {
        "id": user.get("id"),
        "isBot": user.get("is_bot"),
        "firstName": user.get("first_name"),
        "lastName": user.get("last_name"),
        "username": user.get("username"),
        "languageCode": user.get("language_code"),
    }


def _file_id(message: Mapping[str, Json]) -> Json:
    """The file that a message carries, for `downloadFile`; of a photo the largest size."""
    sizes = message.get("photo")
    if isinstance(sizes, list) and sizes:
        return as_object(sizes[-1]).get("file_id")
    found = (as_object(message.get(name)).get("file_id") for name in _MEDIA)
    return next((file_id for file_id in found if file_id), None)


def _moment(date: Json) -> Json:
    """Unix time as RFC 3339; ``None`` for what is no moment (0 is an inaccessible message's)."""
    if not isinstance(date, int) or date <= 0:
        return None
    try:
        return rfc3339(from_epoch(date))
    except (OverflowError, ValueError, OSError):
        return None


def normalize(delivery: Delivery) -> list[Event]:
    """The update in a delivery: one event, or none where its kind is new to us.

    Raises:
        InvalidInput: The body is not an update.
    """
    try:
        update = strict_json.read(delivery.body)
    except strict_json.NotJson as reason:
        raise InvalidInput(f"The body is not JSON as Telegram's updates are: {reason}") from None
    update_id = update.get("update_id") if isinstance(update, dict) else None
    if not isinstance(update, dict) or not isinstance(update_id, int) or update_id is True:
        raise InvalidInput("The body is not an update of Telegram: it has no update_id")
    kind = next((name for name in update if name in KINDS and isinstance(update[name], dict)), None)
    if kind is None:
        return []
    # A connection is one bot, so the webhook tells the bots apart.
    target = delivery.webhook_id
    # Two bots may count alike, and a connection may change its bot.
    bot_id = text_of(delivery.query, OWN_ID)
    event_id = f"{bot_id}:{update_id}" if bot_id else str(update_id)
    data = describe(kind, update, text_of(delivery.query, OWN_NAME))
    return [Event(f"telegram.{kind}", event_id, target, data)]


# -- Filters ---------------------------------------------------------------------------------


def _one_of(data: Json, wanted: Json) -> bool:
    return data in wanted if isinstance(wanted, list) else data == wanted


def _in_chat(data: Mapping[str, Json], wanted: Json) -> bool:
    """By id, which may be written as text, or by public name."""
    names = {str(data.get("chatId"))}
    if username := data.get("chatUsername"):
        names.add(f"@{username}".casefold())
    chats = wanted if isinstance(wanted, list) else [wanted]
    return any(str(chat).casefold() in names for chat in chats)


def _is_command(data: Mapping[str, Json], wanted: Json) -> bool:
    name, _, bot = str(wanted).removeprefix("/").casefold().partition("@")
    addressee = str(data.get("commandBot") or bot).casefold()
    same = str(data.get("command")).casefold() == f"/{name}"
    return same and (not bot or addressee == bot)


_FILTERS: Mapping[str, Callable[[Mapping[str, Json], Json], bool]] = {
    "fromId": lambda data, wanted: _one_of(as_object(data.get("from")).get("id"), wanted),
    "chatId": _in_chat,
    "chatType": lambda data, wanted: _one_of(data.get("chatType"), wanted),
    "text": lambda data, wanted: comparison.contains(str(data.get("text") or ""), [str(wanted)]),
    "command": _is_command,
    "data": lambda data, wanted: data.get("data") == wanted,
    "dataPrefix": lambda data, wanted: str(data.get("data") or "").startswith(str(wanted)),
}


def matches(data: Mapping[str, Json], filters: Mapping[str, Json]) -> bool:
    """Whether an event's data passes all of the filters that are set."""
    return all(
        _FILTERS[name](data, wanted) for name, wanted in filters.items() if wanted is not None
    )
