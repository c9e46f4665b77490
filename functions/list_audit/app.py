"""GET /api/audit: who did what in this tenant, newest first."""

from typing import Annotated

from integrations.entry import wiring
from integrations.entry.http import Api, Limit, Moment, NextToken, Query
from integrations.services.answers.audit import AuditPage
from integrations.services.audit import audit_page

app = Api(scope="admin")


@app.get("/api/audit", summary="List the audit log", tags=["Access"])
def list_audit(
    since: Annotated[Moment | None, Query(description="At or after.")] = None,
    until: Annotated[Moment | None, Query(description="At or before.")] = None,
    action: Annotated[str | None, Query(pattern=r"^[a-z_]{1,64}$")] = None,
    limit: Limit = 50,
    next_token: NextToken = None,
) -> AuditPage:
    """Writes, log-ins and refusals of the last year; `nextToken` is there while more follow."""
    return audit_page(wiring.audit(), app.tenant, since, until, action, limit, next_token)


handler = app.handler
