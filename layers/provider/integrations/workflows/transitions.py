"""The changes of state that an execution and its steps go through, each in one place."""

from datetime import datetime

from integrations.errors import IntegrationError, ProviderError
from integrations.models import rfc3339
from integrations.workflows.limits import cut
from integrations.workflows.records import (
    DONE,
    Execution,
    ExecutionStatus,
    Failure,
    StepDefinition,
    StepRun,
    StepStatus,
    WorkflowDefinition,
)


def fresh_run(step: StepDefinition) -> StepRun:
    """A step that has not begun."""
    return {
        "id": step["id"],
        "action": step["action"],
        "status": "pending",
        "attempts": 0,
        "resumes": 0,
        "startedAt": None,
        "finishedAt": None,
        "durationMs": None,
        "retryAt": None,
        "waitingSince": None,
        "input": None,
        "output": None,
        "error": None,
        "rounds": None,
        "stored": None,
    }


def reset_run(run: StepRun) -> None:
    """Let a step start anew; with ``forEach``, from the round that stopped it."""
    run["status"] = "pending"
    run["attempts"] = 0
    run["resumes"] = 0
    run["finishedAt"] = None
    run["durationMs"] = None
    run["retryAt"] = None
    run["waitingSince"] = None
    run["error"] = None
    if run["rounds"] is None:
        run["startedAt"] = None


def follow_workflow(execution: Execution, workflow: WorkflowDefinition, version: int) -> None:
    """Fit the state to a definition that was replaced meanwhile.

    Steps that are still there, by id and action, keep what they have done; new ones are run when
    their turn comes; what was removed stays visible if it had started.
    """
    known = {(run["id"], run["action"]): run for run in execution["steps"]}
    ids = {step["id"] for step in workflow["steps"]}
    removed = [run for run in execution["steps"] if run["startedAt"] and run["id"] not in ids]
    steps = [
        known.get((step["id"], step["action"])) or fresh_run(step) for step in workflow["steps"]
    ]
    for run in removed:
        if run["status"] not in DONE:
            run["status"] = "skipped"
    for step, run in zip(workflow["steps"], steps, strict=True):
        if run["rounds"] and run["status"] not in DONE and "forEach" not in step:
            # It is carried out once from now on, not once for each round that was left.
            run["rounds"] = run["output"] = run["stored"] = None
    execution["steps"] = removed + steps
    execution["workflowVersion"] = version


def close_run(run: StepRun, status: StepStatus, moment: datetime, failure: Failure | None) -> None:
    """Bring a step to its end."""
    run["status"] = status
    run["error"] = failure
    run["retryAt"] = None
    run["waitingSince"] = None
    run["resumes"] = 0
    run["finishedAt"] = rfc3339(moment)
    if run["startedAt"]:
        elapsed = moment - moment_of(run["startedAt"])
        run["durationMs"] = max(0, round(elapsed.total_seconds() * 1000))


def rest_execution(execution: Execution, status: ExecutionStatus, moment: datetime) -> None:
    """Bring an execution to its end."""
    execution["status"] = status
    execution["retryAt"] = None
    execution["finishedAt"] = rfc3339(moment)


def failure_of(
    code: str, message: str, moment: datetime, error: IntegrationError | None = None
) -> Failure:
    """A failure as it is stored, with what the provider said of it."""
    provider = error if isinstance(error, ProviderError) else None
    return {
        "code": code,
        "message": cut(message),
        "providerCode": provider.provider_code if provider else None,
        "status": provider.status if provider else None,
        "at": rfc3339(moment),
    }


def moment_of(text: str) -> datetime:
    """A stored RFC 3339 text as a moment."""
    return datetime.fromisoformat(text)
