"""The schedule that finds what a crash left behind."""

import time
from datetime import timedelta

import pytest

from integrations.models import now, rfc3339
from integrations.storage.aws import item
from tests.backend import Backend, LambdaContext, event
from tests.fakes.telegram import TelegramServer, too_many
from tests.integration.flows import Killed, heads, kill_after_the_effect, say, started, texts


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
    assert 1 <= recover(backend, seconds=9) <= 3


def due_now(backend: Backend, **changes: float) -> None:
    for row in heads(backend):
        past = {"dueAt": int(time.time()) - 1}
        backend.aws.put("ExecutionsTable", item(row | past | changes))


def dead_in_its_first_step(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> str:
    """An execution whose runner died a moment ago; its message is in flight for ten minutes."""
    execution_id = started(backend, say("1", id="a"), say("2", id="b"))
    kill_after_the_effect(monkeypatch)
    with pytest.raises(Killed):
        backend.run()
    return execution_id


def test_a_killed_runner_costs_a_minute(
    backend: Backend, telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = dead_in_its_first_step(backend, monkeypatch)
    (head,) = heads(backend)
    assert head["leaseUntil"] <= time.time() + 60
    assert head["dueAt"] <= time.time() + 61
    due_now(backend, leaseUntil=time.time() - 1)
    assert recover(backend) == 1
    backend.drain()
    execution = backend.execution(execution_id)
    assert (execution["status"], execution["error"]["code"]) == ("failed", "outcome_unknown")
    assert texts(telegram) == ["1"]


def test_while_a_runner_lives_its_execution_is_left_to_it(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead_in_its_first_step(backend, monkeypatch)
    until = time.time() + 40
    due_now(backend, leaseUntil=until)
    assert recover(backend) == 0
    (head,) = heads(backend)
    assert until <= head["dueAt"] + 1 <= until + 3, "it is looked at again when the lease is over"


def test_a_message_that_waits_its_turn_is_not_sent_each_minute(backend: Backend) -> None:
    started(backend, say("1"))
    due_now(backend)
    assert recover(backend) == 0
    (head,) = heads(backend)
    assert head["dueAt"] > time.time() + 500


def test_a_long_wait_is_ended_by_the_recovery_alone(
    backend: Backend, telegram: TelegramServer
) -> None:
    execution_id = started(backend, say("x"))
    telegram.fail(too_many(5000))
    backend.run()
    assert recover(backend) == 0
    assert backend.aws.sent("ExecutionsQueue") == []
    due_now(backend)
    assert recover(backend) == 1
    backend.run()
    assert backend.execution(execution_id)["status"] == "retrying", "its own time is not come yet"
