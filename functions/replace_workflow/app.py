"""PUT /api/workflows/{workflowId}: check a definition and put it in the place of the one before."""

from typing import Annotated, Any

from integrations.entry import wiring
from integrations.entry.http import Api, Body, WorkflowId
from integrations.services.answers import WorkflowAnswer

app = Api(refuses=(400, 404, 409, 413, 422, 429, 502, 504))


@app.put("/api/workflows/<workflowId>", summary="Replace a workflow", tags=["Workflows"])
def replace_workflow(
    workflow_id: WorkflowId, body: Annotated[dict[str, Any], Body()]
) -> WorkflowAnswer:
    """The whole definition; `enabled: false` switches it off."""
    return wiring.workflow_service().replace(app.tenant, workflow_id, body)


handler = app.handler
