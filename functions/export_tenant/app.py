"""GET /api/tenant/export: all that is stored of the tenant, but its secrets."""

from integrations.entry import wiring_tenants
from integrations.entry.http import Api, NextToken
from integrations.services.answers.export import ExportPage

app = Api(scope="admin")


@app.get("/api/tenant/export", summary="Export the tenant", tags=["Tenant"])
def export_tenant(next_token: NextToken = None) -> ExportPage:
    """Tokens, connections, workflows, secrets, jobs, executions, events: in this order."""
    return wiring_tenants.tenant_export().page(app.tenant, next_token)


handler = app.handler
