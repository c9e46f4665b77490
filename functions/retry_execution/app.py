"""POST /api/executions/{executionId}/retry: let a failed execution go on."""

from integrations.entry import wiring
from integrations.entry.http import Api, ExecutionId
from integrations.errors import (
    Conflict,
    NeverBegan,
    QuotaExceeded,
    UnknownExecution,
    UnknownWorkflow,
)
from integrations.services.answers.executions import ExecutionAnswer, execution_answer

app = Api(refuses=(UnknownExecution, UnknownWorkflow, Conflict, NeverBegan, QuotaExceeded))


@app.post("/api/executions/<executionId>/retry", summary="Retry an execution", tags=["Executions"])
def retry_execution(execution_id: ExecutionId) -> ExecutionAnswer:
    """It goes on from the step that stopped it, with the workflow as it is now."""
    state = wiring.execution_service().retry(app.tenant, execution_id)
    return execution_answer(state)


handler = app.handler
