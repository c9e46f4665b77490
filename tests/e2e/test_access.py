"""Who may call, on the deployed stack: tokens by API, connect sessions, secrets, the audit log."""

from typing import Any

import pytest

from local.platform import Platform
from tests.e2e.conftest import Client, problem

HOOK = {"url": "https://example.com/hooks/orders", "verifySecret": False}


@pytest.fixture
def admin(platform: Platform, tenant: str) -> Client:
    scopes = ("read", "write", "admin")
    token = platform.tokens.create(tenant=tenant, name="admin", scopes=scopes)
    return Client(platform, token, tenant)


def test_a_token_is_made_used_listed_and_revoked_by_the_api(
    platform: Platform, tenant: str, admin: Client
) -> None:
    body = {"name": "reporting", "scopes": ["read"], "expiresInDays": 1}
    made = admin.post("/api/tokens", body).json()
    reader = Client(platform, made["token"], tenant)

    assert reader.get("/api/integrations/status").status_code == 200
    problem(reader.get("/api/tokens"), 403, "insufficient_scope")
    listed = {each["tokenId"]: each for each in admin.get("/api/tokens").json()["items"]}
    assert listed[made["tokenId"]]["lastUsedAt"]

    assert admin.delete(f"/api/tokens/{made['tokenId']}").status_code == 200
    unused = admin.post("/api/tokens", body).json()
    assert admin.delete(f"/api/tokens/{unused['tokenId']}").status_code == 200
    refused = Client(platform, unused["token"], tenant).get("/api/integrations/status")
    problem(refused, 401, "invalid_token")
    assert "Bearer" in refused.headers["WWW-Authenticate"]
    assert refused.headers["Cache-Control"] == "no-store"


def test_a_connect_session_saves_its_connection_and_nothing_else(
    platform: Platform, tenant: str, admin: Client
) -> None:
    body = {"providers": ["webhook"], "connection": "shop", "expiresIn": 300}
    made = admin.post("/api/connect/sessions", body).json()
    session = Client(platform, made["token"], tenant)

    assert session.get("/api/connect/session").json()["providers"] == ["webhook"]
    path = "/api/integrations/webhook/credentials"
    assert session.post(path, {"credentials": HOOK, "connection": "shop"}).status_code == 200
    assert session.get(path, params={"connection": "shop"}).status_code == 200
    refused: list[Any] = [
        session.post(path, {"credentials": HOOK, "connection": "other"}),
        session.post("/api/integrations/email/credentials", {"credentials": {}}),
        session.delete(path, params={"connection": "shop"}),
        session.get("/api/workflows"),
        session.get("/api/integrations/status"),
        session.post("/api/tokens", {"name": "x", "scopes": ["admin"]}),
        session.post("/api/connect/sessions", body),
    ]
    for answer in refused:
        problem(answer, 403, "insufficient_scope")

    actions = {
        (each["action"], each["actor"]["kind"], each["outcome"])
        for each in admin.get("/api/audit", params={"limit": 100}).json()["items"]
    }
    assert ("save_credentials", "connect", "succeeded") in actions
    assert ("delete_credentials", "connect", "insufficient_scope") in actions
    assert ("create_connect_session", "token", "succeeded") in actions


def test_a_secret_is_saved_listed_by_name_and_removed(admin: Client) -> None:
    saved = admin.put("/api/secrets/SHOP_KEY", {"value": "a value that nobody sees"})
    assert saved.status_code == 200, saved.text
    assert [each["name"] for each in admin.get("/api/secrets").json()["items"]] == ["SHOP_KEY"]
    assert admin.delete("/api/secrets/SHOP_KEY").status_code == 200
    assert admin.get("/api/secrets").json()["items"] == []
