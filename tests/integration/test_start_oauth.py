"""POST /api/integrations/oauth/start/{providerId}."""

from typing import Any

import pytest

from tests.backend import Answer, Backend, body_of
from tests.fakes.facebook import FacebookStandIn
from tests.fakes.google import FakeGoogle
from tests.integration.conftest import FACEBOOK_APP, GOOGLE_CLIENT
from tests.integration.oauth import start

FRONTEND = "http://localhost:5173"
CALLBACK = "https://api.example.com/api/integrations/oauth/callback"


def begin(
    backend: Backend, body: Any = None, provider: str = "sheets_oauth", **more: Any
) -> Answer:
    return backend.call("POST", f"/api/integrations/oauth/start/{provider}", body, **more)


def test_a_person_is_sent_to_google_with_state_and_challenge(
    backend: Backend, google_server: FakeGoogle
) -> None:
    login = start(backend, "sheets_oauth")
    assert login.auth_url.startswith(f"{google_server.url}/o/oauth2/v2/auth?")
    query = login.query
    assert query["client_id"] == GOOGLE_CLIENT
    assert query["redirect_uri"] == f"{CALLBACK}/sheets_oauth"
    assert (query["access_type"], query["prompt"]) == ("offline", "consent")
    assert query["code_challenge_method"] == "S256"
    assert len(query["code_challenge"]) == 43
    handshake_id, _, random = query["state"].partition(".")
    assert handshake_id == login.handshake_id
    assert len(random) >= 43, "256 random bits"


def test_a_person_is_sent_to_facebook(backend: Backend, facebook: FacebookStandIn) -> None:
    login = start(backend, "facebook_oauth", body_of("start_oauth", "facebook"))
    assert login.auth_url.startswith(f"{facebook.url}/v26.0/dialog/oauth?")
    assert login.query["client_id"] == FACEBOOK_APP
    assert login.query["redirect_uri"] == f"{CALLBACK}/facebook_oauth"
    assert "pages_messaging" in login.query["scope"]


def test_no_two_logins_share_anything(backend: Backend, google_server: FakeGoogle) -> None:
    one, other = start(backend, "sheets_oauth"), start(backend, "sheets_oauth")
    assert one.handshake_id != other.handshake_id
    assert one.query["state"] != other.query["state"]
    assert one.query["code_challenge"] != other.query["code_challenge"]


def test_the_handshake_is_kept_without_its_state(
    backend: Backend, google_server: FakeGoogle
) -> None:
    login = start(backend, "sheets_oauth", {"redirectUri": f"{FRONTEND}/done"})
    (row,) = backend.aws.rows("HandshakesTable")
    assert row["tenant"] == "acme"
    assert login.query["state"].partition(".")[2] not in repr(row)
    assert row["expiresAt"] > row["deadline"]


def test_a_public_address_of_the_stacks_own_is_used(
    backend: Backend, google_server: FakeGoogle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBLIC_BASE_URL", "https://hooks.example.org/base/")
    login = start(backend, "sheets_oauth")
    assert login.query["redirect_uri"] == (
        "https://hooks.example.org/base/api/integrations/oauth/callback/sheets_oauth"
    )


@pytest.mark.parametrize(
    "redirect",
    [
        FRONTEND,
        f"{FRONTEND}/",
        f"{FRONTEND}/connected",
        f"{FRONTEND}/connected?tab=1&x=%20",
        "/connected",
        "/",
        "/a?next=//evil.example",
        "HTTP://LOCALHOST:5173/connected",
    ],
)
def test_a_redirect_into_the_frontend_is_taken(
    backend: Backend, google_server: FakeGoogle, redirect: str
) -> None:
    assert begin(backend, {"redirectUri": redirect}).status == 200


@pytest.mark.parametrize(
    "redirect",
    [
        "https://evil.example/",
        "//evil.example/connected",
        "///evil.example/connected",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "http://localhost:5173@evil.example/",
        "http://user@localhost:5173/",
        "http://user:pass@localhost:5173/",
        "http://@localhost:5173/",
        "http://localhost:5173.evil.example/",
        "http://localhost:51730/",
        "http://localhost:5174/",
        "http://localhost/",
        "https://localhost:5173/",
        "http://127.0.0.1:5173/",
        "http://localhost.:5173/",
        "http:localhost:5173/",
        "http:/localhost:5173/",
        "http:///localhost:5173/",
        "http:\\\\localhost:5173/",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://localhost:5173/",
        "http://localhost:5173/a#fragment",
        "http://localhost:5173/a\r\nSet-Cookie: x=1",
        "http://localhost:5173/a\x00",
        "http://localhost:5173/a b",
        "http://localhost:5173/\u202e",
        "http://\uff4cocalhost:5173/",
        "http://localhost:99999/",
        "http://localhost:port/",
        "http://[::1/",
        "connected",
        ".",
        "x" * 2049,
        "http://localhost:5173/" + "x" * 2048,
    ],
)
def test_a_redirect_to_anywhere_else_is_refused(
    backend: Backend, google_server: FakeGoogle, redirect: str
) -> None:
    answer = begin(backend, {"redirectUri": redirect})
    assert answer.status in {400, 422}
    assert answer.code in {"invalid_redirect_uri", "invalid_input"}
    assert backend.aws.rows("HandshakesTable") == []


@pytest.mark.parametrize(
    ("redirect", "status"),
    [
        ("https://app.example.com/oauth", 200),
        ("https://app.example.com/oauth/", 200),
        ("https://app.example.com/oauth/done?x=1", 200),
        ("https://other.example.com/anything", 200),
        ("https://app.example.com/", 400),
        ("https://app.example.com/oauthevil", 400),
        ("https://app.example.com/oauth/../evil", 400),
        ("https://app.example.com/oauth/%2e%2e/evil", 400),
        ("https://app.example.com/oauth/.%2E/evil", 400),
        ("https://app.example.com.evil.example/oauth", 400),
        ("https://evil.example/https://app.example.com/oauth", 400),
        ("http://app.example.com/oauth", 400),
        ("https://other.example.com.evil.example/", 400),
    ],
)
def test_an_allow_list_lets_through_what_is_below_it(
    backend: Backend,
    google_server: FakeGoogle,
    monkeypatch: pytest.MonkeyPatch,
    redirect: str,
    status: int,
) -> None:
    listed = "https://app.example.com/oauth, https://other.example.com"
    monkeypatch.setenv("ALLOWED_REDIRECT_URIS", listed)
    assert begin(backend, {"redirectUri": redirect}).status == status


@pytest.mark.parametrize("provider", ["telegram", "webhook", "sheets", "facebook"])
def test_a_provider_without_a_login_says_what_to_do(backend: Backend, provider: str) -> None:
    answer = begin(backend, {}, provider)
    assert (answer.status, answer.code) == (409, "provider_not_configured")
    assert "save its credentials" in answer.json["detail"]


@pytest.mark.parametrize(
    ("provider", "names"),
    [
        ("sheets_oauth", ("GoogleClientId", "GoogleClientSecret")),
        ("facebook_oauth", ("FacebookAppId", "FacebookAppSecret")),
    ],
)
@pytest.mark.parametrize("half", [False, True])
def test_a_stack_without_a_client_names_the_parameters(
    backend: Backend, provider: str, names: tuple[str, str], *, half: bool
) -> None:
    fields = {names[0][0].lower() + names[0][1:]: "only-the-id"} if half else {}
    backend.aws.set_secret(**fields)
    answer = begin(backend, {}, provider)
    assert (answer.status, answer.code) == (409, "provider_not_configured")
    assert all(name in answer.json["detail"] for name in names)
    assert backend.aws.rows("HandshakesTable") == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"connection": "a b"}, "connection"),
        ({"connection": ""}, "connection"),
        ({"redirectUri": 1}, "redirectUri"),
        ({"redirectUri": ["/"]}, "redirectUri"),
        ({"tenant": "other"}, "tenant"),
    ],
)
def test_a_body_of_the_wrong_form_is_told_by_its_field(
    backend: Backend, body: Any, field: str
) -> None:
    answer = begin(backend, body)
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert field in answer.fields
