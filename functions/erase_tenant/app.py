"""DELETE /api/tenant: all that is stored of the tenant is removed, in the background."""

from integrations.entry import wiring_tenants
from integrations.entry.http import Api
from integrations.services.answers.events import JobAnswer, job_answer

app = Api(scope="admin")


@app.delete("/api/tenant", summary="Erase the tenant", tags=["Tenant"])
def erase_tenant() -> JobAnswer:
    """Grants are revoked at their providers; the caller's token goes late, the audit log stays."""
    # Another caller's id is what its issuer calls it, and may look like a token's.
    token_id = app.caller.actor_id if app.caller.kind == "token" else ""
    return job_answer(wiring_tenants.tenant_eraser().begin(app.tenant, token_id))


handler = app.handler
