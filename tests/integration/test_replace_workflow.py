"""PUT /api/workflows/{workflowId}."""

from typing import Any

import pytest

from tests.backend import Answer, Backend
from tests.fakes.telegram import TelegramServer
from tests.integration.flows import flow, step

SCHEDULE = {"type": "schedule", "expression": "rate(5 minutes)"}


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    hook = {"url": "https://example.com/hooks/orders"}
    bot = {"botToken": telegram.token}
    backend.begin_with(("telegram", bot, "default"), ("webhook", hook, "default"))


def replace(backend: Backend, made: Any, definition: Any, **more: Any) -> Answer:
    return backend.call("PUT", f"/api/workflows/{made['workflowId']}", definition, **more)


def plain(**changes: Any) -> dict[str, Any]:
    return flow(steps=[step(params={"chatId": 42, "text": "x"})], **changes)


def test_the_whole_definition_is_replaced(backend: Backend) -> None:
    made = backend.create_workflow(flow())
    answer = replace(backend, made, flow(name="Orders II", steps=[step(id="other")]))
    assert answer.status == 200
    assert (answer.json["name"], answer.json["version"]) == ("Orders II", 2)
    assert [each["id"] for each in answer.json["steps"]] == ["other"]
    assert answer.json["createdAt"] == made["createdAt"]
    assert answer.json["updatedAt"] >= made["updatedAt"]


def test_a_mistake_leaves_the_old_definition_in_its_place(backend: Backend) -> None:
    made = backend.create_workflow(flow())
    answer = replace(backend, made, flow(steps=[step(action="telegram.no")]))
    assert (answer.status, answer.code) == (422, "invalid_workflow")
    assert backend.call("GET", f"/api/workflows/{made['workflowId']}").json == made


def test_a_workflow_is_switched_off_and_on(backend: Backend) -> None:
    made = backend.create_workflow(flow())
    assert replace(backend, made, flow(enabled=False)).json["enabled"] is False
    backend.deliver("orders", {"id": 1})
    backend.drain()
    assert backend.executions() == []
    assert replace(backend, made, flow(enabled=True)).json["enabled"] is True
    backend.deliver("orders", {"id": 2})
    backend.drain()
    assert len(backend.executions()) == 1


def test_a_schedule_goes_when_the_trigger_changes(backend: Backend) -> None:
    made = backend.create_workflow(plain(trigger=SCHEDULE))
    assert len(backend.aws.schedules()) == 1
    replace(backend, made, plain(trigger={"type": "manual"}))
    assert backend.aws.schedules() == []


def test_a_switched_off_schedule_is_removed_and_set_again(backend: Backend) -> None:
    made = backend.create_workflow(plain(trigger=SCHEDULE))
    replace(backend, made, plain(trigger=SCHEDULE, enabled=False))
    assert backend.aws.schedules() == []
    later = SCHEDULE | {"expression": "rate(7 minutes)"}
    replace(backend, made, plain(trigger=later))
    assert [each["ScheduleExpression"] for each in backend.aws.schedules()] == ["rate(7 minutes)"]


def test_a_bots_webhook_follows_what_its_workflows_need(
    backend: Backend, telegram: TelegramServer
) -> None:
    made = backend.create_workflow(flow(trigger={"type": "telegram.message"}))
    replace(backend, made, flow(trigger={"type": "telegram.callback_query"}))
    assert telegram.webhooks[telegram.token]["allowed_updates"] == ["callback_query"]
    replace(backend, made, plain(trigger={"type": "manual"}))
    assert not telegram.webhooks


def test_another_tenants_workflow_is_not_found(backend: Backend) -> None:
    made = backend.create_workflow(flow())
    answer = replace(backend, made, flow(), tenant="other")
    assert (answer.status, answer.code) == (404, "unknown_workflow")
    assert backend.call("GET", f"/api/workflows/{made['workflowId']}").json["version"] == 1


def test_an_unknown_workflow_is_not_made_by_replacing_it(backend: Backend) -> None:
    answer = backend.call("PUT", "/api/workflows/wf_mine", flow())
    assert (answer.status, answer.code) == (404, "unknown_workflow")
    assert backend.aws.rows("WorkflowsTable") == []


def test_who_comes_second_is_told(backend: Backend) -> None:
    made = backend.create_workflow(flow())
    table = backend.aws.names["WorkflowsTable"]
    backend.aws.fail("PutItem", "ConditionalCheckFailedException", status=400, where=table)
    answer = replace(backend, made, flow())
    assert (answer.status, answer.code) == (409, "version_conflict")


def test_what_was_answered_can_be_sent_back_changed(backend: Backend) -> None:
    made = backend.create_workflow(flow())
    path = f"/api/workflows/{made['workflowId']}"
    answer = backend.call("PUT", path, made | {"enabled": False})
    assert answer.status == 200
    assert (answer.json["enabled"], answer.json["version"]) == (False, 2)
    outdated = backend.call("PUT", path, made | {"name": "Too late"})
    assert (outdated.status, outdated.code) == (409, "version_conflict")
    assert backend.call("GET", path).json["name"] == made["name"]
