"""GET /api/integrations/{providerId}/credentials."""

from tests.backend import Backend
from tests.fakes.telegram import TelegramServer

PATH = "/api/integrations/telegram/credentials"


def test_metadata_is_shown_without_opening_anything(
    backend: Backend, telegram: TelegramServer
) -> None:
    saved = backend.save("telegram", {"botToken": telegram.token})
    backend.aws.calls.clear()
    backend.aws.fail("Decrypt", "AccessDeniedException", status=400)
    answer = backend.call("GET", PATH)
    assert answer.status == 200
    for name in ("account", "connectedAt", "connection", "provider", "status"):
        assert answer.json[name] == saved[name]
    assert backend.aws.calls["Decrypt"] == 0
    assert dict(backend.aws.calls) == {"GetItem": 2}


def test_the_ciphertext_is_not_even_read(backend: Backend, telegram: TelegramServer) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    (row,) = backend.aws.rows("ConnectionsTable")
    answer = backend.call("GET", PATH)
    assert "ciphertext" not in answer.body
    assert repr(row["keyId"]) not in answer.body


def test_a_named_connection_is_shown_by_its_name(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token}, "second")
    assert backend.call("GET", PATH).code == "unknown_connection"
    answer = backend.call("GET", PATH, query={"connection": "second"})
    assert (answer.status, answer.json["connection"]) == (200, "second")


def test_another_tenants_connection_is_not_found(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token}, tenant="other")
    answer = backend.call("GET", PATH)
    assert (answer.status, answer.code) == (404, "unknown_connection")


def test_rejected_deliveries_are_visible(backend: Backend) -> None:
    credentials = {
        "url": "https://example.com/hooks/orders",
        "secret": "the-webhooks-own-secret",
        "verifySecret": True,
    }
    backend.secrets.add("the-webhooks-own-secret")
    backend.save("webhook", credentials)
    path = "/api/integrations/webhook/credentials"
    assert backend.call("GET", path).json["webhook"]["rejected"] == 0
    for secret in ({}, {"X-Webhook-Secret": "wrong"}):
        assert backend.deliver("orders", {}, secret).status == 401
    webhook = backend.call("GET", path).json["webhook"]
    assert webhook["rejected"] == 2
    assert "wrong" in webhook["lastRejection"]["reason"]
    assert webhook["verification"] == {"type": "secret"}


def test_a_webhook_that_is_gone_does_not_hide_the_connection(
    backend: Backend, telegram: TelegramServer
) -> None:
    saved = backend.save("telegram", {"botToken": telegram.token})
    backend.aws.client.dynamodb(
        "DeleteItem",
        {
            "TableName": backend.aws.names["WebhooksTable"],
            "Key": {"webhookId": {"S": saved["webhook"]["id"]}},
        },
    )
    answer = backend.call("GET", PATH)
    assert answer.status == 200
    assert answer.json["webhook"]["verification"] is None
