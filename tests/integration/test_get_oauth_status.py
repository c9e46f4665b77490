"""GET /api/integrations/oauth/status/{handshakeId}."""

import pytest

from integrations.storage.aws import item
from tests.backend import Backend
from tests.fakes.google import FakeGoogle
from tests.integration.oauth import come_back, start, status, visit


def test_a_new_login_is_pending(backend: Backend, google_server: FakeGoogle) -> None:
    login = start(backend, "sheets_oauth")
    assert status(backend, login) == {"status": "pending", "credentials": None, "error": None}


def test_a_finished_login_shows_metadata_and_no_secret(
    backend: Backend, google_server: FakeGoogle
) -> None:
    login = start(backend, "sheets_oauth", {"connection": "shop"})
    come_back(backend, "sheets_oauth", visit(login))
    backend.secrets |= {*google_server.access_tokens, *google_server.refresh_tokens}
    answer = status(backend, login)
    assert answer["status"] == "completed"
    assert answer["credentials"]["connection"] == "shop"
    assert answer["credentials"]["account"]["label"] == "ann@example.com"
    assert answer["error"] is None


def test_a_login_that_has_finished_this_moment_shows_its_connection(
    backend: Backend, google_server: FakeGoogle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend.aws.tables, "_lag", lambda: 5.0)
    login = start(backend, "sheets_oauth")
    come_back(backend, "sheets_oauth", visit(login))
    answer = status(backend, login)
    assert (answer["status"], answer["credentials"]["status"]) == ("completed", "connected")


def test_another_tenants_login_is_not_found(backend: Backend, google_server: FakeGoogle) -> None:
    login = start(backend, "sheets_oauth", tenant="other")
    answer = backend.call("GET", f"/api/integrations/oauth/status/{login.handshake_id}")
    assert (answer.status, answer.code) == (404, "unknown_handshake")


@pytest.mark.parametrize("ident", ["unknown", "..", "x" * 200, "ß", "*"])
def test_an_unknown_login_is_not_found(backend: Backend, ident: str) -> None:
    answer = backend.call("GET", f"/api/integrations/oauth/status/{ident}")
    assert answer.status in {404, 422}


def test_a_login_that_nobody_finished_in_time_is_expired(
    backend: Backend, google_server: FakeGoogle
) -> None:
    login = start(backend, "sheets_oauth")
    (row,) = backend.aws.rows("HandshakesTable")
    backend.aws.put("HandshakesTable", item(row | {"deadline": row["deadline"] - 601}))
    answer = status(backend, login)
    assert answer["status"] == "expired"
    assert answer["error"]["code"] == "handshake_expired"


def test_what_the_ttl_has_not_deleted_yet_is_not_found(
    backend: Backend, google_server: FakeGoogle
) -> None:
    login = start(backend, "sheets_oauth")
    (row,) = backend.aws.rows("HandshakesTable")
    backend.aws.put("HandshakesTable", item(row | {"expiresAt": 1}))
    answer = backend.call("GET", f"/api/integrations/oauth/status/{login.handshake_id}")
    assert (answer.status, answer.code) == (404, "unknown_handshake")


def test_a_login_whose_connection_was_removed_is_still_completed(
    backend: Backend, google_server: FakeGoogle
) -> None:
    login = start(backend, "sheets_oauth")
    come_back(backend, "sheets_oauth", visit(login))
    backend.call("DELETE", "/api/integrations/sheets_oauth/credentials")
    answer = status(backend, login)
    assert (answer["status"], answer["credentials"]) == ("completed", None)


def test_a_login_that_broke_off_in_our_hands_does_not_stay_pending_for_ever(
    backend: Backend, google_server: FakeGoogle
) -> None:
    login = start(backend, "sheets_oauth")
    (row,) = backend.aws.rows("HandshakesTable")
    broken = {"status": "exchanging", "takenAt": row["deadline"] - 600}
    backend.aws.put("HandshakesTable", item(row | broken))
    assert status(backend, login)["status"] == "pending"
    broken |= {"takenAt": row["deadline"] - 1800, "deadline": row["deadline"] - 1200}
    backend.aws.put("HandshakesTable", item(row | broken))
    assert status(backend, login)["status"] == "failed"
