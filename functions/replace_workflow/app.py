"""PUT /api/workflows/{workflowId}: check a definition and put it in the place of the one before."""

from integrations.entry import wiring
from integrations.entry.http import Api, Definition, WorkflowId
from integrations.errors import InvalidWorkflow, QuotaExceeded, UnknownWorkflow, VersionConflict
from integrations.services.answers.workflows import WorkflowAnswer

app = Api(refuses=(UnknownWorkflow, VersionConflict, InvalidWorkflow, QuotaExceeded))


@app.put("/api/workflows/<workflowId>", summary="Replace a workflow", tags=["Workflows"])
def replace_workflow(workflow_id: WorkflowId, body: Definition) -> WorkflowAnswer:
    """The whole definition; `enabled: false` switches it off."""
    return wiring.workflow_service().replace(app.tenant, workflow_id, body)


handler = app.handler
