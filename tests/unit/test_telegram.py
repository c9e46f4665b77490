"""The Telegram provider's actions against a stand-in server, checked by aiogram's method models."""

import logging
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from integrations.errors import (
    AddressRefused,
    ConnectionPaused,
    CredentialsRejected,
    InvalidParams,
    PermissionMissing,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from integrations.outbound.client import Outbound
from integrations.providers import registry
from integrations.providers.base import Action, Addresses, Call
from integrations.providers.telegram.provider import PROVIDER, TelegramCredentials
from integrations.services.forms import params_of
from tests.fakes.telegram import (
    HANG_UP,
    TOKEN,
    Failure,
    TelegramServer,
    bad_gateway,
    refusal,
    slow,
    too_many,
)
from tests.unit.connected import telegram_call

NO_BOT_METHOD = {"downloadFile", "call", "escape"}
METHODS = [action for action in PROVIDER.actions if action.name not in NO_BOT_METHOD]
DOT = {"fileName": "dot.png", "contentBase64": b64encode(b"\x89PNG dot").decode()}
CHAT = 987654321012345


@pytest.fixture
def server() -> Iterator[TelegramServer]:
    with TelegramServer() as running:
        yield running


@pytest.fixture
def call(server: TelegramServer) -> Call[TelegramCredentials]:
    return telegram_call(server.url)


def act(call: Call[TelegramCredentials], name: str, /, **params: Any) -> Any:
    action = PROVIDER.action(name)
    return action.run(call, action.params.model_validate(params))


def sent(server: TelegramServer, call: Call[TelegramCredentials], text: str = "Hi") -> int:
    number: int = act(call, "sendMessage", chatId=CHAT, text=text)["messageId"]
    server.calls.clear()
    return number


# -- What goes out is what Telegram takes ----------------------------------------------------


@pytest.fixture(scope="module")
def bot_api() -> ModuleType:
    """What aiogram says of the methods. It takes seconds to import, which no other worker pays."""
    from tests.unit import bot_api

    return bot_api


@pytest.mark.parametrize("action", METHODS, ids=lambda action: action.name)
def test_each_example_is_a_request_that_aiogram_would_send(
    server: TelegramServer, call: Call[TelegramCredentials], action: Any, bot_api: ModuleType
) -> None:
    server.fail(refusal(400, "Bad Request: enough seen"))
    with pytest.raises(RequestRejected):
        act(call, action.name, **action.example)

    assert server.last.method == action.name
    bot_api.check(server.last)


EVERYTHING: dict[str, Any] = {
    "chatId": CHAT,
    "messageId": 2**33,
    "inlineMessageId": "BAAAAPpx",
    "businessConnectionId": "b1",
    "messageThreadId": 7,
    "directMessagesTopicId": 8,
    "disableNotification": True,
    "protectContent": True,
    "messageEffectId": "5104841245755180586",
    "allowPaidBroadcast": False,
    "replyParameters": {"message_id": 41, "quote": "so"},
    "suggestedPostParameters": {"price": {"currency": "XTR", "amount": 5}},
    "ephemeralMessageParameters": {"receiver_user_id": 5},
    "replyMarkup": {"inline_keyboard": [[{"text": "Yes", "callback_data": "yes"}]]},
    "caption": "A cat",
    "captionEntities": [{"type": "bold", "offset": 0, "length": 1}],
    "showCaptionAboveMedia": True,
    "hasSpoiler": True,
    "thumbnail": DOT,
    "cover": DOT,
    "entities": [{"type": "bold", "offset": 0, "length": 1}],
    "linkPreviewOptions": {"is_disabled": True},
    "duration": 1,
    "width": 2,
    "height": 3,
    "length": 4,
    "startTimestamp": 5,
    "videoStartTimestamp": 5,
    "supportsStreaming": True,
    "disableContentTypeDetection": True,
    "performer": "Ann",
    "title": "Title",
    "emoji": "🎲",
    "horizontalAccuracy": 1.5,
    "livePeriod": 60,
    "heading": 90,
    "proximityAlertRadius": 10,
    "foursquareId": "1",
    "foursquareType": "food",
    "googlePlaceId": "1",
    "googlePlaceType": "food",
    "lastName": "Lee",
    "vcard": "BEGIN:VCARD",
    "questionParseMode": "HTML",
    "questionEntities": [],
    "isAnonymous": False,
    "type": "quiz",
    "allowsMultipleAnswers": False,
    "allowsRevoting": False,
    "shuffleOptions": True,
    "allowAddingOptions": False,
    "hideResultsUntilCloses": True,
    "membersOnly": False,
    "countryCodes": ["AT"],
    "correctOptionIds": [0],
    "explanation": "So",
    "explanationParseMode": "HTML",
    "explanationEntities": [],
    "explanationMedia": {"type": "photo", "media": "https://example.com/a.png"},
    "openPeriod": 60,
    "closeDate": 1795348800,
    "isClosed": False,
    "description": "Why",
    "descriptionParseMode": "HTML",
    "descriptionEntities": [],
    "media": {"type": "photo", "media": DOT},
    "parseMode": "HTML",
    "showAlert": True,
    "text": "Noted",
    "url": "https://example.com/hook",
    "cacheTime": 5,
    "certificate": DOT,
    "ipAddress": "203.0.113.5",
    "maxConnections": 5,
    "allowedUpdates": ["message"],
    "dropPendingUpdates": True,
    "secretToken": "s3cret_-",
}


@pytest.mark.parametrize("action", METHODS, ids=lambda action: action.name)
def test_every_current_parameter_of_the_bot_api_can_be_given(
    server: TelegramServer, call: Call[TelegramCredentials], action: Any, bot_api: ModuleType
) -> None:
    aliases = {field.alias for field in action.params.model_fields.values()}
    example = {name: value for name, value in EVERYTHING.items() if name in aliases}
    server.fail(refusal(400, "Bad Request: enough seen"))
    with pytest.raises(RequestRejected):
        act(call, action.name, **{**example, **action.example})

    bot_api.check(server.last)
    current = bot_api.fields(action.name)
    missing = current - set(server.last.params) - set(server.last.files) - {"rich_message"}
    assert not missing


def test_the_actions_of_the_catalogue_are_all_there() -> None:
    wanted = """sendMessage sendPhoto sendDocument sendVideo sendAudio sendVoice sendAnimation
        sendVideoNote sendSticker sendMediaGroup sendLocation sendVenue sendContact sendPoll
        sendDice sendChatAction forwardMessage copyMessage editMessageText editMessageCaption
        editMessageReplyMarkup deleteMessage pinChatMessage unpinChatMessage answerCallbackQuery
        getFile downloadFile getChat getChatMember setWebhook deleteWebhook getWebhookInfo call
        escape"""
    assert set(wanted.split()) <= {action.name for action in PROVIDER.actions}


def test_reads_and_edits_may_be_repeated_and_sends_may_not() -> None:
    repeatable = {action.name for action in PROVIDER.actions if action.idempotent}
    assert {"getChat", "editMessageText", "deleteMessage", "setWebhook", "escape"} <= repeatable
    assert not [name for name in repeatable if name.startswith("send") and "Action" not in name]
    assert not repeatable & {"forwardMessage", "copyMessage", "unpinChatMessage", "call"}


@pytest.mark.parametrize("action", PROVIDER.actions, ids=lambda action: action.name)
def test_each_action_describes_its_parameters_as_a_json_schema(action: Any) -> None:
    schema = action.params.model_json_schema(by_alias=True)
    assert schema["additionalProperties"] is False
    assert all("_" not in name for name in schema["properties"])


# -- What comes back -------------------------------------------------------------------------


def test_a_sent_message_gives_its_ids_and_the_whole_message(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    output = act(call, "sendMessage", chatId=CHAT, text="Hi")

    assert output["chatId"] == CHAT
    assert output["messageId"] == output["message"]["message_id"]
    assert output["message"]["text"] == "Hi"
    assert server.last.params == {"chat_id": CHAT, "text": "Hi"}


def test_ids_beyond_32_bits_and_names_of_channels_go_through_as_they_are(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    act(call, "getChatMember", chatId="@news", userId=2**52 - 1)
    assert server.last.params == {"chat_id": "@news", "user_id": 2**52 - 1}


def test_a_number_where_a_text_belongs_is_sent_as_text(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    act(call, "sendMessage", chatId=str(CHAT), text=42)
    assert server.last.params == {"chat_id": str(CHAT), "text": "42"}
    act(call, "sendPoll", chatId=CHAT, question=1.5, options=[1, "2", {"text": "3"}])
    options = [option["text"] for option in server.last.params["options"]]
    assert (server.last.params["question"], options) == ("1.5", ["1", "2", "3"])


def test_reads_give_their_result_under_its_noun(call: Call[TelegramCredentials]) -> None:
    assert act(call, "getMe")["bot"]["username"] == "stand_in_bot"
    assert act(call, "getChat", chatId=CHAT)["chat"]["id"] == CHAT
    assert act(call, "getChatMember", chatId=CHAT, userId=5)["member"]["status"] == "member"
    assert act(call, "getWebhookInfo")["webhook"]["url"] == ""


def test_an_edit_that_changes_nothing_is_done(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    number = sent(server, call)
    assert act(call, "editMessageText", chatId=CHAT, messageId=number, text="New")["messageId"]
    again = act(call, "editMessageText", chatId=CHAT, messageId=number, text="New")
    assert again == {"ok": True, "unchanged": True}


def test_deleting_what_is_gone_is_done(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    number = sent(server, call)
    assert act(call, "deleteMessage", chatId=CHAT, messageId=number) == {"ok": True}
    again = act(call, "deleteMessage", chatId=CHAT, messageId=number)
    assert again == {"ok": True, "unchanged": True}


def test_any_other_method_can_be_called_by_name(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    commands = [{"command": "start", "description": "Begin"}]
    output = act(call, "call", method="setMyCommands", params={"commands": commands})
    assert output == {"result": True}
    assert server.last.params == {"commands": commands}


def test_a_method_that_telegram_does_not_know_is_no_matter_of_the_token(
    call: Call[TelegramCredentials],
) -> None:
    with pytest.raises(RequestRejected, match="method not found"):
        act(call, "call", method="sendMoney")


# -- Who the bot is --------------------------------------------------------------------------


def test_the_test_of_a_token_names_the_bot(call: Call[TelegramCredentials]) -> None:
    verified = PROVIDER.verify(call)
    assert verified.message == "Connected as @stand_in_bot"
    assert (verified.account.id, verified.account.label) == ("123456789", "@stand_in_bot")
    assert verified.account.details["canJoinGroups"] is True


def test_a_self_hosted_server_takes_the_place_of_telegrams(server: TelegramServer) -> None:
    call = telegram_call("http://127.0.0.1:9", apiBase=f"{server.url}/")
    assert PROVIDER.verify(call).account.label == "@stand_in_bot"


def test_a_server_that_is_no_bot_api_server_is_unavailable(server: TelegramServer) -> None:
    server.fail(bad_gateway(200))
    with pytest.raises(ProviderUnavailable):
        PROVIDER.verify(telegram_call(server.url))


def test_the_guard_refuses_a_self_hosted_server_inside(server: TelegramServer) -> None:
    call = Call(
        credentials=TelegramCredentials.model_validate({"botToken": TOKEN, "apiBase": server.url}),
        http=Outbound(),
        addresses=Addresses(),
    )
    with pytest.raises(AddressRefused):
        PROVIDER.verify(call)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "abc",
        "123",
        "123:",
        ":abc",
        "123:a/b",
        "123:a?b",
        "123:a b",
        "../123:ab",
        "\uff11\uff12:ab",
        "1:é",
    ],
)
def test_what_has_not_a_tokens_shape_is_refused_without_being_repeated(token: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TelegramCredentials.model_validate({"botToken": token})
    assert len(token) < 5 or token not in str(refused.value)


@pytest.mark.parametrize(
    "base",
    ["ftp://example.com", "example.com", "https://", "https://u:p@example.com", "https://a/?b",
     "https://a/#b", "https://a b", "https://[::1"],
)  # fmt: skip
def test_what_is_no_plain_address_is_no_server(base: str) -> None:
    with pytest.raises(ValidationError):
        TelegramCredentials.model_validate({"botToken": TOKEN, "apiBase": base})


def test_an_empty_server_means_telegrams_own() -> None:
    credentials = TelegramCredentials.model_validate({"botToken": TOKEN, "apiBase": ""})
    assert credentials.api_base is None
    assert isinstance(credentials.bot_token, SecretStr)


# -- The error table -------------------------------------------------------------------------

TABLE: list[tuple[int, str, type[ProviderError]]] = [
    (400, "Bad Request: chat not found", RequestRejected),
    (400, "Bad Request: message thread not found", RequestRejected),
    (400, "Bad Request: unsupported parse_mode", RequestRejected),
    (400, "Bad Request: query is too old and response timeout expired", RequestRejected),
    (400, "Bad Request: not enough rights to send text messages to the chat", PermissionMissing),
    (400, "Bad Request: need administrator rights in the channel chat", PermissionMissing),
    (401, "Unauthorized", CredentialsRejected),
    (401, "Unauthorized: invalid token specified", CredentialsRejected),
    (403, "Forbidden: bot was blocked by the user", RequestRejected),
    (403, "Forbidden: user is deactivated", RequestRejected),
    (403, "Forbidden: bot can't initiate conversation with a user", RequestRejected),
    (403, "Forbidden: bot was kicked from the supergroup chat", PermissionMissing),
    (403, "Forbidden: bot is not a member of the channel chat", PermissionMissing),
    (404, "Not Found", CredentialsRejected),
    (404, "Not Found: method not found", RequestRejected),
    (409, "Conflict: can't use getUpdates method while webhook is active", RequestRejected),
    (413, "Request Entity Too Large", RequestRejected),
    (500, "Internal Server Error: restart", ProviderUnavailable),
]


@pytest.mark.parametrize(("code", "description", "expected"), TABLE)
def test_each_refusal_becomes_its_error_with_telegrams_words(
    server: TelegramServer,
    call: Call[TelegramCredentials],
    code: int,
    description: str,
    expected: type[ProviderError],
) -> None:
    server.fail(refusal(code, description))
    with pytest.raises(ProviderError) as raised:
        act(call, "sendMessage", chatId=CHAT, text="Hi")

    assert type(raised.value) is expected
    assert description in raised.value.detail
    assert (raised.value.status, raised.value.provider_code) == (code, str(code))
    assert len(server.calls) == 1


def test_too_many_requests_says_how_long_to_wait(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    server.fail(too_many(17))
    with pytest.raises(RateLimited) as raised:
        act(call, "sendMessage", chatId=CHAT, text="Hi")
    assert raised.value.retry_after == 17


@pytest.mark.parametrize(
    ("action", "params", "scope"),
    [
        ("sendMessage", {"chatId": CHAT, "text": "Hi"}, f"chat {CHAT}"),
        ("sendMessage", {"chatId": "@news", "text": "Hi"}, "chat @news"),
        ("editMessageText", {"chatId": 7, "messageId": 1, "text": "Hi"}, "chat 7"),
        ("call", {"method": "banChatMember", "params": {"chat_id": 7}}, "chat 7"),
        ("getMe", {}, "method getMe"),
        ("answerCallbackQuery", {"callbackQueryId": "q1"}, "method answerCallbackQuery"),
        ("setWebhook", {"url": "https://example.com/"}, "method setWebhook"),
    ],
)
def test_what_telegram_limits_is_the_chat_or_else_the_method(
    server: TelegramServer,
    call: Call[TelegramCredentials],
    action: str,
    params: dict[str, Any],
    scope: str,
) -> None:
    server.fail(too_many(17))
    with pytest.raises(RateLimited) as raised:
        act(call, action, **params)
    assert raised.value.scope == scope

    asked: list[str] = []
    with suppress(ProviderError):
        act(replace(call, check_pause=asked.append), action, **params)
    assert asked == [scope]


@pytest.mark.parametrize("action", PROVIDER.actions, ids=lambda each: each.name)
@pytest.mark.parametrize(
    "answer",
    [
        {"ok": True},
        {"ok": True, "result": None},
        {"ok": True, "result": []},
        {"ok": True, "result": 7},
    ],
    ids=["none", "null", "list", "number"],
)
def test_an_ok_without_the_methods_result_is_no_success(
    server: TelegramServer, call: Call[TelegramCredentials], action: Action, answer: dict[str, Any]
) -> None:
    if action.name == "escape" or (action.name == "call" and answer.get("result") is not None):
        return
    server.fail(Failure(200, answer))
    with pytest.raises((ProviderUnavailable, RequestRejected)) as raised:
        action.run(call, action.params.model_validate(action.example))
    if isinstance(raised.value, ProviderUnavailable):
        assert raised.value.outcome_unknown


@pytest.mark.parametrize("result", [True, {"chat": {"id": 1}}, {"message_id": "1"}])
def test_a_message_that_was_sent_has_an_id(
    server: TelegramServer, call: Call[TelegramCredentials], result: Any
) -> None:
    server.fail(Failure(200, {"ok": True, "result": result}))
    with pytest.raises(ProviderUnavailable):
        act(call, "sendMessage", chatId=CHAT, text="Hi")


def test_a_name_with_an_underscore_arrives_all_the_same(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    output = act(call, "sendMessage", chatId=CHAT, text="From ann_lee", parseMode="Markdown")
    assert output["parseFallback"] is True
    assert server.calls[-1].params["text"] == "From ann_lee"


def test_a_chat_at_rest_is_not_written_to(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    def check(scope: str) -> None:
        if scope == "chat 1":
            raise ConnectionPaused("wait", scope=scope, retry_after=9)

    resting = replace(call, check_pause=check)
    with pytest.raises(ConnectionPaused):
        act(resting, "sendMessage", chatId=1, text="Hi")
    assert not server.calls
    assert act(resting, "sendMessage", chatId=CHAT, text="Hi")["messageId"]
    assert act(resting, "getMe")["bot"]


def test_a_proxys_call_for_patience_is_heard_too(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    page = bad_gateway(429)
    server.fail(type(page)(429, page.body, {"Retry-After": "5"}))
    with pytest.raises(RateLimited) as raised:
        act(call, "sendMessage", chatId=CHAT, text="Hi")
    assert raised.value.retry_after == 5


@pytest.mark.parametrize(("status", "unknown"), [(502, "no"), (503, "no"), (504, "yes")])
def test_a_proxys_page_means_that_telegram_is_down(
    server: TelegramServer, call: Call[TelegramCredentials], status: int, unknown: str
) -> None:
    server.fail(bad_gateway(status))
    with pytest.raises(ProviderUnavailable) as raised:
        act(call, "sendMessage", chatId=CHAT, text="Hi")
    assert raised.value.status == status
    assert raised.value.outcome_unknown is (unknown == "yes")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"ok":"yes"}', b"{", b"\xff\xfe"])
def test_a_success_that_nobody_can_read_leaves_the_outcome_open(
    server: TelegramServer, call: Call[TelegramCredentials], body: bytes
) -> None:
    server.fail(type(HANG_UP)(200, body, {"X-Odd": "1"}, carried_out=False))
    with pytest.raises(ProviderUnavailable) as raised:
        act(call, "sendMessage", chatId=CHAT, text="Hi")
    assert raised.value.outcome_unknown


def test_a_slow_server_leaves_the_outcome_open(server: TelegramServer) -> None:
    call = Call(
        credentials=TelegramCredentials.model_validate({"botToken": TOKEN}),
        http=Outbound(allow_loopback=True, total_timeout=0.2),
        addresses=Addresses(telegram_api=server.url),
    )
    server.fail(slow(5))
    with pytest.raises(ProviderTimeout) as raised:
        act(call, "sendMessage", chatId=CHAT, text="Hi")
    assert raised.value.outcome_unknown


@pytest.mark.parametrize(
    "failure",
    [
        refusal(400, f"Bad Request: odd /bot{TOKEN}/sendMessage"),
        refusal(400, f"Bad Request: odd {TOKEN.partition(':')[2]}"),
        refusal(401, "Unauthorized"),
        too_many(1),
        bad_gateway(),
        HANG_UP,
    ],
    ids=["url", "secret", "401", "429", "502", "hang up"],
)
def test_the_token_shows_in_no_error_and_no_log(
    server: TelegramServer,
    call: Call[TelegramCredentials],
    failure: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    server.fail(failure)
    with pytest.raises(ProviderError) as raised:
        act(call, "sendMessage", chatId=CHAT, text="Hi")

    secret = TOKEN.partition(":")[2]
    error: BaseException | None = raised.value
    while error is not None:
        assert secret not in f"{error!r} {error} {vars(error)}"
        assert error.__cause__ is None or error.__suppress_context__
        error = error.__cause__
    assert secret not in repr(call.credentials)
    assert secret not in repr(call)
    assert not [record for record in caplog.records if record.name.startswith("integrations")]


def test_a_revoked_token_is_refused(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    server.revoke(TOKEN)
    with pytest.raises(CredentialsRejected, match="Unauthorized"):
        PROVIDER.verify(call)


def test_a_words_of_a_server_are_bounded_and_on_one_line(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    server.fail(refusal(400, "Bad Request:\r\nX: " + "y" * 10_000))
    with pytest.raises(RequestRejected) as raised:
        act(call, "getChat", chatId=CHAT)
    assert "\n" not in raised.value.detail
    assert len(raised.value.detail) < 600


# -- What is mended on the way ---------------------------------------------------------------


@pytest.mark.parametrize(("mode", "text"), [("HTML", "1 <2"), ("MarkdownV2", "1 + 1 = 2.")])
def test_markup_that_does_not_parse_is_sent_as_plain_text_when_asked(
    server: TelegramServer, call: Call[TelegramCredentials], mode: str, text: str
) -> None:
    output = act(call, "sendMessage", chatId=CHAT, text=text, parseMode=mode, parseFallback=True)

    assert output["parseFallback"] is True
    assert "can't parse entities" in output["parseError"]
    assert output["message"]["text"] == text
    assert [call.params.get("parse_mode") for call in server.calls] == [mode, None]
    assert all("parse_fallback" not in call.params for call in server.calls)


def test_markup_that_does_not_parse_is_an_error_where_plain_text_is_unwanted(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    with pytest.raises(RequestRejected, match="can't parse entities"):
        act(
            call,
            "sendMessage",
            chatId=CHAT,
            text="1 + 1",
            parseMode="MarkdownV2",
            parseFallback=False,
        )
    assert len(server.calls) == 1


def test_markup_that_parses_is_not_touched(call: Call[TelegramCredentials]) -> None:
    output = act(
        call, "sendMessage", chatId=CHAT, text="<b>1</b>", parseMode="HTML", parseFallback=True
    )
    assert "parseFallback" not in output


def test_captions_inside_an_album_fall_back_as_well(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    photo = {"type": "photo", "media": "https://example.com/a.png"}
    media = [photo, {**photo, "caption": "<b>", "parse_mode": "HTML"}]
    output = act(call, "sendMediaGroup", chatId=CHAT, media=media, parseFallback=True)

    assert output["parseFallback"] is True
    assert len(output["messageIds"]) == 2
    assert server.last.params["media"][1] == {**photo, "caption": "<b>"}


def test_a_fallback_that_fails_too_is_tried_once(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    unparsed = refusal(400, "Bad Request: can't parse entities: no")
    server.fail(unparsed, unparsed, unparsed)
    with pytest.raises(RequestRejected):
        act(call, "sendMessage", chatId=CHAT, text="x", parseMode="HTML", parseFallback=True)
    assert len(server.calls) == 2


def test_a_group_that_became_a_supergroup_is_written_to_under_its_new_id(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    server.migrated[-4242] = -1004242
    output = act(call, "sendMessage", chatId=-4242, text="Hi")

    assert output["migratedToChatId"] == -1004242
    assert output["chatId"] == -1004242
    assert [call.params["chat_id"] for call in server.calls] == [-4242, -1004242]


def test_a_group_that_moves_in_circles_is_followed_once(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    server.migrated.update({-1: -2, -2: -1})
    with pytest.raises(RequestRejected) as raised:
        act(call, "sendMessage", chatId=-1, text="Hi")
    assert raised.value.data == {"migrateToChatId": -1}
    assert len(server.calls) == 2


def test_a_moved_group_and_bad_markup_are_mended_together_with_the_upload(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    server.migrated[-4242] = -1004242
    output = act(
        call, "sendPhoto", chatId=-4242, photo=DOT, caption="<b>", parseMode="HTML",
        parseFallback=True,
    )  # fmt: skip
    assert output["migratedToChatId"] == -1004242
    assert output["parseFallback"] is True
    assert server.last.files["photo"].content == b"\x89PNG dot"


# -- Files -----------------------------------------------------------------------------------


def test_an_upload_goes_as_multipart_with_its_name_type_and_bytes(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    markup = {"inline_keyboard": [[{"text": "Ja", "callback_data": "ja"}]]}
    output = act(
        call, "sendPhoto", chatId=CHAT, photo=DOT, caption="Größe ✓", disableNotification=True,
        replyMarkup=markup,
    )  # fmt: skip

    assert server.last.content_type == "multipart/form-data"
    photo = server.last.files["photo"]
    assert (photo.name, photo.content_type, photo.content) == (
        "dot.png", "image/png", b"\x89PNG dot",
    )  # fmt: skip
    assert server.last.params == {
        "chat_id": CHAT,
        "caption": "Größe ✓",
        "disable_notification": True,
        "reply_markup": markup,
    }
    assert output["message"]["photo"][0]["file_size"] == len(b"\x89PNG dot")


@pytest.mark.parametrize("photo", ["https://example.com/cat.jpg?x=1", "AgACAgIAAxkBAAI-_large"])
def test_a_file_by_url_or_file_id_goes_as_it_is(
    server: TelegramServer, call: Call[TelegramCredentials], photo: str
) -> None:
    act(call, "sendPhoto", chatId=CHAT, photo=photo)
    assert server.last.content_type == "application/json"
    assert server.last.params["photo"] == photo


def test_uploads_inside_an_album_are_attached_by_name(
    server: TelegramServer, call: Call[TelegramCredentials], bot_api: ModuleType
) -> None:
    other = {**DOT, "fileName": "b.bin", "contentType": "image/gif"}
    media = [
        {"type": "photo", "media": DOT, "caption": "A"},
        {"type": "video", "media": "https://example.com/v.mp4", "thumbnail": other},
    ]
    output = act(call, "sendMediaGroup", chatId=CHAT, media=media)

    assert output["chatId"] == CHAT
    assert server.last.params["media"] == [
        {"type": "photo", "media": "attach://file0", "caption": "A"},
        {"type": "video", "media": "https://example.com/v.mp4", "thumbnail": "attach://file1"},
    ]
    assert server.last.files["file1"].content_type == "image/gif"
    bot_api.check(server.last)


def test_any_method_takes_uploads(
    server: TelegramServer, call: Call[TelegramCredentials], bot_api: ModuleType
) -> None:
    server.fail(refusal(400, "Bad Request: enough seen"))
    params = {"chat_id": CHAT, "photo": DOT}
    with pytest.raises(RequestRejected):
        act(call, "call", method="setChatPhoto", params=params)
    bot_api.check(server.last)
    assert server.last.files["photo"].name == "dot.png"


@pytest.mark.parametrize(
    "upload",
    [
        {**DOT, "contentBase64": "%%%"},
        {**DOT, "contentBase64": ""},
        {**DOT, "contentBase64": 5},
        {**DOT, "fileName": ""},
        {**DOT, "fileName": "a/b"},
        {**DOT, "fileName": 'a"\r\nX: y'},
        {**DOT, "contentType": "text/plain\r\nX: y"},
        {**DOT, "surplus": 1},
        {"contentBase64": "eA=="},
    ],
)
def test_a_malformed_upload_is_refused_before_anything_is_sent(
    server: TelegramServer, call: Call[TelegramCredentials], upload: Any
) -> None:
    with pytest.raises(ValidationError):
        act(call, "sendPhoto", chatId=CHAT, photo=upload)
    with pytest.raises(InvalidParams) as raised:
        act(call, "call", method="setChatPhoto", params={"chat_id": 1, "photo": upload})
    assert raised.value.errors[0].field.startswith("params.photo.")
    assert not server.calls


def test_a_malformed_upload_is_told_by_its_place(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    nested = {"a": {"b": [{"c": {**DOT, "contentBase64": "%"}}]}}
    place = "a.b[0].c.contentBase64"
    with pytest.raises(InvalidParams) as raised:
        act(call, "call", method="x", params=nested)
    assert [each.field for each in raised.value.errors] == [f"params.{place}"]
    with pytest.raises(InvalidParams) as raised:
        act(call, "sendMessage", chatId=CHAT, text="Hi", linkPreviewOptions=nested)
    assert [each.field for each in raised.value.errors] == [f"linkPreviewOptions.{place}"]
    assert not server.calls


def test_a_photo_over_telegrams_limit_is_refused_here(call: Call[TelegramCredentials]) -> None:
    large = {**DOT, "contentBase64": b64encode(bytes(10 * 2**20 + 1)).decode()}
    with pytest.raises(ValidationError, match="10 MB"):
        act(call, "sendPhoto", chatId=CHAT, photo=large)


@pytest.mark.parametrize("path", ["file:///etc/passwd", "/etc/passwd", "../x", "ftp://a/b"])
def test_no_file_is_named_by_a_path_of_the_servers_disk(
    server: TelegramServer, call: Call[TelegramCredentials], path: str
) -> None:
    with pytest.raises(ValidationError):
        act(call, "sendDocument", chatId=CHAT, document=path)
    if path.startswith("file:"):
        with pytest.raises(InvalidParams):
            act(call, "call", method="sendDocument", params={"chat_id": 1, "document": path})
        item = {"type": "document", "media": path}
        with pytest.raises(InvalidParams):
            act(call, "sendMediaGroup", chatId=CHAT, media=[item, item])
    assert not server.calls


def test_a_text_may_speak_of_files(call: Call[TelegramCredentials]) -> None:
    assert act(call, "sendMessage", chatId=CHAT, text="file:///etc/passwd")["messageId"]


def test_a_download_gives_what_an_upload_takes(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    file_id = server.add_file(b"caf\xe9", "documents/order 1.txt")
    output = act(call, "downloadFile", fileId=file_id)

    assert output["fileId"] == file_id
    assert output["size"] == 4
    assert output["file"] == {
        "fileName": "order 1.txt",
        "contentType": "text/plain",
        "contentBase64": b64encode(b"caf\xe9").decode(),
    }
    act(call, "sendDocument", chatId=CHAT, document=output["file"])
    assert server.last.files["document"].content == b"caf\xe9"


def test_a_file_over_what_can_be_handed_on_is_refused_clearly(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    file_id = server.add_file(bytes(5 * 2**20))
    with pytest.raises(RequestRejected, match=r"5\.0 MB is larger than the 4 MB"):
        act(call, "downloadFile", fileId=file_id)
    server.fail(type(HANG_UP)(200, {"ok": True, "result": {"file_path": "documents/file_1.txt"}}))
    with pytest.raises(RequestRejected, match="larger than the 4 MB"):
        act(call, "downloadFile", fileId=file_id)


@pytest.mark.parametrize("path", ["/var/lib/bot/file.txt", "../../etc/passwd", "gone.txt"])
def test_a_path_that_leads_nowhere_is_no_matter_of_the_token(
    server: TelegramServer, call: Call[TelegramCredentials], path: str
) -> None:
    server.fail(type(HANG_UP)(200, {"ok": True, "result": {"file_path": path}}))
    with pytest.raises(RequestRejected):
        act(call, "downloadFile", fileId="x")


# -- Escaping --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "within", "escaped"),
    [
        ("MarkdownV2", "text", r"a\_b\*c\\d \(1\.5\)\! <x> \`e\` & é"),
        ("MarkdownV2", "code", r"a_b*c\\d (1.5)! <x> \`e\` & é"),
        ("MarkdownV2", "link", r"a_b*c\\d (1.5\)! <x> `e` & é"),
        ("HTML", "text", r"a_b*c\d (1.5)! &lt;x&gt; `e` &amp; é"),
        ("Markdown", "text", r"a\_b\*c\d (1.5)! <x> \`e\` & é"),
    ],
)
def test_an_escaped_text_is_markup_no_more(
    call: Call[TelegramCredentials], mode: str, within: str, escaped: str
) -> None:
    text = r"a_b*c\d (1.5)! <x> `e` & é"
    expected = (
        escaped.replace("<x>", r"<x\>") if (mode, within) == ("MarkdownV2", "text") else escaped
    )
    assert act(call, "escape", text=text, parseMode=mode, within=within) == {"text": expected}


def test_every_escaped_text_is_parsed(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    every = "".join(map(chr, range(32, 127)))
    for mode in ("MarkdownV2", "HTML"):
        text = act(call, "escape", text=every, parseMode=mode)["text"]
        assert act(call, "sendMessage", chatId=CHAT, text=text, parseMode=mode)["messageId"]


# -- What is refused here --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("sendMessage", {"text": "Hi"}),
        ("sendMessage", {"chatId": CHAT}),
        ("sendMessage", {"chatId": CHAT, "text": ""}),
        ("sendMessage", {"chatId": CHAT, "text": ["Hi"]}),
        ("sendMessage", {"chatId": CHAT, "text": "\ud800"}),
        ("sendMessage", {"chatId": True, "text": "Hi"}),
        ("sendMessage", {"chatId": 1.5, "text": "Hi"}),
        ("sendMessage", {"chatId": "Ann", "text": "Hi"}),
        ("sendMessage", {"chatId": "", "text": "Hi"}),
        ("sendMessage", {"chatId": None, "text": "Hi"}),
        ("sendMessage", {"chatId": CHAT, "text": "Hi", "chat": 1}),
        ("sendMessage", {"chatId": CHAT, "text": "Hi", "replyMarkup": "{}"}),
        ("sendMessage", {"chatId": CHAT, "text": "Hi", "replyMarkup": {
            "inline_keyboard": [[{"text": "x", "callback_data": "é" * 33}]]}}),
        ("sendMediaGroup", {"chatId": CHAT, "media": [{"type": "photo", "media": "x"}]}),
        ("sendMediaGroup", {"chatId": CHAT, "media": [{}] * 11}),
        ("sendLocation", {"chatId": CHAT, "latitude": float("nan"), "longitude": 0}),
        ("sendLocation", {"chatId": CHAT, "latitude": 91, "longitude": 0}),
        ("sendPoll", {"chatId": CHAT, "question": "?", "options": []}),
        ("editMessageText", {"text": "Hi"}),
        ("editMessageText", {"chatId": CHAT, "text": "Hi"}),
        ("editMessageText", {"chatId": CHAT, "messageId": 1}),
        ("answerCallbackQuery", {"callbackQueryId": "1", "text": "x" * 201}),
        ("setWebhook", {"url": "https://a.example", "secretToken": "no spaces"}),
        ("setWebhook", {"url": "https://a.example", "maxConnections": 101}),
        ("call", {"method": "../sendMessage"}),
        ("call", {"method": "sendMessage?x", "params": {}}),
        ("call", {"method": "sendMessage", "params": []}),
        ("escape", {"text": "x", "parseMode": "Word"}),
    ],
)  # fmt: skip
def test_params_that_cannot_be_right_are_not_sent(
    server: TelegramServer, call: Call[TelegramCredentials], name: str, params: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        act(call, name, **params)
    assert not server.calls


def test_a_button_whose_data_do_not_fit_is_told_by_its_place() -> None:
    rows = [[{"text": "x"}], [{"text": "y"}, {"text": "z", "callback_data": "s3cret" * 20}]]
    params = {"chatId": CHAT, "text": "Hi", "replyMarkup": {"inline_keyboard": rows}}
    with pytest.raises(InvalidParams) as refusal:
        params_of("telegram", PROVIDER.action("sendMessage"), params)
    (wrong,) = refusal.value.errors
    assert wrong.field == "params.replyMarkup.inline_keyboard[1][1].callback_data"
    assert "s3c" not in wrong.message


def test_hostile_answers_break_nothing(
    server: TelegramServer, call: Call[TelegramCredentials]
) -> None:
    odd: list[Any] = [None, 5, "x", [], [None], {"chat": 5}, {"message_id": {}, "chat": []}]
    for result in odd:
        for name in ("sendMessage", "sendMediaGroup", "getFile", "getChat"):
            server.fail(type(HANG_UP)(200, {"ok": True, "result": result}))
            with suppress(ProviderUnavailable):
                assert isinstance(act(call, name, **PROVIDER.action(name).example), dict)
    for body in (
        {"ok": False},
        {"ok": False, "error_code": "x", "parameters": 5, "description": {}},
    ):
        server.fail(type(HANG_UP)(400, body))
        with pytest.raises(RequestRejected, match="no reason given"):
            act(call, "getChat", chatId=CHAT)


def test_the_registry_knows_the_provider() -> None:
    assert registry.get("telegram") is PROVIDER
