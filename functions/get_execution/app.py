"""GET /api/executions/{executionId}: one execution, whole."""

from integrations.entry import wiring
from integrations.entry.http import Api, ExecutionId
from integrations.errors import UnknownExecution
from integrations.services.answers.executions import ExecutionAnswer, execution_answer

app = Api(refuses=(UnknownExecution,))


@app.get("/api/executions/<executionId>", summary="Get an execution", tags=["Executions"])
def get_execution(execution_id: ExecutionId) -> ExecutionAnswer:
    """Each step with its attempts, input, output, error and duration."""
    state = wiring.execution_service().get(app.tenant, execution_id)
    return execution_answer(state)


handler = app.handler
