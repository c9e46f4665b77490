"""Executions: started, run, looked at, retried, cancelled, and found again after a crash."""

import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from integrations.errors import (
    Conflict,
    IntegrationError,
    InvalidParams,
    ProviderUnavailable,
    UnknownExecution,
    UnknownWorkflow,
)
from integrations.models import Json, now, rfc3339
from integrations.storage.aws import AwsError
from integrations.storage.executions import Executions, LeaseLost, StoredExecution
from integrations.storage.queues import Message, Queue
from integrations.storage.workflows import StoredWorkflow, Workflows
from integrations.workflows import engine, lifecycle
from integrations.workflows.outcomes import OutOfTime, RetryAfter, StepCall
from integrations.workflows.records import Execution, WorkflowDefinition

if TYPE_CHECKING:
    from integrations.services.vault import Vault

_log = logging.getLogger(__name__)

INLINE_TRIGGER_BYTES = 32 * 1024
"""A trigger over this is kept in S3: a table's row takes 400 KB, and the steps need the rest."""

PICKED_UP_WITHIN = timedelta(minutes=10)
"""An execution that nobody took up for so long after it was due is sent again."""

MAX_DELAY = 900
"""The longest that SQS delays a message, in seconds; longer waits are waited in turns."""

LEASE_MARGIN = timedelta(seconds=2)
STEP_RESERVE = timedelta(seconds=65)
"""No step begins with less time than this left: a mail server may take a minute."""

RECOVER_RESERVE = timedelta(seconds=10)
"""With less time than this left, no more executions are sent again; the next minute goes on."""

RECOVERED_AT_ONCE = 100
CANCEL_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class Launch:
    """An execution that an event starts.

    Attributes:
        logged: Where the event stands in the log: its id there, and which of the delivery's events.
    """

    workflow: StoredWorkflow
    event_id: str
    data: Json
    once_key: str | None = None
    hops: int = 0
    logged: tuple[str, int] | None = None


class ExecutionService:
    """The use cases of executions; see each method.

    Args:
        executions, workflows: The tables.
        queue: Where executions wait for a runner; its bucket holds large triggers.
        vault: The use of credentials.
        clock: The present moment.
    """

    def __init__(
        self,
        executions: Executions,
        workflows: Workflows,
        queue: Queue,
        vault: "Callable[[], Vault]",
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._executions = executions
        self._workflows = workflows
        self._queue = queue
        self._vault = vault
        self._clock = clock

    # -- starting ----------------------------------------------------------------------------

    def start(
        self, tenant: str, workflow_id: str, given: Json, *, idempotency_key: str | None = None
    ) -> Execution:
        """Run a workflow now, with ``given`` as its trigger; also a disabled one.

        Args:
            tenant: Whose workflow.
            workflow_id: Which.
            given: What templates see as ``trigger``.
            idempotency_key: The same key starts the workflow once.

        Raises:
            UnknownWorkflow: There is none with this id.
        """
        workflow = self._workflows.get(tenant, workflow_id)
        event_id = f"manual:{idempotency_key or uuid.uuid4().hex}"
        launch = Launch(workflow, event_id, given)
        message = self.launch(launch)
        if message:
            self._queue.send(message)
        return self.get(tenant, self._id(launch))

    def launch(self, launch: Launch, *, failure: IntegrationError | None = None) -> Message | None:
        """Create the execution of an event, once.

        Args:
            launch: What starts.
            failure: Why it cannot run at all: then it is created as failed, for all to see.

        Returns:
            The message that a runner must get; ``None`` where there is nothing to do (any more).
        """
        workflow = launch.workflow
        state = lifecycle.new_execution(
            cast("WorkflowDefinition", workflow.definition),
            execution_id=self._id(launch),
            workflow_id=workflow.workflow_id,
            workflow_version=workflow.version,
            event_id=launch.event_id,
            data=launch.data,
            hops=launch.hops,
            clock=self._clock,
        )
        if failure:
            _fail(state, failure, self._clock())
        due_at = self._clock() + PICKED_UP_WITHIN
        if not self._executions.create(self._stored(workflow.tenant, state), due_at):
            return None
        return _message(workflow.tenant, state["executionId"])

    def send_all(self, messages: list[Message]) -> None:
        """Tell runners of executions, in batches."""
        self._queue.send_all(messages)

    @staticmethod
    def _id(launch: Launch) -> str:
        return lifecycle.execution_id(launch.workflow.workflow_id, launch.event_id, launch.once_key)

    # -- running -----------------------------------------------------------------------------

    def run(self, tenant: str, execution_id: str, time_left: timedelta) -> None:
        """Carry an execution as far as it goes; where it must wait, a later message takes it up.

        Args:
            tenant: Whose execution.
            execution_id: Which.
            time_left: How long this process may still live.
        """
        wait = self._run(tenant, execution_id, time_left)
        if wait is not None:
            self._queue.send(_message(tenant, execution_id, delay=wait))

    def postpone(self, tenant: str, execution_id: str) -> None:
        """Leave an execution to another process, at once."""
        self._queue.send(_message(tenant, execution_id))

    def _run(self, tenant: str, execution_id: str, time_left: timedelta) -> float | None:
        """Seconds until it must be taken up again; ``None`` where nothing is left to do."""
        try:
            stored = self._executions.get(tenant, execution_id)
        except UnknownExecution:
            return None  # its time is up and it was deleted
        if stored.finished:
            return None
        if stored.lease_until and stored.lease_until > self._clock():
            return (stored.lease_until - self._clock()).total_seconds() + 1
        state = self._state(stored)
        wait = lifecycle.due_in(state, clock=self._clock)
        if wait > 0:
            return wait
        try:
            return self._lead(stored, state, time_left)
        except LeaseLost:
            return 1.0  # another runner, or somebody's cancel: see how it ended

    def _lead(
        self, stored: StoredExecution, state: Execution, time_left: timedelta
    ) -> float | None:
        """Take the lease and run; see ``_run``."""
        tenant = stored.tenant
        try:
            workflow = self._workflows.get(tenant, stored.workflow_id)
        except UnknownWorkflow:
            gone = Conflict("Its workflow was deleted")
            _fail(state, gone, self._clock())
            self._executions.replace(self._stored(tenant, state, stored), due_at=None)
            return None
        definition = cast("WorkflowDefinition", workflow.definition)
        engine.begin(
            state,
            definition,
            version=workflow.version,
            is_idempotent=is_idempotent,
            clock=self._clock,
        )
        until = self._clock() + time_left + LEASE_MARGIN
        held = self._executions.lease(self._stored(tenant, state, stored), until)

        def save(state: Execution, _: int) -> None:
            nonlocal held
            now_held = self._stored(tenant, state, held)
            if state["status"] in ("queued", "retrying"):
                wait = timedelta(seconds=lifecycle.due_in(state, clock=self._clock))
                held = self._executions.release(now_held, self._clock() + wait + PICKED_UP_WITHIN)
            else:
                held = self._executions.checkpoint(now_held)

        outcome = engine.advance(
            state,
            definition,
            perform=lambda call: self._perform(tenant, call),
            save=save,
            is_idempotent=is_idempotent,
            # A process that has little time from the start must get somewhere all the same.
            deadline=self._clock() + time_left - min(STEP_RESERVE, time_left * 0.75),
            clock=self._clock,
        )
        match outcome:
            case RetryAfter(seconds):
                return seconds
            case OutOfTime():
                return 0.0
            case _:
                return None

    def _perform(self, tenant: str, call: StepCall) -> Json:
        from pydantic import ValidationError  # noqa: PLC0415 - cold start

        from integrations.providers import registry  # noqa: PLC0415 - cold start

        provider_id, _, name = call.action.partition(".")
        action = registry.get(provider_id).action(name)
        try:
            params = action.params.model_validate(call.params)
        except ValidationError as invalid:
            from integrations.services.forms import field_errors  # noqa: PLC0415

            detail = f"The parameters of {call.action} do not fit"
            raise InvalidParams(detail, field_errors(invalid, "params", call.params)) from None
        try:
            result: Json = self._vault().use(
                tenant,
                provider_id,
                call.connection,
                lambda outward: action.run(outward, params),
                idempotency_key=call.idempotency_key,
                hops=call.hops,
            )
        except AwsError as failure:
            # Only what surrounds a call touches AWS, and never after one that went well.
            raise ProviderUnavailable(f"AWS did not answer: {failure.aws_code}") from failure
        except IntegrationError:
            raise
        except Exception:
            _log.exception("%s failed in an unforeseen way", call.action)
            raise
        return result

    # -- looking -----------------------------------------------------------------------------

    def page(  # noqa: PLR0917 - the filters of one list
        self,
        tenant: str,
        workflow_id: str | None,
        status: str | None,
        since: datetime | None,
        until: datetime | None,
        limit: int,
        next_token: str | None,
    ) -> tuple[list[StoredExecution], str | None]:
        """One page of the tenant's executions, newest first, as summaries."""
        return self._executions.page(
            tenant,
            workflow_id=workflow_id,
            status=status,
            since=since,
            until=until,
            limit=limit,
            next_token=next_token,
        )

    def get(self, tenant: str, execution_id: str) -> Execution:
        """One execution, whole.

        Raises:
            UnknownExecution: There is none with this id.
        """
        return self._state(self._executions.get(tenant, execution_id))

    # -- changing ----------------------------------------------------------------------------

    def retry(self, tenant: str, execution_id: str) -> Execution:
        """Let a failed or cancelled execution go on from the step that stopped it.

        It goes on with the workflow as it is now, so a mistake in a step can be mended first.

        Raises:
            UnknownExecution: There is none with this id.
            Conflict: It neither failed nor was cancelled.
        """
        stored = self._executions.get(tenant, execution_id)
        self._workflows.get(tenant, stored.workflow_id)
        state = self._state(stored)
        lifecycle.retry_from_failed(state)
        due_at = self._clock() + PICKED_UP_WITHIN
        self._executions.replace(self._stored(tenant, state, stored), due_at=due_at)
        self._queue.send(_message(tenant, execution_id))
        return state

    def cancel(self, tenant: str, execution_id: str) -> Execution:
        """Stop an unfinished execution; a step under way may still be carried out.

        Raises:
            UnknownExecution: There is none with this id.
            Conflict: It is finished already.
        """
        for _ in range(CANCEL_ATTEMPTS):
            with suppress(LeaseLost):  # its runner finished a step at this very moment
                return self._cancel(tenant, execution_id)
        return self._cancel(tenant, execution_id)

    def _cancel(self, tenant: str, execution_id: str) -> Execution:
        stored = self._executions.get(tenant, execution_id)
        state = self._state(stored)
        lifecycle.cancel(state, clock=self._clock)
        self._executions.replace(self._stored(tenant, state, stored), due_at=None)
        return state

    def recover(self, time_left: Callable[[], timedelta]) -> int:
        """Send every overdue execution to a runner again: whatever was lost is found here.

        Returns:
            How many were sent.
        """
        sent = 0
        found = self._executions.unfinished(self._clock())
        while batch := list(islice(found, RECOVERED_AT_ONCE)):
            self._queue.send_all([_message(tenant, each) for tenant, each in batch])
            due_at = self._clock() + PICKED_UP_WITHIN
            for tenant, execution_id in batch:
                # Sent: while it waits its turn in a long queue, it is not sent each minute anew.
                self._executions.postpone(tenant, execution_id, due_at)
            sent += len(batch)
            if time_left() < RECOVER_RESERVE:
                break
        return sent

    # -- within ------------------------------------------------------------------------------

    def _stored(
        self, tenant: str, state: Execution, was: StoredExecution | None = None
    ) -> StoredExecution:
        kept: dict[str, Any] = dict(state)
        key = _large(was) if was else self._put_large(state)
        if key:
            kept["trigger"] = {**state["trigger"], "data": None, "dataKey": key}
        finished = state["finishedAt"]
        return StoredExecution(
            tenant=tenant,
            execution_id=state["executionId"],
            workflow_id=state["workflowId"],
            workflow_name=state["workflowName"],
            status=state["status"],
            trigger_type=state["trigger"]["type"],
            created_at=datetime.fromisoformat(state["createdAt"]),
            finished_at=datetime.fromisoformat(finished) if finished else None,
            error=cast("Mapping[str, Json] | None", state["error"]),
            state=kept,
            revision=was.revision if was else 0,
            lease_until=was.lease_until if was else None,
        )

    def _put_large(self, state: Execution) -> str | None:
        """Keep a large trigger in S3; tells the key that it is found by."""
        text = json.dumps(state["trigger"]["data"], separators=(",", ":")).encode()
        if len(text) <= INLINE_TRIGGER_BYTES:
            return None
        # By its content: with `oncePer` another event may be about to create the same execution.
        key = f"executions/{state['executionId']}/{hashlib.sha256(text).hexdigest()[:32]}.json"
        self._queue.put(key, text)
        return key

    def _state(self, stored: StoredExecution) -> Execution:
        state = cast("dict[str, Any]", dict(stored.state))
        key = _large(stored)
        if key:
            data = json.loads(self._queue.get(key))
            trigger = {n: held for n, held in state["trigger"].items() if n != "dataKey"}
            state["trigger"] = {**trigger, "data": data}
        return cast("Execution", state)


def _large(stored: StoredExecution) -> str | None:
    """The key of a trigger that is kept in S3; ``None`` where it is in the row."""
    key: str | None = cast("dict[str, Any]", stored.state)["trigger"].get("dataKey")
    return key


def is_idempotent(action: str) -> bool:
    """Whether a repetition of ``provider.action`` does no harm; an unknown one is no repetition."""
    from integrations.providers import registry  # noqa: PLC0415 - cold start

    provider_id, _, name = action.partition(".")
    try:
        return registry.get(provider_id).action(name).idempotent
    except IntegrationError:
        return False


def _message(tenant: str, execution_id: str, *, delay: float = 0) -> Message:
    return Message(
        body={"tenant": tenant, "executionId": execution_id},
        group=tenant,
        key=f"messages/{execution_id}",
        delay=min(MAX_DELAY, max(0, round(delay + 0.5) if delay else 0)),
    )


def _fail(state: Execution, failure: IntegrationError, moment: datetime) -> None:
    """Bring an execution to its end before, or instead of, its next step."""
    at = rfc3339(moment)
    state["status"] = "failed"
    state["finishedAt"] = at
    state["error"] = {
        "code": failure.code,
        "message": failure.detail,
        "providerCode": None,
        "status": None,
        "at": at,
        "step": "",
    }
