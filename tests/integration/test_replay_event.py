"""POST /api/events/{eventId}/replay."""

from typing import Any

import pytest

from integrations.entry import wiring
from integrations.storage.aws import item
from tests.backend import Backend, incompressible
from tests.fakes.telegram import TelegramServer
from tests.integration.flows import flow
from tests.integration.logged import listed, post, shown


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    hook = {"url": "https://example.com/hooks/orders"}
    bot = {"botToken": telegram.token}
    backend.begin_with(("telegram", bot, "default"), ("webhook", hook, "default"))


def replay(backend: Backend, event_id: str, body: Any = None, **more: Any) -> str:
    answer = backend.call("POST", f"/api/events/{event_id}/replay", body, **more)
    assert answer.status == 200, answer
    assert answer.json["replayOf"] == event_id
    return str(answer.json["eventId"])


def test_what_came_too_early_is_replayed_into_a_new_workflow_once(backend: Backend) -> None:
    event_id = post(backend, {"id": 7})
    backend.create_workflow(flow())
    made = replay(backend, event_id)
    assert made != event_id
    backend.drain()
    (execution,) = backend.executions()
    assert execution["status"] == "succeeded"
    assert execution["trigger"]["data"]["body"] == {"id": 7}
    event = shown(backend, made)
    assert (event["outcome"], event["replayOf"]) == ("dispatched", event_id)
    assert event["body"] == {"id": 7}
    assert [each["eventId"] for each in listed(backend)] == [made, event_id]


def test_a_replay_starts_what_has_run_before_again(backend: Backend) -> None:
    trigger = {"type": "webhook", "webhookId": "orders", "oncePer": "trigger.body.id"}
    backend.create_workflow(flow(trigger=trigger))
    event_id = post(backend)
    backend.drain()
    replay(backend, event_id)
    backend.drain()
    assert [each["status"] for each in backend.executions()] == ["succeeded", "succeeded"]


def test_a_replay_that_is_told_twice_happens_once(backend: Backend) -> None:
    backend.create_workflow(flow())
    event_id = post(backend)
    backend.drain()
    key = {"Idempotency-Key": "one"}
    assert replay(backend, event_id, headers=key) == replay(backend, event_id, headers=key)
    backend.drain()
    assert len(backend.executions()) == 2


def test_only_the_workflows_named_get_it(backend: Backend) -> None:
    first = backend.create_workflow(flow(name="First"))
    backend.create_workflow(flow(name="Second"))
    event_id = post(backend)
    backend.drain()
    replay(backend, event_id, {"workflowIds": [first["workflowId"]]})
    backend.drain()
    names = sorted(each["workflowName"] for each in backend.executions())
    assert names == ["First", "First", "Second"]


def test_a_named_workflow_of_another_trigger_is_told_why_not(backend: Backend) -> None:
    other = backend.create_workflow(flow(trigger={"type": "telegram.message"}))
    made = replay(backend, post(backend), {"workflowIds": [other["workflowId"]]})
    backend.drain()
    (outcome,) = shown(backend, made)["workflows"]
    assert outcome["outcome"] == "filtered"
    assert outcome["reason"] == "Its trigger is telegram.message, the event webhook"


def test_a_replay_of_a_replay_names_what_it_repeats(backend: Backend) -> None:
    first = post(backend)
    second = replay(backend, first)
    backend.drain()
    third = replay(backend, second)
    backend.drain()
    assert shown(backend, third)["replayOf"] == second


def test_a_large_payload_is_replayed_whole(backend: Backend) -> None:
    backend.create_workflow(flow())
    body = {"id": 1, "note": "".join(chr(0x4E00 + number % 5000) for number in range(200_000))}
    event_id = post(backend, body)
    backend.drain()
    made = replay(backend, event_id)
    backend.drain()
    assert [each["status"] for each in backend.executions()] == ["succeeded", "succeeded"]
    assert wiring.event_log().event("acme", made, 0).data["body"] == body


@pytest.mark.parametrize("tenant", ["other", "acme"])
def test_what_is_not_there_cannot_be_replayed(backend: Backend, tenant: str) -> None:
    event_id = post(backend) if tenant == "other" else "evt_" + "0" * 32
    answer = backend.call("POST", f"/api/events/{event_id}/replay", tenant=tenant)
    assert (answer.status, answer.code) == (404, "unknown_event")
    assert backend.aws.sent("EventsQueue") == []


def test_what_was_erased_cannot_be_replayed(backend: Backend) -> None:
    event_id = post(backend, incompressible(100_000))
    bucket = backend.aws.names["PayloadsBucket"]
    (key,) = [each for each in backend.aws.objects() if each.startswith("payloads/")]
    backend.aws.client.s3.delete_object(Bucket=bucket, Key=key)
    answer = backend.call("POST", f"/api/events/{event_id}/replay")
    assert (answer.status, answer.code) == (404, "unknown_event")


@pytest.mark.parametrize("size", [10, 100_000])
def test_what_is_erased_before_its_replay_is_dispatched_is_no_poison(
    backend: Backend, size: int
) -> None:
    backend.create_workflow(flow())
    event_id = post(backend, incompressible(size))
    backend.drain()
    replay(backend, event_id)
    if size > 10:
        bucket = backend.aws.names["PayloadsBucket"]
        (key,) = [each for each in backend.aws.objects() if each.startswith("payloads/")]
        backend.aws.client.s3.delete_object(Bucket=bucket, Key=key)
    else:
        (row,) = backend.aws.rows("EventsTable")
        backend.aws.put("EventsTable", item(row | {"expiresAt": 1}))
    assert backend.dispatch() == []
    assert backend.aws.sent("EventsQueue") == []
    assert len(backend.executions()) == 1


def test_another_tenants_workflow_is_as_unknown(backend: Backend) -> None:
    manual = flow(trigger={"type": "manual"}, steps=[{"id": "a", "action": "webhook.send"}])
    backend.save("webhook", {"url": "https://example.com/hooks/theirs"}, tenant="other")
    theirs = backend.create_workflow(manual, tenant="other")["workflowId"]
    chosen = {"workflowIds": [theirs]}
    answer = backend.call("POST", f"/api/events/{post(backend)}/replay", chosen)
    assert (answer.status, set(answer.fields)) == (422, {"workflowIds[0]"})
    assert backend.aws.sent("EventsQueue") == []


def test_an_unknown_workflow_is_named(backend: Backend) -> None:
    wrong = {"workflowIds": ["wf_00000000000000000000"]}
    answer = backend.call("POST", f"/api/events/{post(backend)}/replay", wrong)
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert set(answer.fields) == {"workflowIds[0]"}
    assert backend.aws.sent("EventsQueue") == []


@pytest.mark.parametrize(
    "body", [{"workflowIds": []}, {"workflowIds": ["a b"]}, {"workflowIds": "wf"}, {"more": 1}]
)
def test_what_is_no_choice_is_refused(backend: Backend, body: Any) -> None:
    answer = backend.call("POST", f"/api/events/{post(backend)}/replay", body)
    assert answer.status == 422


def test_what_was_refused_cannot_be_replayed(backend: Backend) -> None:
    secret = "the-secret-that-verifies-it"
    backend.secrets.add(secret)
    guarded = {"url": "https://example.com/hooks/guarded", "secret": secret, "verifySecret": True}
    backend.save("webhook", guarded, "guarded")
    assert backend.deliver("guarded", {"id": 1}).status == 401
    (event,) = listed(backend)
    answer = backend.call("POST", f"/api/events/{event['eventId']}/replay")
    assert (answer.status, answer.code) == (409, "conflict")


def test_the_same_key_for_other_workflows_is_another_replay(backend: Backend) -> None:
    event_id = post(backend)
    first, second = (
        backend.create_workflow(flow(name=name))["workflowId"] for name in ("First", "Second")
    )
    key = {"Idempotency-Key": "one"}
    one = replay(backend, event_id, {"workflowIds": [first]}, headers=key)
    backend.drain()
    other = replay(backend, event_id, {"workflowIds": [second]}, headers=key)
    backend.drain()
    assert one != other
    assert sorted(each["workflowName"] for each in backend.executions()) == ["First", "Second"]
