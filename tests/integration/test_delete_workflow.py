"""DELETE /api/workflows/{workflowId}."""

import pytest

from integrations.entry import wiring
from tests.backend import Answer, Backend
from tests.fakes.telegram import TelegramServer, bad_gateway, too_many
from tests.integration.checks import check, minute_later
from tests.integration.flows import flow, step


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    hook = {"url": "https://example.com/hooks/orders"}
    bot = {"botToken": telegram.token}
    backend.begin_with(("telegram", bot, "default"), ("webhook", hook, "default"))


def delete(backend: Backend, workflow_id: str, tenant: str = "acme") -> Answer:
    return backend.call("DELETE", f"/api/workflows/{workflow_id}", tenant=tenant)


def test_a_deleted_workflow_is_gone_and_its_executions_stay(backend: Backend) -> None:
    made = backend.create_workflow(flow())
    backend.deliver("orders", {"id": 1})
    backend.drain()
    assert delete(backend, made["workflowId"]).json == {"deleted": True}
    assert backend.call("GET", f"/api/workflows/{made['workflowId']}").status == 404
    (execution,) = backend.executions()
    assert execution["status"] == "succeeded"
    backend.deliver("orders", {"id": 2})
    backend.drain()
    assert len(backend.executions()) == 1


def test_its_schedule_goes_with_it(backend: Backend) -> None:
    trigger = {"type": "schedule", "expression": "rate(5 minutes)"}
    steps = [step(params={"chatId": 42, "text": "x"})]
    made = backend.create_workflow(flow(trigger=trigger, steps=steps))
    delete(backend, made["workflowId"])
    assert backend.aws.schedules() == []


def test_a_process_that_dies_between_leaves_what_can_be_removed_again(backend: Backend) -> None:
    trigger = {"type": "schedule", "expression": "rate(5 minutes)"}
    steps = [step(params={"chatId": 42, "text": "x"})]
    made = backend.create_workflow(flow(trigger=trigger, steps=steps))
    backend.aws.fail("DeleteItem", "InternalServerError")
    assert delete(backend, made["workflowId"]).status == 503
    backend.aws.recover()
    assert backend.aws.schedules() == []
    assert delete(backend, made["workflowId"]).json == {"deleted": True}


def test_a_schedule_that_an_earlier_definition_left_behind_goes_too(backend: Backend) -> None:
    made = backend.create_workflow(flow(trigger={"type": "manual"}))
    wiring.schedules().put("acme", made["workflowId"], "rate(5 minutes)", "UTC")
    delete(backend, made["workflowId"])
    assert backend.aws.schedules() == []


def test_a_bots_webhook_goes_with_the_last_workflow_that_needs_it(
    backend: Backend, telegram: TelegramServer
) -> None:
    trigger = {"type": "telegram.message"}
    one, other = (backend.create_workflow(flow(trigger=trigger)) for _ in range(2))
    delete(backend, one["workflowId"])
    assert telegram.webhooks
    delete(backend, other["workflowId"])
    assert not telegram.webhooks


def test_a_provider_that_is_down_does_not_keep_a_workflow(
    backend: Backend, telegram: TelegramServer
) -> None:
    made = backend.create_workflow(flow(trigger={"type": "telegram.message"}))
    telegram.fail(*[bad_gateway()] * 3)
    assert delete(backend, made["workflowId"]).status == 200
    assert backend.aws.rows("WorkflowsTable") == []


def test_deleting_in_a_row_leaves_nothing_registered(
    backend: Backend, telegram: TelegramServer
) -> None:
    kinds = ["message", "callback_query", "poll_answer"]
    made = [backend.create_workflow(flow(trigger={"type": f"telegram.{kind}"})) for kind in kinds]
    assert telegram.webhooks
    telegram.fail(too_many(30), method="setWebhook")
    telegram.fail(too_many(30), method="deleteWebhook")
    for each in made:
        assert delete(backend, each["workflowId"]).status == 200
    assert telegram.webhooks
    minute_later(backend)
    assert check(backend) == {"connected": 1}
    assert not telegram.webhooks


def test_another_tenants_workflow_stays(backend: Backend) -> None:
    made = backend.create_workflow(flow())
    answer = delete(backend, made["workflowId"], "other")
    assert (answer.status, answer.code) == (404, "unknown_workflow")
    assert delete(backend, made["workflowId"]).status == 200
    assert delete(backend, made["workflowId"]).status == 404
