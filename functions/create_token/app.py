"""POST /api/tokens: make an API token."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from integrations.entry import wiring
from integrations.entry.http import Api, Body, Request
from integrations.services.answers import CreatedTokenAnswer

app = Api(scope="admin")


_STEERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def _is_line(value: str) -> str:
    if _STEERS.search(value):
        raise ValueError("must not hold line breaks, or other characters that nobody sees")
    return value


class TokenRequest(Request):
    """What the token is for, what it may do, and how long."""

    # It stands in the audit log and in lists, where nothing may steer what is shown beside it.
    name: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_is_line)]
    scopes: list[Literal["read", "write", "admin"]] = Field(min_length=1, max_length=3)
    expires_in_days: int | None = Field(None, ge=1, le=3650)
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
