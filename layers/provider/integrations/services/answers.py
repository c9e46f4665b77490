"""What the API answers about executions: the engine's own document, typed for OpenAPI."""

from datetime import datetime
from typing import Any, cast

from integrations.services.connections import Answer
from integrations.storage.executions import StoredExecution
from integrations.workflows.records import Execution, ExecutionStatus, StepStatus


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


def execution_answer(state: Execution) -> ExecutionAnswer:
    """An execution as the API shows it; what only the engine needs is left out."""
    return ExecutionAnswer.model_validate(state)


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
