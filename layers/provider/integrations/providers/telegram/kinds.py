"""The kinds of updates that a bot is told of.

https://core.telegram.org/bots/api#update

Standard library only, as in ``events``.
"""

from collections.abc import Mapping
from typing import NamedTuple

from integrations.models import Json


class Kind(NamedTuple):
    """A kind of update: what happened, its model in ``triggers.FILTERS``, and an example of it."""

    title: str
    filters: str
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
    "message": Kind("A message to the bot", "message", _MESSAGE),
    "edited_message": Kind("A message was edited", "message", _MESSAGE),
    "channel_post": Kind("A post in a channel", "message", _NEWS),
    "edited_channel_post": Kind("A post in a channel was edited", "message", _NEWS),
    "business_connection": Kind(
        "A business account connected the bot, or no longer",
        "from",
        {"id": "b1", "user": _ANN, "user_chat_id": 987654321, "date": _DATE, "is_enabled": True},
    ),
    "business_message": Kind("A message to a business account", "message", _MESSAGE),
    "edited_business_message": Kind(
        "A message to a business account was edited", "message", _MESSAGE
    ),
    "deleted_business_messages": Kind(
        "Messages to a business account were deleted",
        "chat",
        {"business_connection_id": "b1", "chat": _HERE, "message_ids": [42]},
    ),
    "guest_message": Kind("A message to the bot as a guest", "message", _MESSAGE),
    "message_reaction": Kind(
        "A user reacted to a message",
        "chat",
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
        "chat",
        {"chat": _CHANNEL, "message_id": 7, "date": _DATE, "reactions": []},
    ),
    "inline_query": Kind(
        "Somebody typed after the bot's name",
        "query",
        {"id": "q1", "from": _ANN, "query": "cats", "offset": ""},
    ),
    "chosen_inline_result": Kind(
        "Somebody chose an inline result",
        "query",
        {"result_id": "1", "from": _ANN, "query": "cats"},
    ),
    "callback_query": Kind(
        "A button was pressed",
        "callback",
        {"id": "q1", "from": _ANN, "message": _MESSAGE, "chat_instance": "c1", "data": "order:42"},
    ),
    "shipping_query": Kind(
        "A buyer gave an address",
        "from",
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
        "from",
        {
            "id": "q1",
            "from": _ANN,
            "currency": "EUR",
            "total_amount": 4200,
            "invoice_payload": "order:42",
        },
    ),
    "purchased_paid_media": Kind(
        "Somebody bought paid media", "from", {"from": _ANN, "paid_media_payload": "order:42"}
    ),
    "poll": Kind(
        "A poll's state changed",
        "none",
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
        "from",
        {"poll_id": "p1", "user": _ANN, "option_ids": [0], "option_persistent_ids": ["1"]},
    ),
    "my_chat_member": Kind("The bot was added, removed or blocked", "chat", _MEMBER),
    "chat_member": Kind("A member joined, left or changed", "chat", _MEMBER),
    "chat_join_request": Kind(
        "Somebody asks to join",
        "chat",
        {"chat": _GROUP, "from": _ANN, "user_chat_id": 987654321, "date": _DATE},
    ),
    "chat_boost": Kind(
        "A chat was boosted",
        "chat",
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
        "chat",
        {"chat": _CHANNEL, "boost_id": "b1", "remove_date": _DATE, "source": _BOOST},
    ),
    "managed_bot": Kind(
        "A managed bot was made or changed",
        "from",
        {"user": _ANN, "bot_user": {"id": 5, "is_bot": True, "first_name": "New bot"}},
    ),
    "subscription": Kind(
        "A subscription's payment changed",
        "from",
        {"user": _ANN, "invoice_payload": "plan:1", "state": "active"},
    ),
    "stopped_message_generation": Kind(
        "Somebody stopped the bot's answer", "chat", {"chat": _HERE, "draft_id": 1}
    ),
}
