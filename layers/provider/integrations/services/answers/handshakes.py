"""What the API answers about log-ins by OAuth2."""

from datetime import datetime
from typing import Literal

from integrations.services.answers.base import Answer
from integrations.services.answers.connections import ConnectionAnswer

type HandshakeStatus = Literal["pending", "completed", "failed", "expired"]


class StartedAnswer(Answer):
    """Where to send the person who logs in."""

    auth_url: str
    handshake_id: str
    expires_at: datetime


class HandshakeError(Answer):
    """Why a handshake failed."""

    code: str
    message: str


class HandshakeAnswer(Answer):
    """How far a handshake is."""

    status: HandshakeStatus
    credentials: ConnectionAnswer | None = None
    error: HandshakeError | None = None
