"""An execution's life outside the engine: made for an event, cancelled, retried."""

import hashlib
import json
from typing import Final

from integrations.errors import Conflict, CycleDetected, ExpressionError, NeverBegan
from integrations.models import Json, now, rfc3339
from integrations.workflows import expressions
from integrations.workflows.expressions import Budget
from integrations.workflows.limits import storable
from integrations.workflows.outcomes import Clock
from integrations.workflows.records import (
    TERMINAL,
    Execution,
    StoredValue,
    TriggerDefinition,
    WorkflowDefinition,
)
from integrations.workflows.transitions import (
    close_run,
    failure_of,
    fresh_run,
    moment_of,
    reset_run,
    rest_execution,
)

MAX_ONCE_KEY: Final = 1024
"""Characters of a key that is stored as it is, with each event and for each of its workflows."""


def execution_id(workflow_id: str, event_id: str, once_key: str | None = None) -> str:
    """The id that one event's run of one workflow always has, so that it is created once.

    Args:
        workflow_id: The workflow.
        event_id: The event; the same for each redelivery.
        once_key: The value of ``trigger.oncePer``; where given, it stands in the event's place.
    """
    identity = ["event", workflow_id, event_id]
    if once_key is not None:
        identity = ["once", workflow_id, once_key]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return f"exe_{digest[:32]}"


def new_execution(
    workflow: WorkflowDefinition,
    *,
    execution_id: str,
    workflow_id: str,
    workflow_version: int,
    event_id: str,
    data: Json,
    stored: StoredValue | None = None,
    rerun_of: str | None = None,
    hops: int = 0,
    clock: Clock = now,
) -> Execution:
    """An execution that waits for its first run.

    Args:
        workflow: The definition.
        execution_id: See the function of this name.
        workflow_id: The workflow.
        workflow_version: The definition's version.
        event_id: The event that starts it.
        data: What templates see as ``trigger``.
        stored: Where the data stands instead; ``data`` is then its preview.
        rerun_of: The execution that this one repeats.
        hops: How many executions led to this one.
        clock: The present moment.
    """
    return {
        "executionId": execution_id,
        "workflowId": workflow_id,
        "workflowVersion": workflow_version,
        "workflowName": workflow["name"],
        "status": "queued",
        "trigger": {
            "type": workflow["trigger"]["type"],
            "eventId": event_id,
            "data": storable(data),
            "stored": stored,
        },
        "steps": [fresh_run(step) for step in workflow["steps"]],
        "error": None,
        "createdAt": rfc3339(clock()),
        "startedAt": None,
        "finishedAt": None,
        "retryAt": None,
        "resumeCount": 0,
        "retryCount": 0,
        "hops": hops,
        "rerunOf": rerun_of,
        "sizes": {"shown": 0, "outputs": 0},
    }


def passes_filter(
    trigger: TriggerDefinition, data: Json, *, clock: Clock = now, budget: Budget | None = None
) -> bool:
    """Whether an event passes the trigger's own ``filter`` expression; true where there is none.

    Raises:
        ExpressionError: The filter does not evaluate on this event.
    """
    condition = trigger.get("filter", True)
    if isinstance(condition, bool):
        return condition
    context = {"trigger": data}
    return expressions.truth(condition, context, now=clock(), place="trigger.filter", budget=budget)


def once_key(
    trigger: TriggerDefinition, data: Json, *, clock: Clock = now, budget: Budget | None = None
) -> str | None:
    """What ``trigger.oncePer`` makes of an event; ``None`` where there is no such expression.

    It is the value as JSON, or of a long one (a whole body, say) its digest.

    Raises:
        ExpressionError: The expression does not evaluate on this event, or to ``null``.
    """
    source = trigger.get("oncePer")
    if source is None:
        return None
    place = "trigger.oncePer"
    value = expressions.evaluate(source, {"trigger": data}, now=clock(), place=place, budget=budget)
    if value is None:
        # Every such event would be taken for the same one.
        raise ExpressionError(f"{place}: gives null, which makes no event unique")
    text = json.dumps(value, sort_keys=True)
    if len(text) <= MAX_ONCE_KEY:
        return text
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"  # which is no JSON


def due_in(execution: Execution, *, clock: Clock = now) -> float:
    """Seconds until the execution may go on; 0 where it may at once."""
    retry_at = execution["retryAt"]
    if execution["status"] != "retrying" or retry_at is None:
        return 0.0
    return max(0.0, (moment_of(retry_at) - clock()).total_seconds())


def cancel(execution: Execution, *, clock: Clock = now) -> None:
    """Stop an execution for good, in place. A process that is running it fails to save, and stops.

    Raises:
        Conflict: It is finished already.
    """
    if execution["status"] in TERMINAL:
        raise Conflict(f"The execution is {execution['status']} already")
    moment = clock()
    for run in execution["steps"]:
        if run["status"] in {"running", "retrying"}:
            message = "Cancelled while waiting for another attempt"
            if run["status"] == "running":
                message = "Cancelled during an attempt, which may have been carried out"
            close_run(run, "failed", moment, failure_of("cancelled", message, moment))
    rest_execution(execution, "cancelled", moment)


def check_began(execution: Execution) -> None:
    """Refuse to run the steps of an execution that its trigger has not let in.

    Raises:
        NeverBegan: ``filter`` or ``oncePer`` did not evaluate, or it goes in a circle.
    """
    error = execution["error"]
    if not error or error["step"]:
        return
    if error["code"] == CycleDetected.code:
        raise NeverBegan("It never began, as a workflow triggers itself")
    if error["code"] == ExpressionError.code:
        detail = "It never began, as its trigger did not evaluate: mend that, then replay the event"
        raise NeverBegan(detail)


def retry_from_failed(execution: Execution) -> None:
    """Make a failed or cancelled execution go on, in place, from the step that stopped it.

    What succeeded stays; so are the finished rounds of a ``forEach``. A step that had failed with
    ``onError: continue`` before stays failed: later steps have acted on that.

    Raises:
        Conflict: It neither failed nor was cancelled.
        NeverBegan: Its trigger has not let it in.
    """
    if execution["status"] not in {"failed", "cancelled"}:
        detail = f"Only a failed or cancelled execution can be retried; it is {execution['status']}"
        raise Conflict(detail)
    check_began(execution)
    stopped_at = execution["error"]["step"] if execution["error"] else None
    for run in execution["steps"]:
        error = run["error"]
        if run["status"] == "failed" and (
            run["id"] == stopped_at or (error is not None and error["code"] == "cancelled")
        ):
            reset_run(run)
    execution["status"] = "queued"
    execution["error"] = None
    execution["finishedAt"] = None
    execution["retryAt"] = None
    execution["retryCount"] += 1
