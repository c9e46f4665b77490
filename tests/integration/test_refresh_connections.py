"""The daily check, and refreshing in general: nothing dies silently."""

import threading
import time
from datetime import datetime
from typing import Any

import pytest

from integrations import memory
from integrations.entry import wiring
from integrations.storage.aws import item
from tests.backend import Answer, Backend
from tests.fakes.facebook import LONG, FacebookStandIn
from tests.fakes.google import Book, Failure, FakeGoogle
from tests.fakes.telegram import TelegramServer, bad_gateway
from tests.integration.checks import check, make_due, minute_later
from tests.integration.flows import manual_flow
from tests.integration.oauth import connect

DAY = 24 * 3600


def due_in(backend: Backend) -> float:
    (row,) = backend.aws.rows("ConnectionsTable")
    return float(row["dueAt"] - time.time())


def shown(backend: Backend, provider: str) -> Any:
    return backend.call("GET", "/api/integrations/status").json[provider]


# -- The schedule ----------------------------------------------------------------------------


def test_nothing_is_checked_before_its_day(backend: Backend, telegram: TelegramServer) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    telegram.calls.clear()
    assert check(backend) == {}
    assert telegram.calls == []
    assert DAY - 60 < due_in(backend) <= DAY + 1


def test_what_is_due_is_tested_and_due_again_tomorrow(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    before = shown(backend, "telegram")["lastTested"]
    make_due(backend)
    assert check(backend) == {"connected": 1}
    assert shown(backend, "telegram")["lastTested"] > before
    assert due_in(backend) > DAY - 60
    assert check(backend) == {}


def test_a_token_that_was_revoked_is_found_out(backend: Backend, telegram: TelegramServer) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    telegram.revoke(telegram.token)
    make_due(backend)
    assert check(backend) == {"needs_reauth": 1}
    status = shown(backend, "telegram")
    assert (status["status"], status["lastError"]["code"]) == (
        "needs_reauth",
        "credentials_rejected",
    )


def test_a_provider_that_is_down_is_asked_again_soon(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    make_due(backend)
    telegram.fail(*[bad_gateway()] * 3)
    assert check(backend) == {"connected": 1}
    status = shown(backend, "telegram")
    assert (status["status"], status["lastError"]["code"]) == ("connected", "provider_unavailable")
    assert due_in(backend) < 2 * 3600


def test_many_connections_are_checked_in_one_run(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    for number in range(12):
        backend.save("telegram", {"botToken": telegram.token}, f"bot{number}")
    make_due(backend)
    assert check(backend) == {"connected": 13}
    assert check(backend) == {}


def test_a_run_without_time_leaves_the_rest_to_the_next(
    backend: Backend, telegram: TelegramServer
) -> None:
    for number in range(3):
        backend.save("telegram", {"botToken": telegram.token}, f"bot{number}")
    make_due(backend)
    assert check(backend, seconds=30) == {}
    assert check(backend) == {"connected": 3}


def test_one_connection_does_not_keep_the_others_from_their_check(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    (row,) = backend.aws.rows("ConnectionsTable")
    damaged = {"connection": "telegram#damaged", "name": "damaged", "ciphertext": b"x" * 40}
    foreign = {"connection": "no_such#default", "provider": "no_such"}
    for change in (damaged, foreign):
        backend.aws.put("ConnectionsTable", item(row | change))
    make_due(backend)
    counts = check(backend)
    assert counts.pop("connected") == 1
    assert sum(counts.values()) == 2
    assert check(backend) == {}, "they are due again tomorrow"


def test_a_removed_webhook_of_the_provider_is_set_again(
    backend: Backend, telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://api.example.com")
    telegram.add_bot("42:AAanother-token-of-another-bot-000", "other_bot")
    backend.save("telegram", {"botToken": telegram.token})
    backend.create_workflow(manual_flow() | {"trigger": {"type": "telegram.message"}})
    telegram.fail(bad_gateway(), method="setWebhook")
    backend.save("telegram", {"botToken": "42:AAanother-token-of-another-bot-000"})
    assert "42:AAanother-token-of-another-bot-000" not in telegram.webhooks
    make_due(backend)
    memory.forget()
    assert check(backend) == {"connected": 1}
    assert "42:AAanother-token-of-another-bot-000" in telegram.webhooks


def test_a_bot_that_was_renamed_is_known_by_its_new_name(
    backend: Backend, telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://api.example.com")
    memory.forget()
    backend.save("telegram", {"botToken": telegram.token})
    backend.create_workflow(manual_flow() | {"trigger": {"type": "telegram.message"}})
    telegram.bots[telegram.token]["username"] = "renamed_bot"
    make_due(backend)
    assert check(backend) == {"connected": 1}
    assert "renamed_bot" in telegram.webhooks[telegram.token]["url"]


def test_a_stack_whose_address_no_setting_says_sets_webhooks_from_the_schedule_too(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    telegram.fail(bad_gateway(), method="setWebhook")
    backend.create_workflow(manual_flow() | {"trigger": {"type": "telegram.message"}})
    assert not telegram.webhooks.get(telegram.token, {}).get("url")
    memory.forget()  # the schedule's function, which no request reaches
    minute_later(backend)
    assert check(backend) == {"connected": 1}
    url = telegram.webhooks[telegram.token]["url"]
    assert url.startswith("https://api.example.com/api/webhooks/")


# -- Refreshing on use -----------------------------------------------------------------------


@pytest.fixture
def book(backend: Backend, google_server: FakeGoogle) -> Book:
    connect(backend, "sheets_oauth")
    return google_server.add_book({"Orders": [["Id"], [1]]})


def read(backend: Backend, book: Book) -> Answer:
    return backend.call(
        "POST",
        "/api/integrations/sheets_oauth/actions/readRange",
        {"params": {"spreadsheetId": book.id, "range": "Orders!A1:A2"}},
    )


def expire_token(backend: Backend, seconds: float = 0) -> None:
    """Let the stored access token end in so many seconds."""
    from integrations.models import from_epoch, now, rfc3339

    connections = wiring.connections()
    stored = connections.get_sealed("acme", "sheets_oauth", "default")
    credentials = connections.open(stored)
    credentials["expiresAt"] = rfc3339(from_epoch(time.time() + seconds))
    connections.save(stored, credentials, replaces=stored.version, due_at=now())


def refreshes(google_server: FakeGoogle) -> int:
    return sum(
        each.form.get("grant_type") == "refresh_token" for each in google_server.seen("token")
    )


def test_a_token_near_its_end_is_refreshed_before_it_is_used(
    backend: Backend, google_server: FakeGoogle, book: Book
) -> None:
    assert read(backend, book).status == 200
    assert refreshes(google_server) == 0
    expire_token(backend, 240)
    assert read(backend, book).status == 200
    assert refreshes(google_server) == 1
    assert read(backend, book).status == 200
    assert refreshes(google_server) == 1


def test_a_token_that_died_early_is_refreshed_when_it_is_refused(
    backend: Backend, google_server: FakeGoogle, book: Book
) -> None:
    google_server.end_access_tokens()
    assert read(backend, book).status == 200
    assert refreshes(google_server) == 1


def test_of_many_callers_at_once_one_refreshes(
    backend: Backend, google_server: FakeGoogle, book: Book
) -> None:
    google_server.rotate_refresh_tokens = True
    expire_token(backend, -10)
    answers: list[int] = []
    barrier = threading.Barrier(10)

    def one() -> None:
        barrier.wait()
        answers.append(read(backend, book).status)

    threads = [threading.Thread(target=one) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 10
    assert refreshes(google_server) == 1


def test_of_many_callers_whose_token_is_refused_one_refreshes(
    backend: Backend, google_server: FakeGoogle, book: Book
) -> None:
    google_server.end_access_tokens()
    answers: list[int] = []
    barrier = threading.Barrier(6)

    def one() -> None:
        barrier.wait()
        answers.append(read(backend, book).status)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 6
    assert refreshes(google_server) == 1


def test_a_rotated_refresh_token_is_kept(
    backend: Backend, google_server: FakeGoogle, book: Book
) -> None:
    google_server.rotate_refresh_tokens = True
    for _ in range(3):
        expire_token(backend, -10)
        assert read(backend, book).status == 200
    assert refreshes(google_server) == 3


def test_a_grant_that_is_gone_needs_a_person_and_says_so(
    backend: Backend, google_server: FakeGoogle, book: Book
) -> None:
    google_server.revoke_all()
    answer = read(backend, book)
    assert (answer.status, answer.code) == (422, "needs_reauth")
    status = shown(backend, "sheets_oauth")
    assert status["status"] == "needs_reauth"
    assert status["lastError"]["code"] == "needs_reauth"
    assert "revoked" in status["lastError"]["message"]
    asked = refreshes(google_server)
    expire_token_keeping_status(backend)
    assert read(backend, book).code == "needs_reauth"
    assert refreshes(google_server) == asked, "nobody asks for what is known to be gone"


def expire_token_keeping_status(backend: Backend) -> None:
    expire_token(backend, -10)
    (row,) = backend.aws.rows("ConnectionsTable")
    backend.aws.put("ConnectionsTable", item(row | {"status": "needs_reauth"}))


def test_logging_in_again_mends_it_with_everything_that_uses_it(
    backend: Backend, google_server: FakeGoogle, book: Book
) -> None:
    google_server.revoke_all()
    read(backend, book)
    assert shown(backend, "sheets_oauth")["status"] == "needs_reauth"
    connect(backend, "sheets_oauth")
    status = shown(backend, "sheets_oauth")
    assert (status["status"], status["lastError"]) == ("connected", None)
    assert read(backend, book).status == 200


def test_a_provider_that_is_down_does_not_change_the_state(
    backend: Backend, google_server: FakeGoogle, book: Book
) -> None:
    expire_token(backend, -10)
    google_server.fail("token", *[Failure(503)] * 3)
    answer = read(backend, book)
    assert (answer.status, answer.code) == (502, "provider_unavailable")
    assert shown(backend, "sheets_oauth")["status"] == "connected"
    google_server._failures.clear()
    assert read(backend, book).status == 200


def test_a_token_that_is_still_good_is_used_while_it_cannot_be_refreshed(
    backend: Backend, google_server: FakeGoogle, book: Book
) -> None:
    expire_token(backend, 120)
    google_server.fail("token", *[Failure(503)] * 3)
    assert read(backend, book).status == 200


def test_a_lease_that_its_holder_left_behind_does_not_hold_for_ever(
    backend: Backend, google_server: FakeGoogle, book: Book
) -> None:
    expire_token(backend, -10)
    (row,) = backend.aws.rows("ConnectionsTable")
    backend.aws.put("ConnectionsTable", item(row | {"leaseUntil": time.time() + 0.5}))
    assert read(backend, book).status == 200
    assert refreshes(google_server) == 1


def test_the_daily_check_refreshes_what_would_end(
    backend: Backend, google_server: FakeGoogle, book: Book
) -> None:
    make_due(backend)
    assert check(backend) == {"connected": 1}
    assert refreshes(google_server) == 1
    google_server.revoke_all()
    make_due(backend)
    assert check(backend) == {"needs_reauth": 1}


def test_a_facebook_token_near_its_end_is_exchanged_by_the_daily_check(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    facebook.add_user("Ann", pages=[facebook.add_page("Bakery")])
    metadata = connect(backend, "facebook_oauth")
    ends = datetime.fromisoformat(metadata["expiresAt"]).timestamp()
    assert ends == pytest.approx(time.time() + LONG, abs=120)
    make_due(backend)
    assert check(backend) == {"connected": 1}


def test_a_person_who_removed_the_app_is_asked_to_log_in_again(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    facebook.add_user("Ann", pages=[facebook.add_page("Bakery")])
    connect(backend, "facebook_oauth")
    for token in list(facebook.tokens):
        facebook.kill(token, subcode=458)
    make_due(backend)
    assert check(backend) == {"needs_reauth": 1}
    assert shown(backend, "facebook_oauth")["status"] == "needs_reauth"
    connect(backend, "facebook_oauth")
    assert shown(backend, "facebook_oauth")["status"] == "connected"
