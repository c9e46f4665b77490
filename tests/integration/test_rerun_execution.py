"""POST /api/executions/{executionId}/rerun."""

from typing import Any

import pytest

from tests.backend import Answer, Backend
from tests.fakes.telegram import TelegramServer
from tests.integration.flows import say, started, texts


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    backend.begin_with(("telegram", {"botToken": telegram.token}, "default"))


def rerun(backend: Backend, execution_id: str, **more: Any) -> Answer:
    return backend.call("POST", f"/api/executions/{execution_id}/rerun", **more)


@pytest.mark.parametrize("note", ["small", "n" * 50_000], ids=["small", "large"])
def test_it_runs_from_the_start_for_the_same_trigger_and_names_the_old_one(
    backend: Backend, telegram: TelegramServer, note: str
) -> None:
    given = {"n": 1, "note": note}
    execution_id = started(backend, say("{{ trigger.n }}", id="a"), say("b", id="b"), given=given)
    backend.drain()
    answer = rerun(backend, execution_id)
    assert (answer.status, answer.json["status"]) == (200, "queued")
    assert answer.json["rerunOf"] == execution_id
    backend.drain()
    again = backend.execution(answer.json["executionId"])
    assert again["status"] == "succeeded"
    assert again["executionId"] != execution_id
    assert again["trigger"] == backend.execution(execution_id)["trigger"]
    assert texts(telegram) == ["1", "b", "1", "b"]


def test_each_call_is_another_run_but_not_with_the_same_key(backend: Backend) -> None:
    execution_id = started(backend, say("1"))
    backend.drain()
    keys = [{}, {}, {"Idempotency-Key": "k"}, {"Idempotency-Key": "k"}]
    ids = [rerun(backend, execution_id, headers=key).json["executionId"] for key in keys]
    assert len(set(ids)) == 3
    assert ids[2] == ids[3]


def test_the_workflow_is_the_one_of_today(backend: Backend, telegram: TelegramServer) -> None:
    execution_id = started(backend, say("old"))
    backend.drain()
    workflow_id = backend.execution(execution_id)["workflowId"]
    path = f"/api/workflows/{workflow_id}"
    definition = backend.call("GET", path).json
    definition["steps"][0]["params"]["text"] = "new"
    assert backend.call("PUT", path, definition).status == 200
    rerun(backend, execution_id)
    backend.drain()
    assert texts(telegram) == ["old", "new"]


def test_what_is_not_there_is_not_run_again(backend: Backend) -> None:
    execution_id = started(backend, say("1"))
    backend.drain()
    foreign = rerun(backend, execution_id, tenant="other")
    assert (foreign.status, foreign.code) == (404, "unknown_execution")
    workflow_id = backend.execution(execution_id)["workflowId"]
    backend.call("DELETE", f"/api/workflows/{workflow_id}")
    gone = rerun(backend, execution_id)
    assert (gone.status, gone.code) == (404, "unknown_workflow")
    assert backend.aws.sent("ExecutionsQueue") == []


def test_without_the_right_to_write_nothing_runs(backend: Backend) -> None:
    execution_id = started(backend, say("1"))
    assert rerun(backend, execution_id, scopes="read").status == 403
