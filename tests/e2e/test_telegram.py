"""A Telegram bot, from its first test to its removal, through the documented API."""

import base64
import json
import uuid
from typing import Any

import pytest

from tests.e2e.conftest import Client, StandIns, problem
from tests.fakes.telegram import (
    HANG_UP,
    Called,
    TelegramServer,
    bad_gateway,
    refusal,
    slow,
    too_many,
)

pytestmark = pytest.mark.e2e

CHAT = 42
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def telegram(stand_ins: StandIns) -> TelegramServer:
    return stand_ins.telegram


@pytest.fixture
def token(telegram: TelegramServer) -> str:
    """The token of a bot that is this test's alone."""
    unique = uuid.uuid4()
    token = f"{unique.int % 10**9 + 10**9}:AA{unique.hex}"
    telegram.add_bot(token, username=f"bot_{unique.hex[:8]}")
    return token


@pytest.fixture
def bot(client: Client, token: str) -> dict[str, Any]:
    return client.save("telegram", {"botToken": token})


def calls_of(telegram: TelegramServer, token: str, method: str) -> list[Called]:
    return [call for call in telegram.called(method) if call.token == token]


def echo(name: str, **trigger: Any) -> dict[str, Any]:
    """A workflow that answers every message."""
    answer = {"chatId": "{{ trigger.chatId }}", "text": "You said: {{ trigger.text }}"}
    return {
        "name": name,
        "trigger": {"type": "telegram.message", **trigger},
        "steps": [{"id": "answer", "action": "telegram.sendMessage", "params": answer}],
    }


# -- Its life --------------------------------------------------------------------------------


def test_a_bot_is_tested_saved_shown_used_and_removed_and_no_answer_holds_its_token(
    client: Client, telegram: TelegramServer, token: str
) -> None:
    me = telegram.bots[token]
    path = "/api/integrations/telegram"

    tested = client.post(f"{path}/test", {"credentials": {"botToken": token}})
    before = client.get("/api/integrations/status")
    saved = client.post(f"{path}/credentials", {"credentials": {"botToken": token}})
    status = client.get("/api/integrations/status")
    shown = client.get(f"{path}/credentials")
    again = client.post(f"{path}/test", {})
    sent = client.post(f"{path}/actions/sendMessage", {"params": {"chatId": CHAT, "text": "Hello"}})
    deleted = client.delete(f"{path}/credentials")
    after = client.get("/api/integrations/status")

    answers = [tested, before, saved, status, shown, again, sent, deleted, after]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert token.partition(":")[2] not in "".join(answer.text for answer in answers)

    assert tested.json()["success"] is True
    assert tested.json()["account"]["label"] == f"@{me['username']}"
    assert before.json()["telegram"]["status"] == "disconnected"
    assert set(before.json()) == {
        "telegram",
        "sheets",
        "sheets_oauth",
        "facebook",
        "facebook_oauth",
        "email",
        "webhook",
    }
    assert saved.json() == {**shown.json(), "webhook": saved.json()["webhook"]}
    state = status.json()["telegram"]
    assert state["status"] == "connected"
    assert state["account"]["id"] == str(me["id"])
    assert [each["connection"] for each in state["connections"]] == ["default"]
    assert shown.json()["status"] == "connected"
    assert again.json()["success"] is True
    assert sent.json()["result"]["chatId"] == CHAT
    (call,) = calls_of(telegram, token, "sendMessage")
    assert call.params == {"chat_id": CHAT, "text": "Hello"}
    assert deleted.json()["deleted"] is True
    assert after.json()["telegram"] == {**before.json()["telegram"]}
    problem(client.get(f"{path}/credentials"), 404, "unknown_connection")


def test_a_test_of_what_is_stored_is_remembered(
    client: Client, telegram: TelegramServer, token: str, bot: dict[str, Any]
) -> None:
    telegram.revoke(token)

    tested = client.post("/api/integrations/telegram/test", {}).json()

    assert tested["success"] is False
    assert tested["code"] == "credentials_rejected"
    assert "Unauthorized" in tested["message"]
    state = client.get("/api/integrations/status").json()["telegram"]
    assert state["status"] == "needs_reauth"
    assert state["lastError"]["code"] == "credentials_rejected"
    assert state["lastTested"] > bot["lastTested"]

    telegram.add_bot(token)
    assert client.post("/api/integrations/telegram/test", {}).json()["success"] is True
    state = client.get("/api/integrations/status").json()["telegram"]
    assert state["status"] == "connected"
    assert state["lastError"] is None


# -- What it sends ---------------------------------------------------------------------------


def test_a_photo_goes_by_url_and_as_uploaded_bytes(
    client: Client, telegram: TelegramServer, token: str, bot: dict[str, Any]
) -> None:
    upload = {"fileName": "cat.png", "contentBase64": base64.b64encode(PNG).decode()}

    client.act("telegram", "sendPhoto", {"chatId": CHAT, "photo": "https://example.com/cat.jpg"})
    result = client.act(
        "telegram", "sendPhoto", {"chatId": CHAT, "photo": upload, "caption": "A cat"}
    )

    by_url, uploaded = calls_of(telegram, token, "sendPhoto")
    assert by_url.params["photo"] == "https://example.com/cat.jpg"
    assert uploaded.content_type == "multipart/form-data"
    assert uploaded.files["photo"].content == PNG
    assert uploaded.files["photo"].content_type == "image/png"
    assert result["message"]["caption"] == "A cat"


def test_a_poll_keeps_its_options(
    client: Client, telegram: TelegramServer, token: str, bot: dict[str, Any]
) -> None:
    result = client.act(
        "telegram",
        "sendPoll",
        {"chatId": CHAT, "question": "Lunch?", "options": ["Soup", {"text": "Salad"}]},
    )

    assert [option["text"] for option in result["message"]["poll"]["options"]] == ["Soup", "Salad"]


def test_a_message_is_edited_pinned_and_deleted_and_a_repetition_does_no_harm(
    client: Client, bot: dict[str, Any]
) -> None:
    sent = client.act("telegram", "sendMessage", {"chatId": CHAT, "text": "One"})
    place = {"chatId": CHAT, "messageId": sent["messageId"]}

    edited = client.act("telegram", "editMessageText", {**place, "text": "Two"})
    repeated = client.act("telegram", "editMessageText", {**place, "text": "Two"})
    client.act("telegram", "pinChatMessage", place)
    client.act("telegram", "deleteMessage", place)
    gone = client.act("telegram", "deleteMessage", place)

    assert edited["message"]["text"] == "Two"
    assert repeated["unchanged"] is True
    assert gone["unchanged"] is True


def test_an_album_a_place_and_any_other_method_go_out(
    client: Client, telegram: TelegramServer, token: str, bot: dict[str, Any]
) -> None:
    upload = {"fileName": "cat.png", "contentBase64": base64.b64encode(PNG).decode()}
    media = [{"type": "photo", "media": "https://example.com/a.jpg"}]
    media.append({"type": "photo", "media": upload})  # type: ignore[dict-item]

    album = client.act("telegram", "sendMediaGroup", {"chatId": CHAT, "media": media})
    client.act("telegram", "sendLocation", {"chatId": CHAT, "latitude": 48.2, "longitude": 16.3})
    commands = [{"command": "start", "description": "Begin"}]
    called = client.act(
        "telegram", "call", {"method": "setMyCommands", "params": {"commands": commands}}
    )

    assert len(album["messageIds"]) == 2
    assert calls_of(telegram, token, "sendLocation")[0].params["latitude"] == 48.2
    assert called == {"result": True}
    assert calls_of(telegram, token, "setMyCommands")[0].params["commands"] == commands


def test_markup_that_does_not_parse_is_sent_as_plain_text_unless_that_is_unwanted(
    client: Client, telegram: TelegramServer, token: str, bot: dict[str, Any]
) -> None:
    broken = {"chatId": CHAT, "text": "1 < 2 <b>bold", "parseMode": "HTML"}

    strict = {"params": {**broken, "parseFallback": False}}
    refused = client.post("/api/integrations/telegram/actions/sendMessage", strict)
    fallen_back = client.act("telegram", "sendMessage", broken)

    assert "can't parse entities" in problem(refused, 422, "request_rejected")["detail"]
    assert fallen_back["parseFallback"] is True
    assert fallen_back["message"]["text"] == broken["text"]
    assert "parse_mode" not in calls_of(telegram, token, "sendMessage")[-1].params


def test_escaped_text_parses(client: Client, bot: dict[str, Any]) -> None:
    text = "1 + 1 = 2! [really](no link) *_`"

    escaped = client.act("telegram", "escape", {"text": text, "parseMode": "MarkdownV2"})["text"]
    sent = client.act(
        "telegram", "sendMessage", {"chatId": CHAT, "text": escaped, "parseMode": "MarkdownV2"}
    )

    assert sent["messageId"]


def test_a_group_that_became_a_supergroup_is_written_to_under_its_new_id(
    client: Client, telegram: TelegramServer, bot: dict[str, Any]
) -> None:
    telegram.migrated[-77] = -1001234567890

    sent = client.act("telegram", "sendMessage", {"chatId": -77, "text": "Hello"})

    assert sent["chatId"] == -1001234567890
    assert sent["migratedToChatId"] == -1001234567890


def test_a_file_that_the_bot_was_sent_is_downloaded(
    client: Client, telegram: TelegramServer, token: str, bot: dict[str, Any]
) -> None:
    content = bytes(range(256)) * 400
    file_id = telegram.add_file(content, "photos/file_7.png")
    too_large = telegram.add_file(b"0" * (4 * 2**20 + 1), "videos/file_8.mp4")

    found = client.act("telegram", "downloadFile", {"fileId": file_id})
    refused = client.post(
        "/api/integrations/telegram/actions/downloadFile", {"params": {"fileId": too_large}}
    )
    unknown = client.post(
        "/api/integrations/telegram/actions/downloadFile", {"params": {"fileId": "BQnone"}}
    )

    assert base64.b64decode(found["file"]["contentBase64"]) == content
    assert found["file"]["fileName"] == "file_7.png"
    assert found["file"]["contentType"] == "image/png"
    assert "4 MB" in problem(refused, 422, "request_rejected")["detail"]
    problem(unknown, 422, "request_rejected")
    assert token.partition(":")[2] not in json.dumps(found)


# -- What goes wrong -------------------------------------------------------------------------


def test_a_call_for_patience_is_handed_on_and_kept(
    client: Client, telegram: TelegramServer, token: str, bot: dict[str, Any]
) -> None:
    telegram.fail(too_many(30), method="sendMessage")
    send = {"params": {"chatId": CHAT, "text": "Hello"}}

    limited = client.post("/api/integrations/telegram/actions/sendMessage", send)
    resting = client.post("/api/integrations/telegram/actions/sendMessage", send)

    problem(limited, 429, "rate_limited")
    assert limited.headers["Retry-After"] == "30"
    problem(resting, 429, "connection_paused")
    assert 0 < int(resting.headers["Retry-After"]) <= 30
    assert len(calls_of(telegram, token, "sendMessage")) == 1


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (bad_gateway(), 502, "provider_unavailable"),
        (bad_gateway(200), 502, "provider_unavailable"),
        (HANG_UP, 502, "provider_unavailable"),
        (refusal(500, "Internal Server Error"), 502, "provider_unavailable"),
        (refusal(403, "Forbidden: bot was blocked by the user"), 422, "request_rejected"),
        (refusal(403, "Forbidden: bot is not a member of the chat"), 422, "permission_missing"),
        (refusal(400, "Bad Request: chat not found"), 422, "request_rejected"),
    ],
    ids=["HTML", "HTML as a success", "hang-up", "500", "blocked", "no member", "no chat"],
)
def test_what_telegram_does_not_do_is_a_problem_of_its_kind(
    client: Client,
    telegram: TelegramServer,
    token: str,
    bot: dict[str, Any],
    failure: Any,
    status: int,
    code: str,
) -> None:
    telegram.fail(failure, method="sendMessage")

    answer = client.post(
        "/api/integrations/telegram/actions/sendMessage",
        {"params": {"chatId": CHAT, "text": "Hello"}},
    )

    problem(answer, status, code)
    assert token.partition(":")[2] not in answer.text


def test_a_telegram_that_is_slow_ends_in_a_time_out_and_changes_nothing(
    client: Client, telegram: TelegramServer, token: str
) -> None:
    telegram.fail(slow(20), method="getMe")

    answer = client.post(
        "/api/integrations/telegram/credentials", {"credentials": {"botToken": token}}
    )

    problem(answer, 504, "provider_timeout")
    problem(client.get("/api/integrations/telegram/credentials"), 404, "unknown_connection")


@pytest.mark.parametrize("failure", [bad_gateway(), HANG_UP], ids=["HTML", "hang-up"])
def test_a_telegram_that_is_down_keeps_nothing_and_changes_nothing(
    client: Client, telegram: TelegramServer, token: str, failure: Any
) -> None:
    credentials = {"credentials": {"botToken": token}}
    telegram.fail(failure, method="getMe")
    refused = client.post("/api/integrations/telegram/credentials", credentials)
    problem(refused, 502, "provider_unavailable")
    problem(client.get("/api/integrations/telegram/credentials"), 404, "unknown_connection")

    saved = client.save("telegram", {"botToken": token})
    telegram.fail(failure, method="getMe")
    tested = client.post("/api/integrations/telegram/test", {}).json()

    assert tested["success"] is False
    assert tested["code"] == "provider_unavailable"
    state = client.get("/api/integrations/telegram/credentials").json()
    assert state["status"] == "connected"
    assert state["account"] == saved["account"]


def test_a_server_that_cannot_be_reached_is_told(client: Client, token: str) -> None:
    credentials = {"botToken": token, "apiBase": "http://127.0.0.1:9"}

    refused = client.post("/api/integrations/telegram/credentials", {"credentials": credentials})
    tested = client.post("/api/integrations/telegram/test", {"credentials": credentials}).json()

    problem(refused, 422, "address_refused")
    assert tested["success"] is False


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"chatId": CHAT}, "params.text"),
        ({"chatId": CHAT, "text": ""}, "params.text"),
        ({"chatId": "no chat", "text": "Hello"}, "params.chatId"),
        ({"chatId": CHAT, "text": "Hello", "tekst": 1}, "params.tekst"),
        ({"chatId": CHAT, "text": {"a": 1}}, "params.text"),
        (
            {
                "chatId": CHAT,
                "text": "Hello",
                "replyMarkup": {"inline_keyboard": [[{"text": "x", "callback_data": "y" * 65}]]},
            },
            "params.replyMarkup.inline_keyboard[0][0].callback_data",
        ),
    ],
    ids=["missing", "empty", "no chat", "surplus", "an object", "long callback data"],
)
def test_parameters_that_do_not_fit_are_named_and_nothing_is_sent(
    client: Client,
    telegram: TelegramServer,
    token: str,
    bot: dict[str, Any],
    params: dict[str, Any],
    field: str,
) -> None:
    answer = client.post("/api/integrations/telegram/actions/sendMessage", {"params": params})

    errors = problem(answer, 422, "invalid_params")["errors"]
    assert field in {error["field"] for error in errors}
    assert not calls_of(telegram, token, "sendMessage")


# -- Its webhook -----------------------------------------------------------------------------


def test_a_message_to_the_bot_is_answered_by_a_workflow(
    client: Client, bot: dict[str, Any], telegram: TelegramServer, token: str
) -> None:
    workflow = client.create_workflow(echo("echo"))
    update = {
        "update_id": 1001,
        "message": {
            "message_id": 5,
            "date": 1_795_000_000,
            "chat": {"id": 42, "type": "private", "first_name": "Ann"},
            "from": {"id": 42, "is_bot": False, "first_name": "Ann"},
            "text": "hello",
        },
    }

    assert telegram.tell(update, token) == 200
    assert telegram.tell(update, token) == 200

    (execution,) = client.finished(workflowId=workflow["workflowId"])
    assert execution["status"] == "succeeded"
    assert execution["trigger"]["data"]["text"] == "hello"
    texts = [call.params["text"] for call in calls_of(telegram, token, "sendMessage")]
    assert texts.count("You said: hello") == 1


def test_several_workflows_on_one_bot_share_one_webhook_that_goes_with_the_last(
    client: Client, bot: dict[str, Any], telegram: TelegramServer, token: str
) -> None:
    first = client.create_workflow(echo("first"))
    second = client.create_workflow(echo("second"))
    third = client.create_workflow(echo("third"))

    (asked,) = calls_of(telegram, token, "setWebhook")
    assert asked.params["url"].partition("?")[0] == bot["webhook"]["url"]
    assert asked.params["url"].startswith(client.platform.url)
    assert asked.params["allowed_updates"] == ["message"]
    assert len(asked.params["secret_token"]) >= 32

    in_use = client.delete("/api/integrations/telegram/credentials")
    assert "'first'" in problem(in_use, 409, "connection_in_use")["detail"]

    for workflow in (first, second):
        assert client.delete(f"/api/workflows/{workflow['workflowId']}").status_code == 200
        assert not calls_of(telegram, token, "deleteWebhook")
    assert client.delete(f"/api/workflows/{third['workflowId']}").status_code == 200
    assert len(calls_of(telegram, token, "deleteWebhook")) == 1
    assert token not in telegram.webhooks


def test_a_webhook_that_the_bot_was_given_elsewhere_is_left_alone(
    client: Client, bot: dict[str, Any], telegram: TelegramServer, token: str
) -> None:
    workflow = client.create_workflow(echo("echo"))
    telegram.webhooks[token] = {"url": "https://elsewhere.example/hook"}

    assert client.delete(f"/api/workflows/{workflow['workflowId']}").status_code == 200

    assert telegram.webhooks[token]["url"] == "https://elsewhere.example/hook"


def test_a_delivery_without_the_bots_secret_is_refused(
    client: Client, bot: dict[str, Any], telegram: TelegramServer, token: str
) -> None:
    client.create_workflow(echo("echo"))
    telegram.webhooks[token]["secret_token"] = "guessed"

    assert telegram.tell({"message": {"message_id": 1}}, token) == 401
