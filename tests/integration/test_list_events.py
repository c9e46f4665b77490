"""GET /api/events."""

from typing import Any

import pytest

from integrations import memory
from tests.backend import Backend
from tests.fakes.facebook import FacebookStandIn, sign
from tests.fakes.telegram import TelegramServer
from tests.integration.conftest import FACEBOOK_SECRET
from tests.integration.flows import flow
from tests.integration.logged import listed, post
from tests.integration.oauth import connect

SECRET = "the secret that the shop signs with"


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    hook = {"url": "https://example.com/hooks/orders"}
    guarded = {"url": "https://example.com/hooks/guarded", "secret": SECRET, "verifySecret": True}
    backend.begin_with(
        ("telegram", {"botToken": telegram.token}, "default"),
        ("webhook", hook, "default"),
        ("webhook", guarded, "guarded"),
    )
    backend.secrets.add(SECRET)


def test_a_delivery_that_nobody_waits_for_is_seen(backend: Backend) -> None:
    event_id = post(backend)
    (event,) = listed(backend)
    assert event == {
        "eventId": event_id,
        "webhookId": "orders",
        "provider": "webhook",
        "connection": "default",
        "receivedAt": event["receivedAt"],
        "outcome": "unmatched",
        "reason": "No enabled workflow waits for it",
        "types": ["webhook"],
        "size": 9,
        "executions": 0,
        "replayOf": None,
    }


def test_each_outcome_is_told_with_its_reason(backend: Backend) -> None:
    backend.create_workflow(
        flow(trigger={"type": "webhook", "webhookId": "orders", "filter": "trigger.body.id == 2"})
    )
    filtered, dispatched = post(backend, {"id": 1}), post(backend, {"id": 2})
    assert backend.deliver("guarded", {"id": 3}).status == 401
    listed_by_id = {each["eventId"]: each for each in listed(backend)}
    assert (listed_by_id[filtered]["outcome"], listed_by_id[filtered]["reason"]) == (
        "filtered",
        "The filter is false",
    )
    assert (listed_by_id[dispatched]["outcome"], listed_by_id[dispatched]["executions"]) == (
        "dispatched",
        1,
    )
    assert [each["eventId"] for each in listed(backend, outcome="filtered")] == [filtered]
    (refused,) = listed(backend, outcome="refused")
    assert refused["webhookId"] == "guarded"
    assert refused["reason"] == "The header X-Webhook-Secret is missing"


def test_the_newest_come_first_page_by_page(backend: Backend) -> None:
    ids = [post(backend, {"id": number}) for number in range(5)]
    assert [each["eventId"] for each in listed(backend, limit=2)] == ids[::-1]


def test_the_filters_go_together(backend: Backend) -> None:
    post(backend)
    guarded = backend.deliver("guarded", {"id": 2}, {"X-Webhook-Secret": SECRET})
    assert guarded.status == 200
    assert backend.dispatch() == []
    (event,) = listed(backend, webhookId="guarded")
    assert event["eventId"] == guarded.json["eventId"]
    moment = event["receivedAt"]
    assert [each["webhookId"] for each in listed(backend, since=moment)] == ["guarded"]
    assert len(listed(backend, provider="webhook", outcome="unmatched", until=moment)) == 2
    assert listed(backend, provider="telegram") == []


def test_another_tenants_events_are_not_seen(backend: Backend) -> None:
    post(backend)
    answer = backend.call("GET", "/api/events", tenant="other")
    assert answer.json == {"items": [], "nextToken": None}


@pytest.mark.parametrize(
    "query",
    [
        {"outcome": "lost"},
        {"limit": "0"},
        {"since": "yesterday"},
        {"nextToken": "nonsense"},
        {"webhookId": "x" * 200},
    ],
)
def test_what_is_no_filter_is_refused(backend: Backend, query: Any) -> None:
    assert backend.call("GET", "/api/events", query=query).status == 422


def test_each_tenant_sees_its_own_pages_share_of_a_shared_delivery(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    entries = []
    for tenant, name in (("acme", "Ann"), ("other", "Bob")):
        page = facebook.add_page(f"{name}'s")
        facebook.login_user = facebook.add_user(name, pages=[page])
        connect(backend, "facebook_oauth", tenant=tenant)
        comment = facebook.add_comment(
            facebook.add_post(page, "x"), f"To {name}", {"id": "7001", "name": "Zoë"}
        )
        entries += facebook.comment_payload(comment)["entry"]
    body, headers = sign({"object": "page", "entry": entries}, FACEBOOK_SECRET)
    assert backend.deliver("facebook", body, headers).status == 200
    assert backend.dispatch() == []
    assert backend.dispatch() == []
    for tenant, name in (("acme", "Ann"), ("other", "Bob")):
        (event,) = backend.call("GET", "/api/events", tenant=tenant).json["items"]
        shown = backend.call("GET", f"/api/events/{event['eventId']}", tenant=tenant)
        assert [each["data"]["message"] for each in shown.json["events"]] == [f"To {name}"]
        assert shown.json["body"] is None
        assert ("To Bob" in shown.body) == (name == "Bob")


def test_what_belongs_to_no_tenant_is_the_platforms_and_holds_nothing(
    backend: Backend, facebook: FacebookStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.setenv("PLATFORM_TENANT", "operators")
    memory.forget()
    page = facebook.add_page("Stray")
    comment = facebook.add_comment(
        facebook.add_post(page, "x"), "private words", {"id": "7001", "name": "Zoë"}
    )
    body, headers = sign(facebook.comment_payload(comment), FACEBOOK_SECRET)
    assert backend.deliver("facebook", body, headers).status == 200
    assert backend.dispatch() == []
    assert listed(backend) == []
    (event,) = backend.call("GET", "/api/events", tenant="operators").json["items"]
    shown = backend.call("GET", f"/api/events/{event['eventId']}", tenant="operators")
    assert (event["provider"], event["outcome"]) == ("facebook_oauth", "unmatched")
    assert "private words" not in shown.body
