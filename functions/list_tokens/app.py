"""GET /api/tokens: the tenant's API tokens, without the tokens themselves."""

from integrations.entry import wiring
from integrations.entry.http import Api, Limit, NextToken
from integrations.services.answers.tokens import TokenPage

app = Api(scope="admin")


@app.get("/api/tokens", summary="List API tokens", tags=["Access"])
def list_tokens(limit: Limit = 50, next_token: NextToken = None) -> TokenPage:
    """One page, those that have expired left out; `nextToken` is there while more follow."""
    return wiring.token_service().page(app.tenant, limit, next_token)


handler = app.handler
