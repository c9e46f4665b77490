"""Workflows and executions through the front door: saved, run, seen, explained and run again."""

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from local.platform import Platform
from tests.e2e.conftest import Client, StandIns, eventually, problem
from tests.fakes.receiver import Receiver, Reply

pytestmark = pytest.mark.e2e


@pytest.fixture
def hook(client: Client, stand_ins: StandIns) -> str:
    """A webhook that lets everybody in and sends to the receiver; its id."""
    saved = client.save(
        "webhook",
        {
            "url": f"https://example.com/flows-{uuid.uuid4().hex[:12]}",
            "outboundUrl": stand_ins.receiver.url(f"/{client.tenant}"),
            "verification": {"type": "none"},
        },
    )
    return str(saved["webhook"]["id"])


def step(**changes: Any) -> dict[str, Any]:
    return {"id": "send", "action": "webhook.send", "params": {"json": 1}} | changes


def flow(**changes: Any) -> dict[str, Any]:
    return {"name": "flow", "trigger": {"type": "manual"}, "steps": [step()]} | changes


def run(client: Client, definition: dict[str, Any], given: Any = None) -> dict[str, Any]:
    """Create a workflow, run it by hand, and return its execution when it is finished."""
    workflow_id = client.create_workflow(definition)["workflowId"]
    answer = client.post(f"/api/workflows/{workflow_id}/run", {"input": given or {}})
    assert answer.status_code == 200, answer.text
    execution: dict[str, Any]
    (execution,) = client.finished(workflowId=workflow_id)
    return execution


def mistakes(answer: requests.Response) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    refusal = answer.json()
    assert refusal["code"] == "invalid_workflow"
    return {each["field"]: each["message"] for each in refusal["errors"]}


# -- Workflows ------------------------------------------------------------------------------------


def test_a_workflow_lives_from_its_creation_to_its_removal(client: Client, hook: str) -> None:
    made = client.create_workflow(flow(trigger={"type": "webhook", "webhookId": hook}))
    path = f"/api/workflows/{made['workflowId']}"
    assert made["webhookUrl"] == f"{client.platform.url}/api/webhooks/{hook}"
    assert client.get(path).json() == made

    def call(number: int) -> None:
        sent = requests.post(made["webhookUrl"], json={"n": number}, timeout=60)
        assert sent.status_code == 200, sent.text

    call(1)
    client.finished(1, workflowId=made["workflowId"])
    off = client.put(path, made | {"enabled": False}).json()
    assert (off["enabled"], off["version"]) == (False, 2)
    call(2)
    time.sleep(2)
    assert len(client.executions(workflowId=made["workflowId"])) == 1
    on = client.put(path, off | {"enabled": True, "name": "renamed"}).json()
    assert (on["enabled"], on["name"], on["version"]) == (True, "renamed", 3)
    call(3)
    executions = client.finished(2, workflowId=made["workflowId"])
    assert [each["trigger"]["data"]["body"] for each in executions] == [{"n": 3}, {"n": 1}]
    assert [each["workflowName"] for each in executions] == ["renamed", "flow"]

    assert client.delete(path).json() == {"deleted": True}
    assert client.get(path).status_code == 404
    call(4)
    time.sleep(2)
    assert len(client.executions(workflowId=made["workflowId"])) == 2, "its executions stay"


def test_workflows_are_listed_in_pages(client: Client, hook: str) -> None:
    made = {client.create_workflow(flow(name=f"flow {n}"))["workflowId"] for n in range(5)}
    seen: list[str] = []
    token = None
    while True:
        params = {"limit": "2"} | ({"nextToken": token} if token else {})
        page = client.get("/api/workflows", params=params).json()
        assert len(page["items"]) <= 2
        seen += [each["workflowId"] for each in page["items"]]
        token = page.get("nextToken")
        if not token:
            break
    assert len(seen) == 5
    assert set(seen) == made
    assert client.get("/api/workflows", params={"nextToken": "made up"}).status_code == 422


def test_every_mistake_is_told_with_its_place(client: Client, hook: str) -> None:
    definition = {
        "name": "",
        "trigger": {"type": "webhook", "webhookId": hook, "filter": "trigger.body ==", "cron": "x"},
        "steps": [
            step(id="one", action="webhook.sned"),
            step(id="two", params={"json": "{{ steps.later.output }}", "colour": "red"}),
            step(id="two", params={"timeoutSeconds": 1000}),
            step(id="three", connection="nobodys", params={"json": "{{ trigger.a | explode }}"}),
        ],
    }

    found = mistakes(client.post("/api/workflows", definition))

    assert {
        "name",
        "trigger.filter",
        "trigger.cron",
        "steps[0].action",
        "steps[1].params.json",
        "steps[1].params.colour",
        "steps[2].id",
        "steps[2].params.timeoutSeconds",
        "steps[3].params.json",
    } <= found.keys()
    connection = flow(steps=[step(connection="nobodys")])
    assert "steps[0].connection" in mistakes(client.post("/api/workflows", connection))
    assert client.get("/api/workflows").json()["items"] == []


def test_an_idempotency_key_starts_a_workflow_once(client: Client, hook: str) -> None:
    workflow = client.create_workflow(flow())
    path = f"/api/workflows/{workflow['workflowId']}/run"
    key = {"Idempotency-Key": uuid.uuid4().hex}

    ids = {client.post(path, {"input": {"n": 1}}, headers=key).json()["executionId"] for _ in "123"}
    other = client.post(path, {"input": {}}).json()["executionId"]

    problem(client.post(path, {"input": {"n": 2}}, headers=key), 422, "idempotency_key_reused")
    assert len(ids) == 1
    assert other not in ids
    executions = client.finished(2, workflowId=workflow["workflowId"])
    assert {each["trigger"]["type"] for each in executions} == {"manual"}
    (once,) = [each for each in executions if each["executionId"] in ids]
    assert once["trigger"]["data"] == {"n": 1}


# -- Hostile and large ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ trigger.__class__ }}",
        "{{ 'x' * 1000000000 }}",
        "{{ range(1000000000) | list }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ trigger.a | replace('a', 'b' * 100000) | replace('b', 'c' * 100000) }}",
    ],
)
def test_a_hostile_template_is_refused_or_fails_in_plain_sight(
    client: Client, hook: str, template: str
) -> None:
    definition = flow(steps=[step(params={"json": template})])
    saved = client.post("/api/workflows", definition)
    if saved.status_code == 422:
        assert "steps[0].params.json" in mistakes(saved)
        return
    workflow_id = saved.json()["workflowId"]
    client.post(f"/api/workflows/{workflow_id}/run", {"input": {"a": "a" * 1000}})

    (execution,) = client.finished(workflowId=workflow_id)

    assert execution["status"] == "failed"
    assert execution["error"]["code"] == "expression_error"
    assert execution["steps"][0]["error"]["message"].startswith("params.json: ")


def test_two_hundred_steps(client: Client, hook: str, stand_ins: StandIns) -> None:
    steps = [
        step(
            id=f"s{number}",
            when=number % 10 == 0,
            params={"json": {"n": number, "before": f"{{{{ steps.s{number - 1}.status }}}}"}}
            if number
            else {"json": {"n": 0}},
        )
        for number in range(200)
    ]

    execution = run(client, flow(steps=steps))

    assert execution["status"] == "succeeded"
    assert [each["status"] for each in execution["steps"]] == (["succeeded"] + ["skipped"] * 9) * 20
    sent = [each for each in stand_ins.receiver.received if each.path == f"/{client.tenant}"]
    assert [each.json()["n"] for each in sent] == list(range(0, 200, 10))
    more = flow(steps=[step(id=f"s{number}") for number in range(201)])
    assert "steps" in mistakes(client.post("/api/workflows", more))


def test_a_filter_that_raises_is_an_execution_that_failed(client: Client, hook: str) -> None:
    trigger = {"type": "webhook", "webhookId": hook, "filter": "trigger.body.total + 1 > 0"}
    workflow = client.create_workflow(flow(trigger=trigger))
    for body in ({"total": 1}, {"total": "a lot"}, {}, {"total": -5}):
        requests.post(workflow["webhookUrl"], json=body, timeout=60)

    executions = client.finished(3, workflowId=workflow["workflowId"])

    failed = [each for each in executions if each["status"] == "failed"]
    assert len(executions) == 3
    assert len(failed) == 2
    assert {each["error"]["code"] for each in failed} == {"expression_error"}
    assert all("trigger.filter" in each["error"]["message"] for each in failed)


# -- Steps ----------------------------------------------------------------------------------------


def test_native_types_loops_conditions_and_steps_that_may_fail(
    client: Client, hook: str, stand_ins: StandIns
) -> None:
    execution = run(
        client,
        flow(
            steps=[
                step(
                    id="each",
                    forEach="{{ trigger.items }}",
                    params={"json": {"item": "{{ item }}", "n": "{{ index }}"}},
                ),
                step(id="never", when="{{ trigger.items | length > 5 }}"),
                step(
                    id="broken",
                    params={"url": stand_ins.receiver.url("/broken"), "json": "{{ trigger.no }}"},
                    onError="continue",
                ),
                step(
                    id="reported",
                    params={
                        "json": {
                            "count": "{{ steps.each.output | length }}",
                            "status": "{{ steps.broken.status }}",
                            "text": "{{ steps.each.output | length }} items",
                        }
                    },
                ),
            ]
        ),
        {"items": [1, "two", {"three": 3}]},
    )

    assert execution["status"] == "succeeded"
    statuses = {each["id"]: each["status"] for each in execution["steps"]}
    assert statuses == {
        "each": "succeeded",
        "never": "skipped",
        "broken": "failed",
        "reported": "succeeded",
    }
    sent = [each.json() for each in stand_ins.receiver.received if each.path == f"/{client.tenant}"]
    assert sent == [
        {"item": 1, "n": 0},
        {"item": "two", "n": 1},
        {"item": {"three": 3}, "n": 2},
        {"count": 3, "status": "failed", "text": "3 items"},
    ]
    first, *_, last = execution["steps"]
    assert first["rounds"]["done"] == 3
    assert last["input"]["json"]["count"] == 3
    assert last["output"]["status"] == 200
    assert last["attempts"] == 1
    assert last["durationMs"] >= 0
    assert execution["startedAt"] <= execution["finishedAt"]


def test_a_failed_execution_is_retried_from_its_failed_step_with_the_workflow_mended(
    client: Client, hook: str, stand_ins: StandIns
) -> None:
    with Receiver() as gone:
        nobody = gone.url("/")
    broken = step(id="second", params={"url": nobody, "json": 2})
    broken["retry"] = {"maxAttempts": 2, "backoffSeconds": 0.1}
    definition = flow(steps=[step(id="first"), broken])
    failed = run(client, definition)
    assert (failed["status"], failed["error"]["step"]) == ("failed", "second")
    assert failed["steps"][1]["attempts"] == 2
    assert failed["steps"][1]["error"]["code"] == "provider_unavailable"

    mended = flow(steps=[step(id="first"), step(id="second", params={"json": 2})])
    assert client.put(f"/api/workflows/{failed['workflowId']}", mended).status_code == 200
    again = client.post(f"/api/executions/{failed['executionId']}/retry").json()
    assert again["status"] == "queued"
    (done,) = client.finished(workflowId=failed["workflowId"])

    assert (done["status"], done["workflowVersion"]) == ("succeeded", 2)
    sent = [each.json() for each in stand_ins.receiver.received if each.path == f"/{client.tenant}"]
    assert sent == [1, 2]


def test_an_execution_is_cancelled_while_it_waits(client: Client, hook: str) -> None:
    with Receiver() as down:
        down.default = Reply(503)
        definition = flow(steps=[step(params={"url": down.url("/")}), step(id="never")])
        workflow = client.create_workflow(definition)
        path = f"/api/workflows/{workflow['workflowId']}/run"
        execution_id = client.post(path, {"input": {}}).json()["executionId"]

        def retrying() -> bool:
            shown = client.get(f"/api/executions/{execution_id}").json()
            return bool(shown["status"] == "retrying" and shown["retryAt"])

        eventually(retrying)
        cancelled = client.post(f"/api/executions/{execution_id}/cancel").json()
        calls = len(down.received)
        time.sleep(6)  # for the attempt that would have come

    assert cancelled["status"] == "cancelled"
    shown = client.get(f"/api/executions/{execution_id}").json()
    assert shown["status"] == "cancelled"
    assert [each["status"] for each in shown["steps"]] == ["failed", "pending"]
    assert len(down.received) == calls
    assert client.post(f"/api/executions/{execution_id}/cancel").status_code == 409


# -- Executions -----------------------------------------------------------------------------------


def test_executions_are_listed_by_workflow_status_and_time_newest_first_in_pages(
    client: Client, hook: str
) -> None:
    definition = flow(steps=[step(params={"json": "{{ 1 / trigger.n }}"})])
    good, bad = (client.create_workflow(definition | {"name": name}) for name in ("good", "bad"))

    def start(workflow: dict[str, Any], n: int) -> None:
        path = f"/api/workflows/{workflow['workflowId']}/run"
        assert client.post(path, {"input": {"n": n}}).status_code == 200

    for _ in range(3):
        start(good, 1)
        start(bad, 0)
    client.finished(6)
    between = datetime.now(UTC)
    time.sleep(1.1)
    start(good, 1)
    client.finished(7)

    everything = client.executions()
    created = [each["createdAt"] for each in everything]
    assert created == sorted(created, reverse=True)
    assert {each["status"] for each in client.executions(workflowId=bad["workflowId"])} == {
        "failed"
    }
    assert len(client.executions(workflowId=good["workflowId"], status="succeeded")) == 4
    assert len(client.executions(status="failed")) == 3
    assert len(client.executions(since=between.isoformat())) == 1
    assert len(client.executions(until=between.isoformat())) == 6
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert client.executions(since=soon) == []
    pages: list[str] = []
    token = None
    while True:
        params = {"limit": "3", "status": "succeeded"} | ({"nextToken": token} if token else {})
        page = client.get("/api/executions", params=params).json()
        pages += [each["executionId"] for each in page["items"]]
        token = page.get("nextToken")
        if not token:
            break
    wanted = [each["executionId"] for each in everything if each["status"] == "succeeded"]
    assert pages == wanted
    assert client.get("/api/executions", params={"status": "no such"}).status_code == 422
    assert client.get("/api/executions/exe_0").status_code == 404


def test_nobody_sees_another_tenants_workflows_and_executions(client: Client, hook: str) -> None:
    execution = run(client, flow())
    tenant = f"tenant-{uuid.uuid4().hex[:12]}"
    token = client.platform.tokens.create(tenant=tenant, name="e2e")
    other = Client(client.platform, token, tenant)

    assert other.get(f"/api/executions/{execution['executionId']}").status_code == 404
    assert other.post(f"/api/executions/{execution['executionId']}/retry").status_code == 404
    assert other.post(f"/api/executions/{execution['executionId']}/cancel").status_code == 404
    path = f"/api/workflows/{execution['workflowId']}"
    assert other.get(path).status_code == 404
    assert other.put(path, flow()).status_code in {404, 422}
    assert other.delete(path).status_code == 404
    assert other.post(f"{path}/run", {"input": {}}).status_code == 404
    assert other.executions() == []
    assert other.get("/api/workflows").json()["items"] == []


# -- Connections ----------------------------------------------------------------------------------


def test_a_connection_in_use_says_so_when_it_is_to_be_deleted(client: Client, hook: str) -> None:
    workflow = client.create_workflow(flow(name="needs it"))

    refused = client.delete("/api/integrations/webhook/credentials")

    assert (refused.status_code, refused.json()["code"]) == (409, "connection_in_use")
    assert "needs it" in refused.json()["detail"]
    assert workflow["workflowId"] in refused.json()["detail"]
    client.delete(f"/api/workflows/{workflow['workflowId']}")
    assert client.delete("/api/integrations/webhook/credentials").json()["deleted"] is True


def test_workflows_share_a_page_that_is_subscribed_once(
    client: Client, hook: str, stand_ins: StandIns
) -> None:
    facebook = stand_ins.facebook
    page = facebook.add_page("Bakery")
    owner = facebook.add_user("Ann", pages=[page])
    app = {"appId": facebook.app_id, "appSecret": facebook.app_secret}
    client.save("facebook", app | {"accessToken": facebook.user_token(owner)})

    def asked(method: str) -> int:
        return sum(
            each.method == method and each.path.endswith(f"/{page}/subscribed_apps")
            for each in list(facebook.requests)
        )

    made = [
        client.create_workflow(
            flow(
                name=f"comment {number}",
                trigger={"type": "facebook.comment", "pageId": page},
                steps=[step(params={"json": {"number": number, "text": "{{ trigger.message }}"}})],
            )
        )
        for number in range(3)
    ]
    assert asked("POST") == 1
    post = facebook.add_post(page, "Cake")
    person = facebook.add_person("Zoë", "Müller")
    comment = facebook.add_comment(post, "Lovely", {"id": person, "name": "Zoë Müller"})
    for _ in range(2):
        assert facebook.deliver(facebook.comment_payload(comment), made[0]["webhookUrl"]) == 200

    executions = client.finished(3)

    assert {each["workflowId"] for each in executions} == {each["workflowId"] for each in made}
    assert {each["status"] for each in executions} == {"succeeded"}
    for each in made[:2]:
        client.delete(f"/api/workflows/{each['workflowId']}")
    assert asked("DELETE") == 0
    client.delete(f"/api/workflows/{made[2]['workflowId']}")
    assert asked("DELETE") == 1


# -- Schedules ------------------------------------------------------------------------------------


def schedule_of(platform: Platform, workflow_id: str) -> dict[str, Any] | None:
    """What Scheduler has for a workflow."""
    scheduler = platform.client("scheduler")
    group = platform.name("ScheduleGroup")
    found = scheduler.list_schedules(GroupName=group, NamePrefix=workflow_id)["Schedules"]
    if not found:
        return None
    name = found[0]["Name"]
    schedule: dict[str, Any] = scheduler.get_schedule(GroupName=group, Name=name)
    return schedule


def test_a_one_shot_schedule_fires_once_and_is_gone(client: Client, hook: str) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=15)
    trigger = {"type": "schedule", "expression": f"at({soon:%Y-%m-%dT%H:%M:%S})"}
    workflow = client.create_workflow(flow(trigger=trigger))
    assert schedule_of(client.platform, workflow["workflowId"])

    (execution,) = client.finished(workflowId=workflow["workflowId"])

    assert execution["status"] == "succeeded"
    assert execution["trigger"]["type"] == "schedule"
    assert "scheduledTime" in execution["trigger"]["data"]
    eventually(lambda: schedule_of(client.platform, workflow["workflowId"]) is None)
    assert len(client.executions(workflowId=workflow["workflowId"])) == 1


@pytest.mark.long
def test_a_schedule_that_repeats_follows_its_workflow(client: Client, hook: str) -> None:
    every_minute = flow(trigger={"type": "schedule", "expression": "rate(1 minute)"})
    workflow = client.create_workflow(every_minute)
    workflow_id = workflow["workflowId"]
    path = f"/api/workflows/{workflow_id}"
    schedule = schedule_of(client.platform, workflow_id)
    assert schedule is not None
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert json.loads(schedule["Target"]["Input"])["schedule"]["workflowId"] == workflow_id

    (execution, *_) = client.finished(workflowId=workflow_id, seconds=240)
    assert execution["status"] == "succeeded"

    trigger = {"type": "schedule", "cron": "30 8 * * 1-5", "timezone": "Europe/Berlin"}
    assert client.put(path, flow(trigger=trigger)).status_code == 200
    schedule = schedule_of(client.platform, workflow_id)
    assert schedule is not None
    assert schedule["ScheduleExpression"] == "cron(30 8 ? * 2-6 *)"
    assert schedule["ScheduleExpressionTimezone"] == "Europe/Berlin"
    client.put(path, flow(trigger=trigger, enabled=False))
    assert schedule_of(client.platform, workflow_id) is None
    client.put(path, flow(trigger=trigger))
    assert schedule_of(client.platform, workflow_id)
    client.delete(path)
    assert schedule_of(client.platform, workflow_id) is None
