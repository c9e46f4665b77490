"""DELETE /api/integrations/{providerId}/credentials: revoke at the provider, then forget."""

from integrations.entry import wiring
from integrations.entry.http import DEFAULT, Api, ConnectionName, ProviderId
from integrations.errors import ConnectionInUse, UnknownConnection, UnknownProvider, VersionConflict
from integrations.services.answers.connections import DeletedAnswer

app = Api(refuses=(UnknownProvider, UnknownConnection, ConnectionInUse, VersionConflict))


@app.delete(
    "/api/integrations/<providerId>/credentials",
    summary="Delete credentials",
    tags=["Integrations"],
)
def delete_credentials(
    provider_id: ProviderId, connection: ConnectionName = DEFAULT
) -> DeletedAnswer:
    """Refused (409) while workflows use the connection; the detail names them."""
    return wiring.connection_remover().remove(app.tenant, provider_id, connection)


handler = app.handler
