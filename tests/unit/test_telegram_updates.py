"""What Telegram tells: updates become events, filters choose, and webhooks come and go."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from integrations.errors import CredentialsRejected, InvalidInput, RequestRejected
from integrations.models import Account, Delivery, Event, now
from integrations.outbound.client import Outbound
from integrations.providers.base import Addresses, Call, Inbound, Subscription
from integrations.providers.telegram.kinds import KINDS
from integrations.providers.telegram.provider import PROVIDER, TelegramCredentials
from tests.fakes.receiver import Receiver
from tests.fakes.telegram import TOKEN, TelegramServer

FIXTURES = sorted((Path(__file__).parents[1] / "fixtures" / "deliveries").glob("telegram_*.json"))
TRIGGERS = {trigger.type: trigger for trigger in PROVIDER.triggers}
ANN = {
    "id": 987654321,
    "isBot": False,
    "firstName": "Ann",
    "lastName": "Lee",
    "username": "ann_lee",
    "languageCode": "en",
}


def inbound() -> Inbound[TelegramCredentials]:
    assert PROVIDER.inbound is not None
    return PROVIDER.inbound


def normalize(body: bytes, **query: str) -> list[Event]:
    delivery = Delivery(
        webhook_id="hook1",
        event_id="1",
        received_at=now(),
        headers={"content-type": "application/json"},
        query=query,
        body=body,
    )
    return inbound().normalize(delivery)


def event(name: str) -> Event:
    (only,) = normalize((FIXTURES[0].parent / f"telegram_{name}.json").read_bytes())
    return only


def passes(happened: Event, **filters: Any) -> bool:
    trigger = TRIGGERS[happened.type]
    return trigger.matches(happened.data, trigger.completed(filters))


@pytest.fixture(scope="module")
def update_type() -> Any:
    """aiogram's model of an update. It takes seconds to import, which no other worker pays."""
    from aiogram.types import Update

    return Update


# -- Events ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_each_fixture_is_an_update_to_aiogram_and_an_event_to_us(
    path: Path, update_type: Any
) -> None:
    raw = json.loads(path.read_text())
    update = update_type.model_validate(raw)

    happened = event(path.stem.removeprefix("telegram_"))

    assert happened.type == f"telegram.{update.event_type}"
    assert (happened.id, happened.target) == (str(update.update_id), "hook1")
    assert happened.data["update"] == raw
    assert json.loads(json.dumps(happened.data)) == happened.data


@pytest.mark.parametrize("trigger", PROVIDER.triggers, ids=lambda trigger: trigger.type)
def test_each_triggers_example_is_an_update_to_aiogram(trigger: Any, update_type: Any) -> None:
    update = update_type.model_validate(trigger.example["update"])
    assert trigger.type == f"telegram.{update.event_type}"
    assert trigger.matches(trigger.example, trigger.completed({}))


def test_there_is_a_trigger_for_each_kind_of_update(update_type: Any) -> None:
    kinds = set(update_type.model_fields) - {"update_id"}
    assert {f"telegram.{kind}" for kind in kinds} == set(TRIGGERS)


def test_every_event_has_all_the_facts_by_name() -> None:
    names = {frozenset(trigger.example) for trigger in PROVIDER.triggers}
    assert len(names) == 1


def test_a_message_is_told_with_its_text_chat_and_sender() -> None:
    data = event("message").data
    assert data["text"] == "Where is my order? Größe 42 🙂"
    assert (data["chatId"], data["chatType"]) == (987654321, "private")
    assert (data["messageId"], data["date"]) == (1365, "2026-11-22T12:00:00.000Z")
    assert data["from"] == ANN
    assert (data["command"], data["args"], data["argsText"]) == (None, [], "")


def test_a_command_is_told_with_its_arguments() -> None:
    data = event("command").data
    assert data["command"] == "/order"
    assert data["args"] == ["42", "express"]
    assert data["argsText"] == "42 express"


def test_a_command_in_a_group_is_told_without_the_bots_name() -> None:
    data = event("group_command").data
    assert (data["command"], data["commandBot"], data["args"]) == ("/order", "stand_in_bot", ["42"])
    assert (data["chatTitle"], data["messageThreadId"]) == ("Orders", 5)


def message(**fields: Any) -> dict[str, Any]:
    """A message's facts, as the bot @stand_in_bot is told them."""
    update = {"update_id": 1, "message": {"message_id": 9, "date": 1, **fields}}
    (only,) = normalize(json.dumps(update).encode(), bot="stand_in_bot")
    return dict(only.data)


MARK = [{"type": "bot_command", "offset": 0, "length": 6}]


@pytest.mark.parametrize(
    ("text", "marks", "command"),
    [
        ("/start", MARK, "/start"),
        ("/start@stand_in_bot", MARK, "/start"),
        ("/start@Stand_In_Bot now", MARK, "/start"),
        ("/start@some_other_bot", MARK, None),
        ("/start", [{"type": "code", "offset": 0, "length": 6}], None),
        ("say /start", [{"type": "bot_command", "offset": 4, "length": 6}], None),
        ("/start", "odd", "/start"),
    ],
)
def test_a_command_is_what_telegram_marks_as_one_to_this_bot(
    text: str, marks: Any, command: str | None
) -> None:
    data = message(text=text, entities=marks)
    assert data["command"] == command
    assert (data["text"], bool(data["args"])) == (text, "now" in text)


def test_a_command_to_another_bot_starts_nothing() -> None:
    update = {"message_id": 9, "text": "/start@some_other_bot", "entities": MARK}
    (happened,) = normalize(
        json.dumps({"update_id": 1, "message": update}).encode(), bot="stand_in_bot"
    )
    assert not passes(happened, command="/start")
    assert passes(happened, text="/start")


def test_the_number_of_a_thread_of_replies_is_no_topic() -> None:
    assert message(message_thread_id=5)["messageThreadId"] is None
    assert message(message_thread_id=5, is_topic_message=True)["messageThreadId"] == 5


def test_the_first_message_of_a_topic_is_not_what_each_one_answers() -> None:
    topic = {"message_thread_id": 5, "is_topic_message": True}
    assert message(**topic, reply_to_message={"message_id": 5})["replyToMessageId"] is None
    assert message(**topic, reply_to_message={"message_id": 6})["replyToMessageId"] == 6
    assert message(reply_to_message={"message_id": 5})["replyToMessageId"] == 5


@pytest.mark.parametrize(
    ("kind", "field"),
    [("message", "sender_chat"), ("message_reaction", "actor_chat"), ("poll_answer", "voter_chat")],
)
def test_a_chat_that_acts_as_itself_is_who_did_it(kind: str, field: str) -> None:
    nobody = {
        "id": 1087968824,
        "is_bot": True,
        "first_name": "Group",
        "username": "GroupAnonymousBot",
    }
    group = {"id": -100, "type": "supergroup", "title": "Orders"}
    subject = {"from": nobody, "user": nobody, field: group}
    (happened,) = normalize(json.dumps({"update_id": 1, kind: subject}).encode())
    assert isinstance(happened.data["from"], dict)
    assert (happened.data["from"]["id"], happened.data["from"]["firstName"]) == (-100, "Orders")
    assert not passes(happened, fromId=1087968824)
    assert passes(happened, fromId=-100)


def test_what_was_forwarded_or_edited_says_so() -> None:
    assert message(text="x")["isForwarded"] is False
    assert message(text="x", forward_origin={"type": "user"})["isForwarded"] is True
    assert message(text="x", edit_date=1795348800)["editDate"] == "2026-11-22T12:00:00.000Z"


def test_two_bots_that_count_alike_tell_different_events() -> None:
    body = b'{"update_id": 1, "message": {}}'
    ids = {normalize(body, botId=bot)[0].id for bot in ("1", "2", "2")}
    assert len(ids) == 2


def test_a_photo_is_told_with_its_caption_and_its_largest_size() -> None:
    data = event("photo").data
    assert (data["text"], data["fileId"]) == ("It came broken", "AgACAgIAAxkBAAIFU2large")
    assert event("document").data["fileId"] == "BQACAgIAAxkBAAIFVGdoc"


def test_a_pressed_button_is_told_with_its_data_and_its_message() -> None:
    data = event("callback_query").data
    assert (data["callbackQueryId"], data["data"]) == ("4242424242424242424", "cancel:42")
    assert (data["chatId"], data["messageId"]) == (987654321, 1370)
    assert data["from"] == ANN
    assert data["text"] is None


def test_a_button_of_an_inline_message_has_no_chat() -> None:
    data = event("callback_query_inline").data
    assert (data["chatId"], data["messageId"], data["data"]) == (None, None, "more")


def test_who_it_was_is_found_wherever_the_kind_has_it() -> None:
    for name in ("message_reaction", "poll_answer", "chat_member", "inline_query"):
        assert event(name).data["from"] == ANN, name
    boost = TRIGGERS["telegram.removed_chat_boost"].example
    assert isinstance(boost["from"], dict)
    assert boost["from"]["username"] == "ann"


def test_a_kind_that_is_new_to_us_is_left_out() -> None:
    assert normalize(b'{"update_id": 1, "telepathy": {"from": {"id": 1}}}') == []
    assert normalize(b'{"update_id": 1}') == []
    assert normalize(b'{"update_id": 1, "message": "no object"}') == []


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"5", b"[]", b"{}", b"{", b"\xff", b"<html>", b'{"update_id": "1"}',
        b'{"update_id": true}', b'{"update_id": 1.5}', b'{"message": {}}', b"[" * 100_000,
        b'{"update_id": 1, "message": {"n": 1e999}}', b'{"update_id": 1, "message": NaN}',
        b'{"update_id": 1, "message": {"text": "a", "text": "b"}}',
        b'{"update_id": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
def test_what_is_no_update_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        normalize(body)


ODD: list[Any] = [None, 5, "x", [], {}, [None], {"id": {}}, 10**30, -1, True]


@pytest.mark.parametrize("kind", list(KINDS))
def test_hostile_updates_become_events_that_filters_survive(kind: str) -> None:
    fields = ("chat", "from", "user", "message", "text", "date", "photo", "document", "data")
    for odd in ODD:
        subject = dict.fromkeys(fields, odd) | {"reply_to_message": odd, "boost": {"source": odd}}
        (happened,) = normalize(json.dumps({"update_id": 1, kind: subject}).encode())
        trigger = TRIGGERS[happened.type]
        wanted = {"chatId": 5, "chatType": "group", "fromId": 5, "text": "x", "command": "x"}
        wanted |= {"data": "x", "dataPrefix": "x"}
        aliases = {field.alias for field in trigger.filters.model_fields.values()}
        for name in aliases:
            filters = trigger.completed({name: wanted[str(name)]})
            assert trigger.matches(happened.data, filters) in {True, False}


# -- Filters ---------------------------------------------------------------------------------


def test_no_filter_lets_everything_pass() -> None:
    assert passes(event("message"))
    assert passes(event("callback_query"))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("/order", True),
        ("order", True),
        ("/ORDER", True),
        ("/order@stand_in_bot", True),
        ("/order@Stand_In_Bot", True),
        ("/order@other_bot", False),
        ("/ord", False),
        ("/start", False),
    ],
)
def test_a_command_is_met_with_or_without_the_bots_name(command: str, expected: object) -> None:
    assert passes(event("group_command"), command=command) is expected


def test_a_command_to_nobody_by_name_is_also_for_the_named_bot() -> None:
    assert passes(event("command"), command="/order@stand_in_bot")
    assert not passes(event("message"), command="/order")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"chatId": -1001234567890}, True),
        ({"chatId": "-1001234567890"}, True),
        ({"chatId": [1, -1001234567890]}, True),
        ({"chatId": 987654321}, False),
        ({"chatId": []}, False),
        ({"chatType": "supergroup"}, True),
        ({"chatType": ["private", "channel"]}, False),
        ({"fromId": 987654321}, True),
        ({"fromId": [1, 2]}, False),
        ({"text": "ORDER@"}, True),
        ({"text": "refund"}, False),
        ({"chatType": "supergroup", "text": "refund"}, False),
    ],
)
def test_every_filter_must_pass(filters: dict[str, Any], expected: object) -> None:
    assert passes(event("group_command"), **filters) is expected


def test_a_channel_is_met_by_its_public_name() -> None:
    assert passes(event("channel_post"), chatId="@Our_News")
    assert not passes(event("channel_post"), chatId="@other")
    assert not passes(event("group_command"), chatId="@None")


def test_text_is_met_in_captions_and_in_any_case() -> None:
    assert passes(event("photo"), text="BROKEN")
    assert passes(event("message"), text="GRÖSSE")
    assert passes(event("message"), text="gro\u0308sse")
    assert passes(event("inline_query"), text="shoes")


def test_a_button_is_met_by_its_data_or_how_it_begins() -> None:
    happened = event("callback_query")
    assert passes(happened, data="cancel:42")
    assert not passes(happened, data="cancel")
    assert passes(happened, dataPrefix="cancel:", chatId=987654321)
    assert not passes(happened, dataPrefix="keep:")


@pytest.mark.parametrize(
    ("kind", "filters"),
    [
        ("message", {"comand": "/start"}),
        ("message", {"command": "not a command"}),
        ("message", {"chatType": "grup"}),
        ("message", {"chatId": 1.5}),
        ("message", {"text": ""}),
        ("callback_query", {"command": "/start"}),
        ("poll", {"chatId": 1}),
    ],
)
def test_a_filter_that_does_not_fit_the_kind_is_refused(kind: str, filters: Any) -> None:
    with pytest.raises(ValidationError):
        TRIGGERS[f"telegram.{kind}"].filters.model_validate(filters)


# -- Webhooks --------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as running:
        yield running


@pytest.fixture
def call(server: TelegramServer) -> Call[TelegramCredentials]:
    return Call(
        credentials=TelegramCredentials.model_validate({"botToken": TOKEN}),
        http=Outbound(allow_loopback=True),
        addresses=Addresses(telegram_api=server.url),
    )


def subscription(*events: str, url: str = "https://api.example.com/hook1") -> Subscription:
    return Subscription(
        url=url,
        secret=SecretStr("s3cret-_token"),
        verify_token=SecretStr("unused"),
        account=Account("4242", "@stand_in_bot", {"username": "stand_in_bot"}),
        target="",
        events=frozenset(events),
    )


def subscribe(call: Call[TelegramCredentials], wanted: Subscription) -> None:
    assert inbound().subscribe is not None
    inbound().subscribe(call, wanted)  # type: ignore[misc]


def unsubscribe(call: Call[TelegramCredentials], wanted: Subscription) -> None:
    assert inbound().unsubscribe is not None
    inbound().unsubscribe(call, wanted)  # type: ignore[misc]


def test_telegram_is_asked_for_exactly_what_workflows_wait_for(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    events = ("telegram.chat_member", "telegram.message", "facebook.comment")
    for _ in range(2):
        subscribe(call, subscription(*events))

    assert server.webhooks[TOKEN] == {
        "url": "https://api.example.com/hook1?bot=stand_in_bot&botId=4242",
        "secret_token": "s3cret-_token",
        "allowed_updates": ["message", "chat_member"],
        "max_connections": 40,
    }


def test_a_webhook_is_removed_and_removing_it_again_is_done(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    subscribe(call, subscription("telegram.message"))
    for _ in range(2):
        unsubscribe(call, subscription())
    assert not server.webhooks


def test_a_webhook_that_points_elsewhere_by_now_is_let_be(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    server.webhooks[TOKEN] = {"url": "https://elsewhere.example.com"}
    unsubscribe(call, subscription())
    assert server.webhooks[TOKEN]["url"] == "https://elsewhere.example.com"


def test_an_address_that_telegram_does_not_take_is_its_refusal(
    call: Call[TelegramCredentials],
) -> None:
    with pytest.raises(RequestRejected, match="HTTPS URL must be provided"):
        subscribe(call, subscription("telegram.message", url="http://api.example.com/hook1"))


def test_a_revoked_bot_cannot_be_subscribed(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    server.revoke(TOKEN)
    with pytest.raises(CredentialsRejected):
        subscribe(call, subscription("telegram.message"))


def test_a_connections_webhook_is_verified_by_a_random_secret_of_our_own() -> None:
    assert inbound().endpoint is not None
    endpoint = inbound().endpoint(TelegramCredentials.model_validate({"botToken": TOKEN}))  # type: ignore[misc]
    assert endpoint.verification == {"type": "telegram"}
    assert (endpoint.secret, endpoint.webhook_id) == (None, None)


def test_what_telegram_delivers_carries_the_secret_and_becomes_an_event(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    with Receiver() as receiver:
        subscribe(call, subscription("telegram.message", url=receiver.url("/hook1")))
        message = KINDS["message"].example
        assert server.tell({"message": message}) == 200
        assert server.tell({"edited_message": message}) == 0

        assert receiver.last.headers["x-telegram-bot-api-secret-token"] == "s3cret-_token"
        (happened,) = normalize(receiver.last.body)
        assert happened.data["command"] == "/start"
