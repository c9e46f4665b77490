"""GET /api/secrets: the names of the tenant's secrets."""

from integrations.entry import wiring
from integrations.entry.http import Api
from integrations.services.answers.secrets import SecretPage

app = Api()


@app.get("/api/secrets", summary="List secrets", tags=["Secrets"])
def list_secrets() -> SecretPage:
    """All of them, without their values, which nobody can read."""
    return wiring.secret_service().names(app.tenant)


handler = app.handler
