"""The kinds of updates that workflows can wait for, and their filters.

https://core.telegram.org/bots/api#update
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StrictInt

from integrations import comparison
from integrations.models import Json
from integrations.providers.base import NoParams, Params
from integrations.providers.telegram.actions.params import ChatId, Text
from integrations.providers.telegram.api import as_object

type ChatType = Literal["private", "group", "supergroup", "channel"]


class FromFilters(Params):
    """Who did it."""

    model_config = ConfigDict(defer_build=True)

    from_id: Annotated[
        StrictInt | list[StrictInt] | None,
        Field(description="Only what this user did, or one of these"),
    ] = None


class ChatFilters(FromFilters):
    """Where it happened."""

    chat_id: Annotated[
        ChatId | list[ChatId] | None, Field(description="Only in this chat, or in one of these")
    ] = None
    chat_type: Annotated[
        ChatType | list[ChatType] | None,
        Field(description="Only in chats of this type, or of one of these"),
    ] = None


def _visible(word: str) -> str:
    if not comparison.comparable(word):
        raise ValueError("must hold something that can be seen")
    return word


class QueryFilters(FromFilters):
    """What was asked for."""

    text: Annotated[
        Annotated[Text, AfterValidator(_visible)] | None,
        Field(description="Only what contains this, in any case"),
    ] = None


class MessageFilters(QueryFilters, ChatFilters):
    """What was said."""

    command: Annotated[
        str | None,
        Field(
            pattern=r"^/?[A-Za-z0-9_]{1,32}(@[A-Za-z0-9_]{1,64})?$",
            description="Only this command, e.g. /start; never one to another bot by name",
        ),
    ] = None


class CallbackFilters(ChatFilters):
    """Which button was pressed."""

    data: Annotated[str | None, Field(description="Only a button with exactly this data")] = None
    data_prefix: Annotated[
        str | None, Field(description="Only buttons whose data begins so, e.g. order:")
    ] = None


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
    "from_id": lambda data, wanted: _one_of(as_object(data.get("from")).get("id"), wanted),
    "chat_id": _in_chat,
    "chat_type": lambda data, wanted: _one_of(data.get("chatType"), wanted),
    "text": lambda data, wanted: comparison.contains(str(data.get("text") or ""), [str(wanted)]),
    "command": _is_command,
    "data": lambda data, wanted: data.get("data") == wanted,
    "data_prefix": lambda data, wanted: str(data.get("data") or "").startswith(str(wanted)),
}


def matches(data: Mapping[str, Json], filters: Params) -> bool:
    """Whether an event's data passes all of the filters that are set."""
    wanted = ((name, getattr(filters, name)) for name in type(filters).model_fields)
    return all(_FILTERS[name](data, value) for name, value in wanted if value is not None)


# -- Kinds ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of update: what happened, what it can be filtered by, and an example of it."""

    title: str
    filters: type[Params]
    example: Json


_ANN: Json = {"id": 987654321, "is_bot": False, "first_name": "Ann", "username": "ann"}
_HERE: Json = {"id": 987654321, "type": "private", "first_name": "Ann", "username": "ann"}
_GROUP: Json = {"id": -1001234567890, "type": "supergroup", "title": "Orders"}
_CHANNEL: Json = {"id": -1009876543210, "type": "channel", "title": "News", "username": "news"}
_DATE = 1795348800
_MESSAGE: Json = {
    "message_id": 42,
    "date": _DATE,
    "chat": _HERE,
    "from": _ANN,
    "text": "/start order 42",
    "entities": [{"type": "bot_command", "offset": 0, "length": 6}],
}
_NEWS: Json = {"message_id": 7, "date": _DATE, "chat": _CHANNEL, "text": "News"}
_MEMBER: Json = {
    "chat": _GROUP,
    "from": _ANN,
    "date": _DATE,
    "old_chat_member": {"status": "left", "user": _ANN},
    "new_chat_member": {"status": "member", "user": _ANN},
}
_BOOST: Json = {"source": "premium", "user": _ANN}

# https://core.telegram.org/bots/api#update
KINDS: Mapping[str, Kind] = {
    "message": Kind("A message to the bot", MessageFilters, _MESSAGE),
    "edited_message": Kind("A message was edited", MessageFilters, _MESSAGE),
    "channel_post": Kind("A post in a channel", MessageFilters, _NEWS),
    "edited_channel_post": Kind("A post in a channel was edited", MessageFilters, _NEWS),
    "business_connection": Kind(
        "A business account connected the bot, or no longer",
        FromFilters,
        {"id": "b1", "user": _ANN, "user_chat_id": 987654321, "date": _DATE, "is_enabled": True},
    ),
    "business_message": Kind("A message to a business account", MessageFilters, _MESSAGE),
    "edited_business_message": Kind(
        "A message to a business account was edited", MessageFilters, _MESSAGE
    ),
    "deleted_business_messages": Kind(
        "Messages to a business account were deleted",
        ChatFilters,
        {"business_connection_id": "b1", "chat": _HERE, "message_ids": [42]},
    ),
    "guest_message": Kind("A message to the bot as a guest", MessageFilters, _MESSAGE),
    "message_reaction": Kind(
        "A user reacted to a message",
        ChatFilters,
        {
            "chat": _GROUP,
            "message_id": 42,
            "date": _DATE,
            "user": _ANN,
            "old_reaction": [],
            "new_reaction": [{"type": "emoji", "emoji": "👍"}],
        },
    ),
    "message_reaction_count": Kind(
        "A message's anonymous reactions changed",
        ChatFilters,
        {"chat": _CHANNEL, "message_id": 7, "date": _DATE, "reactions": []},
    ),
    "inline_query": Kind(
        "Somebody typed after the bot's name",
        QueryFilters,
        {"id": "q1", "from": _ANN, "query": "cats", "offset": ""},
    ),
    "chosen_inline_result": Kind(
        "Somebody chose an inline result",
        QueryFilters,
        {"result_id": "1", "from": _ANN, "query": "cats"},
    ),
    "callback_query": Kind(
        "A button was pressed",
        CallbackFilters,
        {"id": "q1", "from": _ANN, "message": _MESSAGE, "chat_instance": "c1", "data": "order:42"},
    ),
    "shipping_query": Kind(
        "A buyer gave an address",
        FromFilters,
        {
            "id": "q1",
            "from": _ANN,
            "invoice_payload": "order:42",
            "shipping_address": {
                "country_code": "AT",
                "state": "",
                "city": "Wien",
                "street_line1": "Stephansplatz 3",
                "street_line2": "",
                "post_code": "1010",
            },
        },
    ),
    "pre_checkout_query": Kind(
        "A buyer is about to pay",
        FromFilters,
        {
            "id": "q1",
            "from": _ANN,
            "currency": "EUR",
            "total_amount": 4200,
            "invoice_payload": "order:42",
        },
    ),
    "purchased_paid_media": Kind(
        "Somebody bought paid media", FromFilters, {"from": _ANN, "paid_media_payload": "order:42"}
    ),
    "poll": Kind(
        "A poll's state changed",
        NoParams,
        {
            "id": "p1",
            "question": "Lunch?",
            "options": [{"text": "Soup", "voter_count": 1, "persistent_id": "1"}],
            "total_voter_count": 1,
            "is_closed": True,
            "is_anonymous": True,
            "type": "regular",
            "allows_multiple_answers": False,
            "allows_revoting": False,
            "members_only": False,
        },
    ),
    "poll_answer": Kind(
        "A user voted",
        FromFilters,
        {"poll_id": "p1", "user": _ANN, "option_ids": [0], "option_persistent_ids": ["1"]},
    ),
    "my_chat_member": Kind("The bot was added, removed or blocked", ChatFilters, _MEMBER),
    "chat_member": Kind("A member joined, left or changed", ChatFilters, _MEMBER),
    "chat_join_request": Kind(
        "Somebody asks to join",
        ChatFilters,
        {"chat": _GROUP, "from": _ANN, "user_chat_id": 987654321, "date": _DATE},
    ),
    "chat_boost": Kind(
        "A chat was boosted",
        ChatFilters,
        {
            "chat": _CHANNEL,
            "boost": {
                "boost_id": "b1",
                "add_date": _DATE,
                "expiration_date": _DATE + 86400,
                "source": _BOOST,
            },
        },
    ),
    "removed_chat_boost": Kind(
        "A boost ended",
        ChatFilters,
        {"chat": _CHANNEL, "boost_id": "b1", "remove_date": _DATE, "source": _BOOST},
    ),
    "managed_bot": Kind(
        "A managed bot was made or changed",
        FromFilters,
        {"user": _ANN, "bot_user": {"id": 5, "is_bot": True, "first_name": "New bot"}},
    ),
    "subscription": Kind(
        "A subscription's payment changed",
        FromFilters,
        {"user": _ANN, "invoice_payload": "plan:1", "state": "active"},
    ),
    "stopped_message_generation": Kind(
        "Somebody stopped the bot's answer", ChatFilters, {"chat": _HERE, "draft_id": 1}
    ),
}
