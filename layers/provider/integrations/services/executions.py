"""Executions: started, looked at, retried, run again, cancelled. ``runner`` runs them."""

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from integrations.errors import (
    Conflict,
    IdempotencyKeyReused,
    IntegrationError,
    InvalidInput,
    UnknownStep,
    ValueGone,
)
from integrations.models import Json, now, rfc3339, same_json
from integrations.services import lineage
from integrations.services.execution_values import Events, ExecutionValues, event_key, logged_event
from integrations.services.files import LARGE_BASE64, NamedFiles, StepFiles
from integrations.services.observing import Observe, nobody
from integrations.services.quotas import AT_ONCE, Quotas, Start
from integrations.services.shares import FRESH
from integrations.storage.executions import Executions, LeaseLost, StoredExecution
from integrations.storage.files import Files
from integrations.storage.objects import Objects
from integrations.storage.paging import decode_token, encode_token
from integrations.storage.queues import Message, Queue
from integrations.storage.workflows import StoredWorkflow, Workflows
from integrations.workflows import lifecycle
from integrations.workflows.limits import encoded, mark, storable
from integrations.workflows.records import Execution, StepRun, StoredValue, WorkflowDefinition

INLINE_TRIGGER_BYTES = 32 * 1024
"""A trigger over this stands apart, and is read by the steps that touch it."""

SHOWN_TRIGGER_BYTES = 256 * 1024
"""A trigger over this is shown with its beginning alone."""

SHOWN_ROUNDS = 100
"""How many results of a ``forEach`` an execution is shown with; the step's output has them all."""

PART_CHARACTERS = 1_000_000
"""An output over this is answered in parts of its text: Lambda answers with 6 MiB at most, as JSON
in JSON, where one character of a part may take four bytes."""

FOUND_WITHIN = timedelta(seconds=35)
"""A new execution is looked after so soon, when a runner that died at once has lost its lease."""

PICKED_UP_WITHIN = timedelta(minutes=10)
"""An execution whose message nobody took up for so long is sent again."""

CANCEL_ATTEMPTS = 10


class Launch(NamedTuple):
    """An execution that an event starts.

    Attributes:
        event_id: What the execution's id is made of, with the workflow's.
        data: What templates see as ``trigger``.
        logged: The event's id in the event log, and which of its delivery's events it was: then
            the execution points there and holds no copy.
        rerun_of: The execution that this one repeats.
        start: When it may run.
        accepted_at: When the delivery came that starts it.
    """

    workflow: StoredWorkflow
    event_id: str
    data: Json
    once_key: str | None = None
    hops: int = 0
    logged: tuple[str, int] | None = None
    rerun_of: str | None = None
    trigger_event: str | None = None
    start: Start = AT_ONCE
    accepted_at: datetime | None = None


class StepOutput(NamedTuple):
    """A step's output, or a part of it.

    Attributes:
        run: The step.
        output: The whole value; of a ``forEach`` the results ``first`` and following.
        text: A part of the value's JSON text, where the value is too long for one answer; of a
            ``forEach`` that of the result ``first``.
        next_token: Where the next part begins.
    """

    run: StepRun
    output: Json = None
    first: int = 0
    text: str | None = None
    next_token: str | None = None


class ExecutionService:
    """The use cases of executions; see each method.

    Args:
        executions, workflows: The tables.
        queue: Where executions wait for a runner.
        objects: The bucket for large values.
        files: The files that steps hand on.
        quotas: What a tenant may start.
        events: The event log, made on first use; ``None`` where there is none.
        observe: Hears of each execution that ends.
        clock: The present moment.
    """

    def __init__(
        self,
        executions: Executions,
        workflows: Workflows,
        queue: Queue,
        objects: Objects,
        files: Files,
        quotas: Quotas,
        *,
        events: Callable[[], Events] | None = None,
        observe: Observe = nobody,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._executions = executions
        self._workflows = workflows
        self._queue = queue
        self._objects = objects
        self._files = files
        self._quotas = quotas
        self._events = events
        self._observe = observe
        self.clock = clock

    def values(self, execution: StoredExecution) -> ExecutionValues:
        """Where the large values of an execution are."""
        files = StepFiles(self._files, execution.tenant)
        return ExecutionValues(self._executions, self._objects, files, self._events, execution)

    # -- starting ----------------------------------------------------------------------------

    def start(
        self,
        tenant: str,
        workflow_id: str,
        given: Json,
        *,
        idempotency_key: str | None = None,
        hops: int = 0,
    ) -> Execution:
        """Run a workflow now, with ``given`` as its trigger; also a disabled one.

        Args:
            tenant: Whose workflow.
            workflow_id: Which.
            given: What templates see as ``trigger``.
            idempotency_key: The same key starts the workflow once.
            hops: How many executions led to this start, proven.

        Raises:
            UnknownWorkflow: There is none with this id.
            IdempotencyKeyReused: The key has started it with another input.
            QuotaExceeded: The tenant, or the workflow, has started too many this minute.
        """
        workflow = self._workflows.get(tenant, workflow_id)
        event_id = f"manual:{idempotency_key or secrets.token_hex(16)}"
        launch = Launch(workflow, event_id, given, hops=hops)

        def start(start: Start) -> Message | None:
            logged = None
            if self._events:
                # First: where this dies in between, the log tells of a start that can be repeated.
                recorded = self._events().record_start(
                    workflow,
                    "manual",
                    event_id,
                    storable(given),
                    execution_id=self._id(launch),
                    hops=hops,
                )
                logged = (recorded.event_id, 0)
            begun = launch._replace(logged=logged, start=start)
            return self.launch(begun, failure=lineage.check(hops))

        message = self._in_its_room(tenant, workflow_id, start)
        if idempotency_key:
            stored = self._executions.get(tenant, self._id(launch))
            if not self._is_same(tenant, self._trigger_data(stored), storable(given)):
                detail = "This Idempotency-Key has started the workflow with another input"
                raise IdempotencyKeyReused(detail)
        if message:
            self._queue.send(message)
        return self.get(tenant, self._id(launch))

    def _is_same(self, tenant: str, stored: Json, given: Json) -> bool:
        """Whether a trigger is what was given, whose large files are references by now."""
        files = NamedFiles(self._files, tenant)
        return same_json(*(files.stored(each, over=LARGE_BASE64) for each in (stored, given)))

    def rerun(
        self, tenant: str, execution_id: str, *, idempotency_key: str | None = None
    ) -> Execution:
        """Run an execution's workflow again from the start, as it is now, for the same trigger.

        Returns:
            The new execution, which names the old one.

        Raises:
            UnknownExecution: There is none with this id.
            UnknownWorkflow: Its workflow was deleted.
            ValueGone: Its trigger is no longer stored.
            NeverBegan: Its trigger has not let it in.
            QuotaExceeded: The tenant, or the workflow, has started too many this minute.
        """
        stored = self._executions.get(tenant, execution_id)
        state = cast("Execution", stored.state)
        lifecycle.check_began(state)
        launch = Launch(
            self._workflows.get(tenant, stored.workflow_id),
            f"rerun:{execution_id}:{idempotency_key or secrets.token_hex(16)}",
            self._trigger_data(stored),
            hops=state["hops"],
            logged=self._logged(state),
            rerun_of=execution_id,
            trigger_event=state["trigger"]["eventId"],
        )
        message = self._in_its_room(
            tenant, stored.workflow_id, lambda start: self.launch(launch._replace(start=start))
        )
        if message:
            self._queue.send(message)
        return self.get(tenant, self._id(launch))

    def _in_its_room(
        self, tenant: str, workflow_id: str, start: Callable[[Start], Message | None]
    ) -> Message | None:
        """Start something within the quotas; where nothing starts, nothing was taken of them.

        Raises:
            QuotaExceeded: This minute has no room left.
        """
        room = self._quotas.start(tenant, workflow_id)
        message = None
        try:
            message = start(room)
        finally:
            if not message:
                self._quotas.give_back(tenant, [(workflow_id, room)])
        return message

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
            event_id=launch.trigger_event or launch.event_id,
            data=None,
            hops=launch.hops,
            rerun_of=launch.rerun_of,
            clock=self.clock,
        )
        stored = stored_from(workflow.tenant, state)
        state["trigger"] |= self._trigger(launch, stored)  # type: ignore[typeddict-item]
        if launch.accepted_at:
            state["acceptedAt"] = rfc3339(launch.accepted_at)
        if failure:
            fail(state, failure, self.clock())
        created = stored_from(workflow.tenant, state)
        delay = launch.start.delay
        if not self._executions.create(
            created, self.clock() + FOUND_WITHIN + timedelta(seconds=delay)
        ):
            return None
        if failure:
            self.tell_end(workflow.tenant, state)
        return message_of(
            workflow.tenant,
            state["executionId"],
            delay=delay,
            few_until=self.clock() + FRESH if launch.start.few else None,
        )

    def _trigger(self, launch: Launch, execution: StoredExecution) -> dict[str, Any]:
        """The trigger as the execution has it: the data, or where it is."""
        text = encoded(launch.data)
        if launch.logged:
            return {"stored": {"key": event_key(*launch.logged), "bytes": len(text)}}
        if len(text) <= INLINE_TRIGGER_BYTES:
            return {"data": storable(launch.data)}
        stored: StoredValue = {"key": self.values(execution).put(text), "bytes": len(text)}
        return {"data": mark(text), "stored": stored}

    def send_all(self, messages: list[Message]) -> None:
        """Tell runners of executions, in batches."""
        self._queue.send_all(messages)

    def send(self, message: Message) -> None:
        """Tell a runner of one execution."""
        self._queue.send(message)

    def tell_end(self, tenant: str, state: Execution) -> None:
        """Tell whoever listens how an execution ended, and how long after its delivery.

        One that somebody had retried has no such time: it lay for as long as nobody looked.
        """
        finished = state["finishedAt"]
        began = state.get("acceptedAt", state["createdAt"])
        milliseconds = None
        if finished and not state["retryCount"]:
            taken = datetime.fromisoformat(finished) - datetime.fromisoformat(began)
            milliseconds = round(taken.total_seconds() * 1000)
        self._observe(
            "execution",
            outcome=state["status"],
            code=state["error"]["code"] if state["error"] else None,
            executionId=state["executionId"],
            eventId=state["trigger"]["eventId"],
            workflowId=state["workflowId"],
            tenant=tenant,
            ms=milliseconds,
        )

    @staticmethod
    def _id(launch: Launch) -> str:
        return lifecycle.execution_id(launch.workflow.workflow_id, launch.event_id, launch.once_key)

    @staticmethod
    def _logged(state: Execution) -> tuple[str, int] | None:
        stored = state["trigger"]["stored"]
        return logged_event(stored["key"]) if stored else None

    def _trigger_data(self, stored: StoredExecution) -> Json:
        trigger = cast("Execution", stored.state)["trigger"]
        if trigger["stored"]:
            return self.values(stored).get(trigger["stored"]["key"])
        return trigger["data"]

    # -- looking -----------------------------------------------------------------------------

    def page(
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
        """One execution as it is shown: with previews of what is too large.

        Raises:
            UnknownExecution: There is none with this id.
        """
        stored = self._executions.get(tenant, execution_id)
        state = cast("Execution", stored.state)
        trigger = state["trigger"]
        if logged := self._logged(state):
            # What repetitions are told by is our own; this one leads to the log of events.
            trigger["eventId"] = logged[0]
        if trigger["stored"]:
            with suppress(ValueGone):  # the event's time is up before the execution's
                text = encoded(data := self._trigger_data(stored))
                trigger["data"] = data if len(text) <= SHOWN_TRIGGER_BYTES else mark(text)
        return state

    def step_output(
        self, tenant: str, execution_id: str, step_id: str, limit: int, next_token: str | None
    ) -> StepOutput:
        """A step's output, whole.

        Args:
            tenant: Whose execution.
            execution_id: Which.
            step_id: Which step.
            limit: How many results of a ``forEach`` at most.
            next_token: Where to go on.

        Raises:
            UnknownExecution, UnknownStep: There is none with this id.
            InvalidInput: The token is not one of ours.
            ValueGone: It is no longer stored.
        """
        stored = self._executions.get(tenant, execution_id)
        runs = cast("Execution", stored.state)["steps"]
        run = next((each for each in runs if each["id"] == step_id), None)
        if run is None:
            raise UnknownStep(f"The execution has no step {step_id!r}")
        first, begin = _position(next_token)
        values = self.values(stored)
        if run["rounds"] is not None:
            return _rounds(run, values, first, limit, begin)
        whole = run["stored"][""] if run["stored"] else None
        output = values.get(whole["key"]) if whole else run["output"]
        if whole is None or whole["bytes"] <= PART_CHARACTERS:
            return StepOutput(run, output)
        text, end = _part(output, first)
        token = encode_token({"at": str(end)}) if end else None
        return StepOutput(run, text=text, next_token=token)

    # -- changing ----------------------------------------------------------------------------

    def retry(
        self, tenant: str, execution_id: str, *, ended_by: datetime | None = None
    ) -> Execution:
        """Let a failed or cancelled execution go on from the step that stopped it.

        It goes on with the workflow as it is now, so a mistake in a step can be fixed first.

        Args:
            tenant: Whose it is.
            execution_id: Its id.
            ended_by: It is retried if it ended at this moment or before.

        Raises:
            UnknownExecution: There is none with this id.
            Conflict: It neither failed nor was cancelled, or not by then.
            NeverBegan: Its trigger has not let it in.
            QuotaExceeded: The tenant, or the workflow, has started too many this minute.
        """
        stored = self._executions.get(tenant, execution_id)
        self._workflows.get(tenant, stored.workflow_id)
        state = cast("Execution", stored.state)
        ended = state["finishedAt"]
        if ended_by is not None and ended and datetime.fromisoformat(ended) > ended_by:
            raise Conflict(f"It ended at {ended}, later than {rfc3339(ended_by)}")
        lifecycle.retry_from_failed(state)

        def start(_: Start) -> Message:
            due_at = self.clock() + PICKED_UP_WITHIN
            self._executions.replace(stored_from(tenant, state, stored), due_at=due_at)
            return message_of(tenant, execution_id)

        if message := self._in_its_room(tenant, stored.workflow_id, start):
            self._queue.send(message)
        return self.get(tenant, execution_id)

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
        state = cast("Execution", stored.state)
        lifecycle.cancel(state, clock=self.clock)
        self._executions.replace(stored_from(tenant, state, stored), due_at=None)
        self.tell_end(tenant, state)
        return self.get(tenant, execution_id)


def _position(next_token: str | None) -> tuple[int, int]:
    """Where a token goes on: a number, and, within a very long result, a character of its text.

    Raises:
        InvalidInput: It is not one of ours.
    """
    at, _, begin = (decode_token(next_token, "at")["at"] if next_token else "0").partition(".")
    if not at.isdecimal() or not (begin or "0").isdecimal():
        raise InvalidInput("nextToken is not one that this API gave")
    return int(at), int(begin or 0)


def _part(value: Json, begin: int) -> tuple[str, int | None]:
    """A part of a value's JSON text, and where the next one begins; ``None`` after the last."""
    text = encoded(value).decode()
    end = begin + PART_CHARACTERS
    return text[begin:end], end if end < len(text) else None


def _rounds(
    run: StepRun, values: ExecutionValues, first: int, limit: int, begin: int
) -> StepOutput:
    """The results of a ``forEach`` from ``first`` on, as many as an answer takes.

    One that is too long for an answer comes alone, in parts of its text, from ``begin`` on.
    """
    results = cast("list[Json]", run["output"])
    stored = run["stored"] or {}
    found: list[Json] = []
    size = 0
    for index in range(first, min(first + limit, len(results))):
        whole = stored.get(str(index))
        one = whole["bytes"] if whole else len(encoded(results[index]))
        size += one
        if found and size > PART_CHARACTERS:
            break
        value = values.get(whole["key"]) if whole else results[index]
        if one > PART_CHARACTERS:
            text, end = _part(value, begin)
            at = f"{index}.{end}" if end else str(index + 1)
            more = end is not None or index + 1 < len(results)
            token = encode_token({"at": at}) if more else None
            return StepOutput(run, [], first, text=text, next_token=token)
        found.append(value)
    after = first + len(found)
    token = encode_token({"at": str(after)}) if after < len(results) else None
    return StepOutput(run, found, first, next_token=token)


def stored_from(
    tenant: str, state: Execution, was: StoredExecution | None = None
) -> StoredExecution:
    """An execution as the table takes it, with the engine's document as it is now.

    Args:
        tenant: Whose.
        state: The document.
        was: As it was read or written last; ``None`` for a new one.
    """
    finished = state["finishedAt"]
    made = StoredExecution(
        tenant=tenant,
        execution_id=state["executionId"],
        workflow_id=state["workflowId"],
        workflow_name=state["workflowName"],
        status=state["status"],
        trigger_type=state["trigger"]["type"],
        created_at=datetime.fromisoformat(state["createdAt"]),
        finished_at=datetime.fromisoformat(finished) if finished else None,
        error=cast("Mapping[str, Json] | None", state["error"]),
        state=cast("Mapping[str, Json]", state),
    )
    if was is None:
        return made
    return made._replace(
        journal=was.journal,
        revision=was.revision,
        lease_until=was.lease_until,
        due_at=was.due_at,
    )


def message_of(
    tenant: str,
    execution_id: str,
    *,
    delay: float = 0,
    few_until: datetime | None = None,
    tries: int = 0,
    turn: str = "",
) -> Message:
    """What tells a runner of an execution.

    Args:
        tenant: Whose.
        execution_id: Which.
        delay: Seconds until it is seen.
        few_until: Until then the run holds no slot; ``None`` for one that does.
        tries: How often there was no slot for it.
        turn: Names the series of those tries.
    """
    body: dict[str, Json] = {"tenant": tenant, "executionId": execution_id}
    if few_until:
        body["fewUntil"] = few_until.timestamp()
    if tries:
        body |= {"tries": tries, "turn": turn}
    return Message(
        body=body,
        group=tenant,
        key=f"messages/{execution_id}",
        delay=round(delay + 0.5) if delay > 0 else 0,
    )


def fail(state: Execution, failure: IntegrationError, moment: datetime) -> None:
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
