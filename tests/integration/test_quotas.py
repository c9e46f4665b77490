"""Quotas: what one tenant may have, start and send."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations import memory
from integrations.entry import invocation
from integrations.services.lineage import MAX_HOPS
from integrations.services.quotas import MINUTE, Limits, Quotas
from integrations.storage.quotas import QuotaCounters, Window
from tests.backend import Backend
from tests.fakes.receiver import Receiver
from tests.fakes.smtp import MailServer
from tests.fakes.telegram import TelegramServer
from tests.integration.flows import flow, say

MOMENT = datetime(2026, 11, 26, 12, 0, 30, tzinfo=UTC)
GENEROUS = Limits(
    connections=100,
    workflows=100,
    schedules=100,
    executions=100,
    workflow_executions=100,
    mails=9,
    runners=8,
)


def limited(monkeypatch: pytest.MonkeyPatch, **limits: int) -> None:
    for name, limit in limits.items():
        monkeypatch.setenv(name.upper(), str(limit))
    memory.forget()


def webhook(backend: Backend, name: str = "default") -> str:
    saved = backend.save("webhook", {"url": f"https://{name}.example.com/hook-{name}"}, name)
    return str(saved["webhook"]["url"]).rpartition("/")[2]


def listening(backend: Backend, **changes: Any) -> str:
    trigger = {"type": "webhook", "webhookId": "hook-default"}
    definition = flow(trigger=trigger, steps=[], **changes)
    definition["steps"] = [
        {"id": "send", "action": "webhook.send", "params": {"url": "http://127.0.0.1:9/"}}
    ]
    return str(backend.create_workflow(definition)["workflowId"])


def log(backend: Backend) -> list[Any]:
    return list(backend.call("GET", "/api/events").json["items"])


# -- objects -------------------------------------------------------------------------------------


def test_one_connection_too_many_is_refused_and_an_old_one_may_change(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, max_connections=2)
    webhook(backend, "a")
    webhook(backend, "b")
    path = "/api/integrations/webhook/credentials"
    body = {"credentials": {"url": "https://c.example.com/hook"}, "connection": "c"}
    refused = backend.call("POST", path, body)
    assert (refused.status, refused.code) == (429, "quota_exceeded")
    assert "2 connections" in refused.json["detail"]
    assert "MaxConnections" in refused.json["detail"]
    assert "Retry-After" not in refused.headers
    webhook(backend, "a")
    backend.save("webhook", {"url": "https://other.example.com/hook"}, tenant="other")


def test_one_workflow_or_schedule_too_many_is_refused(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, max_workflows=3, max_schedules=1)
    webhook(backend)
    steps = [{"id": "send", "action": "webhook.send", "params": {"url": "http://127.0.0.1:9/"}}]
    ticking = {"trigger": {"type": "schedule", "expression": "rate(5 minutes)"}, "steps": steps}
    first = backend.create_workflow(flow(**ticking))
    second = backend.call("POST", "/api/workflows", flow(**ticking))
    assert (second.status, second.code) == (429, "quota_exceeded")
    off = backend.create_workflow(flow(**ticking, enabled=False))
    on = backend.call("PUT", f"/api/workflows/{off['workflowId']}", flow(**ticking))
    assert (on.status, on.code) == (429, "quota_exceeded")
    again = backend.call("PUT", f"/api/workflows/{first['workflowId']}", flow(**ticking))
    assert again.status == 200
    manual = flow(trigger={"type": "manual"}, steps=steps)
    backend.create_workflow(manual)
    fourth = backend.call("POST", "/api/workflows", manual)
    assert (fourth.status, fourth.code) == (429, "quota_exceeded")


# -- executions ----------------------------------------------------------------------------------


def test_who_starts_too_many_by_the_api_is_told_when_to_come_back(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, max_executions_per_minute=6, max_workflow_executions_per_minute=4)
    webhook(backend)
    one, other = listening(backend), listening(backend)

    def run(workflow_id: str) -> Any:
        return backend.call("POST", f"/api/workflows/{workflow_id}/run", {})

    answers = [run(one) for _ in range(9)]
    refused = [each for each in answers if each.status == 429]
    assert len(refused) >= 9 - 2 * 4, "a minute may have ended meanwhile, once"
    assert {each.code for each in refused} == {"quota_exceeded"}
    assert all(1 <= int(each.headers["Retry-After"]) <= 60 for each in refused)
    assert len(backend.executions()) == 9 - len(refused)
    [run(other) for _ in range(9)]
    assert len(backend.executions()) <= 12
    assert run(other).status in {200, 429}
    backend.save("webhook", {"url": "https://other.example.com/other"}, tenant="other")
    elsewhere = backend.create_workflow(
        flow(trigger={"type": "manual"}, steps=STEPS), tenant="other"
    )
    path = f"/api/workflows/{elsewhere['workflowId']}/run"
    assert backend.call("POST", path, {}, tenant="other").status == 200


STEPS = [{"id": "send", "action": "webhook.send", "params": {"url": "http://127.0.0.1:9/"}}]


def test_what_events_start_over_the_quota_waits_and_beyond_that_is_refused_for_all_to_see(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, max_executions_per_minute=2, max_workflow_executions_per_minute=2)
    hook = webhook(backend)
    listening(backend)
    for number in range(20):
        assert backend.deliver(hook, {"n": number}).status == 200
    while backend.aws.sent("EventsQueue"):
        assert backend.dispatch() == []
    started = backend.executions()
    # This minute and the five after it, and one more where a minute ended meanwhile.
    assert len(started) in {12, 14}
    delays = sorted(message.delay for message in backend.aws.sent("ExecutionsQueue"))
    assert len(delays) == len(started)
    assert delays[:2] == [0, 0]
    assert all(0 < delay <= 300 for delay in delays[4:])
    refused = [each for each in log(backend) if each["outcome"] == "filtered"]
    assert len(refused) == 20 - len(started)
    assert all("MaxExecutionsPerMinute" in each["reason"] for each in refused)
    event = backend.call("GET", f"/api/events/{refused[0]['eventId']}").json
    assert [each["outcome"] for each in event["workflows"]] == ["refused"]
    assert event["workflows"][0]["executionId"] is None
    monkeypatch.setenv("MAX_EXECUTIONS_PER_MINUTE", "1000")
    limited(monkeypatch, max_workflow_executions_per_minute=1000)
    assert backend.call("POST", f"/api/events/{event['eventId']}/replay", {}).status == 200
    assert backend.dispatch() == []
    assert len(backend.executions()) == len(started) + 1


def test_a_batch_counts_a_tenant_once(backend: Backend) -> None:
    hook = webhook(backend)
    listening(backend)
    listening(backend)
    for number in range(10):
        backend.deliver(hook, {"n": number})
    before = backend.aws.units("QuotasTable")
    backend.dispatch()
    assert len(backend.executions()) == 20
    assert backend.aws.units("QuotasTable") - before == 1


def test_the_quotas_table_that_does_not_answer_loses_nothing(backend: Backend) -> None:
    hook = webhook(backend)
    listening(backend)
    backend.deliver(hook, {})
    backend.aws.fail("UpdateItem", times=20)
    (message,) = backend.aws.sent("EventsQueue")
    assert backend.dispatch() == [message.id]
    backend.aws.recover()
    assert backend.consume("dispatch_event", [message]) == []
    assert len(backend.executions()) == 1


def taken(backend: Backend) -> int:
    """How many starts are counted, in whichever minutes."""
    rows = backend.aws.rows("QuotasTable")
    return sum(int(row["all"]) for row in rows if "#minute#" in row["counter"])


def test_what_is_accepted_is_not_refused_for_the_attempts_of_an_outage(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, max_executions_per_minute=2, max_workflow_executions_per_minute=2)
    hook = webhook(backend)
    listening(backend)
    for number in range(2):
        assert backend.deliver(hook, {"n": number}).status == 200
    messages = backend.aws.take("EventsQueue")
    table = backend.aws.names["EventsTable"]
    backend.aws.fail("PutItem", "AccessDeniedException", status=400, where=table)
    for receives in range(1, 8):
        failed = backend.consume("dispatch_event", messages, receives=receives)
        assert failed == [each.id for each in messages]
        assert taken(backend) == 0
    backend.aws.recover()
    assert backend.consume("dispatch_event", messages, receives=8) == []
    assert [each["outcome"] for each in log(backend)] == ["dispatched"] * 2
    assert [each.delay for each in backend.aws.sent("ExecutionsQueue")] == [0, 0]


@pytest.mark.parametrize("has_run", [False, True])
def test_a_delivery_that_comes_ten_times_takes_room_once(
    backend: Backend, *, has_run: bool
) -> None:
    hook = webhook(backend)
    listening(backend)
    for _ in range(10):
        headers = {"Idempotency-Key": "order-1001"}
        assert backend.deliver(hook, {"n": 1}, headers).status == 200
        if has_run:
            backend.drain()
    while backend.aws.sent("EventsQueue"):
        assert backend.dispatch() == []
    assert len(backend.executions()) == 1
    assert taken(backend) == 1


def test_what_has_run_once_for_its_key_takes_no_room_again(backend: Backend) -> None:
    hook = webhook(backend)
    trigger = {"type": "webhook", "webhookId": hook, "oncePer": "trigger.body.order"}
    backend.create_workflow(flow(trigger=trigger, steps=STEPS))
    for number in range(10):
        assert backend.deliver(hook, {"order": 7, "n": number}).status == 200
        backend.drain()
    assert len(backend.executions()) == 1
    assert len(log(backend)) == 10
    assert taken(backend) == 1


@pytest.mark.parametrize("broken", ["ExecutionsTable", "ExecutionsQueue"])
def test_what_is_recorded_goes_on_with_the_room_that_it_has(backend: Backend, broken: str) -> None:
    hook = webhook(backend)
    workflow_id = listening(backend)
    assert backend.deliver(hook, {"n": 1}).status == 200
    messages = backend.aws.take("EventsQueue")
    operation = {"ExecutionsTable": "PutItem", "ExecutionsQueue": "SendMessageBatch"}[broken]
    for receives in range(1, 4):
        concerned = backend.aws.names[broken].rpartition("/")[2]
        backend.aws.fail(operation, "AccessDeniedException", status=400, where=concerned)
        failed = backend.consume("dispatch_event", messages, receives=receives)
        assert failed == [each.id for each in messages]
        backend.aws.recover()
        assert taken(backend) == 1
    backend.aws.calls.clear()
    assert backend.consume("dispatch_event", messages, receives=4) == []
    assert backend.aws.calls["Query"] == 0, "it is not matched again"
    assert [each["workflowId"] for each in backend.executions()] == [workflow_id]
    assert taken(backend) == 1


def test_a_tick_that_comes_again_goes_on_with_the_room_that_it_has(backend: Backend) -> None:
    webhook(backend)
    ticking = {"trigger": {"type": "schedule", "expression": "rate(5 minutes)"}, "steps": STEPS}
    backend.create_workflow(flow(**ticking))
    (made,) = backend.aws.schedules()
    tick = made["Target"]["Input"].replace("<aws.scheduler.scheduled-time>", "2026-11-22T12:00:00Z")
    for table, room in (("EventsTable", 0), ("ExecutionsTable", 1)):
        concerned = backend.aws.names[table]
        backend.aws.fail("PutItem", "AccessDeniedException", status=400, where=concerned)
        for receives in (1, 2):
            assert backend.consume("dispatch_event", [tick], receives=receives) == ["message-0"]
            assert taken(backend) == room
        backend.aws.recover()
    assert backend.consume("dispatch_event", [tick], receives=3) == []
    assert taken(backend) == 1
    assert len(backend.executions()) == 1


@pytest.mark.parametrize("route", ["run", "rerun", "retry"])
def test_what_could_not_be_started_by_the_api_takes_no_room(
    backend: Backend, telegram: TelegramServer, route: str
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    made = backend.create_workflow(
        flow(trigger={"type": "manual"}, steps=[say("{{ trigger.no.such }}")])
    )
    run = f"/api/workflows/{made['workflowId']}/run"
    execution_id = backend.call("POST", run, {"input": {}}).json["executionId"]
    backend.drain()
    before = taken(backend)
    path = run if route == "run" else f"/api/executions/{execution_id}/{route}"
    backend.aws.fail("UpdateItem" if route == "retry" else "PutItem", where="ExecutionsTable")
    assert backend.call("POST", path, {}).status == 503
    backend.aws.recover()
    assert taken(backend) == before


def test_the_same_start_asked_for_ten_times_takes_room_once(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    made = backend.create_workflow(flow(trigger={"type": "manual"}))
    path, key = f"/api/workflows/{made['workflowId']}/run", {"Idempotency-Key": "a"}
    for _ in range(10):
        assert backend.call("POST", path, {"input": {}}, headers=key).status == 200
        backend.drain()
    assert taken(backend) == 1


def test_what_there_was_no_time_for_takes_no_room(backend: Backend) -> None:
    hook = webhook(backend)
    listening(backend)
    assert backend.deliver(hook, {"n": 1}).status == 200
    messages = backend.aws.take("EventsQueue")
    take, left = QuotaCounters.take, [60.0]

    def slow(*given: Any) -> Any:
        left[0] = 5.0
        return take(*given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(QuotaCounters, "take", slow)
        patched.setattr(invocation, "seconds_left", lambda: left[0])
        failed = backend.consume("dispatch_event", messages)
    assert failed == [each.id for each in messages]
    assert taken(backend) == 0
    assert backend.consume("dispatch_event", messages, receives=2) == []
    assert len(backend.executions()) == 1


def test_a_workflow_that_starts_itself_without_end_is_bounded(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run posts to the workflow's own route again, and proves nothing of who led to it."""
    limited(monkeypatch, max_executions_per_minute=100, max_workflow_executions_per_minute=5)
    webhook(backend)
    workflow_id = listening(backend)
    path = f"/api/workflows/{workflow_id}/run"
    statuses = [backend.call("POST", path, {}).status for _ in range(40)]
    assert len(backend.executions()) <= 10
    assert statuses.count(429) >= 30


def test_steps_that_fan_out_to_their_own_webhook_are_bounded_as_a_sum(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, receiver: Receiver
) -> None:
    """Steps by rounds by hops: each of ten messages of an execution would start another one."""
    limited(monkeypatch, max_executions_per_minute=4, max_workflow_executions_per_minute=4)
    hook = webhook(backend)
    steps = [
        {
            "id": f"again{number}",
            "action": "webhook.send",
            "forEach": "range(5)",
            "params": {"url": receiver.url("/hook"), "json": {"n": "{{ item }}"}},
        }
        for number in range(2)
    ]
    backend.create_workflow(flow(trigger={"type": "webhook", "webhookId": hook}, steps=steps))
    assert backend.deliver(hook, {}).status == 200
    came = 0
    for _ in range(200):
        if backend.aws.sent("EventsQueue"):
            assert backend.dispatch() == []
        elif backend.aws.sent("ExecutionsQueue"):
            assert backend.run() == []
        elif came == len(receiver.received):
            break
        for request in receiver.received[came:]:
            # What a step sends to its own webhook comes with the proof of what led to it.
            hops = {"integrations-hops": request.headers["integrations-hops"]}
            assert backend.deliver(hook, request.body, hops).status == 200
            came += 1
    else:
        raise AssertionError("it goes on and on")
    started = backend.executions()
    # This minute and the five after it, and as many more where minutes ended meanwhile.
    assert len(started) <= 4 * (6 + 2)
    assert came == 10 * sum(each["status"] == "succeeded" for each in started)
    refused = backend.call("GET", "/api/events", query="outcome=filtered").json["items"]
    assert refused
    assert all("MaxWorkflowExecutionsPerMinute" in each["reason"] for each in refused)


def test_no_chain_is_longer_than_the_hops_allow(backend: Backend, receiver: Receiver) -> None:
    """With quotas to spare: a webhook that starts itself by its own step ends by its lineage."""
    hook = webhook(backend)
    steps = [{"id": "a", "action": "webhook.send", "params": {"url": receiver.url(), "json": 1}}]
    backend.create_workflow(flow(trigger={"type": "webhook", "webhookId": hook}, steps=steps))
    assert backend.deliver(hook, {}).status == 200
    for came in range(50):
        backend.drain()
        if len(receiver.received) == came:
            break
        hops = {"integrations-hops": receiver.last.headers["integrations-hops"]}
        assert backend.deliver(hook, {"n": came}, hops).status == 200
    statuses = [backend.execution(each["executionId"]) for each in backend.executions()]
    assert len(statuses) == MAX_HOPS + 2
    assert [each["error"]["code"] for each in statuses if each["error"]] == ["cycle_detected"]


# -- the arithmetic, on a clock of its own --------------------------------------------------------


@pytest.fixture
def counters(backend: Backend) -> QuotaCounters:
    return QuotaCounters(backend.aws.client, backend.aws.names["QuotasTable"])


def quotas(counters: QuotaCounters, moment: datetime = MOMENT, **limits: int) -> Quotas:
    return Quotas(
        counters,
        GENEROUS._replace(**limits),
        clock=lambda: moment,
    )


def delays(quotas: Quotas, tenant: str, workflow_ids: list[str]) -> list[float | None]:
    return [each and each.delay for each in quotas.starts(tenant, workflow_ids)]


def test_starts_spread_over_the_minutes_in_order(counters: QuotaCounters) -> None:
    three = quotas(counters, executions=3)
    assert delays(three, "acme", ["wf_a"] * 2) == [0.0, 0.0]
    assert delays(three, "acme", ["wf_a"] * 5) == [0.0, 30.0, 30.0, 30.0, 90.0]
    assert delays(three, "other", ["wf_a"]) == [0.0]
    later = quotas(counters, MOMENT + timedelta(seconds=60), executions=3)
    assert delays(later, "acme", ["wf_a"]) == [30.0], "its own minute is taken by who waited"


def test_one_workflow_s_flood_leaves_the_others_their_share(counters: QuotaCounters) -> None:
    two = quotas(counters, executions=10, workflow_executions=2)
    flood = delays(two, "acme", ["wf_a"] * 20)
    assert flood.count(None) == 20 - 2 * 6
    assert delays(two, "acme", ["wf_b", "wf_a"]) == [0.0, None]


def test_what_is_given_back_is_given_to_the_minute_that_had_it(counters: QuotaCounters) -> None:
    two = quotas(counters, executions=2)
    wanted = ["wf_a", "wf_b", "wf_a"]
    starts = two.starts("acme", wanted)
    assert [each and each.delay for each in starts] == [0.0, 0.0, 30.0]
    two.give_back("acme", list(zip(wanted, starts, strict=True))[1:])
    assert delays(two, "acme", ["wf_c"] * 3) == [0.0, 30.0, 30.0]
    two.give_back("acme", [("wf_a", None)])
    many = [f"wf_{number}" for number in range(100)]
    hundred = quotas(counters)
    hundred.give_back("other", zip(many, hundred.starts("other", many), strict=True))
    assert set(counters.used("other", Window.at("minute", MINUTE, MOMENT)).values()) == {0}


def test_few_are_a_quarter_of_the_runners_in_a_minute(counters: QuotaCounters) -> None:
    eight = quotas(counters, runners=8)
    assert eight.start("acme", "wf_a").few
    assert [each and each.few for each in eight.starts("acme", ["wf_a"])] == [True]
    assert not eight.start("acme", "wf_a").few
    assert [each and each.few for each in eight.starts("other", ["wf_a"] * 3)] == [False] * 3


def test_mails_are_counted_by_day_and_by_recipient(counters: QuotaCounters) -> None:
    from integrations.errors import QuotaExceeded

    nine = quotas(counters)
    nine.send_mails("acme", 5)
    with pytest.raises(QuotaExceeded) as refused:
        nine.send_mails("acme", 5)
    assert refused.value.retry_after == (12 * 60 - 0.5) * 60
    nine.send_mails("acme", 4)
    nine.send_mails("other", 9)
    quotas(counters, MOMENT + timedelta(days=1)).send_mails("acme", 9)


# -- mails ---------------------------------------------------------------------------------------


def test_the_stack_s_mail_server_takes_so_many_recipients_a_day_and_one_s_own_more(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(monkeypatch, max_mails_per_day=3)
    with MailServer() as server:
        backend.aws.set_secret(
            smtpHost="127.0.0.1",
            smtpPort=str(server.port),
            smtpFrom="shop@example.com",
            smtpSecure="none",
        )
        path = "/api/integrations/email/actions/sendEmail"

        def send(*to: str) -> Any:
            return backend.call("POST", path, {"params": {"to": list(to), "text": "Hello"}})

        assert send("a@example.com", "b@example.com").status == 200
        refused = send("c@example.com", "d@example.com")
        assert (refused.status, refused.code) == (429, "quota_exceeded")
        assert "MaxMailsPerDay" in refused.json["detail"]
        assert 0 < int(refused.headers["Retry-After"]) <= 86_400
        assert send("c@example.com").status == 200
