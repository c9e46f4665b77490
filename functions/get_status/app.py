"""GET /api/integrations/status: the state of every provider's connections."""

from integrations.entry import settings
from integrations.entry.http import Api
from integrations.services.connections import StatusAnswer

app = Api()


@app.get("/api/integrations/status", summary="The state of all connections", tags=["Integrations"])
def get_status() -> dict[str, StatusAnswer]:
    """An object keyed by provider id; every provider is present."""
    return settings.connection_service().status(app.tenant)


handler = app.handler
