"""The consumer of the executions queue."""

import json
import threading
import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from integrations.entry import wiring
from integrations.models import now
from integrations.services import runner
from integrations.services.runner import LEASE
from integrations.storage.aws import item
from integrations.storage.executions import StoredExecution
from integrations.workflows import engine
from tests.backend import Backend, LambdaContext, event
from tests.fakes.receiver import Receiver, Reply
from tests.fakes.smtp import MailServer
from tests.fakes.telegram import HANG_UP, TelegramServer, bad_gateway, slow, too_many
from tests.integration.flows import (
    Killed,
    expire_leases,
    heads,
    kill_after_the_effect,
    say,
    started,
    step,
    texts,
)

QUICK = {"maxAttempts": 3, "backoffSeconds": 0.1, "maxBackoffSeconds": 1}


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    backend.begin_with(("telegram", {"botToken": telegram.token}, "default"))


def message(execution_id: str, tenant: str = "acme") -> dict[str, str]:
    return {"tenant": tenant, "executionId": execution_id}


# -- Steps -----------------------------------------------------------------------------------


def test_steps_run_in_order_and_see_what_came_before(
    backend: Backend, telegram: TelegramServer
) -> None:
    execution_id = started(
        backend,
        say("one {{ trigger.name }}", id="first"),
        say("two after {{ steps.first.output.messageId }}", id="second"),
        given={"name": "Zoë 🙂"},
    )
    backend.drain()
    execution = backend.execution(execution_id)
    assert execution["status"] == "succeeded"
    assert texts(telegram) == ["one Zoë 🙂", "two after 1"]
    first = execution["steps"][0]
    assert first["input"] == {"chatId": 42, "text": "one Zoë 🙂"}
    assert first["output"]["messageId"] == 1
    assert first["attempts"] == 1
    assert first["durationMs"] >= 0
    (row,) = heads(backend)
    assert not {"dueShard", "dueAt", "leaseUntil"} & row.keys()


def test_a_condition_and_a_loop(backend: Backend, telegram: TelegramServer) -> None:
    execution_id = started(
        backend,
        say("never", id="a", when="trigger.items | length > 9"),
        say("{{ index }}: {{ item }}", id="b", forEach="trigger.items"),
        given={"items": ["x", "y", "z"]},
    )
    backend.drain()
    execution = backend.execution(execution_id)
    assert [each["status"] for each in execution["steps"]] == ["skipped", "succeeded"]
    assert texts(telegram) == ["0: x", "1: y", "2: z"]
    assert len(execution["steps"][1]["output"]) == 3


def test_a_step_that_fails_stops_the_run_unless_it_may_go_on(
    backend: Backend, telegram: TelegramServer
) -> None:
    telegram.refusing[7] = (403, "Forbidden: bot was blocked by the user")
    blocked = {"chatId": 7, "text": "x"}
    stopped = started(backend, step(id="a", params=blocked), say("2", id="b"))
    goes_on = started(backend, step(id="a", params=blocked, onError="continue"), say("3", id="b"))
    backend.drain()
    one, other = backend.execution(stopped), backend.execution(goes_on)
    assert (one["status"], one["error"]["step"]) == ("failed", "a")
    assert "blocked by the user" in one["error"]["message"]
    assert one["steps"][1]["status"] == "pending"
    assert other["status"] == "succeeded"
    assert [each["status"] for each in other["steps"]] == ["failed", "succeeded"]
    assert texts(telegram)[-1] == "3"


def test_parameters_that_do_not_fit_after_templating_are_named(backend: Backend) -> None:
    execution_id = started(
        backend,
        step(params={"chatId": "{{ trigger.chat }}", "text": "x"}),
        given={"chat": {"not": "a chat"}},
    )
    backend.drain()
    execution = backend.execution(execution_id)
    assert execution["error"]["code"] == "invalid_params"
    assert "chatId" in execution["error"]["message"]


# -- Waiting ---------------------------------------------------------------------------------


def test_a_retry_waits_in_the_queue_and_does_the_finished_steps_no_more(
    backend: Backend, receiver: Receiver
) -> None:
    backend.save(
        "webhook",
        {"url": "https://example.com/hooks/orders", "outboundUrl": receiver.url("/in")},
    )
    send = {"action": "webhook.send", "retry": QUICK}
    execution_id = started(
        backend,
        send | {"id": "a", "params": {"json": 1}},
        send | {"id": "b", "params": {"json": 2}},
    )
    receiver.reply(Reply(), Reply(503), Reply(503))
    assert backend.run() == []
    waiting = backend.execution(execution_id)
    assert waiting["status"] == "retrying"
    assert waiting["retryAt"]
    assert waiting["steps"][1]["error"]["code"] == "provider_unavailable"
    (delayed,) = backend.aws.sent("ExecutionsQueue")
    assert delayed.delay == 1
    backend.drain(pace=0.1)
    execution = backend.execution(execution_id)
    assert execution["status"] == "succeeded"
    assert [each["attempts"] for each in execution["steps"]] == [1, 3]
    assert [each.json() for each in receiver.received] == [1, 2, 2, 2]
    keys = [each.headers["webhook-id"] for each in receiver.received]
    assert len(set(keys[1:])) == 1, "each repetition carries the same id"


def test_after_its_attempts_a_step_fails_for_all_to_see(
    backend: Backend, receiver: Receiver
) -> None:
    backend.save(
        "webhook",
        {"url": "https://example.com/hooks/orders", "outboundUrl": receiver.url("/in")},
    )
    receiver.default = Reply(503)
    execution_id = started(
        backend, {"id": "a", "action": "webhook.send", "params": {"json": 1}, "retry": QUICK}
    )
    backend.drain(pace=0.1)
    execution = backend.execution(execution_id)
    assert execution["status"] == "failed"
    assert "3 attempts" in execution["error"]["message"]
    assert len(receiver.received) == 3


def test_patience_is_what_the_provider_asks_for(backend: Backend, telegram: TelegramServer) -> None:
    execution_id = started(backend, say("x"))
    telegram.fail(too_many(30))
    assert backend.run() == []
    assert backend.execution(execution_id)["status"] == "retrying"
    (delayed,) = backend.aws.sent("ExecutionsQueue")
    assert 29 <= delayed.delay <= 32


def test_a_wait_beyond_what_a_queue_delays_is_ended_by_the_recovery(
    backend: Backend, telegram: TelegramServer
) -> None:
    execution_id = started(backend, say("x"))
    telegram.fail(too_many(5000))
    backend.run()
    assert backend.aws.sent("ExecutionsQueue") == [], "waiting costs no invocation"
    (row,) = heads(backend)
    assert 4900 < row["dueAt"] - time.time() <= 5001
    asked = len(telegram.calls)
    assert backend.consume("run_workflow", [message(execution_id)]) == []
    assert len(telegram.calls) == asked, "it is not due yet"
    assert backend.execution(execution_id)["steps"][0]["attempts"] == 1
    assert backend.execution(execution_id)["retryAt"]


def test_a_paused_connection_makes_others_wait_without_an_attempt(
    backend: Backend, telegram: TelegramServer
) -> None:
    telegram.fail(too_many(30))
    started(backend, say("1"))
    second = started(backend, say("2"))
    backend.run()
    backend.run()
    execution = backend.execution(second)
    assert execution["status"] == "retrying"
    assert execution["steps"][0]["attempts"] == 0
    assert texts(telegram) == ["1"]


# -- One runner at a time --------------------------------------------------------------------


def test_the_same_message_twice_at_once_runs_each_step_once(
    backend: Backend, telegram: TelegramServer
) -> None:
    execution_id = started(backend, say("1", id="a"), say("2", id="b"))
    backend.aws.take("ExecutionsQueue")
    barrier = threading.Barrier(4)

    def one() -> None:
        barrier.wait()
        assert backend.consume("run_workflow", [message(execution_id)]) == []

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts(telegram) == ["1", "2"]
    assert backend.execution(execution_id)["status"] == "succeeded"


def test_a_leased_execution_is_looked_at_again_later(backend: Backend) -> None:
    execution_id = started(backend, say("1"))
    (row,) = heads(backend)
    leased = row | {"leaseUntil": time.time() + 100}
    backend.aws.put("ExecutionsTable", item(leased))
    assert backend.run() == []
    assert backend.execution(execution_id)["status"] == "queued"
    (delayed,) = backend.aws.sent("ExecutionsQueue")
    assert 95 <= delayed.delay <= 103


@pytest.mark.parametrize("times", [1, 3])
def test_a_message_about_a_finished_execution_is_done(
    backend: Backend, telegram: TelegramServer, times: int
) -> None:
    execution_id = started(backend, say("1"))
    backend.drain()
    for _ in range(times):
        assert backend.consume("run_workflow", [message(execution_id)]) == []
    assert texts(telegram) == ["1"]
    assert backend.aws.sent("ExecutionsQueue") == []


def test_a_message_about_an_unknown_execution_is_done(backend: Backend) -> None:
    assert backend.consume("run_workflow", [message("exe_unknown")]) == []
    assert backend.invoke("run_workflow", event("run_workflow", "sqs")) == {"batchItemFailures": []}
    execution_id = started(backend, say("1"))
    assert backend.consume("run_workflow", [message(execution_id, "other")]) == []
    assert backend.execution(execution_id)["status"] == "queued"


@pytest.mark.parametrize("poison", ["", "x", "[]", "{}", '{"tenant": "acme"}'])
def test_a_poisoned_message_fails_alone(backend: Backend, poison: str) -> None:
    execution_id = started(backend, say("1"))
    backend.aws.take("ExecutionsQueue")
    batch = [poison, message(execution_id)]
    assert backend.consume("run_workflow", batch) == ["message-0"]
    assert backend.execution(execution_id)["status"] == "succeeded"


def test_a_runner_without_time_leaves_it_to_another(
    backend: Backend, telegram: TelegramServer
) -> None:
    execution_id = started(backend, say("1"))
    assert backend.run(context=LambdaContext(seconds=20)) == []
    assert texts(telegram) == []
    (again,) = backend.aws.sent("ExecutionsQueue")
    assert (again.json(), again.delay) == (message(execution_id), 0)
    backend.drain()
    assert backend.execution(execution_id)["status"] == "succeeded"


def test_the_time_that_a_slow_table_takes_is_none_for_steps(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease, advance = wiring.executions().lease, engine.Machine.advance
    deadlines = []

    def slowly(stored: StoredExecution, until: datetime) -> StoredExecution:
        time.sleep(0.6)
        return lease(stored, until)

    def noted(machine: engine.Machine, **given: Any) -> Any:
        deadlines.append(given["deadline"])
        return advance(machine, **given)

    monkeypatch.setattr(wiring.executions(), "lease", slowly)
    monkeypatch.setattr(engine.Machine, "advance", noted)
    started(backend, say("1"))
    began = now()
    assert backend.run(context=LambdaContext(seconds=110)) == []
    (deadline,) = deadlines
    assert deadline - began < timedelta(seconds=110.3) - runner.STEP_RESERVE


# -- Death in between ------------------------------------------------------------------------


def test_a_step_that_may_have_been_done_is_not_done_again_blindly(
    backend: Backend, telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = started(backend, say("1", id="a"), say("2", id="b"))
    kill_after_the_effect(monkeypatch)
    sent = backend.aws.take("ExecutionsQueue")
    with pytest.raises(Killed):
        backend.consume("run_workflow", sent)
    expire_leases(backend)
    assert backend.consume("run_workflow", sent, receives=2) == []
    execution = backend.execution(execution_id)
    assert (execution["status"], execution["error"]["code"]) == ("failed", "outcome_unknown")
    assert texts(telegram) == ["1"]


def test_an_idempotent_step_is_done_again_with_the_same_key(
    backend: Backend, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.save(
        "webhook",
        {"url": "https://example.com/hooks/orders", "outboundUrl": receiver.url("/in")},
    )
    execution_id = started(
        backend, {"id": "a", "action": "webhook.send", "params": {"json": 1}}, say("done", id="b")
    )
    kill_after_the_effect(monkeypatch)
    sent = backend.aws.take("ExecutionsQueue")
    with pytest.raises(Killed):
        backend.consume("run_workflow", sent)
    expire_leases(backend)
    assert backend.consume("run_workflow", sent, receives=2) == []
    assert backend.execution(execution_id)["status"] == "succeeded"
    assert list(receiver.deliveries().values()) == [2]


def test_while_the_dead_runners_lease_lasts_nobody_takes_over(
    backend: Backend, telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = started(backend, say("1"))
    kill_after_the_effect(monkeypatch)
    sent = backend.aws.take("ExecutionsQueue")
    with pytest.raises(Killed):
        backend.consume("run_workflow", sent)
    assert backend.consume("run_workflow", sent, receives=2) == []
    assert backend.execution(execution_id)["status"] == "running"
    (later,) = backend.aws.sent("ExecutionsQueue")
    assert LEASE / 2 < timedelta(seconds=later.delay) <= LEASE + timedelta(seconds=2)


def test_a_step_that_takes_long_keeps_its_lease(
    backend: Backend, telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "SIGN_OF_LIFE", 0.05)
    renewed = []
    renew = wiring.executions().renew

    def noted(written: StoredExecution, until: datetime) -> None:
        renew(written, until)
        renewed.append(written.revision)

    monkeypatch.setattr(wiring.executions(), "renew", noted)
    execution_id = started(backend, say("1", id="a"), say("2", id="b"))
    telegram.fail(slow(0.3), slow(0.3))
    assert backend.run() == []
    assert set(renewed) == {1, 2}, "the lease of each of the two steps"
    assert backend.execution(execution_id)["status"] == "succeeded"


def test_no_renewal_is_still_under_way_when_the_run_is_over(
    backend: Backend, telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "SIGN_OF_LIFE", 0.05)
    under_way = threading.Event()
    ended = threading.Event()

    def lasting(written: StoredExecution, until: datetime) -> None:
        under_way.set()
        time.sleep(0.6)
        ended.set()

    monkeypatch.setattr(wiring.executions(), "renew", lasting)
    started(backend, say("1"))
    telegram.fail(slow(0.3))
    assert backend.run() == []
    assert under_way.is_set()
    assert ended.is_set()


def test_what_was_given_back_gets_no_lease_any_more(
    backend: Backend, telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "SIGN_OF_LIFE", 0.05)
    monkeypatch.setattr(wiring.runner(), "_observe", lambda *_, **__: time.sleep(0.2))
    started(backend, say("1"))
    telegram.fail(bad_gateway())
    assert backend.run() == []
    (row,) = heads(backend)
    assert (row["status"], row.get("leaseUntil")) == ("retrying", None)


def test_a_checkpoint_that_cannot_be_written_is_no_finished_step(
    backend: Backend, telegram: TelegramServer
) -> None:
    execution_id = started(backend, say("1", id="a"), say("2", id="b"))
    sent = backend.aws.take("ExecutionsQueue")
    backend.aws.fail("UpdateItem", "InternalServerError", where='":was":{"N":"1"}')
    assert backend.consume("run_workflow", sent) == [sent[0].id]
    backend.aws.recover()
    assert texts(telegram) == ["1"]
    expire_leases(backend)
    assert backend.consume("run_workflow", sent, receives=2) == []
    assert backend.execution(execution_id)["error"]["code"] == "outcome_unknown"


def test_a_table_that_does_not_answer_at_first_costs_nothing(
    backend: Backend, telegram: TelegramServer
) -> None:
    execution_id = started(backend, say("1"))
    sent = backend.aws.take("ExecutionsQueue")
    backend.aws.fail("GetItem", "InternalServerError")
    assert backend.consume("run_workflow", sent) == [sent[0].id]
    backend.aws.recover()
    assert backend.consume("run_workflow", sent, receives=2) == []
    assert backend.execution(execution_id)["status"] == "succeeded"
    assert texts(telegram) == ["1"]


# -- Changes in between ----------------------------------------------------------------------


class _Meanwhile:
    """Does something while the bot is being asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, telegram: TelegramServer) -> None:
        self._answer = telegram.answer
        self._do: Any = None
        monkeypatch.setattr(telegram, "answer", self._answering)

    def __call__(self, do: Any) -> None:
        self._do = do

    def _answering(self, call: Any) -> Any:
        do, self._do = self._do, None
        if do and call.method == "sendMessage":
            do()
        return self._answer(call)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch, telegram: TelegramServer) -> _Meanwhile:
    return _Meanwhile(monkeypatch, telegram)


def test_a_cancel_during_the_run_stops_it_before_the_next_step(
    backend: Backend, telegram: TelegramServer, meanwhile: _Meanwhile
) -> None:
    execution_id = started(backend, say("1", id="a"), say("2", id="b"))
    meanwhile(lambda: backend.call("POST", f"/api/executions/{execution_id}/cancel"))
    assert backend.run() == []
    backend.drain()
    execution = backend.execution(execution_id)
    assert execution["status"] == "cancelled"
    assert texts(telegram) == ["1"]


def test_a_workflow_that_is_deleted_before_the_run_fails_it_visibly(
    backend: Backend, telegram: TelegramServer
) -> None:
    execution_id = started(backend, say("1"))
    workflow_id = backend.execution(execution_id)["workflowId"]
    backend.call("DELETE", f"/api/workflows/{workflow_id}")
    backend.drain()
    execution = backend.execution(execution_id)
    assert (execution["status"], texts(telegram)) == ("failed", [])
    assert "deleted" in execution["error"]["message"]
    (row,) = heads(backend)
    assert "dueShard" not in row


def test_a_workflow_that_is_deleted_during_the_run_ends_the_run_it_has(
    backend: Backend, telegram: TelegramServer, meanwhile: _Meanwhile
) -> None:
    execution_id = started(backend, say("1", id="a"), say("2", id="b"))
    workflow_id = backend.execution(execution_id)["workflowId"]
    meanwhile(lambda: backend.call("DELETE", f"/api/workflows/{workflow_id}"))
    backend.drain()
    assert backend.execution(execution_id)["status"] == "succeeded"


def test_a_connection_that_was_removed_fails_the_step(
    backend: Backend, telegram: TelegramServer
) -> None:
    execution_id = started(backend, say("1"))
    (row,) = backend.aws.rows("ConnectionsTable")
    key = {name: {"S": row[name]} for name in ("tenant", "connection")}
    table = backend.aws.names["ConnectionsTable"]
    backend.aws.client.dynamodb("DeleteItem", {"TableName": table, "Key": key})
    backend.drain()
    assert backend.execution(execution_id)["error"]["code"] == "unknown_connection"


# -- What an output may be -------------------------------------------------------------------


def test_a_large_output_is_cut_with_a_mark(backend: Backend, receiver: Receiver) -> None:
    backend.save(
        "webhook",
        {"url": "https://example.com/hooks/orders", "outboundUrl": receiver.url("/in")},
    )
    receiver.default = Reply(200, json.dumps({"x": "y" * 60_000}).encode())
    execution_id = started(backend, {"id": "a", "action": "webhook.send", "params": {"json": 1}})
    backend.drain()
    execution = backend.execution(execution_id)
    assert execution["status"] == "succeeded"
    assert execution["steps"][0]["output"]["truncated"] is True


def test_a_workflow_of_many_loud_steps_fits_its_row(backend: Backend, receiver: Receiver) -> None:
    backend.save(
        "webhook",
        {"url": "https://example.com/hooks/orders", "outboundUrl": receiver.url("/in")},
    )
    receiver.default = Reply(200, json.dumps({"x": "ß" * 10_000}).encode())
    steps = [
        {"id": f"s{number}", "action": "webhook.send", "params": {"json": "{{ trigger.note }}"}}
        for number in range(40)
    ]
    execution_id = started(backend, *steps, given={"note": "ö" * 8_000})
    backend.drain()
    assert backend.execution(execution_id)["status"] == "succeeded"
    sizes = [
        sum(len(str(value).encode()) for value in row.values())
        for row in backend.aws.rows("ExecutionsTable")
    ]
    assert max(sizes) < 400 * 1024


def test_a_provider_that_hangs_up_is_not_repeated_blindly(
    backend: Backend, telegram: TelegramServer
) -> None:
    execution_id = started(backend, say("1"))
    telegram.fail(HANG_UP, method="sendMessage")
    backend.drain(pace=0.1)
    execution = backend.execution(execution_id)
    assert (execution["status"], execution["error"]["code"]) == ("failed", "outcome_unknown")


def test_a_defect_of_ours_is_a_failed_step_and_a_log_line(
    backend: Backend, logs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = started(backend, say("1"))

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("the-words-of-a-defect")

    monkeypatch.setattr(wiring.vault(), "use", broken)
    backend.drain()
    execution = backend.execution(execution_id)
    assert execution["error"]["code"] == "internal_error"
    assert "the-words-of-a-defect" not in json.dumps(execution)


# -- Mail ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "given", "reached"),
    [
        ("{{ trigger.to }}", "ann@example.com, eve@example.com, bob@example.com", []),
        ("{{ trigger.to }}", ["ann@example.com", "bob@example.com"], ["ann", "bob"]),
        ("{{ trigger.to }}", ["ann@example.com, eve@example.com"], []),
        ("{{ trigger.to }}, boss@example.com", "ann@example.com", ["ann", "boss"]),
        ("{{ trigger.to }}, boss@example.com", "ann@example.com,eve@example.com", []),
        (["{{ trigger.to }}", "boss@example.com"], "ann@example.com", ["ann", "boss"]),
        ("ann@example.com, bob@example.com", None, ["ann", "bob"]),
    ],
)
def test_what_a_template_puts_in_is_one_mailbox(
    backend: Backend, to: Any, given: Any, reached: list[str]
) -> None:
    with MailServer() as server:
        backend.aws.set_secret(
            smtpHost="127.0.0.1",
            smtpPort=str(server.port),
            smtpFrom="shop@example.com",
            smtpSecure="none",
        )
        mail = {"id": "mail", "action": "email.sendEmail", "params": {"to": to, "text": "Hello"}}
        execution_id = started(backend, mail, given={"to": given})
        backend.drain()
        execution = backend.execution(execution_id)
        if reached:
            assert execution["status"] == "succeeded"
            (sent,) = server.mails
            assert [each.partition("@")[0] for each in sent.recipients] == reached
        else:
            assert execution["error"]["code"] == "invalid_params"
            assert "one e-mail address" in execution["error"]["message"]
            assert server.mails == []


def test_the_mails_of_a_loop_go_by_one_conversation(backend: Backend) -> None:
    users = {"shop@example.com": "pass-of-the-shop"}
    with MailServer(users=users) as server:
        backend.aws.set_secret(
            smtpHost="127.0.0.1",
            smtpPort=str(server.port),
            smtpFrom="shop@example.com",
            smtpUser="shop@example.com",
            smtpPass="pass-of-the-shop",
            smtpSecure="none",
        )
        mail = {"id": "mail", "action": "email.sendEmail", "forEach": "trigger.people"}
        mail |= {"params": {"to": "{{ item }}@example.com", "text": "Hello"}}
        execution_id = started(backend, mail, given={"people": ["ann", "ben", "cleo"]})
        backend.drain()
        assert backend.execution(execution_id)["status"] == "succeeded"
        assert [each.recipients for each in server.mails] == [
            [f"{name}@example.com"] for name in ("ann", "ben", "cleo")
        ]
        assert len(server.attempts) == 1


# -- Secrets ---------------------------------------------------------------------------------

KEY = "sk_live_51H8xQ2eZvKYlo2C"


def test_a_named_secret_is_sent_and_seen_nowhere(backend: Backend) -> None:
    backend.secrets.add(KEY)
    assert backend.call("PUT", "/api/secrets/SHOP_KEY", {"value": KEY}).status == 200
    backend.save("webhook", {"url": "https://example.com/hooks/orders"})
    with Receiver() as receiver:
        receiver.reply(Reply(body=json.dumps({"you sent": f"Bearer {KEY}"}).encode()))
        receiver.reply(Reply(400, body=f"The key {KEY} is no good".encode()))
        params = {
            "url": receiver.url(),
            "headers": {"Authorization": "Bearer {{ secrets.SHOP_KEY }}", "X-Order": "42"},
            "json": {"key": "{{ secrets.SHOP_KEY }}", "order": 42},
        }
        one = {"id": "one", "action": "webhook.send", "params": params}
        text = "{{ steps.one.output.body['you sent'] }}"
        two = {**one, "id": "two", "params": {**params, "json": {"seen": text}}}
        execution_id = started(backend, one, two)
        backend.drain()
        assert [each.headers["authorization"] for each in receiver.received] == [
            f"Bearer {KEY}",
            f"Bearer {KEY}",
        ]
        assert json.loads(receiver.received[0].body) == {"key": KEY, "order": 42}
        assert json.loads(receiver.received[1].body) == {"seen": "…"}
    execution = backend.execution(execution_id)
    first, second = execution["steps"]
    assert first["input"]["headers"] == {"Authorization": "…", "X-Order": "42"}
    assert first["input"]["json"] == {"key": "{{ secrets.SHOP_KEY }}", "order": 42}
    assert first["output"]["body"] == {"you sent": "…"}
    assert second["status"] == "failed"
    assert "The key … is no good" in second["error"]["message"]
    assert KEY not in backend.aws.everything()


def test_a_secret_that_is_not_there_fails_the_step(backend: Backend) -> None:
    backend.save("webhook", {"url": "https://example.com/hooks/orders"})
    params = {"url": "http://127.0.0.1:9/", "json": "{{ secrets.GONE }}"}
    assert backend.call("PUT", "/api/secrets/GONE", {"value": KEY}).status == 200
    execution_id = started(backend, {"id": "a", "action": "webhook.send", "params": params})
    assert backend.call("DELETE", "/api/secrets/GONE").status == 200
    backend.drain()
    error = backend.execution(execution_id)["error"]
    assert error["code"] == "unknown_secret"
    assert "GONE" in error["message"]


def test_a_header_that_a_step_writes_does_not_say_its_secret_in_what_is_stored(
    backend: Backend,
) -> None:
    backend.save("webhook", {"url": "https://example.com/hooks/orders"})
    names = ["Authorization", "x-api-key", "Cookie", "X-Auth-Token"]
    with Receiver() as receiver:
        params = {"url": receiver.url(), "headers": {**dict.fromkeys(names, KEY), "X-Order": "42"}}
        execution_id = started(backend, {"id": "a", "action": "webhook.send", "params": params})
        backend.drain()
        assert receiver.received[0].headers["x-api-key"] == KEY
    (run,) = backend.execution(execution_id)["steps"]
    assert run["input"]["headers"] == {**dict.fromkeys(names, "…"), "X-Order": "42"}


@pytest.mark.parametrize("which", range(3))
def test_a_checkpoint_whose_answer_is_lost_counts_all_the_same(
    backend: Backend, telegram: TelegramServer, which: int
) -> None:
    execution_id = started(backend, say("one", id="a"), say("two", id="b"))
    backend.aws.fail("UpdateItem", times=1, done=True, where="ExecutionsTable", skip=which)
    backend.run()
    assert backend.execution(execution_id)["status"] == "succeeded"
    assert texts(telegram) == ["one", "two"]
