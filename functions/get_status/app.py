"""GET /api/integrations/status: the state of every provider's connections."""

from typing import Annotated

from integrations.entry import wiring
from integrations.entry.http import Api, Limit, NextToken, Query
from integrations.errors import UnknownProvider
from integrations.services.answers.connections import StatusAnswer

app = Api(refuses=(UnknownProvider,))


@app.get("/api/integrations/status", summary="Get all connections' states", tags=["Integrations"])
def get_status(
    provider: Annotated[str | None, Query(description="Of this provider alone.")] = None,
    limit: Limit = 50,
    next_token: NextToken = None,
) -> dict[str, StatusAnswer]:
    """An object keyed by provider id; every provider is present, unless one is asked for.

    Each shows `limit` of its connections, by name; where no provider is named and all have more
    than 50 together, at most 20. Where it has more, its `nextToken` gives the next page, with
    `provider`.
    """
    return wiring.connection_reader().status(app.tenant, provider, limit, next_token)


handler = app.handler
