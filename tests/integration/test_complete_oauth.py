"""GET /api/integrations/oauth/callback/{providerId}."""

import json
import re
import threading
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from integrations import memory
from integrations.storage.aws import item
from tests.backend import Answer, Backend
from tests.fakes.facebook import FacebookStandIn
from tests.fakes.google import SPREADSHEETS, Failure, FakeGoogle
from tests.integration.oauth import Login, come_back, connect, start, status, visit

FRONTEND = "http://localhost:5173"


def told_to_opener(answer: Answer) -> Any:
    """What the page posts to the window that opened it."""
    found = re.search(r"const outcome = (\{.*\});", answer.body)
    assert found, answer.body
    return json.loads(found[1])


def row_of(backend: Backend) -> dict[str, Any]:
    (row,) = backend.aws.rows("ConnectionsTable")
    return row


# -- How it goes well ------------------------------------------------------------------------


def test_a_login_with_google_makes_a_connection(
    backend: Backend, google_server: FakeGoogle
) -> None:
    metadata = connect(backend, "sheets_oauth")
    assert metadata["status"] == "connected"
    assert metadata["account"]["label"] == "ann@example.com"
    assert metadata["expiresAt"]
    book = google_server.add_book({"Orders": [["Id"]]})
    answer = backend.call(
        "POST",
        "/api/integrations/sheets_oauth/actions/appendRow",
        {"params": {"spreadsheetId": book.id, "sheet": "Orders", "values": {"Id": 7}}},
    )
    assert answer.status == 200
    assert book.rows("Orders") == [["Id"], [7]]


def test_a_login_with_facebook_makes_a_connection_of_long_life(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    page = facebook.add_page("Bakery")
    facebook.add_user("Ann", pages=[page])
    metadata = connect(backend, "facebook_oauth")
    assert "Bakery" in metadata["account"]["label"]
    assert metadata["expiresAt"] > metadata["connectedAt"][:4]
    assert metadata["webhook"] is None
    grants = [call.params.get("grant_type") for call in facebook.requests]
    assert "fb_exchange_token" in grants


def test_the_page_tells_its_opener_and_nobody_else(
    backend: Backend, google_server: FakeGoogle
) -> None:
    login = start(backend, "sheets_oauth")
    answer = come_back(backend, "sheets_oauth", visit(login))
    assert answer.status == 200
    outcome = told_to_opener(answer)
    assert outcome["message"] == {
        "type": "integrations:oauth",
        "handshakeId": login.handshake_id,
        "status": "completed",
    }
    assert outcome["origins"] == [FRONTEND]
    headers = answer.headers
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"
    nonce = re.search(r"script-src 'nonce-([\w-]+)'", headers["Content-Security-Policy"])
    assert nonce
    assert f'nonce="{nonce[1]}"' in answer.body


@pytest.mark.parametrize(
    ("redirect", "location"),
    [
        ("/connected", f"{FRONTEND}/connected?"),
        (f"{FRONTEND}/connected?tab=2", f"{FRONTEND}/connected?tab=2&"),
    ],
)
def test_the_browser_goes_where_the_login_was_begun(
    backend: Backend, google_server: FakeGoogle, redirect: str, location: str
) -> None:
    login = start(backend, "sheets_oauth", {"redirectUri": redirect})
    answer = come_back(backend, "sheets_oauth", visit(login))
    assert answer.status == 303
    wanted = urlencode({"handshakeId": login.handshake_id, "status": "completed"})
    assert answer.headers["Location"] == location + wanted
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_tenant_is_that_of_the_start(backend: Backend, google_server: FakeGoogle) -> None:
    login = start(backend, "sheets_oauth", {"connection": "shop"}, tenant="other")
    come_back(backend, "sheets_oauth", visit(login))
    row = row_of(backend)
    assert (row["tenant"], row["connection"]) == ("other", "sheets_oauth#shop")


def test_logging_in_again_keeps_the_connection_and_what_uses_it(
    backend: Backend, google_server: FakeGoogle
) -> None:
    first = connect(backend, "sheets_oauth", "shop")
    workflow = backend.create_workflow(
        {
            "name": "x",
            "trigger": {"type": "manual"},
            "steps": [
                {
                    "id": "a",
                    "action": "sheets_oauth.readRange",
                    "connection": "shop",
                    "params": {"spreadsheetId": "x" * 44, "range": "A1"},
                }
            ],
        }
    )
    version = row_of(backend)["version"]
    google_server.consent.email = "bob@example.com"
    second = connect(backend, "sheets_oauth", "shop")
    assert second["connectedAt"] == first["connectedAt"]
    assert second["account"]["label"] == "bob@example.com"
    assert row_of(backend)["version"] == version + 1
    path = f"/api/workflows/{workflow['workflowId']}"
    assert backend.call("GET", path).json["version"] == 1


# -- The state -------------------------------------------------------------------------------


def refused(answer: Answer, words: str) -> None:
    assert answer.status == 400
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert words in answer.body
    assert told_to_opener(answer)["message"]["status"] == "failed"


def test_a_state_is_good_once(backend: Backend, google_server: FakeGoogle) -> None:
    login = start(backend, "sheets_oauth")
    query = visit(login)
    assert come_back(backend, "sheets_oauth", query).status == 200
    exchanges = len(google_server.seen("token"))
    refused(come_back(backend, "sheets_oauth", query), "already used")
    assert len(google_server.seen("token")) == exchanges
    assert status(backend, login)["status"] == "completed"


def test_of_two_callbacks_at_once_one_wins_and_the_other_is_told(
    backend: Backend, google_server: FakeGoogle
) -> None:
    query = visit(start(backend, "sheets_oauth"))
    answers: list[Answer] = []
    barrier = threading.Barrier(4)

    def one() -> None:
        barrier.wait()
        answers.append(come_back(backend, "sheets_oauth", query))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.status for each in answers) == [200, 400, 400, 400]
    assert len(google_server.seen("token")) == 1
    row = row_of(backend)
    assert row["connectedAt"] == row["grantedAt"], "it was saved once"


@pytest.mark.parametrize(
    "change",
    [
        {"state": None},
        {"state": ""},
        {"state": "."},
        {"state": "no-dot"},
        {"state": ".random"},
        {"state": "unknown.random"},
        {"state": "x" * 3000 + ".random"},
        {"state": "\ufffd.\ufffd"},
        {"state": "\x00.\x00"},
    ],
    ids=repr,
)
def test_a_state_that_nobody_gave_is_refused(
    backend: Backend, google_server: FakeGoogle, change: dict[str, str | None]
) -> None:
    login = start(backend, "sheets_oauth")
    query = dict(parse_qsl(visit(login))) | change
    given = {name: value for name, value in query.items() if value is not None}
    answer = come_back(backend, "sheets_oauth", given)
    assert answer.status == 400
    assert backend.aws.rows("ConnectionsTable") == []
    assert not google_server.seen("token")
    assert status(backend, login)["status"] == "pending"


def test_the_right_handshake_with_the_wrong_random_part_is_refused(
    backend: Backend, google_server: FakeGoogle
) -> None:
    login = start(backend, "sheets_oauth")
    other = start(backend, "sheets_oauth")
    mixed = f"{login.handshake_id}.{other.query['state'].partition('.')[2]}"
    refused(come_back(backend, "sheets_oauth", {"state": mixed, "code": "x"}), "not known")
    assert status(backend, login)["status"] == "pending"


def test_a_state_of_another_provider_is_refused(
    backend: Backend, google_server: FakeGoogle, facebook: FacebookStandIn
) -> None:
    login = start(backend, "sheets_oauth")
    refused(come_back(backend, "facebook_oauth", visit(login)), "not known")
    assert status(backend, login)["status"] == "pending"
    assert not facebook.requests


def test_a_state_whose_time_is_over_is_refused(backend: Backend, google_server: FakeGoogle) -> None:
    login = start(backend, "sheets_oauth")
    query = visit(login)
    (row,) = backend.aws.rows("HandshakesTable")
    backend.aws.put("HandshakesTable", item(row | {"deadline": row["deadline"] - 601}))
    refused(come_back(backend, "sheets_oauth", query), "expired")
    assert backend.aws.rows("ConnectionsTable") == []


@pytest.mark.parametrize("name", ["state", "code", "iss", "error", "scope"])
def test_a_parameter_that_comes_twice_is_refused_before_the_state_is_taken(
    backend: Backend, google_server: FakeGoogle, name: str
) -> None:
    login = start(backend, "sheets_oauth")
    pairs = parse_qsl(visit(login))
    value = dict(pairs).get(name, "x")
    doubled = [*pairs, (name, value), (name, value)]
    refused(come_back(backend, "sheets_oauth", doubled), "twice")
    assert status(backend, login)["status"] == "pending"


def test_endless_parameters_are_refused(backend: Backend, google_server: FakeGoogle) -> None:
    query = "&".join(f"p{number}=1" for number in range(2000))
    assert come_back(backend, "sheets_oauth", query).status == 400


@pytest.mark.parametrize("provider", ["telegram", "no_such", "..", "<script>"])
def test_a_callback_of_no_login_is_refused(backend: Backend, provider: str) -> None:
    answer = come_back(backend, provider, {"state": "a.b", "code": "c"})
    assert answer.status in {400, 404}
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<script>" not in answer.body.replace('<script nonce="', "")


# -- What the provider or the person does ----------------------------------------------------


def failed(backend: Backend, login: Login, code: str) -> str:
    outcome = status(backend, login)
    assert (outcome["status"], outcome["error"]["code"]) == ("failed", code), outcome
    assert backend.aws.rows("ConnectionsTable") == []
    return str(outcome["error"]["message"])


def test_a_person_who_says_no_is_told_so(backend: Backend, google_server: FakeGoogle) -> None:
    google_server.consent.deny = True
    login = start(backend, "sheets_oauth")
    answer = come_back(backend, "sheets_oauth", visit(login))
    assert answer.status == 200
    assert "Not connected" in answer.body
    assert told_to_opener(answer)["message"]["status"] == "failed"
    failed(backend, login, "access_denied")


def test_a_refused_login_sends_the_browser_back_with_its_status(
    backend: Backend, google_server: FakeGoogle
) -> None:
    google_server.consent.deny = True
    login = start(backend, "sheets_oauth", {"redirectUri": "/connected"})
    answer = come_back(backend, "sheets_oauth", visit(login))
    assert answer.status == 303
    assert dict(parse_qsl(urlsplit(answer.headers["Location"]).query)) == {
        "handshakeId": login.handshake_id,
        "status": "failed",
    }


def test_what_a_provider_says_is_shown_as_text(backend: Backend, google_server: FakeGoogle) -> None:
    login = start(backend, "sheets_oauth")
    script = "</script><script>alert(1)</script>"
    answer = come_back(
        backend,
        "sheets_oauth",
        {"state": login.query["state"], "error": script, "error_description": script * 100},
    )
    assert answer.body.count("<script") == 1
    assert len(status(backend, login)["error"]["message"]) < 600


def test_a_scope_that_was_not_ticked_is_named(backend: Backend, google_server: FakeGoogle) -> None:
    google_server.consent.scopes = frozenset()
    login = start(backend, "sheets_oauth")
    come_back(backend, "sheets_oauth", visit(login))
    assert SPREADSHEETS in failed(backend, login, "permission_missing")


def test_a_facebook_login_without_a_page_says_so(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    facebook.add_user("Ann")
    login = start(backend, "facebook_oauth")
    come_back(backend, "facebook_oauth", visit(login))
    assert "No page" in failed(backend, login, "permission_missing")


def test_a_declined_facebook_permission_is_named(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    facebook.add_user("Ann", pages=[facebook.add_page("Bakery")])
    facebook.declined = {"pages_messaging"}
    login = start(backend, "facebook_oauth")
    come_back(backend, "facebook_oauth", visit(login))
    assert "pages_messaging" in failed(backend, login, "permission_missing")


@pytest.mark.parametrize("issuer", ["https://evil.example", "https://accounts.google.com/", ""])
def test_an_answer_of_another_issuer_is_refused(
    backend: Backend,
    google_server: FakeGoogle,
    monkeypatch: pytest.MonkeyPatch,
    issuer: str,
) -> None:
    query = visit(start(backend, "sheets_oauth"))
    code = dict(parse_qsl(query))["code"]
    # At Google's own address its issuer is known.
    monkeypatch.setenv("GOOGLE_AUTH_URL", "https://accounts.google.com/o/oauth2/v2/auth")
    memory.forget()
    login = start(backend, "sheets_oauth")
    given = {"state": login.query["state"], "iss": issuer, "code": code}
    come_back(backend, "sheets_oauth", given)
    assert "issuer" in failed(backend, login, "handshake_refused")
    assert not google_server.seen("token")


def test_an_answer_with_neither_code_nor_error_is_refused(
    backend: Backend, google_server: FakeGoogle
) -> None:
    login = start(backend, "sheets_oauth")
    come_back(backend, "sheets_oauth", {"state": login.query["state"]})
    failed(backend, login, "handshake_refused")


def test_a_code_that_the_provider_does_not_know_is_its_refusal(
    backend: Backend, google_server: FakeGoogle
) -> None:
    login = start(backend, "sheets_oauth")
    come_back(backend, "sheets_oauth", {"state": login.query["state"], "code": "4/made-up-code"})
    failed(backend, login, "credentials_rejected")


@pytest.mark.parametrize(
    "failure",
    [Failure(503), Failure(502, "<html>Bad Gateway</html>"), Failure(200, "<html>hi</html>")],
    ids=["503", "page", "200 page"],
)
def test_a_provider_that_does_not_work_is_the_reason_of_the_failure(
    backend: Backend, google_server: FakeGoogle, failure: Failure
) -> None:
    google_server.fail("token", *[failure] * 5)
    login = start(backend, "sheets_oauth")
    answer = come_back(backend, "sheets_oauth", visit(login))
    assert "<html>" not in answer.body[20:]
    failed(backend, login, "provider_unavailable")


def test_a_failed_login_changes_nothing_of_the_earlier_one(
    backend: Backend, google_server: FakeGoogle
) -> None:
    connect(backend, "sheets_oauth")
    before = row_of(backend)
    google_server.consent.deny = True
    come_back(backend, "sheets_oauth", visit(start(backend, "sheets_oauth")))
    google_server.consent.deny = False
    google_server.fail("token", *[Failure(503)] * 5)
    come_back(backend, "sheets_oauth", visit(start(backend, "sheets_oauth")))
    assert row_of(backend) == before


def test_a_vault_that_is_closed_is_a_failure_without_details(
    backend: Backend, google_server: FakeGoogle
) -> None:
    login = start(backend, "sheets_oauth")
    query = visit(login)
    table = backend.aws.names["ConnectionsTable"]
    backend.aws.fail("UpdateItem", "AccessDeniedException", status=400, where=table)
    answer = come_back(backend, "sheets_oauth", query)
    assert "AccessDenied" not in answer.body
    backend.aws.recover()
    failed(backend, login, "internal_error")


def test_a_table_that_is_busy_asks_for_another_try(
    backend: Backend, google_server: FakeGoogle
) -> None:
    login = start(backend, "sheets_oauth")
    query = visit(login)
    backend.aws.fail("UpdateItem", "ThrottlingException", status=400)
    answer = come_back(backend, "sheets_oauth", query)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "Start again in a moment" in answer.body
    backend.aws.recover()
    assert come_back(backend, "sheets_oauth", query).status == 200


def test_a_handshake_that_does_not_decrypt_is_to_be_begun_again(
    backend: Backend, google_server: FakeGoogle
) -> None:
    login = start(backend, "sheets_oauth")
    query = visit(login)
    (row,) = backend.aws.rows("HandshakesTable")
    backend.aws.put("HandshakesTable", item(row | {"nonce": b"0" * 12}))
    refused(come_back(backend, "sheets_oauth", query), "damaged")


def test_codes_states_and_verifiers_are_in_no_log(
    backend: Backend, google_server: FakeGoogle
) -> None:
    login = start(backend, "sheets_oauth")
    query = visit(login)
    code = dict(parse_qsl(query))["code"]
    backend.secrets |= {code, login.query["state"].partition(".")[2]}
    come_back(backend, "sheets_oauth", query)
    google_server.fail("token", *[Failure(503)] * 5)
    again = start_quietly(backend)
    come_back(backend, "sheets_oauth", again)
    backend.secrets |= {request.form["code_verifier"] for request in google_server.seen("token")}


def start_quietly(backend: Backend) -> str:
    """A login's callback query; its state may be in the answer, and nowhere else."""
    query = visit(start(backend, "sheets_oauth"))
    backend.secrets |= {dict(parse_qsl(query))["code"]}
    return query
