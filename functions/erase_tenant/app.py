"""DELETE /api/tenant: all that is stored of the tenant is removed, in the background."""

from integrations.entry import wiring_tenants
from integrations.entry.http import Api
from integrations.services.answers.events import JobAnswer, job_answer

app = Api(scope="admin")


@app.delete("/api/tenant", summary="Erase the tenant", tags=["Tenant"])
def erase_tenant() -> JobAnswer:
    """Grants are revoked at their providers; the caller's token goes late, the audit log stays."""
    return job_answer(wiring_tenants.tenant_eraser().begin(app.tenant, app.caller.actor_id))


handler = app.handler
