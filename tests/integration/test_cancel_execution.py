"""POST /api/executions/{executionId}/cancel."""

import pytest

from tests.backend import Answer, Backend
from tests.fakes.telegram import TelegramServer, too_many
from tests.integration.flows import say, started, texts


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    backend.begin_with(("telegram", {"botToken": telegram.token}, "default"))


def cancel(backend: Backend, execution_id: str, tenant: str = "acme") -> Answer:
    return backend.call("POST", f"/api/executions/{execution_id}/cancel", tenant=tenant)


def test_a_queued_execution_never_runs(backend: Backend, telegram: TelegramServer) -> None:
    execution_id = started(backend, say("1"))
    answer = cancel(backend, execution_id)
    assert (answer.status, answer.json["status"]) == (200, "cancelled")
    backend.drain()
    assert texts(telegram) == []
    assert backend.execution(execution_id)["finishedAt"]
    (row,) = backend.aws.rows("ExecutionsTable")
    assert "dueShard" not in row


def test_a_waiting_execution_waits_no_more(backend: Backend, telegram: TelegramServer) -> None:
    execution_id = started(backend, say("1"))
    telegram.fail(too_many(30))
    backend.run()
    assert cancel(backend, execution_id).json["status"] == "cancelled"
    backend.drain()
    (only,) = backend.execution(execution_id)["steps"]
    assert (only["status"], only["error"]["code"]) == ("failed", "cancelled")


def test_a_finished_execution_cannot_be_cancelled(backend: Backend) -> None:
    execution_id = started(backend, say("1"))
    backend.drain()
    answer = cancel(backend, execution_id)
    assert (answer.status, answer.code) == (409, "conflict")
    assert backend.execution(execution_id)["status"] == "succeeded"


def test_another_tenants_execution_goes_on(backend: Backend) -> None:
    execution_id = started(backend, say("1"))
    assert cancel(backend, execution_id, "other").code == "unknown_execution"
    backend.drain()
    assert backend.execution(execution_id)["status"] == "succeeded"
