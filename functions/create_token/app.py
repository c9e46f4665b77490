"""POST /api/tokens: make an API token."""

from typing import Annotated, Literal

from pydantic import Field

from integrations.entry import wiring
from integrations.entry.http import Api, Body, Request
from integrations.models import MAX_TOKEN_DAYS
from integrations.services.answers.tokens import CreatedTokenAnswer
from integrations.strict_model import Label

app = Api(scope="admin")


class TokenRequest(Request):
    """What the token is for, what it may do, and how long."""

    name: Label
    scopes: list[Literal["read", "write", "admin"]] = Field(min_length=1, max_length=3)
    expires_in_days: int | None = Field(None, ge=1, le=MAX_TOKEN_DAYS)
    tenant: str | None = Field(None, max_length=128)


@app.post("/api/tokens", summary="Create an API token", tags=["Access"])
def create_token(body: Annotated[TokenRequest, Body()]) -> CreatedTokenAnswer:
    """The token is in this answer and nowhere else. Only the platform's admins name a tenant."""
    return wiring.token_service().create(
        app.tenant,
        body.name,
        body.scopes,
        expires_in_days=body.expires_in_days,
        for_tenant=body.tenant,
    )


handler = app.handler
