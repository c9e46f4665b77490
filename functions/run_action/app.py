"""POST /api/integrations/{providerId}/actions/{action}: run one action now."""

from typing import Annotated, Any

from pydantic import Field

from integrations.entry import wiring
from integrations.entry.http import (
    DEFAULT,
    NAME_PATTERN,
    OF_CONNECTIONS,
    ActionName,
    Api,
    Body,
    ProviderId,
    Request,
)
from integrations.errors import InvalidParams, QuotaExceeded, UnknownAction
from integrations.services.answers.connections import ActionAnswer

app = Api(refuses=(*OF_CONNECTIONS, InvalidParams, QuotaExceeded, UnknownAction))


class ActionRequest(Request):
    """The action's parameters, in the form that the catalogue gives, and the connection's name."""

    params: dict[str, Any] = Field(default_factory=dict)
    connection: str = Field(DEFAULT, pattern=NAME_PATTERN)


@app.post(
    "/api/integrations/<providerId>/actions/<action>", summary="Run an action", tags=["Actions"]
)
def run_action(
    provider_id: ProviderId, action: ActionName, body: Annotated[ActionRequest, Body()]
) -> ActionAnswer:
    """What the provider answered; its refusal is a problem with its own words."""
    return wiring.action_runner().run(app.tenant, provider_id, body.connection, action, body.params)


handler = app.handler
