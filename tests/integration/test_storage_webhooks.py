"""The Webhooks table: an id belongs to one connection; what is refused is counted."""

from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.errors import UnknownWebhook, WebhookIdTaken
from integrations.storage.aws import item
from integrations.storage.envelope import Envelope
from integrations.storage.webhooks import CACHE_SECONDS, Webhook, Webhooks, WebhookSecrets
from tests.fakes.aws import FakeAws

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRETS = WebhookSecrets("secret-of-the-webhook", "token-of-the-webhook")


class Seconds:
    def __init__(self) -> None:
        self.passed = 0.0

    def __call__(self) -> float:
        return self.passed


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def webhooks(aws: FakeAws, seconds: Seconds) -> Webhooks:
    envelope = Envelope(aws.client, aws.names["CredentialsKey"])
    return Webhooks(
        aws.client, aws.names["WebhooksTable"], envelope, clock=lambda: NOW, monotonic=seconds
    )


def webhook(**changes: Any) -> Webhook:
    made = Webhook(
        webhook_id="orders",
        tenant="acme",
        provider="webhook",
        connection="default",
        verification={"type": "secret"},
    )
    return made._replace(**changes)


def test_a_saved_webhook_is_read_with_its_secrets(aws: FakeAws, webhooks: Webhooks) -> None:
    webhooks.save(webhook(), SECRETS)
    read = webhooks.get("orders")
    assert read._replace(sealed=None, secrets_version="") == webhook()
    assert webhooks.secrets(read) == SECRETS
    assert "secret-of" not in repr(aws.rows("WebhooksTable"))
    assert "secret-of" not in repr(SECRETS)


@pytest.mark.parametrize("part", ["tenant", "provider", "connection"])
def test_a_taken_id_stays_its_owners(webhooks: Webhooks, part: str) -> None:
    webhooks.save(webhook(), SECRETS)
    with pytest.raises(WebhookIdTaken, match="already taken"):
        webhooks.save(webhook(**{part: "other"}), WebhookSecrets("theirs", "theirs"))
    assert webhooks.secrets(webhooks.get("orders")) == SECRETS
    webhooks.release(webhook(**{part: "other"}))
    assert webhooks.get("orders").tenant == "acme"


def test_its_owner_replaces_it_and_the_counters_stay(webhooks: Webhooks) -> None:
    webhooks.save(webhook(), SECRETS)
    webhooks.record_rejections("orders", "The secret is wrong", 1)
    webhooks.save(webhook(verification={"type": "github"}), WebhookSecrets("new", "new"))
    read = webhooks.get("orders")
    assert read.verification == {"type": "github"}
    assert read.rejected == 1
    assert webhooks.secrets(read).secret == "new"


def test_an_id_that_was_let_go_stays_its_tenants(aws: FakeAws, webhooks: Webhooks) -> None:
    webhooks.save(webhook(), SECRETS)
    webhooks.release(webhook())
    with pytest.raises(UnknownWebhook):
        webhooks.get("orders")
    assert "ciphertext" not in aws.rows("WebhooksTable")[0]
    with pytest.raises(WebhookIdTaken):
        webhooks.save(webhook(tenant="other"), SECRETS)
    webhooks.save(webhook(connection="another"), SECRETS)
    assert webhooks.get("orders").connection == "another"
    with pytest.raises(WebhookIdTaken):
        webhooks.save(webhook(), SECRETS)


def test_the_stacks_own_key_is_made_once_and_is_no_webhook(
    aws: FakeAws, webhooks: Webhooks, seconds: Seconds
) -> None:
    assert webhooks.own_key() is None
    key = webhooks.make_own_key()
    assert len(key) == 32
    seconds.passed += 10_000
    assert webhooks.own_key() == webhooks.make_own_key() == key
    assert key not in [row["ciphertext"] for row in aws.rows("WebhooksTable")]
    with pytest.raises(UnknownWebhook):
        webhooks.get("*")


def test_an_own_key_that_does_not_open_any_more_is_replaced(
    aws: FakeAws, webhooks: Webhooks, seconds: Seconds
) -> None:
    key = webhooks.make_own_key()
    (row,) = aws.rows("WebhooksTable")
    aws.put("WebhooksTable", item(row | {"nonce": b"0" * 12}))
    seconds.passed += 10_000
    assert webhooks.own_key() is None, "nothing is proven by it"
    fresh = webhooks.make_own_key()
    assert fresh != key
    seconds.passed += 10_000
    assert webhooks.own_key() == fresh


def test_rejections_are_counted_with_the_last_reason(webhooks: Webhooks) -> None:
    webhooks.save(webhook(), SECRETS)
    for reason in ("one", "two", "three"):
        webhooks.record_rejections("orders", reason, 1)
    webhooks.record_failure("orders", "not JSON")
    read = webhooks.get("orders")
    assert read.rejected == 3
    assert read.last_rejection == (NOW, "three")
    assert read.last_failure == (NOW, "not JSON")


def test_what_is_told_about_a_deleted_webhook_does_not_bring_it_back(
    aws: FakeAws, webhooks: Webhooks
) -> None:
    webhooks.record_rejections("orders", "one", 1)
    webhooks.record_failure("orders", "one")
    assert aws.rows("WebhooksTable") == []


def test_what_is_told_about_a_webhook_of_nobody_leaves_its_bare_id(
    aws: FakeAws, webhooks: Webhooks
) -> None:
    webhooks.save(webhook(), SECRETS)
    forgotten = {"webhookId": "orders", "releasedAt": 1795348800}
    aws.put("WebhooksTable", item(forgotten))
    webhooks.record_received("orders", 3)
    webhooks.record_rejections("orders", "no", 1)
    webhooks.record_failure("orders", "no")
    assert aws.rows("WebhooksTable") == [forgotten]


def test_a_warm_receiver_reads_a_webhook_once_a_minute(
    aws: FakeAws, webhooks: Webhooks, seconds: Seconds
) -> None:
    webhooks.save(webhook(), SECRETS)
    for _ in range(3):
        assert webhooks.receive("orders")[1] == SECRETS
    assert aws.calls["GetItem"] == 1
    webhooks.save(webhook(), WebhookSecrets("new", "new"))
    seconds.passed = CACHE_SECONDS + 1
    assert webhooks.receive("orders")[1].secret == "new"
    assert aws.calls["GetItem"] == 2


def test_an_unknown_webhook_is_not_remembered_as_such(aws: FakeAws, webhooks: Webhooks) -> None:
    with pytest.raises(UnknownWebhook):
        webhooks.receive("orders")
    webhooks.save(webhook(), SECRETS)
    assert webhooks.receive("orders")[0].tenant == "acme"
