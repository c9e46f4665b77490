"""POST /api/integrations/{providerId}/test."""

from datetime import datetime
from typing import Any

import pytest

from integrations import memory
from integrations.entry import wiring
from integrations.storage.aws import item
from tests.backend import Answer, Backend, LambdaContext, body_of
from tests.fakes.google import FakeGoogle
from tests.fakes.telegram import Failure, TelegramServer, bad_gateway, too_many

PATH = "/api/integrations/telegram/test"


def ask(backend: Backend, body: Any = None, **more: Any) -> Answer:
    return backend.call("POST", PATH, body, **more)


def test_given_credentials_are_tested_and_nothing_is_kept(
    backend: Backend, telegram: TelegramServer
) -> None:
    answer = ask(backend, {"credentials": {"botToken": telegram.token}})
    assert answer.status == 200
    assert answer.json["success"] is True
    assert answer.json["account"]["label"] == "@stand_in_bot"
    assert "@stand_in_bot" in answer.json["message"]
    assert answer.json["durationMs"] >= 0
    assert datetime.fromisoformat(answer.json["testedAt"]).tzinfo is not None
    assert not backend.aws.calls


def test_the_example_of_the_events_folder_is_tested(
    backend: Backend, telegram: TelegramServer
) -> None:
    assert ask(backend, body_of("test_connection", "telegram")).json["success"] is True


def test_a_refusal_is_an_answer_with_the_providers_own_reason(
    backend: Backend, telegram: TelegramServer
) -> None:
    answer = ask(backend, {"credentials": {"botToken": "42:AAtoken-of-nobody-000000000000000"}})
    assert answer.status == 200
    assert answer.json["success"] is False
    assert answer.json["code"] == "credentials_rejected"
    assert "Unauthorized" in answer.json["message"]
    assert answer.json["account"] is None


def test_a_provider_that_never_answers_is_given_up_before_the_invocation_ends(
    backend: Backend, black_hole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELEGRAM_API_BASE", black_hole)
    memory.forget()
    port = int(black_hole.rpartition(":")[2])
    mail = {"host": "127.0.0.1", "port": port, "secure": "none", "from": "shop@example.com"}
    for provider, credentials in (
        ("telegram", {"botToken": "42:AAtoken-of-nobody-000000000000000"}),
        ("email", mail),
    ):
        context = LambdaContext(wiring.OUTBOUND_RESERVE + 0.5)
        path = f"/api/integrations/{provider}/test"
        answer = backend.call("POST", path, {"credentials": credentials}, context=context)
        assert (answer.status, answer.json["code"]) == (200, "provider_timeout")
        assert context.get_remaining_time_in_millis() > 0


@pytest.mark.parametrize("body", [None, {}, {"credentials": None}, {"connection": "default"}])
def test_without_credentials_the_stored_ones_are_tested_and_that_is_kept(
    backend: Backend, telegram: TelegramServer, body: Any
) -> None:
    before = backend.save("telegram", {"botToken": telegram.token})
    answer = ask(backend, body)
    assert answer.json["success"] is True
    after = backend.call("GET", "/api/integrations/telegram/credentials").json
    assert after["lastTested"] > before["lastTested"]


def test_a_stored_token_that_was_revoked_needs_somebody(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    telegram.revoke(telegram.token)
    assert ask(backend).json["success"] is False
    status = backend.call("GET", "/api/integrations/status").json["telegram"]
    assert status["status"] == "needs_reauth"
    assert status["lastError"]["code"] == "credentials_rejected"
    telegram.add_bot(telegram.token)
    assert ask(backend).json["success"] is True
    status = backend.call("GET", "/api/integrations/status").json["telegram"]
    assert (status["status"], status["lastError"]) == ("connected", None)


@pytest.mark.parametrize(
    ("failure", "code"),
    [(bad_gateway(), "provider_unavailable"), (too_many(9), "rate_limited")],
)
def test_a_provider_that_does_not_work_is_a_failed_test_and_no_broken_connection(
    backend: Backend, telegram: TelegramServer, failure: Failure, code: str
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    telegram.fail(*[failure] * 5)
    answer = ask(backend)
    assert (answer.status, answer.json["success"], answer.json["code"]) == (200, False, code)
    shown = backend.call("GET", "/api/integrations/telegram/credentials").json
    assert shown["status"] == "connected"
    assert shown["lastError"]["code"] == code


def test_an_unknown_connection_is_not_found(backend: Backend, telegram: TelegramServer) -> None:
    answer = ask(backend, {"connection": "second"})
    assert (answer.status, answer.code) == (404, "unknown_connection")


def test_another_tenants_connection_is_not_found(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token}, tenant="other")
    answer = ask(backend, {})
    assert (answer.status, answer.code) == (404, "unknown_connection")
    assert "other" not in answer.body


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"credentials": "x"}, "credentials"),
        ({"credentials": []}, "credentials"),
        ({"credentials": {}}, "credentials.botToken"),
        ({"credentials": {"botToken": 1}}, "credentials.botToken"),
        ({"connection": "a b"}, "connection"),
        ({"botToken": "42:AAtoken"}, "botToken"),
    ],
)
def test_a_body_of_the_wrong_form_is_told_by_its_field(
    backend: Backend, body: Any, field: str
) -> None:
    answer = ask(backend, body)
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert field in answer.fields


def test_a_damaged_vault_is_a_failure_of_ours(backend: Backend, telegram: TelegramServer) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    backend.aws.fail("Decrypt", "AccessDeniedException", status=400)
    answer = ask(backend)
    assert (answer.status, answer.code) == (500, "internal_error")


def test_a_webhook_is_tested_without_asking_anybody(backend: Backend) -> None:
    answer = backend.call(
        "POST",
        "/api/integrations/webhook/test",
        {"credentials": {"url": "https://example.com/hooks/orders"}},
    )
    assert answer.json["success"] is True
    assert answer.json["account"]["id"] == "orders"


def test_a_service_account_is_tested_at_google(backend: Backend, google_server: FakeGoogle) -> None:
    key = google_server.add_service_account()
    body = {"credentials": {"serviceAccount": key}}
    answer = backend.call("POST", "/api/integrations/sheets/test", body)
    assert answer.json["success"] is True
    google_server.remove_service_account(key["client_email"])

    memory.forget()
    answer = backend.call("POST", "/api/integrations/sheets/test", body)
    assert (answer.json["success"], answer.json["code"]) == (False, "credentials_rejected")


# -- What cannot be read ---------------------------------------------------------------------


def put_back(backend: Backend, table: str, row: dict[str, Any], **changes: Any) -> None:
    backend.aws.put(table, item({**row, **changes}))


def test_an_older_ciphertext_that_is_put_back_asks_to_be_saved_again(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    (older,) = backend.aws.rows("ConnectionsTable")
    backend.save("telegram", {"botToken": telegram.token})
    (newer,) = backend.aws.rows("ConnectionsTable")
    sealed = ("ciphertext", "nonce", "dataKey", "keyId")
    put_back(backend, "ConnectionsTable", newer, **{name: older[name] for name in sealed})
    tested = backend.call("POST", "/api/integrations/telegram/test", {})
    assert (tested.status, tested.json["success"]) == (200, False)
    assert tested.json["code"] == "credentials_unreadable"
    assert "save them again" in tested.json["message"]
    body = {"params": {"chatId": 1, "text": "x"}}
    used = backend.call("POST", "/api/integrations/telegram/actions/sendMessage", body)
    assert (used.status, used.code) == (422, "credentials_unreadable")
    status = backend.call("GET", "/api/integrations/status").json["telegram"]
    assert (status["status"], status["lastError"]["code"]) == ("error", "credentials_unreadable")
    backend.save("telegram", {"botToken": telegram.token})
    assert backend.call("POST", "/api/integrations/telegram/test", {}).json["success"] is True


def test_credentials_that_are_of_the_form_no_more_can_be_removed(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    (row,) = backend.aws.rows("ConnectionsTable")
    put_back(backend, "ConnectionsTable", row, ciphertext=b"damaged")
    assert backend.call("DELETE", "/api/integrations/telegram/credentials").status == 200
    assert backend.aws.rows("ConnectionsTable") == []
