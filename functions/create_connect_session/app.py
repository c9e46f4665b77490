"""POST /api/connect/sessions: make a token that a browser may have."""

from typing import Annotated

from pydantic import Field

from integrations.entry import wiring
from integrations.entry.http import DEFAULT, NAME_PATTERN, Api, Body, Request
from integrations.errors import InvalidRedirect, UnknownProvider
from integrations.services.answers.tokens import SessionCreatedAnswer

app = Api(refuses=(InvalidRedirect, UnknownProvider))


class SessionRequest(Request):
    """What the session may connect, under which name, and where its page leads in the end."""

    providers: list[str] = Field(min_length=1, max_length=20)
    connection: str = Field(DEFAULT, pattern=NAME_PATTERN)
    redirect_uri: str | None = None
    expires_in: int = Field(1800, ge=60, le=1800, description="Seconds.")
    tenant: str | None = Field(None, max_length=128)


@app.post("/api/connect/sessions", summary="Create a connect session", tags=["Access"])
def create_connect_session(body: Annotated[SessionRequest, Body()]) -> SessionCreatedAnswer:
    """Its token tests, saves, reads and logs in to these providers under this name, no more."""
    return wiring.token_service().create_session(
        app.tenant,
        body.providers,
        body.connection,
        may_act_for_others="admin" in app.caller.scopes,
        redirect_uri=body.redirect_uri,
        expires_in=body.expires_in,
        for_tenant=body.tenant,
    )


handler = app.handler
