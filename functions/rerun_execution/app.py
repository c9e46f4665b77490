"""POST /api/executions/{executionId}/rerun: run an execution's workflow again from the start."""

from integrations.entry import wiring
from integrations.entry.http import Api, ExecutionId, IdempotencyKey
from integrations.errors import (
    NeverBegan,
    QuotaExceeded,
    UnknownExecution,
    UnknownWorkflow,
    ValueGone,
)
from integrations.services.answers.executions import ExecutionAnswer, execution_answer

app = Api(refuses=(UnknownExecution, UnknownWorkflow, ValueGone, NeverBegan, QuotaExceeded))


@app.post("/api/executions/<executionId>/rerun", summary="Rerun an execution", tags=["Executions"])
def rerun_execution(
    execution_id: ExecutionId, idempotency_key: IdempotencyKey = None
) -> ExecutionAnswer:
    """A new execution for the same trigger, with the workflow as it is now."""
    state = wiring.execution_service().rerun(
        app.tenant, execution_id, idempotency_key=idempotency_key
    )
    return execution_answer(state)


handler = app.handler
