"""POST /api/connect/sessions."""

import time
from typing import Any

import pytest

from integrations import memory
from tests.backend import Backend
from tests.integration.connect_sessions import HOME, create
from tests.integration.tokens import opened


def test_a_session_is_a_token_for_its_providers_and_a_page(backend: Backend) -> None:
    made = create(backend, connection="shop", redirectUri=f"{HOME}/done?x=1").json
    assert made["token"].startswith("ics_")
    assert made["connectUrl"].endswith(f"/connect#token={made['token']}")
    context = opened(backend, made["token"])
    assert (context["tenant"], context["scopes"], context["kind"]) == ("acme", "connect", "connect")
    assert context["providers"] == "sheets_oauth telegram"
    assert (context["connection"], context["redirectUri"]) == ("shop", f"{HOME}/done?x=1")
    assert made["token"] not in backend.aws.everything()


def test_a_session_ends_by_itself(backend: Backend) -> None:
    create(backend, expiresIn=60)
    (row,) = backend.aws.rows("TokensTable")
    assert abs(row["expiresAt"] - time.time() - 60) < 30


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"providers": []}, 422, "invalid_input"),
        ({"providers": ["no_such"]}, 404, "unknown_provider"),
        ({"expiresIn": 1801}, 422, "invalid_input"),
        ({"connection": "a b"}, 422, "invalid_input"),
        ({"redirectUri": "https://evil.example/"}, 400, "invalid_redirect_uri"),
        ({"redirectUri": f"{HOME}/a/..%2f..%2fevil"}, 400, "invalid_redirect_uri"),
        ({"redirectUri": f"{HOME}/?status=connected"}, 400, "invalid_redirect_uri"),
    ],
)
def test_a_mistake_makes_no_session(
    backend: Backend, body: dict[str, Any], status: int, code: str
) -> None:
    answer = create(backend, **body)
    assert (answer.status, answer.code) == (status, code)
    assert backend.aws.rows("TokensTable") == []


def test_only_the_platforms_admin_makes_sessions_for_others(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_TENANT", "platform")
    memory.forget()
    body = {"providers": ["telegram"], "tenant": "other"}
    for tenant, scopes, status in (
        ("acme", "read write admin", 403),
        ("platform", "read write", 403),
        ("platform", "write admin", 200),
    ):
        path = "/api/connect/sessions"
        answer = backend.call("POST", path, body, scopes=scopes, tenant=tenant)
        assert answer.status == status
    assert opened(backend, answer.json["token"])["tenant"] == "other"
