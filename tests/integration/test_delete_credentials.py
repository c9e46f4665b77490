"""DELETE /api/integrations/{providerId}/credentials."""

from typing import Any

import pytest

from integrations.entry import wiring
from integrations.models import now
from tests.backend import Answer, Backend
from tests.fakes.facebook import FacebookStandIn
from tests.fakes.telegram import TelegramServer, bad_gateway, too_many
from tests.integration.flows import manual_flow
from tests.integration.moments import before
from tests.integration.oauth import connect

PATH = "/api/integrations/telegram/credentials"
HOOK = {
    "url": "https://example.com/hooks/orders",
    "secret": "s3cret-of-the-orders-hook",
    "verifySecret": False,
}


def delete(backend: Backend, **more: Any) -> Answer:
    return backend.call("DELETE", PATH, **more)


def test_a_deleted_connection_leaves_nothing_behind(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    answer = delete(backend)
    assert (answer.status, answer.json["deleted"]) == (200, True)
    assert backend.aws.rows("ConnectionsTable") == []
    (left,) = backend.webhooks()
    assert left["releasedAt"]
    assert "ciphertext" not in left, "the id stays the tenant's, and nothing else"
    assert backend.call("GET", PATH).status == 404
    status = backend.call("GET", "/api/integrations/status").json
    assert status["telegram"]["status"] == "disconnected"


def test_what_is_not_there_cannot_be_deleted(backend: Backend, telegram: TelegramServer) -> None:
    assert delete(backend).code == "unknown_connection"
    backend.save("telegram", {"botToken": telegram.token})
    delete(backend)
    assert (delete(backend).status, delete(backend).code) == (404, "unknown_connection")


def test_another_tenants_connection_stays(backend: Backend, telegram: TelegramServer) -> None:
    backend.save("telegram", {"botToken": telegram.token}, tenant="other")
    assert delete(backend).status == 404
    assert len(backend.aws.rows("ConnectionsTable")) == 1


def test_only_the_named_connection_goes(backend: Backend, telegram: TelegramServer) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    backend.save("telegram", {"botToken": telegram.token}, "second")
    assert delete(backend, query={"connection": "second"}).status == 200
    (row,) = backend.aws.rows("ConnectionsTable")
    assert row["name"] == "default"


def test_a_connection_that_workflows_use_stays_and_they_are_named(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    workflow = backend.create_workflow(manual_flow() | {"name": "The important one"})
    answer = delete(backend)
    assert (answer.status, answer.code) == (409, "connection_in_use")
    assert "The important one" in answer.json["detail"]
    assert workflow["workflowId"] in answer.json["detail"]
    assert len(backend.aws.rows("ConnectionsTable")) == 1
    backend.call("DELETE", f"/api/workflows/{workflow['workflowId']}")
    assert delete(backend).status == 200


def test_a_switched_off_workflow_uses_its_connection_too(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    backend.create_workflow(manual_flow() | {"enabled": False})
    assert delete(backend).code == "connection_in_use"


def test_a_connection_that_only_a_trigger_uses_stays_too(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    backend.save("webhook", HOOK)
    backend.create_workflow(manual_flow() | {"trigger": {"type": "webhook", "webhookId": "orders"}})
    answer = backend.call("DELETE", "/api/integrations/webhook/credentials")
    assert (answer.status, answer.code) == (409, "connection_in_use")
    assert backend.deliver("orders", {}).status == 200


def test_a_deleted_webhooks_id_is_free_for_its_tenant_alone(backend: Backend) -> None:
    backend.save("webhook", HOOK)
    path = "/api/integrations/webhook/credentials"
    assert backend.call("DELETE", path).status == 200
    answer = backend.call("POST", path, {"credentials": dict(HOOK)}, tenant="other")
    assert answer.json["webhook"]["id"] != "orders"
    backend.save("webhook", HOOK)


def test_a_provider_that_is_down_does_not_keep_anybody_from_leaving(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    workflow = backend.create_workflow(manual_flow() | {"trigger": {"type": "telegram.message"}})
    telegram.fail(*[bad_gateway()] * 3)
    backend.call("DELETE", f"/api/workflows/{workflow['workflowId']}")
    telegram.fail(*[bad_gateway()] * 3)
    answer = delete(backend)
    assert (answer.status, answer.json["deleted"]) == (200, True)
    assert answer.json["revoked"] is False
    assert "not revoked" in answer.json["message"]
    assert backend.aws.rows("ConnectionsTable") == []


def test_a_provider_that_asks_for_a_moment_gets_it_and_its_webhook_goes(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    workflow = backend.create_workflow(manual_flow() | {"trigger": {"type": "telegram.message"}})
    telegram.fail(too_many(1), method="deleteWebhook")
    assert backend.call("DELETE", f"/api/workflows/{workflow['workflowId']}").status == 200
    assert telegram.webhooks[telegram.token]["url"]

    answer = backend.call("DELETE", PATH)

    assert (answer.status, answer.json["deleted"]) == (200, True)
    assert answer.json["message"] is None
    assert not telegram.webhooks.get(telegram.token, {}).get("url")


def test_a_provider_that_asks_for_longer_does_not_keep_anybody_from_leaving(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    workflow = backend.create_workflow(manual_flow() | {"trigger": {"type": "telegram.message"}})
    telegram.fail(too_many(60), method="deleteWebhook")
    backend.call("DELETE", f"/api/workflows/{workflow['workflowId']}")

    answer = backend.call("DELETE", PATH).json

    assert (answer["deleted"], answer["revoked"]) == (True, False)
    assert "not revoked" in answer["message"]


@pytest.mark.parametrize("operation", ["Decrypt", "GenerateDataKey"])
def test_a_key_that_is_gone_does_not_keep_anybody_from_leaving(
    backend: Backend, telegram: TelegramServer, operation: str
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    backend.aws.fail(operation, "DisabledException", status=400)
    assert delete(backend).status == 200
    assert backend.aws.rows("ConnectionsTable") == []


# -- What happens in between -----------------------------------------------------------------

ORDERS = "/api/integrations/webhook/credentials"
FACEBOOK = "/api/integrations/facebook_oauth/credentials"


@pytest.mark.parametrize(
    ("operation", "where"),
    [("UpdateItem", "releasedAt"), ("DeleteItem", "ConnectionsTable")],
)
def test_a_removal_that_broke_off_is_repeated_and_leaves_no_webhook(
    backend: Backend, operation: str, where: str
) -> None:
    backend.save("webhook", HOOK)
    backend.aws.fail(operation, where=where)
    assert backend.call("DELETE", ORDERS).status == 503
    backend.aws.recover()
    assert backend.call("GET", ORDERS).status == 200, "whoever looks sees that it is still there"
    assert backend.call("DELETE", ORDERS).status == 200
    (left,) = backend.webhooks()
    assert "ciphertext" not in left
    backend.save("webhook", HOOK, "other")


def test_a_removal_that_broke_off_is_repeated_and_leaves_no_page(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    facebook.login_user = facebook.add_user("Ann", pages=[facebook.add_page("Bakery")])
    connect(backend, "facebook_oauth")
    backend.aws.fail("DeleteItem", where="PagesTable")
    assert backend.call("DELETE", FACEBOOK).status == 503
    backend.aws.recover()
    assert backend.call("DELETE", FACEBOOK).status == 200
    assert backend.aws.rows("PagesTable") == []


def test_a_webhook_that_another_connection_has_taken_since_is_not_let_go(backend: Backend) -> None:
    backend.save("webhook", HOOK)
    backend.aws.fail("DeleteItem", where="ConnectionsTable")
    backend.call("DELETE", ORDERS)
    backend.aws.recover()
    backend.save("webhook", HOOK, "other")
    assert backend.call("DELETE", ORDERS).status == 200
    (webhook,) = backend.webhooks()
    assert webhook["connection"] == "other"
    assert "ciphertext" in webhook


@pytest.mark.parametrize(
    ("table", "method"),
    [("webhooks", "get"), ("webhooks", "release"), ("connections", "delete")],
)
@pytest.mark.parametrize("removals", [0, 1])
def test_what_is_connected_during_a_slow_removal_stays_with_its_webhook(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, table: str, method: str, removals: int
) -> None:
    backend.save("webhook", HOOK)

    def anew() -> None:
        for _ in range(removals):
            assert backend.call("DELETE", ORDERS).status == 200
        backend.save("webhook", HOOK)

    before(monkeypatch, getattr(wiring, table)(), method, anew)
    answer = backend.call("DELETE", ORDERS)
    assert (answer.status, answer.code) == (409, "version_conflict")
    assert backend.call("GET", ORDERS).status == 200
    assert backend.deliver("orders", {}).status == 200


@pytest.mark.parametrize("method", ["hold", "delete"])
def test_a_log_in_during_a_slow_removal_keeps_its_pages(
    backend: Backend, facebook: FacebookStandIn, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    page = facebook.add_page("Bakery")
    facebook.login_user = facebook.add_user("Ann", pages=[page])
    connect(backend, "facebook_oauth")
    table: Any = wiring.pages() if method == "hold" else wiring.connections()
    before(monkeypatch, table, method, lambda: connect(backend, "facebook_oauth"))
    assert backend.call("DELETE", FACEBOOK).code == "version_conflict"
    assert page in {row["target"] for row in backend.aws.rows("PagesTable")}


def test_what_is_refreshed_during_a_removal_goes_all_the_same(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.save("webhook", HOOK)
    connections = wiring.connections()

    def refresh() -> None:
        stored = connections.get_sealed("acme", "webhook", "default")
        credentials = connections.open(stored)
        connections.save(stored, credentials, replaces=stored.version, due_at=now())

    before(monkeypatch, connections, "delete", refresh)
    assert backend.call("DELETE", ORDERS).status == 200
    assert backend.aws.rows("ConnectionsTable") == []
