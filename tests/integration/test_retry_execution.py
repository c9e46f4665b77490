"""POST /api/executions/{executionId}/retry."""

from collections.abc import Callable

import pytest

from integrations.entry import wiring
from integrations.services.lineage import MAX_HOPS
from tests.backend import Answer, Backend
from tests.fakes.telegram import TelegramServer
from tests.integration.flows import flow, heads, say, started, step, texts
from tests.integration.logged import post


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    backend.begin_with(("telegram", {"botToken": telegram.token}, "default"))


def retry(backend: Backend, execution_id: str, tenant: str = "acme") -> Answer:
    return backend.call("POST", f"/api/executions/{execution_id}/retry", tenant=tenant)


def failed(backend: Backend, telegram: TelegramServer) -> str:
    """An execution whose second step failed."""
    telegram.refusing[7] = (403, "Forbidden: bot was blocked by the user")
    execution_id = started(
        backend,
        say("1", id="a"),
        step(id="b", params={"chatId": 7, "text": "2"}),
        say("3", id="c"),
    )
    backend.drain()
    assert backend.execution(execution_id)["status"] == "failed"
    return execution_id


def test_it_goes_on_from_the_step_that_stopped_it(
    backend: Backend, telegram: TelegramServer
) -> None:
    execution_id = failed(backend, telegram)
    telegram.refusing.clear()
    answer = retry(backend, execution_id)
    assert (answer.status, answer.json["status"]) == (200, "queued")
    assert answer.json["retryCount"] == 1
    backend.drain()
    execution = backend.execution(execution_id)
    assert execution["status"] == "succeeded"
    assert texts(telegram) == ["1", "2", "2", "3"]


def test_it_follows_the_workflow_as_it_is_now(backend: Backend, telegram: TelegramServer) -> None:
    execution_id = failed(backend, telegram)
    workflow_id = backend.execution(execution_id)["workflowId"]
    mended = flow(
        trigger={"type": "manual"},
        steps=[say("1", id="a"), say("2 mended", id="b"), say("3", id="c")],
    )
    assert backend.call("PUT", f"/api/workflows/{workflow_id}", mended).status == 200
    retry(backend, execution_id)
    backend.drain()
    assert backend.execution(execution_id)["status"] == "succeeded"
    assert texts(telegram)[-2:] == ["2 mended", "3"]


def test_what_has_not_failed_cannot_be_retried(backend: Backend) -> None:
    execution_id = started(backend, say("1"))
    assert (retry(backend, execution_id).status, retry(backend, execution_id).code) == (
        409,
        "conflict",
    )
    backend.drain()
    assert retry(backend, execution_id).status == 409


def test_a_cancelled_execution_can_be_taken_up_again(
    backend: Backend, telegram: TelegramServer
) -> None:
    execution_id = started(backend, say("1"))
    backend.call("POST", f"/api/executions/{execution_id}/cancel")
    assert retry(backend, execution_id).status == 200
    backend.drain()
    assert backend.execution(execution_id)["status"] == "succeeded"
    assert texts(telegram) == ["1"]


def test_of_two_retries_one_is_told_that_it_came_late(
    backend: Backend, telegram: TelegramServer
) -> None:
    execution_id = failed(backend, telegram)
    assert retry(backend, execution_id).status == 200
    assert retry(backend, execution_id).status == 409


def test_a_workflow_that_is_gone_cannot_be_followed(
    backend: Backend, telegram: TelegramServer
) -> None:
    execution_id = failed(backend, telegram)
    workflow_id = backend.execution(execution_id)["workflowId"]
    backend.call("DELETE", f"/api/workflows/{workflow_id}")
    answer = retry(backend, execution_id)
    assert (answer.status, answer.code) == (404, "unknown_workflow")
    assert backend.execution(execution_id)["status"] == "failed"


def test_a_queue_that_does_not_answer_leaves_it_to_the_recovery(
    backend: Backend, telegram: TelegramServer
) -> None:
    execution_id = failed(backend, telegram)
    backend.aws.fail("SendMessage", "ServiceUnavailable", status=503)
    assert retry(backend, execution_id).status == 503
    backend.aws.recover()
    (row,) = heads(backend)
    assert row["executionId"] == execution_id
    assert row["dueAt"]


def test_another_tenants_execution_is_not_found(backend: Backend, telegram: TelegramServer) -> None:
    execution_id = failed(backend, telegram)
    answer = retry(backend, execution_id, "other")
    assert (answer.status, answer.code) == (404, "unknown_execution")
    assert backend.execution(execution_id)["status"] == "failed"


def unfiltered(backend: Backend) -> str:
    """The execution of an event whose workflow's filter does not evaluate."""
    backend.save("webhook", {"url": "https://example.com/hooks/orders"})
    trigger = {"type": "webhook", "webhookId": "orders", "filter": "trigger.body.user.is_admin"}
    backend.create_workflow(flow(trigger=trigger, steps=[say("Welcome")]))
    post(backend)
    (execution,) = backend.executions()
    return str(execution["executionId"])


def circling(backend: Backend) -> str:
    """The execution of a workflow that has led to itself too often."""
    made = backend.create_workflow(flow(trigger={"type": "manual"}, steps=[say("Welcome")]))
    hops = {"Integrations-Hops": wiring.lineage().header(MAX_HOPS + 1, "step_1")}
    path = f"/api/workflows/{made['workflowId']}/run"
    return str(backend.call("POST", path, {}, headers=hops).json["executionId"])


@pytest.mark.parametrize("route", ["retry", "rerun"])
@pytest.mark.parametrize(
    ("kept_out", "why"),
    [(unfiltered, "its trigger did not evaluate"), (circling, "triggers itself")],
    ids=["filter", "circle"],
)
def test_what_its_trigger_has_not_let_in_runs_no_step(
    backend: Backend,
    telegram: TelegramServer,
    route: str,
    kept_out: Callable[[Backend], str],
    why: str,
) -> None:
    execution_id = kept_out(backend)
    assert backend.execution(execution_id)["status"] == "failed"
    answer = backend.call("POST", f"/api/executions/{execution_id}/{route}")
    assert (answer.status, answer.code) == (409, "never_began")
    assert why in answer.json["detail"]
    backend.drain()
    assert texts(telegram) == []
