"""POST /api/integrations/{providerId}/test: test given or stored credentials at the provider."""

from typing import Annotated, Any

from pydantic import Field

from integrations.entry import wiring
from integrations.entry.http import DEFAULT, NAME_PATTERN, Api, Body, ProviderId, Request
from integrations.errors import ProviderNotConfigured, UnknownConnection, UnknownProvider
from integrations.services.answers.connections import TestAnswer

app = Api(connect=True, refuses=(UnknownProvider, UnknownConnection, ProviderNotConfigured))


class TestRequest(Request):
    """What to test: the given credentials, else those that are stored."""

    credentials: dict[str, Any] | None = None
    connection: str = Field(DEFAULT, pattern=NAME_PATTERN)


@app.post("/api/integrations/<providerId>/test", summary="Test credentials", tags=["Integrations"])
def test_connection(
    provider_id: ProviderId,
    body: Annotated[TestRequest | None, Body()] = None,  # noqa: PT028 - a route, no test
) -> TestAnswer:
    """Ask the provider; a refusal is `success: false` with the provider's own reason."""
    request = body or TestRequest()
    return wiring.connection_tester().test(
        app.tenant, provider_id, request.connection, request.credentials
    )


handler = app.handler
