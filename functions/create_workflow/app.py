"""POST /api/workflows: check a workflow and keep it."""

from typing import Annotated, Any

from integrations.entry import wiring
from integrations.entry.http import Api, Body
from integrations.services.answers import WorkflowAnswer

app = Api(refuses=(400, 409, 413, 422, 429, 502, 504))


@app.post("/api/workflows", summary="Create a workflow", tags=["Workflows"])
def create_workflow(body: Annotated[dict[str, Any], Body()]) -> WorkflowAnswer:
    """Kept only where everything in it checks; each mistake is named with its place (422)."""
    return wiring.workflow_service().create(app.tenant, body)


handler = app.handler
