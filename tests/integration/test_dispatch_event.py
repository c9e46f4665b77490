"""The consumer of the events queue."""

import base64
import hmac
import json
import time
from typing import Any

import pytest

from integrations.entry import wiring
from integrations.services import dispatch
from integrations.services.lineage import MAX_HOPS
from integrations.storage.aws import item
from integrations.storage.schedules import Schedules
from integrations.storage.workflows import WaitingWorkflow, Workflows
from integrations.workflows import lifecycle
from tests.backend import Backend, LambdaContext, event, noise
from tests.fakes.facebook import FacebookStandIn, sign
from tests.fakes.telegram import TelegramServer
from tests.integration.conftest import FACEBOOK_SECRET
from tests.integration.flows import flow, step
from tests.integration.oauth import connect
from tools.template import ROOT

SAMPLES = ROOT / "tests" / "fixtures" / "deliveries"


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    hook = {"url": "https://example.com/hooks/orders"}
    bot = {"botToken": telegram.token}
    backend.begin_with(("telegram", bot, "default"), ("webhook", hook, "default"))


def delivery(body: Any = None, **changes: Any) -> dict[str, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body or {"id": 1}).encode()
    return {
        "webhookId": "orders",
        "tenant": "acme",
        "provider": "webhook",
        "connection": "default",
        "eventId": "evt_1",
        "receivedAt": "2026-11-22T12:00:00.000Z",
        "headers": {"content-type": "application/json"},
        "query": {},
        "body": base64.b64encode(raw).decode(),
    } | changes


def statuses(backend: Backend) -> list[str]:
    return [each["status"] for each in backend.executions()]


# -- One event, one execution of each workflow -----------------------------------------------


def test_a_delivery_starts_each_workflow_that_waits_for_it(backend: Backend) -> None:
    ids = {backend.create_workflow(flow())["workflowId"] for _ in range(3)}
    backend.create_workflow(flow(enabled=False))
    assert backend.consume("dispatch_event", [delivery()]) == []
    started = backend.executions()
    assert {each["workflowId"] for each in started} == ids
    assert all(each["trigger"]["data"]["body"] == {"id": 1} for each in started)
    assert len(backend.aws.sent("ExecutionsQueue")) == 3


def test_a_delivery_starts_more_workflows_than_an_expression_can_name(backend: Backend) -> None:
    backend.create_workflow(flow())
    request = {"TableName": backend.aws.names["WorkflowsTable"]}
    (row,) = backend.aws.client.dynamodb("Scan", request)["Items"]
    for number in range(100):
        backend.aws.put("WorkflowsTable", row | {"workflowId": {"S": f"wf_{number:020x}"}})
    assert backend.consume("dispatch_event", [delivery()]) == []
    names = {each["workflowKey"].partition("#")[2] for each in backend.aws.rows("ExecutionsTable")}
    assert len(names) == 101
    (used,) = (each for each in backend.aws.rows("QuotasTable") if "#minute#" in each["counter"])
    assert used["all"] == 101
    assert {used[name] for name in names} == {1}


def test_a_workflow_that_was_saved_long_ago_is_started(backend: Backend) -> None:
    backend.create_workflow(flow())
    (row,) = backend.aws.rows("WorkflowsTable")
    del row["trigger"], row["triggerConnection"]
    backend.aws.put("WorkflowsTable", item(row))
    assert backend.deliver("orders", {"id": 7}).status == 200
    assert backend.dispatch() == []
    assert [each["status"] for each in backend.executions()] == ["queued"]


@pytest.mark.parametrize("saved", ["now", "long ago"])
@pytest.mark.parametrize("field", ["contentType", "content_type"])
def test_a_trigger_s_own_fields_choose_events(backend: Backend, field: str, saved: str) -> None:
    trigger = {"type": "webhook", "webhookId": "orders"}
    made = [
        backend.create_workflow(flow(trigger=trigger | {field: kind}))["workflowId"]
        for kind in ("Application/JSON", "text/plain")
    ]
    for row in backend.aws.rows("WorkflowsTable"):
        stored = json.loads(row["trigger"])
        assert set(stored.pop("filters")) == {"contentType"}
        if saved == "long ago":
            backend.aws.put("WorkflowsTable", item(row | {"trigger": json.dumps(stored)}))
    assert backend.consume("dispatch_event", [delivery()]) == []
    assert [each["workflowId"] for each in backend.executions()] == made[:1]
    backend.drain()


def test_the_same_delivery_again_starts_nothing(backend: Backend) -> None:
    backend.create_workflow(flow())
    for _ in range(10):
        assert backend.consume("dispatch_event", [delivery()]) == []
    assert len(backend.executions()) == 1
    backend.drain()
    assert backend.consume("dispatch_event", [delivery()]) == []
    assert backend.aws.sent("ExecutionsQueue") == []
    assert statuses(backend) == ["succeeded"]


def test_the_same_delivery_twice_in_a_batch_is_one_execution(backend: Backend) -> None:
    backend.create_workflow(flow())
    assert backend.consume("dispatch_event", [delivery()] * 10) == []
    assert len(backend.executions()) == 1


def test_a_batch_asks_the_index_once_per_webhook(backend: Backend) -> None:
    backend.create_workflow(flow())
    backend.aws.calls.clear()
    batch = [delivery(eventId=f"evt_{number}") for number in range(10)]
    assert backend.consume("dispatch_event", batch) == []
    assert backend.aws.calls["Query"] == 1
    assert backend.aws.calls["GetItem"] == 1, "the definition, once for all"
    assert backend.aws.calls["PutItem"] == 20, "of each an event and an execution"
    assert backend.aws.calls["SendMessageBatch"] == 1


def test_a_delivery_that_nobody_waits_for_is_done(backend: Backend) -> None:
    assert backend.consume("dispatch_event", [delivery()]) == []
    assert backend.executions() == []


def test_the_example_of_the_events_folder_is_dispatched(backend: Backend) -> None:
    backend.create_workflow(flow())
    sample = event("dispatch_event", "sqs_webhook")
    body = json.loads(sample["Records"][0]["body"]) | {"tenant": "acme"}
    sample["Records"][0]["body"] = json.dumps(body)
    assert backend.invoke("dispatch_event", sample) == {"batchItemFailures": []}
    assert len(backend.executions()) == 1


def test_a_workflow_of_another_tenant_is_not_started_by_a_delivery_to_mine(
    backend: Backend,
) -> None:
    backend.create_workflow(flow())
    assert backend.consume("dispatch_event", [delivery(tenant="other")]) == []
    assert backend.executions() == []


# -- Filters ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "starts"),
    [
        ("trigger.body.id == 1", 1),
        ("trigger.body.id == 2", 0),
        ("trigger.body.id > 0 and trigger.headers['content-type'] == 'application/json'", 1),
        (True, 1),
        (False, 0),
    ],
)
def test_a_filter_decides(backend: Backend, condition: Any, starts: int) -> None:
    trigger = {"type": "webhook", "webhookId": "orders", "filter": condition}
    backend.create_workflow(flow(trigger=trigger))
    assert backend.consume("dispatch_event", [delivery()]) == []
    assert len(backend.executions()) == starts


def test_a_filter_that_fails_is_an_execution_that_failed_for_all_to_see(
    backend: Backend,
) -> None:
    trigger = {"type": "webhook", "webhookId": "orders", "filter": "trigger.body.items[0].x > 1"}
    backend.create_workflow(flow(trigger=trigger))
    backend.create_workflow(flow(name="Innocent"))
    assert backend.consume("dispatch_event", [delivery()]) == []
    outcomes = {each["workflowName"]: each for each in backend.executions()}
    assert outcomes["Orders"]["status"] == "failed"
    assert outcomes["Orders"]["error"]["code"] == "expression_error"
    assert outcomes["Innocent"]["status"] == "queued"
    assert len(backend.aws.sent("ExecutionsQueue")) == 1


def test_once_per_value_whatever_the_events_id(backend: Backend) -> None:
    trigger = {"type": "webhook", "webhookId": "orders", "oncePer": "trigger.body.customer"}
    backend.create_workflow(flow(trigger=trigger))
    for number, customer in enumerate(["ann", "bob", "ann", "ann"]):
        sent = delivery({"customer": customer, "id": number}, eventId=f"evt_{number}")
        assert backend.consume("dispatch_event", [sent]) == []
    assert sorted(each["trigger"]["data"]["body"]["customer"] for each in backend.executions()) == [
        "ann",
        "bob",
    ]


def test_once_per_body_however_long_it_is(backend: Backend) -> None:
    trigger = {"type": "webhook", "webhookId": "orders", "oncePer": "trigger.body"}
    for number in range(5):
        backend.create_workflow(flow(name=f"Flow {number}", trigger=trigger))
    assert backend.consume("dispatch_event", [delivery({"note": noise(100_000)})]) == []
    assert len(backend.executions()) == 5


# -- Bodies ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"{not json",
        b'{"n": NaN}',
        b'{"n": 1e999}',
        b'{"s": "\\ud800"}',
        b"[" * 50_000,
        b'{"a":' * 50_000,
        b"1" * 10_000,
    ],
    ids=range(9),
)
def test_a_strange_body_is_an_execution_that_can_be_shown(backend: Backend, body: bytes) -> None:
    steps = [step(params={"chatId": 42, "text": "it came"})]
    backend.create_workflow(flow(steps=steps))
    assert backend.consume("dispatch_event", [delivery(body)]) == []
    backend.drain()
    assert statuses(backend) == ["succeeded"]


def test_a_large_body_is_fetched_from_s3_and_shown(backend: Backend) -> None:
    backend.create_workflow(flow())
    body = {"id": 7, "note": "ß" * 120_000}
    assert backend.deliver("orders", body).status == 200
    backend.drain()
    (execution,) = backend.executions()
    assert execution["status"] == "succeeded"
    assert execution["trigger"]["data"]["body"] == body


# -- What fails ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "poison",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        '{"webhookId": "orders"}',
        '{"payload": "events/gone"}',
        json.dumps(delivery(provider="no_such")),
        json.dumps(delivery(provider="sheets")),
        json.dumps(delivery(receivedAt="yesterday")),
        json.dumps(delivery() | {"body": 7}),
        json.dumps(delivery(headers=None)),
        json.dumps({"schedule": 7}),
    ],
    ids=range(12),
)
def test_a_poisoned_message_fails_alone(backend: Backend, poison: str) -> None:
    backend.create_workflow(flow())
    batch = [delivery(eventId="evt_1"), poison, delivery(eventId="evt_2")]
    assert backend.consume("dispatch_event", batch) == ["message-1"]
    assert len(backend.executions()) == 2
    backend.drain()
    assert statuses(backend) == ["succeeded", "succeeded"]


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b'{"update_id": 7, "message": {"date": 1e999}}',
        b'{"update_id": 7, "update_id": 8}',
    ],
)
def test_what_a_provider_does_not_send_is_the_webhooks_last_failure_and_is_not_tried_again(
    backend: Backend, telegram: TelegramServer, body: bytes
) -> None:
    shown = backend.call("GET", "/api/integrations/telegram/credentials").json
    broken = delivery(body, provider="telegram", webhookId=shown["webhook"]["id"])
    assert backend.consume("dispatch_event", [broken]) == []
    shown = backend.call("GET", "/api/integrations/telegram/credentials").json
    assert shown["webhook"]["lastFailure"]["reason"]
    assert shown["webhook"]["rejected"] == 0


def test_a_queue_that_does_not_answer_fails_the_batch_and_loses_nothing(
    backend: Backend,
) -> None:
    backend.create_workflow(flow())
    batch = [delivery(eventId="evt_1"), "poison", delivery(eventId="evt_2")]
    backend.aws.fail("SendMessageBatch", "ServiceUnavailable", status=503)
    assert set(backend.consume("dispatch_event", batch)) == {"message-0", "message-1", "message-2"}
    backend.aws.recover()
    again = [batch[0], batch[2]]
    assert backend.consume("dispatch_event", again, receives=2) == []
    backend.drain()
    assert statuses(backend) == ["succeeded", "succeeded"]


def test_a_table_that_does_not_answer_fails_what_it_concerns(backend: Backend) -> None:
    workflow = backend.create_workflow(flow())
    concerned = lifecycle.execution_id(workflow["workflowId"], "orders:evt_2")
    backend.aws.fail("PutItem", "InternalServerError", where=concerned)
    batch = [delivery(eventId=f"evt_{number}") for number in range(4)]
    assert backend.consume("dispatch_event", batch) == ["message-2"]
    backend.aws.recover()
    assert backend.consume("dispatch_event", [batch[2]], receives=2) == []
    backend.drain()
    assert statuses(backend) == ["succeeded"] * 4


def test_a_message_whose_execution_was_created_but_not_told_is_told_again(
    backend: Backend,
) -> None:
    backend.create_workflow(flow())
    backend.aws.fail("SendMessageBatch", "InternalError", status=500, done=True)
    assert backend.consume("dispatch_event", [delivery()]) == ["message-0"]
    backend.aws.recover()
    assert backend.consume("dispatch_event", [delivery()], receives=2) == []
    backend.drain()
    assert statuses(backend) == ["succeeded"]


# -- Cycles ----------------------------------------------------------------------------------


def test_a_workflow_that_triggers_itself_comes_to_an_end(
    backend: Backend, telegram: TelegramServer
) -> None:
    send = {
        "id": "again",
        "action": "webhook.send",
        "connection": "loop",
        "params": {"json": {"id": 1}},
    }
    backend.save(
        "webhook",
        {
            "url": "https://example.com/hooks/loop",
            "outboundUrl": f"{telegram.url}/api/webhooks/loop",
        },
        "loop",
    )
    trigger = {"type": "webhook", "webhookId": "loop"}
    backend.create_workflow(flow(trigger=trigger, steps=[send]))
    good = delivery(webhookId="loop", hops=MAX_HOPS)
    assert backend.consume("dispatch_event", [good]) == []
    assert [each["status"] for each in backend.executions()] == ["queued"]
    bad = delivery(webhookId="loop", hops=MAX_HOPS + 1, eventId="evt_2")
    assert backend.consume("dispatch_event", [bad]) == []
    newest = backend.executions()[0]
    assert newest["status"] == "failed"
    assert newest["error"]["code"] == "cycle_detected"


@pytest.mark.parametrize("value", ["-1", "x", "\uff19", "1e3", "99999", "", "1.5"])
def test_a_made_up_count_of_hops_does_not_stop_a_delivery(backend: Backend, value: str) -> None:
    backend.create_workflow(flow())
    sent = delivery(headers={"integrations-hops": value})
    assert backend.consume("dispatch_event", [sent]) == []
    assert len(backend.executions()) == 1


# -- Providers -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [path.stem for path in sorted(SAMPLES.glob("telegram_*.json"))])
def test_every_sample_of_telegram_is_dispatched(backend: Backend, name: str) -> None:
    shown = backend.call("GET", "/api/integrations/telegram/credentials").json
    sent = delivery(
        (SAMPLES / f"{name}.json").read_bytes(),
        provider="telegram",
        webhookId=shown["webhook"]["id"],
    )
    assert backend.consume("dispatch_event", [sent]) == []


def test_a_message_to_the_bot_is_answered(backend: Backend, telegram: TelegramServer) -> None:
    steps = [
        step(
            params={
                "chatId": "{{ trigger.chatId }}",
                "text": "You said {{ trigger.text }}",
            }
        )
    ]
    backend.create_workflow(flow(trigger={"type": "telegram.message"}, steps=steps))
    webhook = backend.call("GET", "/api/integrations/telegram/credentials").json["webhook"]
    secret = {"X-Telegram-Bot-Api-Secret-Token": telegram.webhooks[telegram.token]["secret_token"]}
    update = (SAMPLES / "telegram_message.json").read_bytes()
    for _ in range(3):
        assert backend.deliver(webhook["id"], update, secret).status == 200
    backend.drain()
    assert statuses(backend) == ["succeeded"]
    assert len(telegram.called("sendMessage")) == 1
    assert "Größe 42" in telegram.last.params["text"]


def test_a_comment_comes_by_the_stacks_own_webhook_to_the_pages_tenant(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    page = facebook.add_page("Bakery")
    facebook.add_user("Ann", pages=[page])
    connect(backend, "facebook_oauth")
    post = facebook.add_post(page, "Fresh bread")
    comment = facebook.add_comment(post, "How much?", {"id": "7001", "name": "Zoë"})
    reply = {
        "id": "reply",
        "action": "facebook_oauth.replyToComment",
        "params": {"commentId": "{{ trigger.commentId }}", "message": "2 EUR"},
    }
    trigger = {"type": "facebook.comment", "pageId": page}
    backend.create_workflow(flow(trigger=trigger, steps=[reply]))
    body, headers = sign(facebook.comment_payload(comment), FACEBOOK_SECRET)
    for _ in range(2):
        assert backend.deliver("facebook", body, headers).status == 200
    backend.drain()
    (execution,) = backend.executions()
    assert execution["status"] == "succeeded", execution
    replies = [each for each in facebook.comments.values() if each["message"] == "2 EUR"]
    assert len(replies) == 1
    ours = next(iter(each["id"] for each in replies))
    body, headers = sign(facebook.comment_payload(ours), FACEBOOK_SECRET)
    backend.deliver("facebook", body, headers)
    backend.drain()
    assert len(backend.executions()) == 1, "the page's own comment starts nothing"


def test_a_batch_of_two_pages_reaches_both_tenants(
    backend: Backend, facebook: FacebookStandIn
) -> None:
    entries = []
    for tenant, name in (("acme", "Ann"), ("other", "Bob")):
        page = facebook.add_page(f"{name}'s")
        facebook.login_user = facebook.add_user(name, pages=[page])
        connect(backend, "facebook_oauth", tenant=tenant)
        note = {"id": "note", "action": "facebook_oauth.getComment", "params": {"commentId": "1"}}
        trigger = {"type": "facebook.comment", "pageId": page}
        definition = flow(trigger=trigger, steps=[note], name=name)
        answer = backend.call("POST", "/api/workflows", definition, tenant=tenant)
        assert answer.status == 200, answer
        comment = facebook.add_comment(
            facebook.add_post(page, "x"), "Hi", {"id": "7001", "name": "Zoë"}
        )
        entries += facebook.comment_payload(comment)["entry"]
    body, headers = sign({"object": "page", "entry": entries}, FACEBOOK_SECRET)
    assert backend.deliver("facebook", body, headers).status == 200
    assert backend.dispatch() == []
    assert {each.group for each in backend.aws.sent("EventsQueue")} == {"acme", "other"}
    assert backend.dispatch() == []
    for tenant, name in (("acme", "Ann"), ("other", "Bob")):
        (execution,) = backend.executions(tenant=tenant)
        assert execution["workflowName"] == name


# -- Schedules -------------------------------------------------------------------------------


def scheduled(backend: Backend, **changes: Any) -> str:
    trigger = {"type": "schedule", "expression": "rate(5 minutes)"}
    steps = [step(params={"chatId": 42, "text": "at {{ trigger.scheduledTime }}"})]
    made = backend.create_workflow(flow(trigger=trigger, steps=steps, **changes))
    return str(made["workflowId"])


def tick(workflow_id: str, time: str = "2026-11-23T07:00:00Z", tenant: str = "acme") -> Any:
    return {"schedule": {"tenant": tenant, "workflowId": workflow_id}, "scheduledTime": time}


def test_a_schedule_starts_its_workflow_once_per_moment(
    backend: Backend, telegram: TelegramServer
) -> None:
    workflow_id = scheduled(backend)
    for moment in ("2026-11-23T07:00:00Z", "2026-11-23T07:00:00Z", "2026-11-23T07:05:00Z"):
        assert backend.consume("dispatch_event", [tick(workflow_id, moment)]) == []
    backend.drain()
    assert statuses(backend) == ["succeeded", "succeeded"]
    texts = sorted(call.params["text"] for call in telegram.called("sendMessage"))
    assert texts == ["at 2026-11-23T07:00:00Z", "at 2026-11-23T07:05:00Z"]


def test_what_the_schedule_itself_sends_is_understood(backend: Backend) -> None:
    workflow_id = scheduled(backend)
    (made,) = backend.aws.schedules()
    assert backend.consume("dispatch_event", [made["Target"]["Input"]]) == []
    assert [each["workflowId"] for each in backend.executions()] == [workflow_id]


def test_a_schedule_of_what_is_gone_or_off_starts_nothing(backend: Backend) -> None:
    off = scheduled(backend, enabled=False)
    manual = backend.create_workflow(flow(trigger={"type": "manual"}))["workflowId"]
    batch = [tick(off), tick(manual), tick("wf_unknown"), tick(off, tenant="other")]
    assert backend.consume("dispatch_event", batch) == []
    assert backend.executions() == []


def test_a_tick_that_no_workflow_waits_for_removes_its_schedule_once_it_is_old(
    backend: Backend,
) -> None:
    wiring.schedules().put("acme", "wf_left", "rate(5 minutes)", "UTC")
    wanted = scheduled(backend)
    inputs = [json.loads(each["Target"]["Input"]) for each in backend.aws.schedules()]
    (new,) = [each for each in inputs if each["schedule"]["workflowId"] == "wf_left"]
    assert backend.consume("dispatch_event", [new]) == []
    assert len(backend.aws.schedules()) == 2, "its workflow may be about to be written"
    old = {**new, "schedule": {**new["schedule"], "since": new["schedule"]["since"] - 301}}
    assert backend.consume("dispatch_event", [old, old, tick(wanted)]) == []
    (left,) = backend.aws.schedules()
    assert wanted in left["Name"]


def stray(backend: Backend, workflow_id: str, expression: str, *, age: float = 301) -> Any:
    """A tick of a schedule that somebody has left at Scheduler; the schedule is there."""
    wiring.schedules().put("acme", workflow_id, expression, "UTC")
    inputs = [json.loads(each["Target"]["Input"]) for each in backend.aws.schedules()]
    (made,) = [each for each in inputs if each["schedule"]["workflowId"] == workflow_id]
    made["schedule"]["since"] -= age
    return made


def expressions(backend: Backend) -> list[str]:
    return [each["ScheduleExpression"] for each in backend.aws.schedules()]


def test_a_tick_of_another_schedule_than_its_workflow_s_mends_it_and_starts_nothing(
    backend: Backend,
) -> None:
    workflow_id = scheduled(backend)
    new = stray(backend, workflow_id, "rate(1 minutes)", age=0)
    assert backend.consume("dispatch_event", [new]) == []
    assert expressions(backend) == ["rate(1 minutes)"], "its workflow may be about to be written"
    old = stray(backend, workflow_id, "rate(1 minutes)")
    assert backend.consume("dispatch_event", [old]) == []
    assert backend.executions() == []
    assert expressions(backend) == ["rate(5 minutes)"]
    (mended,) = backend.aws.schedules()
    assert backend.consume("dispatch_event", [mended["Target"]["Input"]]) == []
    assert [each["workflowId"] for each in backend.executions()] == [workflow_id]


def test_a_tick_in_another_time_zone_is_of_another_schedule(backend: Backend) -> None:
    workflow_id = scheduled(backend)
    old = stray(backend, workflow_id, "rate(5 minutes)")
    old["schedule"]["timezone"] = "Europe/Berlin"
    assert backend.consume("dispatch_event", [old]) == []
    assert backend.executions() == []


def test_a_tick_that_does_not_say_of_which_schedule_it_is_starts_its_workflow(
    backend: Backend,
) -> None:
    workflow_id = scheduled(backend)
    (made,) = backend.aws.schedules()
    before = json.loads(made["Target"]["Input"])
    del before["schedule"]["expression"], before["schedule"]["timezone"]
    assert backend.consume("dispatch_event", [before]) == []
    assert [each["workflowId"] for each in backend.executions()] == [workflow_id]


def test_a_schedule_that_is_switched_on_while_it_is_removed_is_there_in_the_end(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow_id = scheduled(backend, enabled=False)
    old = stray(backend, workflow_id, "rate(5 minutes)")
    shown = backend.call("GET", f"/api/workflows/{workflow_id}").json
    delete, left = Schedules.delete, [shown | {"enabled": True}]

    def slow(schedules: Schedules, *given: str) -> None:
        if left:
            answer = backend.call("PUT", f"/api/workflows/{workflow_id}", left.pop())
            assert answer.status == 200, answer
        delete(schedules, *given)

    monkeypatch.setattr(Schedules, "delete", slow)
    assert backend.consume("dispatch_event", [old]) == []
    assert expressions(backend) == ["rate(5 minutes)"]


# -- Whatever dies when ----------------------------------------------------------------------


def test_what_was_logged_is_executed_as_it_was_logged(backend: Backend) -> None:
    made = backend.create_workflow(flow())
    backend.aws.fail("PutItem", "InternalServerError", where="exe_")
    assert backend.consume("dispatch_event", [delivery()]) == ["message-0"]
    backend.aws.recover()
    assert len(backend.aws.rows("EventsTable")) == 1
    never = {"type": "webhook", "webhookId": "orders", "filter": False}
    path = f"/api/workflows/{made['workflowId']}"
    assert backend.call("PUT", path, flow(trigger=never)).status == 200
    backend.create_workflow(flow(name="Later"))
    for receives in (2, 3):
        assert backend.consume("dispatch_event", [delivery()], receives=receives) == []
    backend.drain()
    assert [each["workflowName"] for each in backend.executions()] == ["Orders"]
    event = backend.call("GET", "/api/events/evt_1").json
    (outcomes,) = event["workflows"]
    assert outcomes["outcome"] == "dispatched"
    assert backend.execution(outcomes["executionId"])["status"] == "succeeded"


def test_a_batch_with_no_time_left_comes_again_whole(backend: Backend) -> None:
    backend.create_workflow(flow())
    batch = [delivery(eventId=f"evt_{number}") for number in range(3)]
    short = LambdaContext(seconds=2)
    failed = backend.consume("dispatch_event", batch, context=short)
    assert failed == ["message-0", "message-1", "message-2"]
    assert backend.aws.rows("EventsTable") == []
    assert backend.consume("dispatch_event", batch, receives=2) == []
    assert len(backend.executions()) == 3


def test_filters_do_not_pay_for_the_time_that_a_slow_table_takes(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    condition = "{{ trigger.body.items|sort|length == 200 }}"
    trigger = {"type": "webhook", "webhookId": "orders", "filter": condition}
    backend.create_workflow(flow(trigger=trigger))
    monkeypatch.setattr(dispatch, "MATCHING_SECONDS", 0.4)
    find = Workflows.triggered_by

    def slow(workflows: Workflows, key: str) -> list[WaitingWorkflow]:
        time.sleep(0.5)
        return find(workflows, key)

    monkeypatch.setattr(Workflows, "triggered_by", slow)
    body = {"items": list(range(200))}
    assert backend.consume("dispatch_event", [delivery(body)]) == []
    assert statuses(backend) == ["queued"]


def test_the_filters_of_all_workflows_have_one_budget(backend: Backend) -> None:
    heavy = "trigger.body.items|sort|unique|list|length >= 0"
    trigger = {"type": "webhook", "webhookId": "orders", "filter": heavy}
    for number in range(30):
        backend.create_workflow(flow(name=f"Heavy {number}", trigger=trigger))
    body = {"id": 1, "items": list(range(20_000))}
    assert backend.consume("dispatch_event", [delivery(body)]) == []
    outcomes = backend.call("GET", "/api/events/evt_1").json["workflows"]
    assert len(outcomes) == 30
    assert {each["outcome"] for each in outcomes} <= {"dispatched", "failed"}
    assert any(each["outcome"] == "failed" for each in outcomes), "the budget is one for all"


def test_a_signed_body_is_one_event_whatever_id_it_comes_under(backend: Backend) -> None:
    secret = "the-secret-of-the-repository"
    backend.secrets.add(secret)
    hook = {"url": "https://example.com/hooks/repo", "secret": secret}
    backend.save("webhook", hook | {"verification": {"type": "github"}}, "repo")
    backend.create_workflow(flow(trigger={"type": "webhook", "webhookId": "repo"}))
    body = b'{"id": 7}'
    signature = "sha256=" + hmac.new(secret.encode(), body, "sha256").hexdigest()
    for name in ("one", "two", "one"):
        headers = {"X-Hub-Signature-256": signature, "X-GitHub-Delivery": name}
        assert backend.deliver("repo", body, headers).status == 200
    backend.drain()
    assert len(backend.executions()) == 1
    (event,) = backend.call("GET", "/api/events").json["items"]
    again = delivery(
        body,
        webhookId="repo",
        connection="repo",
        verification="github",
        eventId="evt_in_the_next_window",
        earlierId=event["eventId"],
        receivedAt=event["receivedAt"],
    )
    assert backend.consume("dispatch_event", [again]) == []
    assert len(backend.executions()) == 1
