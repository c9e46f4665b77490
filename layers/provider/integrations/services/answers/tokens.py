"""What the API answers about API tokens and connect sessions."""

from datetime import datetime
from typing import Literal

from integrations.services.answers.base import Answer


class TokenAnswer(Answer):
    """An API token's record; never the token."""

    token_id: str
    name: str
    tenant: str
    scopes: list[str]
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


class CreatedTokenAnswer(TokenAnswer):
    """A new API token, in this answer and nowhere else."""

    token: str


class TokenPage(Answer):
    """One page of API tokens."""

    items: list[TokenAnswer]
    next_token: str | None = None


class TokenDeleted(Answer):
    """What came of a revocation."""

    deleted: Literal[True] = True


class SessionCreatedAnswer(Answer):
    """A new connect session: its token, in this answer alone, and its page."""

    token: str
    connect_url: str
    expires_at: datetime


class SessionAnswer(Answer):
    """What a connect session is for."""

    application: str
    providers: list[str]
    connection: str
    redirect_uri: str | None = None
    expires_at: datetime
