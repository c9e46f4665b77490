"""GET /api/integrations/status: the state of every provider's connections."""

from integrations.entry import wiring
from integrations.entry.http import Api
from integrations.services.answers import StatusAnswer

app = Api()


@app.get("/api/integrations/status", summary="The state of all connections", tags=["Integrations"])
def get_status() -> dict[str, StatusAnswer]:
    """An object keyed by provider id; every provider is present."""
    return wiring.connection_reader().status(app.tenant)


handler = app.handler
