"""POST /api/workflows: check a workflow and save it."""

from integrations.entry import wiring
from integrations.entry.http import Api, Definition
from integrations.errors import InvalidWorkflow, QuotaExceeded
from integrations.services.answers.workflows import WorkflowAnswer

app = Api(refuses=(InvalidWorkflow, QuotaExceeded))


@app.post("/api/workflows", summary="Create a workflow", tags=["Workflows"])
def create_workflow(body: Definition) -> WorkflowAnswer:
    """Saved only where everything in it is right; each mistake is named with its place (422)."""
    return wiring.workflow_service().create(app.tenant, body)


handler = app.handler
