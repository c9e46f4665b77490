"""GET /api/tokens."""

import time

from integrations.storage.aws import item
from tests.backend import Backend

ADMIN = "admin read write"


def create(backend: Backend, name: str, tenant: str = "acme") -> str:
    body = {"name": name, "scopes": ["read"]}
    answer = backend.call("POST", "/api/tokens", body, scopes=ADMIN, tenant=tenant)
    assert answer.status == 200, answer
    return str(answer.json["tokenId"])


def names(backend: Backend, tenant: str = "acme") -> set[str]:
    answer = backend.call("GET", "/api/tokens", scopes=ADMIN, tenant=tenant)
    return {each["name"] for each in answer.json["items"]}


def test_a_tenant_sees_its_own_tokens_and_no_other(backend: Backend) -> None:
    create(backend, "mine")
    create(backend, "theirs", "other")
    assert names(backend) == {"mine"}
    assert names(backend, "other") == {"theirs"}


def test_no_answer_holds_a_hash_or_a_token(backend: Backend) -> None:
    token_id = create(backend, "mine")
    answer = backend.call("GET", "/api/tokens", scopes=ADMIN)
    (found,) = answer.json["items"]
    assert found["tokenId"] == token_id
    assert found["scopes"] == ["read"]
    assert found["createdAt"]
    assert found.get("lastUsedAt") is None
    (row,) = backend.aws.rows("TokensTable")
    assert row["tokenHash"] not in answer.body


def test_a_token_that_was_made_by_hand_is_listed_and_an_expired_one_is_not(
    backend: Backend,
) -> None:
    now = int(time.time())
    by_hand = {"tenant": "acme", "scopes": {"read"}, "createdAt": now}
    backend.aws.put("TokensTable", item({**by_hand, "tokenHash": "a" * 64, "name": "by hand"}))
    over = {**by_hand, "tokenHash": "b" * 64, "name": "over", "expiresAt": now - 1}
    backend.aws.put("TokensTable", item(over))
    assert names(backend) == {"by hand"}


def test_connect_sessions_are_no_tokens(backend: Backend) -> None:
    body = {"providers": ["telegram"]}
    session = backend.call("POST", "/api/connect/sessions", body)
    assert session.status == 200, session
    assert names(backend) == set()


def test_pages_hold_every_token_once(backend: Backend) -> None:
    made = {create(backend, f"t{number}") for number in range(5)}
    seen: list[str] = []
    query = "limit=2"
    while True:
        page = backend.call("GET", "/api/tokens", scopes=ADMIN, query=query).json
        seen += [each["tokenId"] for each in page["items"]]
        if not page.get("nextToken"):
            break
        query = f"limit=2&nextToken={page['nextToken']}"
    assert sorted(seen) == sorted(made)
