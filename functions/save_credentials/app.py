"""POST /api/integrations/{providerId}/credentials: validate, test, then save credentials."""

from typing import Annotated, Any

from pydantic import Field

from integrations import errors
from integrations.entry import wiring
from integrations.entry.http import (
    DEFAULT,
    NAME_PATTERN,
    OF_PROVIDERS,
    Api,
    Body,
    ProviderId,
    Request,
)
from integrations.services.answers.connections import ConnectionAnswer

app = Api(
    connect=True,
    refuses=(
        *OF_PROVIDERS,
        *(errors.ConnectionInUse, errors.CredentialsUnreadable, errors.QuotaExceeded),
        *(errors.VersionConflict, errors.WebhookIdTaken),
    ),
)


class SaveRequest(Request):
    """The credentials, in the form that the catalogue gives, and the connection's name."""

    credentials: dict[str, Any]
    connection: str = Field(DEFAULT, pattern=NAME_PATTERN)


@app.post(
    "/api/integrations/<providerId>/credentials", summary="Save credentials", tags=["Integrations"]
)
def save_credentials(
    provider_id: ProviderId, body: Annotated[SaveRequest, Body()]
) -> ConnectionAnswer:
    """The metadata of what was saved; nothing changes where the provider refuses them (422)."""
    return wiring.connection_saver().save(
        app.tenant, provider_id, body.connection, body.credentials
    )


handler = app.handler
