"""PUT /api/workflows/{workflowId}."""

from collections.abc import Callable
from typing import Any

import pytest

from integrations.entry import wiring
from integrations.storage.aws import AwsUnavailable
from integrations.storage.schedules import Schedules
from integrations.storage.workflows import Workflows
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


def expressions(backend: Backend) -> list[str]:
    return [each["ScheduleExpression"] for each in backend.aws.schedules()]


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, method: str, do: Callable[[], Any], *, table: type = Workflows
) -> None:
    """Have something done once, just before a method of a table's is called."""
    original, left = getattr(table, method), [do]

    def first(*given: Any, **more: Any) -> Any:
        if left:
            left.pop()()
        return original(*given, **more)

    monkeypatch.setattr(table, method, first)


@pytest.mark.parametrize("trigger", [SCHEDULE, {"type": "manual"}], ids=["scheduled", "manual"])
def test_who_is_refused_leaves_the_schedule_of_who_was_not(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, trigger: dict[str, Any]
) -> None:
    made = backend.create_workflow(plain(trigger=trigger))
    kept = SCHEDULE | {"expression": "cron(0 9 * * ? *)"}

    def another() -> None:
        assert replace(backend, made, plain(trigger=kept)).status == 200

    meanwhile(monkeypatch, "put", another, table=Schedules)
    refused = replace(backend, made, plain(trigger=SCHEDULE | {"expression": "rate(1 minute)"}))
    assert (refused.status, refused.code) == (409, "version_conflict")
    assert expressions(backend) == ["cron(0 9 * * ? *)"]


@pytest.mark.parametrize(("table", "method"), [(Workflows, "save"), (Schedules, "put")])
@pytest.mark.parametrize("enabled", [True, False], ids=["scheduled", "switched off"])
def test_what_is_not_saved_leaves_the_schedule_as_it_was(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, table: type, method: str, *, enabled: bool
) -> None:
    made = backend.create_workflow(plain(trigger=SCHEDULE, enabled=enabled))

    def fails() -> None:
        if table is Schedules:  # it is put, and the answer is lost
            wiring.schedules().put("acme", made["workflowId"], "rate(1 minute)", "UTC")
        raise AwsUnavailable("Put", "ServiceUnavailable", "busy")

    meanwhile(monkeypatch, method, fails, table=table)
    later = SCHEDULE | {"expression": "rate(1 minute)"}
    assert replace(backend, made, plain(trigger=later)).status == 503
    assert expressions(backend) == ["rate(5 minutes)"][:enabled]


def test_who_switches_a_schedule_off_slowly_takes_nothing_from_who_switches_it_on_again(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backend.create_workflow(plain(trigger=SCHEDULE))

    def another() -> None:
        assert replace(backend, made, plain(trigger=SCHEDULE)).status == 200

    meanwhile(monkeypatch, "delete", another, table=Schedules)
    assert replace(backend, made, plain(trigger=SCHEDULE, enabled=False)).status == 200
    assert backend.call("GET", f"/api/workflows/{made['workflowId']}").json["enabled"]
    assert expressions(backend) == ["rate(5 minutes)"]


def test_who_switches_a_schedule_on_has_it_although_somebody_removes_the_last_one_late(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backend.create_workflow(plain(trigger=SCHEDULE, enabled=False))
    workflow_id = made["workflowId"]
    # Just before it is written, and so with nothing to read that would speak against it.
    meanwhile(monkeypatch, "save", lambda: wiring.schedules().delete("acme", workflow_id))
    assert replace(backend, made, plain(trigger=SCHEDULE)).status == 200
    assert expressions(backend) == ["rate(5 minutes)"]


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
