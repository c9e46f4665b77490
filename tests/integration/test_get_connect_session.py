"""GET /api/connect/session, and what a session's token can do."""

from typing import Any

import pytest

from tests.backend import Answer, Backend
from tests.fakes.google import FakeGoogle
from tests.fakes.telegram import TelegramServer
from tests.integration.connect_sessions import create
from tests.integration.oauth import Login, visit
from tests.integration.tokens import opened


class Session:
    """A browser that holds a session's token."""

    def __init__(self, backend: Backend, **body: Any) -> None:
        self._backend = backend
        self._context = opened(backend, create(backend, **body).json["token"])

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        context = dict(self._context)
        return self._backend.call(
            method,
            path,
            body,
            tenant=context.pop("tenant"),
            scopes=context.pop("scopes"),
            caller=context,
            **more,
        )


def test_a_session_says_what_it_is_for(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLICATION_NAME", "Shop <Admin>")
    answer = Session(backend, connection="shop").call("GET", "/api/connect/session")
    assert answer.status == 200
    assert answer.json["application"] == "Shop <Admin>"
    assert answer.json["providers"] == ["sheets_oauth", "telegram"]
    assert answer.json["connection"] == "shop"
    assert answer.json.get("redirectUri") is None
    assert answer.json["expiresAt"]


def test_an_api_token_has_no_session(backend: Backend) -> None:
    for scopes in ("read write admin", "connect"):
        answer = backend.call("GET", "/api/connect/session", scopes=scopes)
        assert (answer.status, answer.code) == (403, "insufficient_scope")


def test_a_session_tests_saves_and_reads_its_connection(
    backend: Backend, telegram: TelegramServer
) -> None:
    session = Session(backend, connection="shop")
    body = {"credentials": {"botToken": telegram.token}, "connection": "shop"}
    assert session.call("POST", "/api/integrations/telegram/test", body).json["success"] is True
    saved = session.call("POST", "/api/integrations/telegram/credentials", body)
    assert saved.status == 200, saved
    path = "/api/integrations/telegram/credentials"
    assert session.call("GET", path, query="connection=shop").status == 200
    assert session.call("DELETE", path, query="connection=shop").status == 403
    (entry,) = [
        each for each in backend.aws.rows("AuditTable") if each["action"] == "save_credentials"
    ]
    assert '"kind": "connect"' in entry["actor"]


def begin(session: Session, **more: Any) -> tuple[Any, str]:
    answer = session.call(
        "POST", "/api/integrations/oauth/start/sheets_oauth", {"connection": "shop"}, **more
    )
    assert answer.status == 200, answer
    cookie = answer.headers["Set-Cookie"]
    return answer.json, cookie


def end(backend: Backend, started: Any, cookie: str) -> Answer:
    query = visit(Login("sheets_oauth", started["handshakeId"], started["authUrl"]))
    path = "/api/integrations/oauth/callback/sheets_oauth"
    headers = {"cookie": cookie.partition(";")[0]} if cookie else {}
    return backend.call("GET", path, query=query, headers=headers)


def test_a_log_in_of_a_session_is_tied_to_its_browser(
    backend: Backend, google_server: FakeGoogle
) -> None:
    session = Session(backend, connection="shop")
    started, cookie = begin(session)
    for part in ("HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie
    secret = cookie.partition("=")[2].partition(";")[0]
    assert secret not in backend.aws.everything()
    other = f"{cookie.partition('=')[0]}={'x' * 43}"
    for wrong in ("", other):
        refused = end(backend, started, wrong)
        assert refused.status == 400
        assert "another browser" in refused.body
    done = end(backend, started, cookie)
    assert (done.status, "Connected" in done.body) == (200, True)
    status = f"/api/integrations/oauth/status/{started['handshakeId']}"
    assert session.call("GET", status).json["status"] == "completed"


def test_a_browser_has_several_log_ins_under_way(
    backend: Backend, google_server: FakeGoogle
) -> None:
    session = Session(backend, connection="shop")
    first, cookie = begin(session)
    second, again = begin(session, headers={"cookie": cookie.partition(";")[0]})
    assert again == cookie
    assert end(backend, first, cookie).status == 200
    assert end(backend, second, cookie).status == 200


def test_a_session_sees_its_own_log_ins_alone(backend: Backend, google_server: FakeGoogle) -> None:
    started, _ = begin(Session(backend, connection="shop"))
    path = f"/api/integrations/oauth/status/{started['handshakeId']}"
    other = Session(backend, connection="shop").call("GET", path)
    assert (other.status, other.code) == (404, "unknown_handshake")
    assert backend.call("GET", path).json["status"] == "pending"


def test_the_cookie_has_its_prefix_but_on_the_local_platform(
    backend: Backend, google_server: FakeGoogle, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, cookie = begin(Session(backend, connection="shop"))
    assert cookie.startswith("__Host-")
    assert "; Secure" in cookie
    assert "Domain" not in cookie
    monkeypatch.setenv("PUBLIC_BASE_URL", "http://localhost:3000")
    _, cookie = begin(Session(backend, connection="shop"))
    assert not cookie.startswith("__")
    assert "Secure" not in cookie
