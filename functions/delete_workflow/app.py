"""DELETE /api/workflows/{workflowId}: remove a workflow; its executions stay."""

from integrations.entry import wiring
from integrations.entry.http import Api, WorkflowId
from integrations.errors import UnknownWorkflow
from integrations.services.answers.workflows import WorkflowDeleted

app = Api(refuses=(UnknownWorkflow,))


@app.delete("/api/workflows/<workflowId>", summary="Delete a workflow", tags=["Workflows"])
def delete_workflow(workflow_id: WorkflowId) -> WorkflowDeleted:
    """What it alone had waited for is cancelled at the provider."""
    return wiring.workflow_service().delete(app.tenant, workflow_id)


handler = app.handler
