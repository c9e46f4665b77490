"""GET /api/executions: the tenant's executions, newest first."""

from typing import Annotated

from integrations.entry import wiring
from integrations.entry.http import ID_PATTERN, Api, Limit, Moment, NextToken, Query
from integrations.services.answers.executions import ExecutionPage, execution_page
from integrations.workflows.records import ExecutionStatus

app = Api()


@app.get("/api/executions", summary="List executions", tags=["Executions"])
def list_executions(
    workflow_id: Annotated[str | None, Query(alias="workflowId", pattern=ID_PATTERN)] = None,
    status: Annotated[ExecutionStatus | None, Query()] = None,
    since: Annotated[Moment | None, Query(description="Created at or after.")] = None,
    until: Annotated[Moment | None, Query(description="Created at or before.")] = None,
    limit: Limit = 50,
    next_token: NextToken = None,
) -> ExecutionPage:
    """One page of summaries; `nextToken` is there while more follow."""
    found, token = wiring.execution_service().page(
        app.tenant, workflow_id, status, since, until, limit, next_token
    )
    return execution_page(found, token)


handler = app.handler
