"""Faults of the kind that a simulation is for, planted one at a time: each has to be found.

They take the place of a line of the backend, as somebody might have written it.
"""

import copy
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from integrations.entry import queue as queue_module
from integrations.services import runner as runner_module
from integrations.services import webhooks as webhooks_module
from integrations.services.dispatch import Dispatcher
from integrations.services.events import EventLog
from integrations.services.executions import ExecutionService
from integrations.services.removals import Removals
from integrations.services.runner import Runner
from integrations.services.tenants import TenantEraser
from integrations.services.vault import Vault
from integrations.storage import executions as executions_module
from integrations.storage.aws import client as client_module
from integrations.storage.connections import Connections
from integrations.storage.executions import Executions, StoredExecution
from integrations.storage.queues import Message
from integrations.storage.schedules import Schedules
from integrations.storage.tokens import Token, Tokens
from integrations.storage.webhooks import Webhooks
from tests.simulation.queues import Message as SimulatedMessage
from tests.simulation.queues import Queue as SimulatedQueue
from tests.simulation.weather import FORCED

type Undo = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """One planted fault.

    Attributes:
        says: What is wrong with it.
        breaks: The invariants of which one has to be found broken.
        weather: What has to go wrong for it to show, and how often; nothing else does.
        plant: Puts it in place; what it gives takes it out again.
    """

    says: str
    breaks: frozenset[str]
    weather: Mapping[str, float]
    plant: Callable[[], Undo]


FAULTS: dict[str, Fault] = {}


def _fault(
    name: str, *breaks: str, **weather: float
) -> Callable[[Callable[[], Undo]], Callable[[], Undo]]:
    def keep(plant: Callable[[], Undo]) -> Callable[[], Undo]:
        rates = {kind.replace("_", " "): rate for kind, rate in weather.items()}
        FAULTS[name] = Fault(plant.__doc__ or "", frozenset(breaks), rates, plant)
        return plant

    return keep


@contextmanager
def planted(*names: str) -> Iterator[None]:
    """Have some faults in place."""
    undo = [FAULTS[name].plant() for name in names]
    for name in names:
        FORCED.update(FAULTS[name].weather)
    try:
        yield
    finally:
        FORCED.clear()
        for each in reversed(undo):
            each()


def _put(place: Any, name: str, made: Any) -> Undo:
    before = getattr(place, name)
    setattr(place, name, made)
    return lambda: setattr(place, name, before)


LOST, TWICE = "nothing is lost", "nothing runs twice"
SECRET, TENANT = "no secret outside its place", "no tenant sees another's"
ENDS, WAITS = "every execution ends", "every execution waits for a reason"
STAYS = "what is removed stays removed"


@_fault("checkpoint-after-the-effect", TWICE, killed_after=0.03)
def _checkpoint() -> Undo:
    """That a step begins is not written before it begins: after a crash it seems not begun."""
    whole = Executions.checkpoint

    def checkpoint(
        self: Executions, execution: StoredExecution, until: datetime
    ) -> StoredExecution:
        if execution.finished:
            return whole(self, execution, until)
        state: Any = copy.deepcopy(dict(execution.state))
        for run in state["steps"]:
            if run["status"] == "running":
                run["status"] = "pending"
                run["attempts"] -= 1
        return whole(self, execution._replace(state=state), until)

    return _put(Executions, "checkpoint", checkpoint)


@_fault("lease-without-a-condition", TWICE, twice=0.4)
def _lease() -> Undo:
    """Whoever writes an execution last has it."""
    update = executions_module.update

    def unconditional(*arguments: Any, condition: str = "", **more: Any) -> dict[str, Any]:
        if condition == "#revision = :was":
            more.pop("values", None)
            condition = ""
        return update(*arguments, condition=condition, **more)

    return _put(executions_module, "update", unconditional)


@_fault("dedup-key-from-a-clock", TWICE)
def _dedup() -> Undo:
    """An event's id is made when it comes, not of what the sender calls it."""

    def event_id(webhook_id: str, delivery_id: str | None) -> str:
        del webhook_id, delivery_id
        return f"evt_{uuid.uuid4().hex}"

    return _put(webhooks_module, "_event_id", event_id)


@_fault("ack-before-the-write", LOST, throttled=0.4)
def _ack() -> Undo:
    """What failed is taken out of the queue like what did not."""
    return _put(queue_module, "_failures", lambda _: {"batchItemFailures": []})


@_fault("missing-tenant-filter", TENANT)
def _tenant() -> Undo:
    """An event is found by its id, whoever asks."""
    return _put(EventLog, "get", lambda self, _, event_id: self._events.get(event_id))


@_fault("retry-without-idempotency-id", TWICE, late_after=0.2)
def _retry() -> Undo:
    """A repetition does not say that it is one."""
    act = Vault.act

    def forgetful(self: Vault, *arguments: Any, **more: Any) -> Any:
        return act(self, *arguments, **(more | {"idempotency_key": None}))

    return _put(Vault, "act", forgetful)


@_fault("secret-in-a-log", SECRET)
def _log() -> Undo:
    """What is sent is logged, for whoever looks for a mistake."""
    carry_out = Runner._carry_out

    def talkative(self: Runner, tenant: str, call: Any, sent: Any, *more: Any) -> Any:
        runner_module._log.warning("sending %s", sent)
        return carry_out(self, tenant, call, sent, *more)

    return _put(Runner, "_carry_out", talkative)


@_fault("lost-delayed-message", WAITS, unreachable=0.3)
def _delayed() -> Undo:
    """The message for a later time is never sent."""
    send = ExecutionService.send

    def sometimes(self: ExecutionService, message: Message) -> None:
        if message.delay < 2:
            send(self, message)

    return _put(ExecutionService, "send", sometimes)


@_fault("expired-lease-taken-without-revision", TWICE, killed_before=0.03, twice=0.7, frozen=0.05)
def _expired() -> Undo:
    """A lease that is over is anybody's, be he the first to take it or not."""
    lease = Executions.lease
    update = executions_module.update

    def unconditional(*arguments: Any, condition: str = "", **more: Any) -> dict[str, Any]:
        more.pop("values", None)
        return update(*arguments, **more)

    def take(self: Executions, execution: StoredExecution, until: datetime) -> StoredExecution:
        if execution.lease_until is None:
            return lease(self, execution, until)
        executions_module.update = unconditional
        try:
            return lease(self, execution, until)
        finally:
            # Not what was there before: others take leases meanwhile, and may have put theirs.
            executions_module.update = update

    return _put(Executions, "lease", take)


@_fault("dead-letters-not-visible", LOST, throttled=0.4)
def _dead() -> Undo:
    """What came too often is gone: the queue has no other for it."""

    def receive(self: SimulatedQueue, message: SimulatedMessage, now: float) -> bool:
        if self.most_receives and message.receives >= 3:
            del self.messages[message.name]
            return False
        return original(self, message, now)

    original = SimulatedQueue.receive
    return _put(SimulatedQueue, "receive", receive)


@_fault("finished-without-an-end", LOST, ENDS, unreachable=0.2)
def _due() -> Undo:
    """An execution that waits is given back without a time at which somebody looks after it."""

    def release(self: Executions, execution: StoredExecution, due_at: datetime) -> StoredExecution:
        del due_at
        return self.replace(execution, due_at=None)

    return _put(Executions, "release", release)


@_fault("two-refreshes-at-once", TWICE, slow=0.5)
def _refresh() -> Undo:
    """Everybody may refresh a token at any time."""
    return _put(Connections, "lease", lambda *_: True)


@_fault("conflict-with-oneself", LOST, ENDS, cut_after=0.05)
def _conflict() -> Undo:
    """A conditional write whose answer was lost fails for what it has written itself."""
    return _put(client_module, "done_before", lambda *_: None)


@_fault("erased-once-and-no-more", STAYS)
def _erasure() -> Undo:
    """A tenant is gone through once, while those who were let in before go on writing."""
    return _put(TenantEraser, "_end_of_pass", lambda self, job, _: self._end(job))


@_fault("schedule-without-an-end", STAYS)
def _schedule() -> Undo:
    """A workflow is removed without its schedule, and nobody looks when that fires."""
    kept = _put(Schedules, "delete", lambda *_: None)
    unseen = _put(Dispatcher, "_settle", lambda *_: None)

    def undo() -> None:
        kept()
        unseen()

    return undo


@_fault("token-good-for-ever", STAYS)
def _token() -> Undo:
    """A token is taken off the list, and goes on opening the API."""

    def kept(self: Tokens, tenant: str, token_id: str) -> Token:
        found, _ = self.page(tenant, limit=100, next_token=None)
        return next(each for each in found if each.token_id == token_id)

    return _put(Tokens, "delete", kept)


@_fault("webhook-outlives-its-connection", STAYS)
def _webhook() -> Undo:
    """A connection goes, and its webhook goes on taking what is sent to it."""
    return _put(Webhooks, "release", lambda *_: True)


@_fault("account-not-deleted", STAYS)
def _account() -> Undo:
    """Who wants their data gone is told that it is, whatever became of it."""
    return _put(Removals, "_of", lambda *_: iter(()))
