"""What the API answers about executions, typed for OpenAPI.

Apart from the other answers: a route that asks nothing of executions need not import them.
"""

from datetime import datetime
from typing import Any, cast

from pydantic import Field

from integrations.services.answers.base import Answer
from integrations.services.executions import SHOWN_ROUNDS, StepOutput
from integrations.storage.executions import StoredExecution
from integrations.workflows.records import Execution, ExecutionStatus, StepRun, StepStatus


class FailureAnswer(Answer):
    """What went wrong, for programs (``code``) and for people (``message``)."""

    code: str
    message: str
    provider_code: str | None = None
    status: int | None = None
    at: datetime
    step: str | None = None


class TriggerAnswer(Answer):
    """What started it; ``data`` is what templates see as ``trigger``."""

    type: str
    event_id: str
    data: Any = None


class StepAnswer(Answer):
    """One step of an execution."""

    id: str
    action: str
    status: StepStatus
    attempts: int
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: int | None = None
    retry_at: datetime | None = None
    input: Any = None
    output: Any = None
    output_url: str | None = None
    error: FailureAnswer | None = None
    rounds: dict[str, Any] | None = None


class ExecutionAnswer(Answer):
    """An execution, whole."""

    execution_id: str
    workflow_id: str
    workflow_name: str
    workflow_version: int
    status: ExecutionStatus
    trigger: TriggerAnswer
    steps: list[StepAnswer]
    error: FailureAnswer | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    retry_at: datetime | None = None
    retry_count: int = 0
    rerun_of: str | None = None


class ExecutionSummary(Answer):
    """An execution in a list."""

    execution_id: str
    workflow_id: str
    workflow_name: str
    status: ExecutionStatus
    trigger_type: str
    created_at: datetime
    finished_at: datetime | None = None
    error: FailureAnswer | None = None


class ExecutionPage(Answer):
    """One page of executions, newest first."""

    items: list[ExecutionSummary]
    next_token: str | None = None


class RoundOutput(Answer):
    """The result of one round of a `forEach`."""

    index: int
    output: Any = None
    text: str | None = Field(
        None,
        description="In place of a very long `output`: a part of its JSON text. The next pages "
        "have the following parts, under the same index.",
    )


class StepOutputAnswer(Answer):
    """A step's output: whole, or one page of its rounds, or one part of its text."""

    step_id: str
    status: StepStatus
    output: Any = None
    items: list[RoundOutput] | None = None
    text: str | None = None
    next_token: str | None = None


def execution_answer(state: Execution) -> ExecutionAnswer:
    """An execution as the API shows it; what only the engine needs is left out."""
    steps = [_step(state["executionId"], run) for run in state["steps"]]
    return ExecutionAnswer.model_validate({**state, "steps": steps})


def _step(execution_id: str, run: StepRun) -> dict[str, Any]:
    """A step as it is shown; where its output is more than is shown, with its address."""
    shown: dict[str, Any] = dict(run)
    is_long = run["rounds"] is not None and run["rounds"]["done"] > SHOWN_ROUNDS
    if is_long:
        shown["output"] = shown["output"][:SHOWN_ROUNDS]
    if is_long or run["stored"]:
        shown["outputUrl"] = f"/api/executions/{execution_id}/steps/{run['id']}/output"
    return shown


def step_output_answer(found: StepOutput) -> StepOutputAnswer:
    """A step's output as the API shows it."""
    items = None
    if found.run["rounds"] is not None:
        results = cast("list[Any]", found.output)
        items = [
            RoundOutput(index=found.first + number, output=each)
            for number, each in enumerate(results)
        ]
        if found.text is not None:
            items = [RoundOutput(index=found.first, text=found.text)]
    return StepOutputAnswer(
        step_id=found.run["id"],
        status=found.run["status"],
        output=None if items is not None else found.output,
        items=items,
        text=found.text if items is None else None,
        next_token=found.next_token,
    )


def execution_page(found: list[StoredExecution], next_token: str | None) -> ExecutionPage:
    """A page of summaries as the API shows it."""
    items = [
        ExecutionSummary(
            execution_id=each.execution_id,
            workflow_id=each.workflow_id,
            workflow_name=each.workflow_name,
            status=cast("ExecutionStatus", each.status),
            trigger_type=each.trigger_type,
            created_at=each.created_at,
            finished_at=each.finished_at,
            error=FailureAnswer.model_validate(each.error) if each.error else None,
        )
        for each in found
    ]
    return ExecutionPage(items=items, next_token=next_token)
