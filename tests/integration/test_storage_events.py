"""The Events table: written once, read whole, listed newest first, small."""

import base64
import json
from collections.abc import Mapping
from datetime import timedelta
from math import ceil
from typing import Any

import pytest

from integrations.errors import InvalidInput, UnknownEvent
from integrations.storage.events import (
    FILTERED_PAGE,
    INLINE_BYTES,
    EventFilter,
    Events,
    LoggedEvent,
    Payload,
    WorkflowOutcome,
)
from integrations.storage.queues import Queue
from tests.backend import incompressible
from tests.clock import NOW, Clock
from tests.fakes.aws import FakeAws
from tools.template import resources

HEADERS = {"content-type": "application/json", "user-agent": "curl/8"}


@pytest.fixture
def events(aws: FakeAws, clock: Clock) -> Events:
    bucket = Queue(aws.client, aws.names["EventsQueue"], aws.names["PayloadsBucket"])
    table = aws.names["EventsTable"]
    return Events(aws.client, table, bucket, retention=timedelta(days=30), clock=clock)


def event_id(number: int) -> str:
    return f"evt_{number:032x}"


def logged(number: int = 1, **changes: Any) -> LoggedEvent:
    made = LoggedEvent(
        event_id=event_id(number),
        tenant="acme",
        webhook_id="orders",
        provider="webhook",
        connection_name="default",
        received_at=NOW + timedelta(milliseconds=number),
        outcome="unmatched",
        reason="No enabled workflow waits for it",
        types=("webhook",),
        size=10,
        verification={"type": "github", "verified": True},
        payload=Payload(headers=HEADERS, query={"a": "1"}, body=b'{"id": 1}'),
    )
    return made._replace(**changes)


# -- One record ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        Payload(headers=HEADERS, query={"a": "1"}, body=b'{"id": 1}'),
        Payload(headers=HEADERS, body=b""),
        Payload(headers={}, body=b"\xff\x00\xed\xa0\x80"),
        Payload(headers=HEADERS, body=incompressible(INLINE_BYTES * 2)),
        Payload(headers=HEADERS, body=b"beginning", body_truncated=True),
        Payload(events=({"type": "manual", "id": "m", "target": "wf_1", "data": [1, "ß"]},)),
        Payload(events=()),
        Payload(
            events=({"type": "x", "id": "1", "target": "t", "data": incompressible(50_000).hex()},)
        ),
    ],
    ids=["json", "empty", "binary", "in the bucket", "cut", "a start", "nothing", "many events"],
)
def test_what_was_written_is_read_back(events: Events, payload: Payload) -> None:
    outcomes = (
        WorkflowOutcome(workflow_id="wf_1", workflow_name="One", outcome="filtered", reason="no"),
        WorkflowOutcome(
            workflow_id="wf_2",
            workflow_name="Two",
            outcome="dispatched",
            execution_id="exe_1",
            once_key='"ann"',
            event_index=3,
            hops=2,
        ),
    )
    event = logged(payload=payload, workflows=outcomes, replay_of=event_id(7), executions=1)
    assert events.record(event) == event
    found = events.get(event.event_id)
    assert found.expires_at == NOW + timedelta(days=30)
    assert found._replace(expires_at=None) == event


def test_an_event_is_written_once_and_the_first_word_stands(events: Events) -> None:
    first = events.record(logged(outcome="dispatched", reason=None))
    second = events.record(logged(outcome="unmatched"))
    assert (first.earlier, second.earlier) == (False, True)
    assert second._replace(expires_at=None, earlier=False) == first
    assert events.get(event_id(1)).outcome == "dispatched"


def test_a_large_payload_stands_whatever_comes_under_its_id_later(events: Events) -> None:
    first, second = (incompressible(INLINE_BYTES * times) for times in (2, 3))
    events.record(logged(payload=Payload(body=first)))
    for body in (second, b"small"):
        there = events.record(logged(payload=Payload(body=body)))
        assert there.payload is not None
        assert there.payload.body == first


def test_what_is_no_longer_kept_is_unknown(events: Events, clock: Clock, aws: FakeAws) -> None:
    with pytest.raises(UnknownEvent):
        events.get(event_id(9))
    events.record(logged())
    events.record(logged(2, payload=Payload(body=incompressible(INLINE_BYTES * 2))))
    (key,) = aws.objects()
    aws.client.s3.delete_object(Bucket=aws.names["PayloadsBucket"], Key=key)
    with pytest.raises(UnknownEvent):
        events.get(event_id(2))
    clock.moment += timedelta(days=30)
    with pytest.raises(UnknownEvent):
        events.get(event_id(1))


def test_a_long_reason_is_cut(events: Events) -> None:
    events.record(logged(reason="x" * 5000))
    assert len(events.get(event_id(1)).reason or "") == 300


# -- Lists -----------------------------------------------------------------------------------


def listed(events: Events, chosen: EventFilter | None = None, limit: int = 10) -> list[str]:
    found: list[str] = []
    token = None
    while True:
        page, token = events.page("acme", chosen or EventFilter(), limit=limit, next_token=token)
        assert len(page) <= limit
        found += [each.event_id for each in page]
        if token is None:
            return found


def test_pages_are_newest_first_and_whole(events: Events) -> None:
    for number in range(7):
        events.record(logged(number))
    events.record(logged(99, tenant="other"))
    newest_first = [event_id(number) for number in range(6, -1, -1)]
    assert listed(events) == newest_first
    assert listed(events, limit=2) == newest_first
    assert listed(events, limit=7) == newest_first


def test_filters_go_together(events: Events) -> None:
    events.record(logged(1, outcome="refused"))
    events.record(logged(2, webhook_id="invoices"))
    events.record(logged(3, provider="telegram", webhook_id="bot"))
    events.record(logged(4, outcome="refused", webhook_id="invoices"))
    assert listed(events, EventFilter(outcome="refused")) == [event_id(4), event_id(1)]
    assert listed(events, EventFilter(webhook_id="invoices")) == [event_id(4), event_id(2)]
    both = EventFilter(webhook_id="invoices", outcome="refused")
    assert listed(events, both, limit=1) == [event_id(4)]
    assert listed(events, EventFilter(provider="telegram")) == [event_id(3)]
    second = NOW + timedelta(milliseconds=2)
    third = NOW + timedelta(milliseconds=3)
    assert listed(events, EventFilter(since=second, until=third)) == [event_id(3), event_id(2)]
    assert listed(events, EventFilter(since=third, until=second)) == []


def test_a_token_of_another_list_is_refused(events: Events) -> None:
    for number in range(3):
        events.record(logged(number))
    _, token = events.page("acme", EventFilter(), limit=1, next_token=None)
    later = EventFilter(since=NOW + timedelta(seconds=1))
    with pytest.raises(InvalidInput):
        events.page("acme", later, limit=1, next_token=token)
    with pytest.raises(InvalidInput):
        events.page("acme", EventFilter(), limit=1, next_token="bm9uc2Vuc2U")


def test_a_page_of_few_among_many_looks_at_so_many_and_no_more(
    events: Events, aws: FakeAws
) -> None:
    aws.calls.clear()
    for number in range(FILTERED_PAGE + 1):
        events.record(logged(number, payload=Payload(), outcome="unmatched"))
    chosen = EventFilter(outcome="refused")
    aws.calls.clear()
    found, token = events.page("acme", chosen, limit=10, next_token=None)
    assert (found, aws.calls["Query"]) == ([], 1)
    assert token is not None
    assert events.page("acme", chosen, limit=10, next_token=token) == ([], None)


@pytest.mark.parametrize("oldest_first", [False, True])
def test_what_is_past_its_time_is_in_no_list_although_nobody_has_deleted_it(
    events: Events, clock: Clock, *, oldest_first: bool
) -> None:
    for number in range(6):
        clock.moment = NOW + timedelta(days=number)
        events.record(logged(number, received_at=clock.moment))
    clock.moment = NOW + timedelta(days=32)

    def ids(chosen: EventFilter, limit: int = 2) -> list[str]:
        found: list[str] = []
        token = None
        for _ in range(7):
            page, token = events.page(
                "acme", chosen, limit=limit, next_token=token, oldest_first=oldest_first
            )
            found += [each.event_id for each in page]
            if token is None:
                return found if oldest_first else found[::-1]
        raise AssertionError("the list does not end")

    stored = [event_id(number) for number in (3, 4, 5)]
    assert ids(EventFilter()) == stored
    assert ids(EventFilter(webhook_id="orders"), limit=1) == stored
    assert ids(EventFilter(since=NOW, until=NOW + timedelta(days=3))) == stored[:1]
    assert ids(EventFilter(until=NOW + timedelta(days=2))) == []
    assert ids(EventFilter(past=True)) == [event_id(number) for number in range(6)]
    for each in stored:
        events.get(each)


@pytest.mark.parametrize("oldest_first", [False, True])
def test_a_list_goes_on_where_the_end_of_a_page_is_past_its_time_meanwhile(
    events: Events, clock: Clock, *, oldest_first: bool
) -> None:
    for number in range(3):
        clock.moment = NOW + timedelta(days=number)
        events.record(logged(number, received_at=clock.moment))
    clock.moment = NOW + timedelta(days=29)
    limit = 1 if oldest_first else 2
    _, token = events.page(
        "acme", EventFilter(), limit=limit, next_token=None, oldest_first=oldest_first
    )
    clock.moment += timedelta(days=2, hours=-1)
    rest, token = events.page(
        "acme", EventFilter(), limit=9, next_token=token, oldest_first=oldest_first
    )
    assert token is None
    assert [each.event_id for each in rest] == ([event_id(1), event_id(2)] if oldest_first else [])


def test_what_comes_again_after_its_time_is_new_although_nobody_has_deleted_it(
    events: Events, clock: Clock
) -> None:
    events.record(logged(outcome="refused"))
    clock.moment += timedelta(days=30)
    again = logged(received_at=clock.moment, outcome="dispatched")
    assert events.record(again) == again
    assert events.get(event_id(1)).outcome == "dispatched"


# -- What it costs ---------------------------------------------------------------------------


def size_of(typed: Mapping[str, Mapping[str, Any]]) -> int:
    """Bytes of an item, as DynamoDB counts them.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    total = 0
    for name, value in typed.items():
        ((kind, content),) = value.items()
        total += len(name.encode())
        total += len(base64.b64decode(content)) if kind == "B" else len(str(content).encode())
    return total


def write_units(aws: FakeAws, table: str) -> int:
    """What writing every row of a table once costs, its indexes counted."""
    declared = resources("AWS::DynamoDB::Table")[table]
    keys = {each["AttributeName"] for each in declared["KeySchema"]}
    units = 0
    page = aws.client.dynamodb("Scan", {"TableName": aws.names[table]})
    for row in page["Items"]:
        units += ceil(size_of(row) / 1024)
        for index in declared.get("GlobalSecondaryIndexes", ()):
            own = {each["AttributeName"] for each in index["KeySchema"]}
            if not own <= row.keys():
                continue
            shown = keys | own | set(index["Projection"].get("NonKeyAttributes", ()))
            whole = index["Projection"]["ProjectionType"] == "ALL"
            projected = {n: content for n, content in row.items() if whole or n in shown}
            units += ceil(size_of(projected) / 1024)
    return units


ORDER = {
    "id": 820982911946154508,
    "email": "jon@example.com",
    "created_at": "2021-12-31T19:00:00-05:00",
    "currency": "USD",
    "note": "Please ring twice, the bell of the second floor is broken since Monday.",
    "total_price": "398.00",
    "customer": {
        "id": 115310627314723954,
        "email": "john@example.com",
        "first_name": "John",
        "last_name": "Smith",
        "default_address": {"address1": "123 Elm St.", "city": "Ottawa", "zip": "K2H7A8"},
    },
    "line_items": [
        {
            "id": 866550311766439020 + number,
            "name": f"IPod Nano - {number} GB",
            "price": "199.00",
            "sku": f"IPOD2008PINK{number}",
            "variant_id": 808950810 + number * 7,
            "quantity": number + 1,
            "tax_lines": [],
            "discount_allocations": [],
        }
        for number in range(7)
    ],
}


@pytest.mark.parametrize(("body", "most"), [({"id": 1, "ok": True}, 2), (ORDER, 3)])
def test_a_delivery_that_matches_nothing_costs_at_most_three_write_units(
    events: Events, aws: FakeAws, body: Any, most: int
) -> None:
    raw = json.dumps(body).encode()
    headers = {
        "accept": "*/*",
        "accept-encoding": "gzip;q=1.0,deflate;q=0.6,identity;q=0.3",
        "content-length": str(len(raw)),
        "content-type": "application/json",
        "host": "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com",
        "user-agent": "Shopify-Captain-Hook",
        "x-amzn-trace-id": "Root=1-692ae2f1-3d2f6f1c5b7a4c0e9d8b7a6f",
        "x-forwarded-for": "34.23.108.7",
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
        "x-shopify-api-version": "2026-10",
        "x-shopify-shop-domain": "bakery.myshopify.com",
        "x-shopify-topic": "orders/create",
        "x-shopify-webhook-id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
    }
    webhook_id = "Zk3v9QpX0mB7cD1eF5gH8jK2lM4nR6sT"
    payload = Payload(headers=headers, body=raw)
    events.record(logged(webhook_id=webhook_id, payload=payload, size=len(raw)))
    assert write_units(aws, "EventsTable") <= most
