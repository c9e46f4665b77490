"""Fair shares: one tenant's slow executions take no more than its share of the runners."""

import json
from datetime import timedelta
from typing import Any

import pytest

from integrations import memory
from integrations.entry import wiring
from integrations.services import shares
from integrations.services.batches import REST, TENANT_SECONDS, Received
from integrations.services.dispatch import Dispatcher
from integrations.services.runner import LOOKED_AT
from integrations.storage.slots import Slots
from tests.backend import Backend
from tests.clock import Clock
from tests.fakes.receiver import Receiver
from tests.integration.flows import flow

LEASE = timedelta(minutes=2)
RUNS, EVENTS = "runs", "EventsQueue"


def slots(backend: Backend, clock: Clock | None = None) -> Slots:
    table = backend.aws.names["QuotasTable"]
    return Slots(backend.aws.client, table, **({"clock": clock} if clock else {}))


def allow(monkeypatch: pytest.MonkeyPatch, runners: int) -> None:
    monkeypatch.setenv("MAX_RUNNERS_PER_TENANT", str(runners))
    memory.forget()


@pytest.fixture
def start(backend: Backend, receiver: Receiver) -> Any:
    """Starts an execution of a tenant's workflow, which sends to the receiver; gives its id."""

    def start(tenant: str = "noisy") -> str:
        backend.save("webhook", {"url": f"https://x.example.com/{tenant}"}, tenant=tenant)
        url = receiver.url(f"/{tenant}")
        steps = [{"id": "send", "action": "webhook.send", "params": {"url": url}}]
        made = backend.create_workflow(flow(trigger={"type": "manual"}, steps=steps), tenant=tenant)
        path = f"/api/workflows/{made['workflowId']}/run"
        answer = backend.call("POST", path, {}, tenant=tenant)
        assert answer.status == 200, answer.json
        return str(answer.json["executionId"])

    return start


# -- slots -------------------------------------------------------------------------------------


def test_a_tenant_has_so_many_slots_and_another_its_own(backend: Backend) -> None:
    table = slots(backend)
    taken = [table.take("acme", RUNS, 3, LEASE) for _ in range(5)]
    assert [each is not None for each in taken] == [True, True, True, False, False]
    assert table.take("other", RUNS, 3, LEASE)
    assert taken[1]
    table.free(taken[1])
    assert table.take("acme", RUNS, 3, LEASE)
    assert not table.take("acme", RUNS, 3, LEASE)


def test_what_a_dead_process_held_is_free_when_its_lease_is_over(backend: Backend) -> None:
    clock = Clock()
    table = slots(backend, clock)
    dead = table.take("acme", RUNS, 1, LEASE)
    assert dead
    clock.moment += LEASE - timedelta(seconds=1)
    assert not table.take("acme", RUNS, 1, LEASE)
    clock.moment += timedelta(seconds=1)
    heir = table.take("acme", RUNS, 1, LEASE)
    assert heir
    table.free(dead)  # it was not dead, only slow: the slot is another's by now
    assert not table.take("acme", RUNS, 1, LEASE)


# -- runs --------------------------------------------------------------------------------------


def test_a_run_over_its_tenant_s_share_comes_again_alone(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, receiver: Receiver, start: Any
) -> None:
    allow(monkeypatch, 2)
    slots_taken = [slots(backend).take("noisy", RUNS, 2, LEASE) for _ in range(2)]
    waiting, other = start("noisy"), start("other")
    assert backend.run() == []
    assert receiver.received == []
    assert backend.run() == []
    assert [each.path for each in receiver.received] == ["/other"]
    assert backend.execution(other, tenant="other")["status"] == "succeeded"
    (again,) = backend.aws.sent("ExecutionsQueue")
    assert (again.group, json.loads(again.body)["tries"]) == ("noisy", 1)
    assert again.delay >= 1
    assert backend.execution(waiting, tenant="noisy")["status"] == "queued"
    assert slots_taken[0]
    slots(backend).free(slots_taken[0])
    assert backend.run() == []
    assert backend.execution(waiting, tenant="noisy")["status"] == "succeeded"
    assert backend.aws.sent("ExecutionsQueue") == []


def test_a_run_gives_its_slot_back_however_it_ends(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, receiver: Receiver, start: Any
) -> None:
    allow(monkeypatch, 1)
    failing = start()
    backend.aws.fail("UpdateItem", where=failing, times=20)
    assert len(backend.run()) == 1
    backend.aws.recover()
    done = start()
    assert backend.run() == []
    assert backend.execution(done, tenant="noisy")["status"] == "succeeded"
    assert len(receiver.received) == 1


def test_who_starts_few_pays_for_no_slot_and_who_starts_many_does(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, start: Any
) -> None:
    allow(monkeypatch, 8)
    start()
    before = backend.aws.units("QuotasTable")
    assert backend.run() == []
    assert backend.aws.units("QuotasTable") == before
    for _ in range(8):
        start()
    while backend.aws.sent("ExecutionsQueue"):
        assert backend.run() == []
    assert backend.aws.units("QuotasTable") >= before + 8 + 2 * 4


def test_a_message_that_lay_in_the_queue_counts_as_one_of_many(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, receiver: Receiver, start: Any
) -> None:
    monkeypatch.setattr(shares, "FRESH", timedelta(0))
    monkeypatch.setattr("integrations.services.executions.FRESH", timedelta(0))
    allow(monkeypatch, 8)
    for _ in range(8):
        assert slots(backend).take("noisy", RUNS, 8, LEASE)
    start()
    assert backend.run() == []
    assert receiver.received == []


def test_a_message_that_comes_twice_waits_once(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, receiver: Receiver, start: Any
) -> None:
    allow(monkeypatch, 1)
    taken = slots(backend).take("noisy", RUNS, 1, LEASE)
    waiting = start()
    assert backend.run() == []
    for _ in range(5):
        (message,) = backend.aws.take("ExecutionsQueue")
        for _ in range(3):
            assert backend.consume("run_workflow", [message]) == []
    assert taken
    slots(backend).free(taken)
    (message,) = backend.aws.take("ExecutionsQueue")
    for _ in range(3):
        assert backend.consume("run_workflow", [message]) == []
    assert backend.execution(waiting, tenant="noisy")["status"] == "succeeded"
    assert len(receiver.received) == 1
    assert backend.aws.sent("ExecutionsQueue") == []


def test_who_had_waited_and_waits_anew_is_not_taken_for_an_old_copy(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, start: Any
) -> None:
    allow(monkeypatch, 1)
    assert slots(backend).take("noisy", RUNS, 1, LEASE)
    waiting = start()
    for _ in range(4):
        assert backend.run() == []
    # A message of its own: of the recovery, say, or of a retry's time.
    assert backend.consume("run_workflow", [{"tenant": "noisy", "executionId": waiting}]) == []
    tries = [json.loads(each.body)["tries"] for each in backend.aws.sent("ExecutionsQueue")]
    assert sorted(tries) == [1, 4]


def test_who_waits_for_long_is_not_taken_for_lost(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, start: Any
) -> None:
    allow(monkeypatch, 1)
    slots_taken = slots(backend).take("noisy", RUNS, 1, LEASE)
    waiting = start()

    def due() -> int:
        (row,) = [
            each for each in backend.aws.rows("ExecutionsTable") if each["executionId"] == waiting
        ]
        return int(row["dueAt"])

    before = due()
    for _ in range(LOOKED_AT):
        assert backend.run() == []
    assert due() > before
    (message,) = backend.aws.sent("ExecutionsQueue")
    assert json.loads(message.body)["tries"] == LOOKED_AT
    # Cancelled meanwhile, it leaves the queue at the next look, slot or none.
    assert slots_taken
    path = f"/api/executions/{waiting}/cancel"
    assert backend.call("POST", path, tenant="noisy").status == 200
    for _ in range(LOOKED_AT):
        assert backend.run() == []
    assert backend.aws.sent("ExecutionsQueue") == []


# -- batches -----------------------------------------------------------------------------------


class Watch:
    """A stopwatch on which each look at it takes so long."""

    def __init__(self, seconds: float) -> None:
        self.now = 0.0
        self.seconds = seconds

    def __call__(self) -> float:
        self.now += self.seconds
        return self.now


def dispatcher(watch: Watch) -> Dispatcher:
    made = wiring.dispatcher()
    made._monotonic = watch
    return made


def webhook_of(backend: Backend, tenant: str) -> str:
    saved = backend.save("webhook", {"url": f"https://x.example.com/{tenant}"}, tenant=tenant)
    return str(saved["webhook"]["url"]).rpartition("/")[2]


def listening(backend: Backend, tenant: str) -> str:
    """A webhook that a workflow waits for."""
    hook = webhook_of(backend, tenant)
    definition = flow(
        trigger={"type": "webhook", "webhookId": hook},
        steps=[{"id": "a", "action": "webhook.send", "params": {"url": "http://127.0.0.1:9/"}}],
    )
    backend.create_workflow(definition, tenant=tenant)
    return hook


def test_one_tenant_s_heavy_events_are_put_back_alone(backend: Backend) -> None:
    hooks = {tenant: listening(backend, tenant) for tenant in ("noisy", "quiet")}
    for number in range(9):
        assert backend.deliver(hooks["noisy"], {"n": number}).status == 200
    assert backend.deliver(hooks["quiet"], {"n": 0}).status == 200
    batch = [Received(each.id, each.body, each.group) for each in backend.aws.take("EventsQueue")]
    failed, _ = dispatcher(Watch(TENANT_SECONDS * 0.3)).dispatch(batch)
    assert failed == [], "who waits has not failed: it must not end among the dead letters"
    groups = [each.group for each in backend.aws.sent("ExecutionsQueue")]
    assert groups == ["quiet", "noisy", "noisy"]
    again = backend.aws.sent("EventsQueue")
    assert [each.group for each in again] == ["noisy"] * 7
    assert all(each.delay >= 1 for each in again)
    memory.forget()
    backend.drain()
    assert len(backend.executions(tenant="noisy")) == 9
    assert len(backend.executions(tenant="quiet")) == 1


def test_a_delivery_that_comes_twice_waits_once(backend: Backend) -> None:
    hook = listening(backend, "noisy")
    for number in range(4):
        assert backend.deliver(hook, {"n": number}).status == 200
    process = dispatcher(Watch(0.0))
    process._rests["noisy"] = float("inf")
    for _ in range(5):
        taken = [Received(each.id, each.body, each.group) for each in backend.aws.take(EVENTS)]
        for batch in (taken, taken + taken):
            assert process.dispatch(batch)[0] == []
        assert len(backend.aws.sent(EVENTS)) == 4
    memory.forget()
    backend.drain()
    assert len(backend.executions(tenant="noisy")) == 4


class Process:
    """One dispatching process, and a stopwatch by which its work takes so long."""

    def __init__(self, backend: Backend, seconds: float) -> None:
        self._backend = backend
        self.watch = Watch(seconds)
        self._dispatcher = dispatcher(self.watch)

    def put_back(self, hook: str) -> list[str]:
        """Deliver and dispatch once; the groups of what went back to the queue."""
        assert self._backend.deliver(hook, {}).status == 200
        taken = self._backend.aws.take("EventsQueue")
        batch = [Received(each.id, each.body, each.group) for each in taken]
        assert self._dispatcher.dispatch(batch)[0] == []
        return [each.group for each in self._backend.aws.take("EventsQueue")]


def test_a_tenant_that_had_its_time_rests_while_others_do_not(backend: Backend) -> None:
    noisy, quiet = webhook_of(backend, "noisy"), webhook_of(backend, "quiet")
    process = Process(backend, TENANT_SECONDS)  # twice for the matching, once for the start
    assert process.put_back(noisy) == []
    process.watch.seconds = 0.0
    assert process.put_back(noisy) == ["noisy"]
    assert process.put_back(quiet) == []
    process.watch.now += 1 + 3 * REST * TENANT_SECONDS
    assert process.put_back(noisy) == []


def test_the_start_of_what_was_matched_is_its_tenant_s_time_as_well(backend: Backend) -> None:
    hook = listening(backend, "noisy")
    process = Process(backend, TENANT_SECONDS * 0.4)
    assert process.put_back(hook) == []
    process.watch.seconds = 0.0
    assert process.put_back(hook) == ["noisy"]


def test_what_is_put_back_keeps_its_payload_and_its_name(backend: Backend) -> None:
    hook = webhook_of(backend, "acme")
    large = {"text": "x" * 200_000}
    answers = [backend.deliver(hook, large | {"n": number}) for number in range(3)]
    batch = [Received(each.id, each.body, each.group) for each in backend.aws.take("EventsQueue")]
    assert dispatcher(Watch(TENANT_SECONDS)).dispatch(batch)[0] == []
    assert len(backend.aws.sent("EventsQueue")) == 2
    memory.forget()
    backend.drain()
    logged = {each["eventId"] for each in backend.call("GET", "/api/events").json["items"]}
    assert logged == {each.json["eventId"] for each in answers}


def test_of_the_messages_that_wait_a_process_remembers_so_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shares, "MOST_RESENT", 2)
    resent = shares.Resent()
    for key in ("a", "b", "c"):
        resent.note(key, 3)
    assert [resent.has_newer(key, 2) for key in ("a", "b", "c")] == [False, True, True]
    assert [resent.has_newer("c", tries) for tries in (2, 3, 4)] == [True, False, False]
