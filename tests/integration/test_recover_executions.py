"""The schedule that finds what a crash left behind."""

import time
from datetime import timedelta

import pytest

from integrations.models import now, rfc3339
from integrations.storage.aws import item
from tests.backend import Backend, LambdaContext, event
from tests.fakes.telegram import TelegramServer
from tests.integration.test_run_workflow import say, started, texts


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    backend.begin_with(("telegram", {"botToken": telegram.token}, "default"))


def recover(backend: Backend, seconds: float = 60) -> int:
    answer = backend.invoke(
        "recover_executions", event("recover_executions", "schedule"), LambdaContext(seconds)
    )
    return int(answer["sent"])


def overdue(backend: Backend) -> None:
    for row in backend.aws.rows("ExecutionsTable"):
        if "dueShard" in row:
            created = rfc3339(now() - timedelta(minutes=11))
            key = f"{created}#{row['executionId']}"
            past = {"dueAt": int(time.time()) - 1, "createdKey": key}
            backend.aws.put("ExecutionsTable", item(row | past))


def test_nothing_is_sent_while_everything_is_in_time(backend: Backend) -> None:
    started(backend, say("1"))
    backend.aws.take("ExecutionsQueue")
    assert recover(backend) == 0
    assert backend.aws.sent("ExecutionsQueue") == []


def test_a_lost_message_is_sent_again(backend: Backend, telegram: TelegramServer) -> None:
    execution_id = started(backend, say("1"))
    backend.aws.take("ExecutionsQueue")
    overdue(backend)
    assert recover(backend) == 1
    (sent,) = backend.aws.sent("ExecutionsQueue")
    assert sent.group == "acme"
    backend.drain()
    assert backend.execution(execution_id)["status"] == "succeeded"
    assert texts(telegram) == ["1"]


def test_a_finished_execution_is_left_alone(backend: Backend) -> None:
    started(backend, say("1"))
    backend.drain()
    overdue(backend)
    assert recover(backend) == 0


def test_every_tenants_executions_are_recovered(backend: Backend, telegram: TelegramServer) -> None:
    backend.save("telegram", {"botToken": telegram.token}, tenant="other")
    started(backend, say("1"))
    (row,) = backend.aws.rows("ExecutionsTable")
    for number in range(24):
        other = {"tenant": "other", "executionId": f"exe_{number}"}
        backend.aws.put("ExecutionsTable", item(row | other))
    backend.aws.take("ExecutionsQueue")
    overdue(backend)
    assert recover(backend) == 25
    tenants = [each.json()["tenant"] for each in backend.aws.sent("ExecutionsQueue")]
    assert sorted(set(tenants)) == ["acme", "other"]
    assert len(tenants) == 25


def test_a_recovery_without_time_sends_what_it_has(backend: Backend) -> None:
    for _ in range(3):
        started(backend, say("1"))
    backend.aws.take("ExecutionsQueue")
    overdue(backend)
    assert 1 <= recover(backend, seconds=1) <= 3
