"""The running of executions: leased, carried as far as they go, and found again after a crash."""

import logging
import random
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from integrations.errors import (
    Conflict,
    IntegrationError,
    ProviderUnavailable,
    UnknownExecution,
    UnknownWorkflow,
)
from integrations.models import Json
from integrations.providers.masking import Masking, with_derived
from integrations.services import shares
from integrations.services.executions import (
    PICKED_UP_WITHIN,
    ExecutionService,
    fail,
    message_of,
    stored_from,
)
from integrations.services.files import StepFiles
from integrations.services.observing import Observe, nobody
from integrations.services.shares import Share
from integrations.storage.aws import AwsError
from integrations.storage.executions import Executions, LeaseLost, StoredExecution
from integrations.storage.files import Files
from integrations.storage.workflows import Workflows
from integrations.workflows import engine, lifecycle
from integrations.workflows.outcomes import OutOfTime, RetryAfter, StepCall
from integrations.workflows.records import DONE, Execution, WorkflowDefinition

if TYPE_CHECKING:
    from integrations.outbound.conversations import Conversations
    from integrations.services.secrets import SecretService
    from integrations.services.vault import Vault

_log = logging.getLogger(__name__)

MAX_DELAY = 900
"""The longest that SQS delays a message, in seconds; who waits longer is sent by the recovery."""

LEASE = timedelta(seconds=30)
"""How long a runner holds an execution without a sign of life. Its death costs that, and the wait
for the recovery, which comes each minute: a minute on average."""

SIGN_OF_LIFE = 10.0
"""Seconds between two signs of life during one step."""

SLOT_MARGIN = timedelta(seconds=5)
"""How much longer a slot is held than the process may live that holds it."""

LOOKED_AT = 10
"""At each so many tries for a slot the execution is looked at: some four minutes."""

STEP_RESERVE = timedelta(seconds=65)
"""No step begins with less time than this left: a mail server may take a minute."""

RECOVER_RESERVE = timedelta(seconds=10)
"""With less time than this left, no more executions are sent again; the next minute goes on."""


class Runner:
    """Runs executions and finds those that nobody runs.

    Args:
        executions, workflows: The tables.
        service: Knows where executions' values are, and the queue.
        vault: The use of credentials.
        files: The files that steps hand on.
        secrets: The values of the secrets that steps name.
        share: What a tenant may have of the runners.
        observe: Hears of each step that ends, or waits for another attempt.
    """

    def __init__(
        self,
        executions: Executions,
        workflows: Workflows,
        service: ExecutionService,
        vault: "Callable[[], Vault]",
        files: Files,
        secrets: "Callable[[], SecretService]",
        share: Share,
        *,
        observe: Observe = nobody,
    ) -> None:
        self._executions = executions
        self._workflows = workflows
        self._service = service
        self._vault = vault
        self._files = files
        self._secrets = secrets
        self._share = share
        self._resent = shares.Resent()
        self._observe = observe
        self._clock = service.clock

    def run(self, message: Mapping[str, Any], time_left: timedelta) -> None:
        """Carry an execution as far as it goes; where it must wait, a later message takes it up.

        Args:
            message: Says which; see ``message_of``.
            time_left: How long this process may still live.
        """
        tenant, execution_id = str(message["tenant"]), str(message["executionId"])
        ends_at = self._clock() + time_left
        if message.get("fewUntil", 0) > self._clock().timestamp():
            self._run_and_wait(tenant, execution_id, ends_at)
            return
        with self._share.hold(tenant, time_left + SLOT_MARGIN) as has_slot:
            if has_slot:
                self._run_and_wait(tenant, execution_id, ends_at)
                return
        turn = str(message.get("turn") or f"{random.getrandbits(64):x}")
        self._put_back(tenant, execution_id, int(message.get("tries", 0)), turn)

    def hand_over(self, message: Mapping[str, Any]) -> None:
        """Leave an execution to another process, at once."""
        self._service.send(message_of(str(message["tenant"]), str(message["executionId"])))

    def _run_and_wait(self, tenant: str, execution_id: str, ends_at: datetime) -> None:
        wait = self._run(tenant, execution_id, ends_at)
        if wait is not None and wait <= MAX_DELAY:
            self._service.send(message_of(tenant, execution_id, delay=wait))

    def _put_back(self, tenant: str, execution_id: str, tries: int, turn: str) -> None:
        """Let an execution wait for one of its tenant's slots, by a message of its own."""
        wait = shares.wait(tries)
        if tries % LOOKED_AT == LOOKED_AT - 1:
            # The recovery would take it for lost, and send it once more beside this message.
            for head in self._executions.heads([(tenant, execution_id)]):
                if head.finished:
                    return
                self._executions.set_due(head, self._clock() + PICKED_UP_WITHIN)
        if self._resent.has_newer(turn, tries):
            return  # this is an older copy of what waits already
        again = message_of(tenant, execution_id, delay=wait, tries=tries + 1, turn=turn)
        self._service.send(again)
        self._resent.note(turn, tries + 1)

    def _run(self, tenant: str, execution_id: str, ends_at: datetime) -> float | None:
        """Seconds until it must be taken up again; ``None`` where nothing is left to do."""
        try:
            stored = self._executions.get(tenant, execution_id)
        except UnknownExecution:
            return None  # its time is up and it was deleted
        if stored.finished:
            return None
        if stored.lease_until and stored.lease_until > self._clock():
            return (stored.lease_until - self._clock()).total_seconds() + 1
        state = cast("Execution", stored.state)
        wait = lifecycle.due_in(state, clock=self._clock)
        if wait > 0:
            return wait
        try:
            return self._lead(stored, state, ends_at)
        except LeaseLost:
            return 1.0  # another runner, or somebody's cancel: see how it ended

    def _lead(self, stored: StoredExecution, state: Execution, ends_at: datetime) -> float | None:
        """Take the lease and run; see ``_run``."""
        tenant = stored.tenant
        try:
            workflow = self._workflows.get(tenant, stored.workflow_id)
        except UnknownWorkflow:
            fail(state, Conflict("Its workflow was deleted"), self._clock())
            self._executions.replace(stored_from(tenant, state, stored), due_at=None)
            self._service.tell_end(tenant, state)
            return None
        from integrations.outbound.conversations import Conversations
        from integrations.services.forms import with_lists

        definition = with_lists(cast("WorkflowDefinition", workflow.definition))
        tell_steps = self._step_teller(tenant, state)
        machine = engine.begin(
            state,
            definition,
            version=workflow.version,
            values=self._service.values(stored),
            is_idempotent=is_idempotent,
            clock=self._clock,
        )
        written = self._executions.lease(stored_from(tenant, state, stored), self._clock() + LEASE)
        tell_steps()

        def save(state: Execution) -> None:
            nonlocal written
            changed = stored_from(tenant, state, written)
            if state["status"] in {"queued", "retrying"}:
                wait = timedelta(seconds=lifecycle.due_in(state, clock=self._clock))
                due_at = self._clock() + wait
                if wait.total_seconds() <= MAX_DELAY:
                    due_at += PICKED_UP_WITHIN  # until then a message is on its way
                written = self._executions.release(changed, due_at)
            else:
                written = self._executions.checkpoint(changed, self._clock() + LEASE)
            tell_steps()

        def perform(call: StepCall) -> Json:
            return self._perform(tenant, call, conversations)

        with (
            closing(Conversations()) as conversations,
            self._signs_of_life(lambda: written),
        ):
            left = ends_at - self._clock()
            outcome = machine.advance(
                perform=perform,
                save=save,
                # A process that has little time from the start must get somewhere all the same.
                deadline=ends_at - min(STEP_RESERVE, left * 0.75),
            )
        match outcome:
            case RetryAfter(seconds):
                return seconds
            case OutOfTime():
                return 0.0
            case _:
                self._service.tell_end(tenant, state)
                return None

    def _step_teller(self, tenant: str, state: Execution) -> Callable[[], None]:
        """What tells of the steps that have come to rest since it was called last.

        Only what is written is told: somebody else may do again what a lost lease has undone.
        """
        known = {run["id"]: run["status"] for run in state["steps"]}

        def tell() -> None:
            for run in state["steps"]:
                status, before = run["status"], known.get(run["id"])
                known[run["id"]] = status
                if status == before or not (status in DONE or status == "retrying"):
                    continue
                self._observe(
                    "step",
                    outcome=status,
                    code=run["error"]["code"] if run["error"] else None,
                    step=run["id"],
                    action=run["action"],
                    provider=run["action"].partition(".")[0],
                    attempts=run["attempts"],
                    ms=run["durationMs"],
                    executionId=state["executionId"],
                    eventId=state["trigger"]["eventId"],
                    workflowId=state["workflowId"],
                    tenant=tenant,
                )

        return tell

    @contextmanager
    def _signs_of_life(self, written: Callable[[], StoredExecution]) -> Iterator[None]:
        """Renew the lease of what was written last, while a step may take its time."""
        over = threading.Event()

        def renew() -> None:
            while not over.wait(SIGN_OF_LIFE):
                last = written()
                if last.lease_until is None:
                    continue  # it has ended, or was given back
                try:
                    self._executions.renew(last, self._clock() + LEASE)
                except LeaseLost:
                    continue  # written meanwhile; where another took it, the checkpoint finds out
                except AwsError:
                    _log.warning("a lease was not renewed", exc_info=True)

        thread = threading.Thread(target=renew, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            # A call in flight is waited for: what still runs after the function has answered is
            # frozen with it, and would go on in the midst of somebody else's run.
            thread.join()

    def _perform(self, tenant: str, call: StepCall, conversations: "Conversations") -> Json:
        """Carry out a step; no secret that it was given is in what it gives, raises or logs."""
        from integrations.services.secrecy import mask

        try:
            sent, secrets = self._with_secrets(tenant, call)
        except AwsError as failure:
            raise _unanswered(failure) from failure
        masking = Masking(secrets)
        try:
            return self._carry_out(tenant, call, sent, secrets, conversations)
        except IntegrationError as failure:
            mask(failure, masking)
            raise
        except Exception as failure:
            trace = masking.text("".join(traceback.format_exception(failure)))
            _log.error("%s failed in an unforeseen way\n%s", call.action, trace)
            raise

    def _with_secrets(self, tenant: str, call: StepCall) -> tuple[dict[str, Json], list[str]]:
        """What is sent, and the texts in it that nobody may see."""
        if not call.secrets:
            return call.params, []
        values = {
            name: value.get_secret_value()
            for name, value in self._secrets().values(tenant, call.secrets).items()
        }
        sent = call.with_secrets(values)
        return sent.params, with_derived(values.values(), sent.derived)

    def _carry_out(
        self,
        tenant: str,
        call: StepCall,
        sent: dict[str, Json],
        secrets: list[str],
        conversations: "Conversations",
    ) -> Json:
        from integrations.providers import registry
        from integrations.services.forms import params_of

        provider_id, _, name = call.action.partition(".")
        action = registry.get(provider_id).action(name)
        files = StepFiles(self._files, tenant, call.idempotency_key, Masking(secrets))
        try:
            params = params_of(provider_id, action, files.fetched(sent), rendered=True)
            result = self._vault().act(
                tenant,
                provider_id,
                call.connection,
                action,
                params,
                idempotency_key=call.idempotency_key,
                hops=call.hops,
                files=files,
                secrets=secrets,
                conversations=conversations,
            )
        except AwsError as failure:
            # Only what surrounds a call touches AWS, and never after one that went well.
            raise _unanswered(failure) from failure
        try:
            return files.stored(result)
        except AwsError as failure:
            detail = f"The step's file could not be stored: {failure.aws_code}"
            raise ProviderUnavailable(detail, outcome_unknown=True) from failure

    # -- after a crash -----------------------------------------------------------------------

    def recover(self, time_left: Callable[[], timedelta]) -> int:
        """Send what is overdue to a runner again: whatever was lost is found here.

        Returns:
            How many were sent.
        """
        sent = 0
        for heads in self._executions.overdue(self._clock()):
            lost = [head for head in heads if self._is_lost(head)]
            self._service.send_all([message_of(each.tenant, each.execution_id) for each in lost])
            for head in lost:
                # Sent: while it waits its turn in a long queue, it is not sent each minute anew.
                self._executions.set_due(head, self._clock() + PICKED_UP_WITHIN)
            sent += len(lost)
            if time_left() < RECOVER_RESERVE:
                break
        return sent

    def _is_lost(self, head: StoredExecution) -> bool:
        """Whether an overdue execution must be sent; else it is looked at again in its time."""
        moment = self._clock()
        if head.finished or head.due_at is None or head.due_at > moment:
            return False  # the index is a moment behind
        if head.lease_until and head.lease_until > moment:
            self._executions.set_due(head, head.lease_until + timedelta(seconds=1))
            return False
        if head.revision == 0 and head.created_at + PICKED_UP_WITHIN > moment:
            # Its first message waits its turn; only a runner's death is to be noticed sooner.
            self._executions.set_due(head, head.created_at + PICKED_UP_WITHIN)
            return False
        return True


def _unanswered(failure: AwsError) -> ProviderUnavailable:
    return ProviderUnavailable(f"AWS did not answer: {failure.aws_code}")


def is_idempotent(action: str) -> bool:
    """Whether a repetition of ``provider.action`` does no harm; an unknown one is no repetition."""
    from integrations.services.forms import action_of

    found = action_of(action)
    return found is not None and found.idempotent
