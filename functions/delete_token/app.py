"""DELETE /api/tokens/{tokenId}: revoke an API token."""

from integrations.entry import wiring
from integrations.entry.http import Api, TokenId
from integrations.errors import UnknownToken
from integrations.services.answers.tokens import TokenDeleted

app = Api(scope="admin", refuses=(UnknownToken,))


@app.delete("/api/tokens/<tokenId>", summary="Revoke an API token", tags=["Access"])
def delete_token(token_id: TokenId) -> TokenDeleted:
    """A token that was used a moment ago may open the API for one more minute."""
    return wiring.token_service().delete(app.tenant, token_id)


handler = app.handler
