"""What the API answers about connections and what is done with them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from integrations.models import ConnectionStatus
from integrations.services.answers.base import Answer


class AccountAnswer(Answer):
    """Whose credentials these are, as the provider tells it."""

    id: str
    label: str
    details: dict[str, Any] = Field(default_factory=dict)


class ErrorAnswer(Answer):
    """What last went wrong."""

    code: str
    message: str
    at: datetime


class RejectionAnswer(Answer):
    """Why a delivery was refused."""

    at: datetime
    reason: str


class WebhookAnswer(Answer):
    """The webhook that a connection's events come to."""

    id: str
    url: str
    verification: dict[str, Any] | None = None
    rejected: int | None = None
    last_rejection: RejectionAnswer | None = None
    last_failure: RejectionAnswer | None = None
    received: int | None = None
    last_received: datetime | None = None


class ConnectionAnswer(Answer):
    """A connection's metadata; never a secret."""

    provider: str
    connection: str
    status: ConnectionStatus
    account: AccountAnswer
    connected_at: datetime
    updated_at: datetime
    expires_at: datetime | None = None
    last_tested: datetime | None = None
    last_error: ErrorAnswer | None = None
    webhook: WebhookAnswer | None = None


class StatusAnswer(Answer):
    """The state of one provider: that of its default connection, else of its first."""

    status: ConnectionStatus
    account: AccountAnswer | None = None
    connected_at: datetime | None = None
    expires_at: datetime | None = None
    last_tested: datetime | None = None
    last_error: ErrorAnswer | None = None
    connections: list[ConnectionAnswer] = Field(default_factory=list)
    next_token: str | None = None


class TestAnswer(Answer):
    """How a test went; ``message`` is the provider's own reason where it refused."""

    success: bool
    message: str
    code: str | None = None
    account: AccountAnswer | None = None
    tested_at: datetime
    duration_ms: int


class DeletedAnswer(Answer):
    """What came of a removal; ``revoked`` is null where the provider has no revocation."""

    deleted: Literal[True] = True
    revoked: bool | None = None
    message: str | None = None


class ActionAnswer(Answer):
    """What an action gave."""

    result: Any
