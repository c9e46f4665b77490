"""GET /api/workflows/{workflowId}: one workflow with its definition."""

from integrations.entry import wiring
from integrations.entry.http import Api, WorkflowId
from integrations.errors import UnknownWorkflow
from integrations.services.answers.workflows import WorkflowAnswer

app = Api(refuses=(UnknownWorkflow,))


@app.get("/api/workflows/<workflowId>", summary="Get a workflow", tags=["Workflows"])
def get_workflow(workflow_id: WorkflowId) -> WorkflowAnswer:
    """The definition, its version, and the address that its events come to."""
    return wiring.workflow_service().get(app.tenant, workflow_id)


handler = app.handler
