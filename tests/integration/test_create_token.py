"""POST /api/tokens."""

import time
from typing import Any

import pytest

from integrations import memory
from tests.backend import Backend
from tests.integration.tokens import ADMIN, create, opened


def test_a_token_opens_what_it_was_made_for(backend: Backend) -> None:
    made = create(backend, scopes=["read", "admin"]).json
    assert made["token"].startswith("ib_")
    context = opened(backend, made["token"])
    assert (context["tenant"], context["scopes"]) == ("acme", "admin read")
    assert (context["kind"], context["id"], context["name"]) == ("token", made["tokenId"], "ci")


def test_a_token_is_stored_nowhere(backend: Backend) -> None:
    made = create(backend).json
    assert made["token"] not in backend.aws.everything()


def test_a_token_ends_when_it_was_told_to(backend: Backend) -> None:
    made = create(backend, expiresInDays=2).json
    (row,) = backend.aws.rows("TokensTable")
    assert abs(row["expiresAt"] - time.time() - 2 * 86_400) < 60
    assert made["expiresAt"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["root"]}, "scopes[0]"),
        ({"scopes": ["connect"]}, "scopes[0]"),
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "\x1b[2Ja"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"expiresInDays": 0}, "expiresInDays"),
        ({"tenantId": "x"}, "tenantId"),
    ],
)
def test_a_mistake_is_named(backend: Backend, body: dict[str, Any], field: str) -> None:
    answer = create(backend, **body)
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert field in answer.fields
    assert backend.aws.rows("TokensTable") == []


def test_an_admin_makes_tokens_of_the_own_tenant_alone(backend: Backend) -> None:
    body = {"name": "x", "scopes": ["read"], "tenant": "acme"}
    assert backend.call("POST", "/api/tokens", body, scopes=ADMIN).status == 200
    body["tenant"] = "other"
    refused = backend.call("POST", "/api/tokens", body, scopes=ADMIN)
    assert (refused.status, refused.code) == (403, "insufficient_scope")


def test_the_platforms_admin_makes_tokens_of_any_tenant(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_TENANT", "platform")
    memory.forget()
    body = {"name": "x", "scopes": ["read"], "tenant": "other"}
    made = backend.call("POST", "/api/tokens", body, scopes=ADMIN, tenant="platform")
    assert (made.status, made.json["tenant"]) == (200, "other")
    assert opened(backend, made.json["token"])["tenant"] == "other"
    for name in ("*", "a#b", "a b", "a\x00", "sub:ann", "", "a/b"):
        body["tenant"] = name
        refused = backend.call("POST", "/api/tokens", body, scopes=ADMIN, tenant="platform")
        assert (refused.status, refused.code) == (422, "invalid_input"), name
