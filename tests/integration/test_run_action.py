"""POST /api/integrations/{providerId}/actions/{action}."""

import json
from typing import Any

import pytest

from tests.backend import Answer, Backend, body_of
from tests.fakes.facebook import FacebookStandIn
from tests.fakes.google import FakeGoogle
from tests.fakes.receiver import Receiver, Reply
from tests.fakes.smtp import MailServer
from tests.fakes.telegram import Failure, TelegramServer, bad_gateway, refusal, too_many


def act(
    backend: Backend,
    action: str,
    params: Any = None,
    *,
    provider: str = "telegram",
    **more: Any,
) -> Answer:
    body = {"params": params} if params is not None else {}
    return backend.call("POST", f"/api/integrations/{provider}/actions/{action}", body | more)


@pytest.fixture
def bot(backend: Backend, telegram: TelegramServer) -> TelegramServer:
    backend.begin_with(("telegram", {"botToken": telegram.token}, "default"))
    return telegram


def test_an_action_answers_what_the_provider_did(backend: Backend, bot: TelegramServer) -> None:
    answer = act(backend, "sendMessage", {"chatId": 42, "text": "Größe 🙂"})
    assert answer.status == 200
    assert answer.json["result"]["messageId"] == 1
    assert bot.last.params["text"] == "Größe 🙂"


def test_the_example_of_the_events_folder_is_carried_out(
    backend: Backend, bot: TelegramServer
) -> None:
    body = body_of("run_action", "send_message")
    assert (
        backend.call("POST", "/api/integrations/telegram/actions/sendMessage", body).status == 200
    )


def test_an_action_without_parameters_needs_none(backend: Backend, bot: TelegramServer) -> None:
    answer = act(backend, "getMe")
    assert answer.json["result"]["bot"]["username"] == "stand_in_bot"


def test_a_named_connection_is_used(backend: Backend, bot: TelegramServer) -> None:
    bot.add_bot("42:AAanother-token-of-another-bot-000", "other_bot")
    backend.save("telegram", {"botToken": "42:AAanother-token-of-another-bot-000"}, "second")
    answer = act(backend, "getMe", connection="second")
    assert answer.json["result"]["bot"]["username"] == "other_bot"


@pytest.mark.parametrize("action", ["sendmessage", "__class__", "call.me", "x" * 2000])
def test_an_unknown_action_is_named(backend: Backend, bot: TelegramServer, action: str) -> None:
    answer = act(backend, action, {})
    assert (answer.status, answer.code) == (404, "unknown_action")


def test_an_unknown_connection_is_not_found(backend: Backend, telegram: TelegramServer) -> None:
    answer = act(backend, "sendMessage", {"chatId": 1, "text": "x"}, connection="second")
    assert (answer.status, answer.code) == (404, "unknown_connection")


def test_another_tenants_connection_is_not_used(backend: Backend, telegram: TelegramServer) -> None:
    backend.save("telegram", {"botToken": telegram.token}, tenant="other")
    answer = act(backend, "sendMessage", {"chatId": 1, "text": "x"})
    assert (answer.status, answer.code) == (404, "unknown_connection")
    assert not bot_sent(telegram)


def bot_sent(telegram: TelegramServer) -> list[Any]:
    return telegram.called("sendMessage")


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "params.chatId"),
        ({"chatId": 1}, "params.text"),
        ({"chatId": [], "text": "x"}, "params.chatId"),
        ({"chatId": 1, "text": ["x"]}, "params.text"),
        ({"chatId": 1, "text": "x", "tekst": "y"}, "params.tekst"),
    ],
)
def test_parameters_that_do_not_fit_are_named(
    backend: Backend, bot: TelegramServer, params: Any, field: str
) -> None:
    answer = act(backend, "sendMessage", params)
    assert (answer.status, answer.code) == (422, "invalid_params")
    assert any(place.startswith(field) for place in answer.fields), answer.fields
    assert not bot_sent(bot)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"params": []}, "params"),
        ({"params": "x"}, "params"),
        ({"connection": "a b"}, "connection"),
        ({"surplus": 1}, "surplus"),
    ],
)
def test_a_body_of_the_wrong_form_is_told_by_its_field(
    backend: Backend, bot: TelegramServer, body: Any, field: str
) -> None:
    answer = backend.call("POST", "/api/integrations/telegram/actions/getMe", body)
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert field in answer.fields


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (refusal(400, "Bad Request: chat not found"), 422, "request_rejected"),
        (refusal(403, "Forbidden: bot was blocked by the user"), 422, "request_rejected"),
        (refusal(401, "Unauthorized"), 422, "credentials_rejected"),
        (bad_gateway(), 502, "provider_unavailable"),
        (too_many(12), 429, "rate_limited"),
    ],
)
def test_what_the_provider_says_is_passed_on(
    backend: Backend, bot: TelegramServer, failure: Failure, status: int, code: str
) -> None:
    bot.fail(failure)
    answer = act(backend, "sendMessage", {"chatId": 1, "text": "x"})
    assert (answer.status, answer.code) == (status, code)


def test_a_bot_that_was_told_to_wait_is_not_asked_before_its_time(
    backend: Backend, bot: TelegramServer
) -> None:
    bot.fail(too_many(30))
    act(backend, "sendMessage", {"chatId": 1, "text": "x"})
    asked = len(bot.calls)
    answer = act(backend, "sendMessage", {"chatId": 1, "text": "x"})
    assert (answer.status, answer.code) == (429, "connection_paused")
    assert 25 <= int(answer.headers["Retry-After"]) <= 30
    assert "provider" not in answer.json, "the provider has said nothing: it was not asked"
    assert "telegram#" not in answer.body
    assert len(bot.calls) == asked


def test_a_chats_pause_stops_neither_other_chats_nor_the_bot(
    backend: Backend, bot: TelegramServer
) -> None:
    bot.fail(too_many(30))
    act(backend, "sendMessage", {"chatId": 1, "text": "x"})
    assert act(backend, "sendMessage", {"chatId": 2, "text": "x"}).status == 200
    assert act(backend, "getMe", {}).status == 200
    assert act(backend, "answerCallbackQuery", {"callbackQueryId": "q1"}).status == 200
    assert act(backend, "sendMessage", {"chatId": 1, "text": "x"}).code == "connection_paused"


def test_one_bots_pause_does_not_stop_another(backend: Backend, bot: TelegramServer) -> None:
    bot.add_bot("42:AAanother-token-of-another-bot-000", "other_bot")
    backend.save("telegram", {"botToken": "42:AAanother-token-of-another-bot-000"}, "second")
    bot.fail(too_many(30))
    act(backend, "sendMessage", {"chatId": 1, "text": "x"})
    answer = act(backend, "sendMessage", {"chatId": 1, "text": "x"}, connection="second")
    assert answer.status == 200


def test_a_revoked_bot_token_needs_somebody(backend: Backend, bot: TelegramServer) -> None:
    bot.revoke(bot.token)
    assert act(backend, "getMe").code == "credentials_rejected"
    status = backend.call("GET", "/api/integrations/status").json["telegram"]
    assert (status["status"], status["lastError"]["code"]) == (
        "needs_reauth",
        "credentials_rejected",
    )


def test_a_webhook_is_sent_signed(backend: Backend, receiver: Receiver) -> None:
    backend.secrets.add("s3cret-of-the-orders-hook")
    credentials = {
        "url": "https://example.com/hooks/orders",
        "secret": "s3cret-of-the-orders-hook",
        "outboundUrl": receiver.url("/in"),
    }
    backend.save("webhook", credentials)
    assert receiver.received == []
    answer = act(backend, "send", {"json": {"id": 42}}, provider="webhook")
    assert answer.json["result"]["status"] == 200
    assert receiver.last.json() == {"id": 42}
    assert receiver.last.headers["webhook-signature"].startswith("v1,")


def test_a_receiver_that_echoes_its_headers_does_not_bring_a_secret_into_the_answer(
    backend: Backend, receiver: Receiver
) -> None:
    backend.secrets.add("Bearer-of-the-receiver-1234567")
    credentials = {
        "url": "https://example.com/hooks/orders",
        "outboundUrl": receiver.url("/in"),
        "outboundHeaders": {"Authorization": "Bearer-of-the-receiver-1234567"},
    }
    backend.save("webhook", credentials)
    receiver.reply(Reply(400, b"bad Authorization: Bearer-of-the-receiver-1234567"))
    answer = act(backend, "send", {"json": {}}, provider="webhook")
    assert (answer.status, answer.code) == (422, "request_rejected")


def test_a_row_is_appended_by_a_service_account(
    backend: Backend, google_server: FakeGoogle
) -> None:
    key = google_server.add_service_account()
    book = google_server.add_book({"Orders": [["Id", "Status"], [1, "open"]]})
    backend.save("sheets", {"serviceAccount": key})
    answer = act(
        backend,
        "appendRow",
        {"spreadsheetId": book.id, "sheet": "Orders", "values": {"Status": "new", "Id": 2}},
        provider="sheets",
    )
    assert answer.status == 200
    assert book.rows("Orders")[-1] == [2, "new"]


def test_a_page_replies_to_a_comment(backend: Backend, facebook: FacebookStandIn) -> None:
    page = facebook.add_page("Bakery")
    ann = facebook.add_user("Ann", pages=[page])
    post = facebook.add_post(page, "Fresh bread")
    comment = facebook.add_comment(post, "How much?", {"id": "7001", "name": "Zoë"})
    token = facebook.user_token(ann)
    backend.save(
        "facebook",
        {"appId": facebook.app_id, "appSecret": facebook.app_secret, "accessToken": token},
    )
    answer = act(
        backend,
        "replyToComment",
        {"commentId": comment, "message": "2 EUR", "pageId": page},
        provider="facebook",
    )
    assert answer.status == 200, answer
    assert any(each["message"] == "2 EUR" for each in facebook.comments.values())


# -- A mailbox with OAuth --------------------------------------------------------------------

MAIL = {"to": "ann@example.com", "subject": "Hello", "text": "Hi!"}


def token(value: str, **more: Any) -> Reply:
    body = json.dumps({"access_token": value, "expires_in": 60, **more}).encode()
    return Reply(body=body, headers={"content-type": "application/json"})


def test_a_mailboxs_token_is_renewed_when_it_is_used(backend: Backend) -> None:
    tokens = {"shop@example.com": "a-1"}
    with MailServer("none", tokens=tokens) as server, Receiver() as issuer:
        issuer.reply(token("a-1", refresh_token="r-2"), token("a-2"))
        backend.save(
            "email",
            {
                "host": "127.0.0.1",
                "port": server.port,
                "user": "shop@example.com",
                "refreshToken": "r-1",
                "clientId": "app",
                "tokenUrl": issuer.url("/token"),
                "secure": "none",
            },
        )
        tokens["shop@example.com"] = "a-2"
        answer = act(backend, "sendEmail", MAIL, provider="email")
        assert answer.status == 200, answer.json
        assert answer.json["result"]["accepted"] == ["ann@example.com"]
        # The refresh token that came with the first access token was used for the second.
        assert [b"r-1" in each.body for each in issuer.received] == [True, False]
        gone = Reply(status=400, body=b'{"error": "invalid_grant"}')
        issuer.reply(gone)
        refused = act(backend, "sendEmail", MAIL, provider="email")
        assert (refused.status, refused.code) == (422, "needs_reauth")
    shown = backend.call("GET", "/api/integrations/email/credentials").json
    assert shown["status"] == "needs_reauth"


def test_a_wrong_password_is_told_in_the_servers_words_and_asked_once(backend: Backend) -> None:
    users = {"shop@example.com": "right"}
    with MailServer("none", users=users) as server:
        given = {"host": "127.0.0.1", "port": server.port, "secure": "none"}
        backend.save("email", given | {"user": "shop@example.com", "pass": "right"})
        users["shop@example.com"] = "other"
        refused = act(backend, "sendEmail", MAIL, provider="email")
        assert "535" in refused.json["detail"]
        assert len([each for each in server.attempts if not each[2]]) == 1
        assert state(backend, "email") == ("needs_reauth", "credentials_rejected")
        # A mail server may take its word back, so it is asked again.
        users["shop@example.com"] = "right"
        assert act(backend, "sendEmail", MAIL, provider="email").status == 200
    assert state(backend, "email") == ("connected", None)


def state(backend: Backend, provider: str) -> tuple[str, str | None]:
    shown = backend.call("GET", f"/api/integrations/{provider}/credentials").json
    return shown["status"], (shown["lastError"] or {}).get("code")


def test_what_an_action_is_refused_says_nothing_of_its_connection(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    telegram.fail(refusal(403, "Forbidden: bot is not a member of the channel chat"))
    refused = act(backend, "sendMessage", {"chatId": "@shop", "text": "Hi"})
    assert refused.code == "permission_missing"
    assert state(backend, "telegram") == ("connected", None)
