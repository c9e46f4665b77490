"""The message between the receiver and the dispatcher."""

import json
from datetime import UTC, datetime

import pytest

from integrations.models import Json
from integrations.services.deliveries import QueuedDelivery

QUEUED = QueuedDelivery(
    webhook_id="orders",
    provider="webhook",
    tenant="acme",
    connection_name="default",
    event_id="evt_1",
    received_at=datetime(2026, 11, 22, 12, 0, 0, 250_000, UTC),
    headers={"content-type": "application/json"},
    query={"a": "1"},
    body=b'\x00\xff{"id": 1}',
)


def sent(queued: QueuedDelivery) -> dict[str, Json]:
    """What the queue gives back."""
    document: dict[str, Json] = json.loads(json.dumps(queued.to_message().body))
    return document


@pytest.mark.parametrize(
    "queued",
    [
        QUEUED,
        QUEUED._replace(tenant="", connection_name="", shared=True),
        QUEUED._replace(tenant="", connection_name="", shared=True, only="acme"),
        QUEUED._replace(verification="github", hops=3, earlier_id="evt_0"),
        QUEUED._replace(body=b""),
    ],
    ids=["a tenant's", "shared", "a share", "proven", "empty"],
)
def test_a_delivery_comes_out_of_the_queue_as_it_went_in(queued: QueuedDelivery) -> None:
    assert QueuedDelivery.from_message(sent(queued)) == queued


def test_a_message_belongs_to_its_tenant_and_never_shares_a_payload() -> None:
    one, other = QUEUED.to_message(), QUEUED.to_message()
    assert one.group == "acme"
    assert one.key != other.key


def test_no_name_of_a_tenant_makes_a_delivery_shared() -> None:
    assert not QueuedDelivery.from_message(sent(QUEUED._replace(tenant="shared"))).shared
    assert not QueuedDelivery.from_message(sent(QUEUED) | {"shared": "true"}).shared


def test_a_message_of_an_earlier_version_is_still_understood() -> None:
    earlier = sent(QUEUED) | {"tenant": "*", "connection": ""}
    assert QueuedDelivery.from_message(earlier).shared


@pytest.mark.parametrize("missing", ["webhookId", "tenant", "body", "receivedAt"])
def test_what_is_no_message_of_ours_is_refused(missing: str) -> None:
    document = sent(QUEUED)
    del document[missing]
    with pytest.raises(LookupError):
        QueuedDelivery.from_message(document)
