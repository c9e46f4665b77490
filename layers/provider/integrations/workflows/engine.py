"""The machine that advances one execution: steps in order, a checkpoint after each, no surprises.

It knows no queue, no table and no clock of its own. The caller leases the execution, lends it
``perform`` and ``save``, and does with the ``Outcome`` what its queue needs::

    machine = engine.begin(execution, workflow, version=…, values=…, is_idempotent=…)
    …write the lease, execution included…            # and the first step, where it is found soon
    outcome = machine.advance(perform=…, save=…, deadline=…)

What holds, whatever dies when:

- One ``save`` per step or round: the one that records step N as finished also records that step
  N+1 is starting. What is recorded as finished is never run again.
- A run of idempotent steps that do not depend on each other is saved once, at its end, and every
  few seconds: whoever finds it interrupted runs it again from the last save, and each of its steps
  sends what it sent before.
- What is found recorded as running was interrupted: nobody knows whether it was carried out. An
  idempotent action, or ``retry.onUnknownOutcome: repeat``, is run again with the same idempotency
  key; anything else fails as ``outcome_unknown``.
- A later step sees the outputs whole, before a resume and after: what is too large to stand in the
  execution is stored by the ``values`` that the caller lends, and fetched when a step may touch it.
- ``now()`` is the moment the step first started, so that a repetition sends the same thing again.
- With ``onError: continue`` a failed step shows as failed and the execution can still succeed.
"""

import json
import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final, assert_never, cast

from integrations.errors import (
    ConnectionPaused,
    ExpressionError,
    IntegrationError,
    InvalidInput,
    ProviderUnavailable,
    RateLimited,
    ValueGone,
)
from integrations.models import DEFAULT_CONNECTION, Json, now, rfc3339
from integrations.workflows import evaluation, expressions
from integrations.workflows.contexts import Contexts
from integrations.workflows.lifecycle import due_in
from integrations.workflows.limits import (
    FEW_WORDS,
    MAX_FAILURES_BYTES,
    MAX_INPUT_BYTES,
    MAX_INPUTS_BYTES,
    MAX_OUTPUT_BYTES,
    MAX_OUTPUTS_BYTES,
    MAX_ROUND_FAILURES,
    SHOWN_OUTPUT_BYTES,
    SHOWN_OUTPUTS_BYTES,
    SMALL_BYTES,
    bytes_of,
    cut,
    encoded,
    limited,
    mark,
    without_secrets,
)
from integrations.workflows.outcomes import (
    Clock,
    Finished,
    Outcome,
    OutOfTime,
    Perform,
    RetryAfter,
    Save,
    Sent,
    StepCall,
    Values,
)
from integrations.workflows.records import (
    DEFAULT_ATTEMPTS,
    DEFAULT_BACKOFF_SECONDS,
    DEFAULT_MAX_BACKOFF_SECONDS,
    DEFAULT_WAITS,
    DONE,
    TERMINAL,
    Execution,
    ExecutionFailure,
    Failure,
    RetryDefinition,
    RoundFailure,
    StepDefinition,
    StepRun,
    StoredValue,
    WorkflowDefinition,
)
from integrations.workflows.references import touched_steps, touches_time
from integrations.workflows.transitions import (
    close_run,
    failure_of,
    follow_workflow,
    moment_of,
    rest_execution,
)

MAX_RESUMES: Final = 10
PATIENCE: Final = timedelta(hours=72)
"""How long one step or round is retried at most."""

BEGINNING: Final = timedelta(seconds=5)
"""How long a step that has to run is looked for before the lease: rounds that fail take time, too,
and a process that dies of them before it has written anything would begin with the first again."""

UNRECORDED_TIME: Final = timedelta(seconds=5)
UNRECORDED_STEPS: Final = 100
"""How much of a run of idempotent steps is repeated at most, and how late a cancel is noticed. A
hundred results, each as long as it may be, fit one part of the journal."""


# -- The machine -----------------------------------------------------------------------------


def begin(
    execution: Execution,
    workflow: WorkflowDefinition,
    *,
    version: int,
    values: Values,
    is_idempotent: Callable[[str], bool],
    clock: Clock = now,
) -> "Machine":
    """Get an execution ready to be advanced, in place. Save it, with the lease, before that.

    Ask ``due_in`` first: it does not wait for the next attempt's time.

    It settles what a dead process left behind, follows a change of the workflow, and marks the
    next step as running, unless that takes long: then ``advance`` does. Afterwards the execution
    may be terminal; ``advance`` then says so.

    Args:
        execution: The state that was stored last. Nobody else may be running it.
        workflow: The definition as it is now.
        version: Its version.
        values: Where large values are.
        is_idempotent: Whether an action may be repeated without harm.
        clock: The present moment.
    """
    if execution["status"] not in TERMINAL and version != execution["workflowVersion"]:
        follow_workflow(execution, workflow, version)
    machine = Machine(execution, workflow, values, is_idempotent, clock)
    machine.begin()
    return machine


class Machine:
    """An execution together with its definition, and the transitions between its steps."""

    def __init__(
        self,
        execution: Execution,
        workflow: WorkflowDefinition,
        values: Values,
        is_idempotent: Callable[[str], bool],
        clock: Clock,
    ) -> None:
        self.execution = execution
        self.values = values
        self.is_idempotent = is_idempotent
        self.clock = clock
        self.indices = {run["id"]: index for index, run in enumerate(execution["steps"])}
        self.plan = [(self.indices[step["id"]], step) for step in workflow["steps"]]
        self.definitions = dict(self.plan)
        self.params: dict[str, Json] = {}
        self.with_secrets: Callable[[Mapping[str, str]], Sent] = lambda _: Sent(self.params)
        self.items: dict[str, list[Json]] = {}
        self.measured: dict[str, tuple[Json, int]] = {}
        self.contexts = Contexts(execution, self.plan, values)
        # Which step of a run kills its process is to be found out: each is recorded then.
        self.doubtful = any(run["resumes"] for run in execution["steps"])
        self.recorded()

    def begin(self) -> None:
        """See the function ``begin``."""
        execution = self.execution
        if execution["status"] in TERMINAL:
            return
        execution["status"] = "running"
        execution["retryAt"] = None
        execution["startedAt"] = execution["startedAt"] or rfc3339(self.clock())
        self.settle_interrupted()
        self.start_next(deadline=self.clock() + BEGINNING)
        if execution["status"] == "queued":
            execution["status"] = "running"  # the search goes on under the lease

    def advance(
        self,
        *,
        perform: Perform,
        save: Save,
        deadline: datetime,
        jitter: Callable[[], float] = random.random,
    ) -> Outcome:
        """Run it until it ends, has to wait, or the time is up. Changes the execution in place.

        Args:
            perform: Carries out one attempt; raises the errors of ``integrations.errors``. Anything
                else that it raises is a defect: it fails the step as ``internal_error``.
            save: Stores the state. What it raises (the lease was lost, say) passes through, and
                nothing more is run. What the values raise passes through likewise.
            deadline: No attempt begins at or after this moment.
            jitter: A random number from 0 to below 1.

        Returns:
            What to do next; the state is saved already.
        """
        self.recorded()  # with the lease
        if self.execution["status"] == "running" and self.current is None:
            self.start_next(deadline=deadline)
            save(self.execution)
            self.recorded()
        while self.current is not None:
            if self.clock() >= deadline:
                self.put_back()
                save(self.execution)
                return OutOfTime()
            done = self.current
            self.attempt(perform, jitter)
            self.start_next(deadline=deadline)
            if not self.can_repeat_from_record(done):
                save(self.execution)
                self.recorded()
        match self.execution["status"]:
            case "retrying":
                return RetryAfter(due_in(self.execution, clock=self.clock))
            case "queued" | "running":
                return OutOfTime()
            case "succeeded" | "failed" | "cancelled":
                return Finished(self.execution["status"])
            case unknown:
                assert_never(unknown)

    @property
    def current(self) -> int | None:
        """The index of the step that is running; ``None`` where the execution rests or waits."""
        if self.execution["status"] != "running":
            return None
        runs = self.execution["steps"]
        return next((index for index, _ in self.plan if runs[index]["status"] == "running"), None)

    def _running(self) -> tuple[StepDefinition, StepRun]:
        index = self.current
        assert index is not None
        return self.definitions[index], self.execution["steps"][index]

    # -- What a dead process would leave behind --

    def recorded(self) -> None:
        """Note that the execution is stored as it is now."""
        self.recorded_step = self.current
        self.recorded_at = self.clock()
        self.unrecorded = 0

    def can_repeat_from_record(self, done: int) -> bool:
        """Whether a step may begin with no record of it and of the step that was done before.

        Both do no harm when they are repeated, and a repetition sends the same once more: what
        begins sees nothing that is only in this process, be it an output or the time.
        """
        self.unrecorded += 1
        index = self.current
        if index is None or self.recorded_step is None or self.doubtful:
            return False
        order = [each for each, _ in self.plan]
        since = order[order.index(self.recorded_step) : order.index(index)]
        sources = self.contexts.sources(self.definitions[index])
        return (
            self.unrecorded < UNRECORDED_STEPS
            and self.clock() - self.recorded_at < UNRECORDED_TIME
            and self.is_idempotent(self.definitions[done]["action"])
            and self.is_idempotent(self.definitions[index]["action"])
            and not touched_steps(sources, [self.execution["steps"][each]["id"] for each in since])
            and (index == self.recorded_step or not touches_time(sources))
        )

    # -- Between the steps --

    def settle_interrupted(self) -> None:
        """Decide about the step that a dead process left as running, if there is one."""
        if self.current is None:
            return
        step, run = self._running()
        self.execution["resumeCount"] += 1
        run["resumes"] += 1
        self.doubtful = True
        if run["resumes"] > MAX_RESUMES:
            message = f"The process died {run['resumes']} times in a row during this step"
            self._fail(step, run, self._failure("crashed", message))
        elif self._may_repeat(step):
            self._start(step, run, again=True)
        else:
            message = (
                "The process died during this step. It may have been carried out, "
                "and carrying it out twice could do harm"
            )
            self._fail(step, run, self._failure("outcome_unknown", message))

    def put_back(self) -> None:
        """Take back the start of the running step: it was not attempted."""
        _, run = self._running()
        run["status"] = "pending"
        run["attempts"] -= 1
        self.execution["status"] = "queued"

    def start_next(self, *, deadline: datetime) -> None:
        """Bring the execution to its next step that has to run, or to its end."""
        for index, step in self.plan:
            if self.execution["status"] != "running":
                return
            run = self.execution["steps"][index]
            while run["status"] not in DONE:
                if run["status"] == "running":
                    return
                if self.clock() >= deadline:
                    self.execution["status"] = "queued"
                    return
                self._start(step, run, again=False)  # one of many where it is a round that fails
        if self.execution["status"] == "running":
            rest_execution(self.execution, "succeeded", self.clock())

    def _start(self, step: StepDefinition, run: StepRun, *, again: bool) -> None:
        """Evaluate what a step needs and mark it as running; or as skipped, done or failed."""
        # As it is stored, so that the first evaluation sees the same `now()` as a repetition.
        moment = moment_of(run["startedAt"] or rfc3339(self.clock()))
        try:
            if not self._prepare(step, run, moment):
                return
        except (ExpressionError, ValueGone) as error:
            run["startedAt"] = run["startedAt"] or rfc3339(moment)
            self._fail(step, run, self._failure(error.code, error.detail))
            return
        except IntegrationError:
            raise  # AWS, say: it is tried again
        except Exception as error:  # noqa: BLE001 - a defect must end in a state that can be seen
            run["startedAt"] = run["startedAt"] or rfc3339(moment)
            name = type(error).__name__
            message = f"An unexpected error ({name}); the step was not carried out"
            self._fail(step, run, self._failure("internal_error", message))
            return
        run["startedAt"] = run["startedAt"] or rfc3339(moment)
        run["status"] = "running"
        run["retryAt"] = None
        if not again:
            run["attempts"] += 1

    def _prepare(self, step: StepDefinition, run: StepRun, moment: datetime) -> bool:
        """Evaluate ``when``, ``forEach`` and the parameters; false where nothing is to be run."""
        context = self.contexts.of(step)
        if run["startedAt"] is None and not evaluation.condition(step, context, moment):
            close_run(run, "skipped", self.clock(), None)
            return False
        if "forEach" in step:
            # Once per step: it gives the same each time, and ten thousand rounds would not end.
            items = self.items.get(step["id"])
            if items is None:
                items = self.items[step["id"]] = evaluation.items(step["forEach"], context, moment)
            rounds = run["rounds"]
            if rounds is None:
                rounds = {"total": 0, "done": 0, "failed": 0, "failures": []}
                run["rounds"] = rounds
                run["output"] = []
            rounds["total"] = len(items)
            index = rounds["done"]
            if index >= len(items):
                run["startedAt"] = run["startedAt"] or rfc3339(moment)
                self._close_rounds(run)
                return False
            context = {**context, "item": items[index], "index": index}
        self.params = evaluation.parameters(step, context, moment)
        self.with_secrets = partial(evaluation.sent, step, context, moment)
        run["input"] = None
        left = MAX_INPUTS_BYTES - sum(map(self._input_bytes, self.execution["steps"]))
        run["input"] = limited(without_secrets(self.params), min(MAX_INPUT_BYTES, left))
        return True

    def _input_bytes(self, run: StepRun) -> int:
        """How many bytes a step's input has; measured once, for each later step asks."""
        value, size = self.measured.get(run["id"], (None, 0))
        if value is not run["input"]:
            size = bytes_of([run["input"]])
            self.measured[run["id"]] = (run["input"], size)
        return size

    # -- One attempt --

    def attempt(self, perform: Perform, jitter: Callable[[], float]) -> None:
        """Carry out the running step once and record what came of it."""
        step, run = self._running()
        try:
            output = perform(self._call(step, run))
        except IntegrationError as error:
            self._sort_error(step, run, error, jitter)
        except Exception as error:  # noqa: BLE001 - a defect must end in a state that can be seen
            name = type(error).__name__
            message = f"An unexpected error ({name}); the step may or may not have been carried out"
            self._fail(step, run, self._failure("internal_error", message))
        else:
            self._succeed(step, run, output)

    def _call(self, step: StepDefinition, run: StepRun) -> StepCall:
        key = f"{self.execution['executionId']}.{step['id']}"
        if run["rounds"] is not None:
            key += f".{run['rounds']['done']}"
        return StepCall(
            action=step["action"],
            connection=step.get("connection", DEFAULT_CONNECTION),
            params=self.params,
            secrets=frozenset(expressions.secret_names(step.get("params", {}))),
            with_secrets=self.with_secrets,
            idempotency_key=key,
            hops=self.execution["hops"],
        )

    def _sort_error(
        self,
        step: StepDefinition,
        run: StepRun,
        error: IntegrationError,
        jitter: Callable[[], float],
    ) -> None:
        """Retry what is worth it, fail what is not."""
        failure = self._failure(error.code, _message(error), error)
        backoff = _backoff(step.get("retry", {}), run["attempts"], jitter)
        match error:
            case ConnectionPaused():
                run["attempts"] -= 1
                self._retry(step, run, failure, error.retry_after or backoff)
            case RateLimited():
                # The provider knows best: exactly what it asks for, where it says.
                wait = backoff if error.retry_after is None else error.retry_after
                self._retry(step, run, failure, wait)
            case ProviderUnavailable() if error.outcome_unknown and not self._may_repeat(step):
                failure["code"] = "outcome_unknown"
                failure["message"] = cut(
                    "It may have been carried out, and carrying it out twice could do harm. "
                    + failure["message"]
                )
                self._fail(step, run, failure)
            case ProviderUnavailable():
                self._retry(step, run, failure, max(backoff, error.retry_after or 0.0))
            case _:
                self._fail(step, run, failure)

    def _retry(self, step: StepDefinition, run: StepRun, failure: Failure, wait: float) -> None:
        attempts = step.get("retry", {}).get("maxAttempts", DEFAULT_ATTEMPTS)
        moment = self.clock()
        since = run["waitingSince"] or rfc3339(moment)
        run["waitingSince"] = since
        due = min(wait, 2 * PATIENCE.total_seconds())
        retry_at = moment + timedelta(seconds=due)
        reason = None
        if run["attempts"] >= attempts:
            reason = f"Gave up after {run['attempts']} attempts"
        elif retry_at - moment_of(since) > PATIENCE:
            reason = f"Gave up: the next attempt would be {wait:.0f} seconds away"
        if reason:
            failure["message"] = cut(f"{reason}. {failure['message']}")
            self._fail(step, run, failure)
            return
        run["status"] = "retrying"
        run["error"] = failure
        run["retryAt"] = rfc3339(retry_at)
        run["resumes"] = 0
        self.execution["status"] = "retrying"
        self.execution["retryAt"] = run["retryAt"]

    def _succeed(self, step: StepDefinition, run: StepRun, output: Json) -> None:
        try:
            text = encoded(output)
        except (TypeError, ValueError, RecursionError):
            # The step did its work; that its answer is not JSON must not undo that.
            text = b""
        sizes = self.execution["sizes"]
        over = _over(len(text), sizes["outputs"])
        if over:
            message = f"The step was carried out, but {over}"
            self._fail(step, run, self._failure("output_too_large", message))
            return
        left = SHOWN_OUTPUTS_BYTES - sizes["shown"]
        if not text:
            shown: Json = {"truncated": True, "bytes": 0, "preview": ""}
            shown_bytes = 0
        elif len(text) <= max(SMALL_BYTES, min(SHOWN_OUTPUT_BYTES, left)):
            shown = cast("Json", json.loads(text))
            shown_bytes = len(text)
        else:
            shown = self._store(run, text, left)
            shown_bytes = len(encoded(shown))
        # Another object: what is stored is what has been replaced.
        self.execution["sizes"] = {
            "outputs": sizes["outputs"] + len(text),
            "shown": sizes["shown"] + shown_bytes,
        }
        if run["rounds"] is None:
            run["output"] = shown
            close_run(run, "succeeded", self.clock(), None)
        else:
            self._close_round(run, shown)

    def _store(self, run: StepRun, text: bytes, left: int) -> Json:
        """Store an output apart; returns the mark that stands in its place."""
        index = "" if run["rounds"] is None else str(run["rounds"]["done"])
        stored: StoredValue = {"key": self.values.put(text), "bytes": len(text)}
        run["stored"] = {**(run["stored"] or {}), index: stored}
        return mark(text, left)

    def _fail(self, step: StepDefinition, run: StepRun, failure: Failure) -> None:
        """Record a final failure: of the round, where others may go on; else of the step."""
        goes_on = step.get("onError", "stop") == "continue"
        has_room = self._has_room_for_failures()
        if not has_room:
            failure["message"] = cut(failure["message"], FEW_WORDS)
        if goes_on and run["rounds"] is not None:
            run["rounds"]["failed"] += 1
            recorded = len(run["rounds"]["failures"])
            if recorded == 0 or (recorded < MAX_ROUND_FAILURES and has_room):
                failed: RoundFailure = {**failure, "index": run["rounds"]["done"]}
                run["rounds"]["failures"].append(failed)
            self._close_round(run, None)
            return
        close_run(run, "failed", self.clock(), failure)
        if not goes_on:
            stopped: ExecutionFailure = {**failure, "step": run["id"]}
            self.execution["error"] = stopped
            rest_execution(self.execution, "failed", self.clock())

    def _has_room_for_failures(self) -> bool:
        runs = self.execution["steps"]
        errors = [cast("Json", run["error"]) for run in runs]
        of_rounds = [cast("Json", run["rounds"]["failures"]) for run in runs if run["rounds"]]
        return bytes_of([*errors, *of_rounds]) < MAX_FAILURES_BYTES

    def _close_round(self, run: StepRun, output: Json) -> None:
        rounds = run["rounds"]
        assert rounds is not None
        cast("list[Json]", run["output"]).append(output)
        rounds["done"] += 1
        if rounds["done"] >= rounds["total"]:
            self._close_rounds(run)
            return
        run["status"] = "pending"
        run["attempts"] = 0
        run["resumes"] = 0
        run["error"] = None
        run["waitingSince"] = None

    def _close_rounds(self, run: StepRun) -> None:
        rounds = run["rounds"]
        if rounds is None or not rounds["failed"]:
            close_run(run, "succeeded", self.clock(), None)
            return
        first = rounds["failures"][0]
        message = f"{rounds['failed']} of {rounds['total']} rounds failed. {first['message']}"
        close_run(run, "failed", self.clock(), self._failure(first["code"], message))

    def _may_repeat(self, step: StepDefinition) -> bool:
        allowed = step.get("retry", {}).get("onUnknownOutcome", "fail") == "repeat"
        return allowed or self.is_idempotent(step["action"])

    def _failure(self, code: str, message: str, error: IntegrationError | None = None) -> Failure:
        return failure_of(code, message, self.clock(), error)


# -- Small parts -----------------------------------------------------------------------------


def _over(size: int, before: int) -> str:
    """Which limit an output is over, in words; empty where it is over none."""
    if size > MAX_OUTPUT_BYTES:
        return f"its output has {size} bytes; at most {MAX_OUTPUT_BYTES} are allowed"
    if before + size > MAX_OUTPUTS_BYTES:
        total = before + size
        return (
            f"with its output of {size} bytes the execution has {total}; "
            f"at most {MAX_OUTPUTS_BYTES} are allowed"
        )
    return ""


def _backoff(retry: RetryDefinition, attempts: int, jitter: Callable[[], float]) -> float:
    """The default waits, a tenth of each random; or exponential, capped, half of it random."""
    if "backoffSeconds" not in retry and "maxBackoffSeconds" not in retry:
        wait = DEFAULT_WAITS[min(max(1, attempts), len(DEFAULT_WAITS)) - 1]
        return wait * (1 + jitter() / 10)
    base = retry.get("backoffSeconds", DEFAULT_BACKOFF_SECONDS)
    cap = retry.get("maxBackoffSeconds", DEFAULT_MAX_BACKOFF_SECONDS)
    full = min(cap, base * 2.0 ** max(0, attempts - 1))
    return full / 2 + jitter() * full / 2


def _message(error: IntegrationError) -> str:
    if isinstance(error, InvalidInput) and error.errors:
        fields = "; ".join(f"{each.field}: {each.message}" for each in error.errors)
        return f"{error.detail} ({fields})"
    return error.detail
