"""GET /api/integrations/{providerId}/credentials: a connection's metadata, its secrets never."""

from integrations.entry import wiring
from integrations.entry.http import DEFAULT, Api, ConnectionName, ProviderId
from integrations.errors import UnknownConnection, UnknownProvider
from integrations.services.answers.connections import ConnectionAnswer

app = Api(connect=True, refuses=(UnknownProvider, UnknownConnection))


@app.get(
    "/api/integrations/<providerId>/credentials",
    summary="Get credentials' metadata",
    tags=["Integrations"],
)
def get_credentials(
    provider_id: ProviderId, connection: ConnectionName = DEFAULT
) -> ConnectionAnswer:
    """Whose credentials these are, their state, and the webhook that belongs to them."""
    return wiring.connection_reader().metadata(app.tenant, provider_id, connection)


handler = app.handler
