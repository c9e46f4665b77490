"""GET /api/events/{eventId}."""

from typing import Any

import pytest

from tests.backend import Backend
from tests.fakes.telegram import TelegramServer
from tests.integration.flows import flow
from tests.integration.logged import listed, post, shown


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    hook = {"url": "https://example.com/hooks/orders"}
    bot = {"botToken": telegram.token}
    backend.begin_with(("telegram", bot, "default"), ("webhook", hook, "default"))


def test_an_event_is_shown_whole(backend: Backend) -> None:
    workflow = backend.create_workflow(flow())
    other = backend.create_workflow(
        flow(name="Other", trigger={"type": "webhook", "webhookId": "orders", "filter": False})
    )
    headers = {"Content-Type": "application/json", "X-Shop": "7", "Authorization": "Bearer s3cret"}
    answer = backend.deliver("orders", b'{"id": 1}', headers, "a=1")
    assert backend.dispatch() == []
    event = shown(backend, answer.json["eventId"])
    assert event["verification"] == {"type": "none", "verified": True, "reason": None}
    assert event["headers"]["x-shop"] == "7"
    assert "authorization" not in event["headers"]
    assert event["query"] == {"a": "1"}
    assert (event["body"], event["bodyTruncated"]) == ({"id": 1}, False)
    (part,) = event["events"]
    assert (part["type"], part["target"]) == ("webhook", "orders")
    assert part["data"]["body"] == {"id": 1}
    (execution,) = backend.executions()
    assert part["data"] == execution["trigger"]["data"]
    outcomes = {each["workflowId"]: each for each in event["workflows"]}
    assert outcomes[workflow["workflowId"]]["outcome"] == "dispatched"
    assert outcomes[workflow["workflowId"]]["executionId"] == execution["executionId"]
    assert outcomes[other["workflowId"]]["outcome"] == "filtered"
    assert outcomes[other["workflowId"]]["reason"] == "The filter is false"


def test_a_filter_that_fails_is_told_with_its_execution(backend: Backend) -> None:
    trigger = {"type": "webhook", "webhookId": "orders", "filter": "trigger.body.no.such > 1"}
    backend.create_workflow(flow(trigger=trigger))
    event = shown(backend, post(backend))
    (outcomes,) = event["workflows"]
    (execution,) = backend.executions()
    assert (outcomes["outcome"], outcomes["executionId"]) == ("failed", execution["executionId"])
    assert outcomes["reason"] == execution["error"]["message"]


@pytest.mark.parametrize(
    ("body", "preview"),
    [
        (b"", None),
        (b"plain text", "plain text"),
        (b"\xff\xfe\x00\x01", {"base64": "//4AAQ=="}),
        (b'{"n": NaN}', '{"n": NaN}'),
        (b"[" * 300 + b"]" * 300, "[" * 300 + "]" * 300),
        (b'"text"', "text"),
    ],
    ids=repr,
)
def test_a_body_is_shown_as_what_it_is(backend: Backend, body: bytes, preview: Any) -> None:
    event = shown(backend, post(backend, body))
    assert (event["body"], event["bodyTruncated"]) == (preview, False)


def test_a_large_body_is_cut_in_what_is_shown_and_whole_in_what_is_kept(
    backend: Backend,
) -> None:
    text = ("ß" * 500_000).encode()
    event_id = post(backend, text)
    event = shown(backend, event_id)
    assert event["size"] == 1_000_000
    assert event["bodyTruncated"] is True
    assert event["body"] == "ß" * 32_768
    assert event["events"][0]["dataTruncated"] is True
    assert len(backend.aws.objects()) >= 1


def test_another_tenants_event_is_unknown(backend: Backend) -> None:
    event_id = post(backend)
    for tenant, path in (("other", event_id), ("acme", "evt_" + "0" * 32), ("acme", "x")):
        answer = backend.call("GET", f"/api/events/{path}", tenant=tenant)
        assert (answer.status, answer.code) == (404, "unknown_event")


def test_what_is_no_id_is_refused(backend: Backend) -> None:
    assert backend.call("GET", "/api/events/a%20b").status == 422


def test_what_was_refused_is_shown_with_the_reason_and_no_secret(backend: Backend) -> None:
    secret = "the-secret-that-verifies-it"
    backend.secrets.add(secret)
    guarded = {"url": "https://example.com/hooks/guarded", "secret": secret, "verifySecret": True}
    backend.save("webhook", guarded, "guarded")
    sent = {"X-Webhook-Secret": "wrong-guess", "X-Shop": "7"}
    assert backend.deliver("guarded", {"id": 1}, sent).status == 401
    (event,) = listed(backend)
    event = shown(backend, event["eventId"])
    assert event["verification"] == {
        "type": "secret",
        "verified": False,
        "reason": "The secret in the header X-Webhook-Secret is wrong",
    }
    assert event["headers"]["x-shop"] == "7"
    assert "x-webhook-secret" not in event["headers"]
    assert event["events"] == event["workflows"] == []
