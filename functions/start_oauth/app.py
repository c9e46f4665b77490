"""POST /api/integrations/oauth/start/{providerId}: begin a log-in at the provider."""

from typing import Annotated

from pydantic import Field

from integrations.entry import wiring
from integrations.entry.http import DEFAULT, NAME_PATTERN, Api, Body, ProviderId, Request
from integrations.errors import InvalidRedirect, ProviderNotConfigured, UnknownProvider
from integrations.services.answers.handshakes import StartedAnswer

app = Api(connect=True, refuses=(InvalidRedirect, ProviderNotConfigured, UnknownProvider))


class StartRequest(Request):
    """Where the browser goes in the end, and the name of the connection that the log-in makes."""

    redirect_uri: str | None = Field(None, max_length=2048)
    connection: str = Field(DEFAULT, pattern=NAME_PATTERN)


@app.post("/api/integrations/oauth/start/<providerId>", summary="Start a log-in", tags=["OAuth"])
def start_oauth(
    provider_id: ProviderId, body: Annotated[StartRequest | None, Body()] = None
) -> StartedAnswer:
    """Send the person to `authUrl`, then ask for the handshake's status."""
    request = body or StartRequest()
    session = app.caller.session
    return wiring.oauth_service().start(
        app.tenant,
        provider_id,
        request.connection,
        request.redirect_uri,
        session_id=session.session_id if session else "",
        browser=app.browser_secret() if session else "",
    )


handler = app.handler
