"""GET /api/workflows: the tenant's workflows, page by page."""

from integrations.entry import wiring
from integrations.entry.http import Api, Limit, NextToken
from integrations.services.answers.workflows import WorkflowPage

app = Api()


@app.get("/api/workflows", summary="List workflows", tags=["Workflows"])
def list_workflows(limit: Limit = 50, next_token: NextToken = None) -> WorkflowPage:
    """One page; `nextToken` is there while more follow."""
    return wiring.workflow_service().page(app.tenant, limit, next_token)


handler = app.handler
