"""POST /api/executions/{executionId}/cancel: stop an unfinished execution."""

from integrations.entry import wiring
from integrations.entry.http import Api, ExecutionId
from integrations.errors import Conflict, UnknownExecution
from integrations.services.answers.executions import ExecutionAnswer, execution_answer

app = Api(refuses=(UnknownExecution, Conflict))


@app.post(
    "/api/executions/<executionId>/cancel", summary="Cancel an execution", tags=["Executions"]
)
def cancel_execution(execution_id: ExecutionId) -> ExecutionAnswer:
    """A step that is under way may still be carried out."""
    state = wiring.execution_service().cancel(app.tenant, execution_id)
    return execution_answer(state)


handler = app.handler
