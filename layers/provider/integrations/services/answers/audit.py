"""What the API answers about the audit log."""

from datetime import datetime
from typing import Literal

from integrations.services.answers.base import Answer


class ActorAnswer(Answer):
    """Who did something."""

    kind: Literal["token", "jwt", "connect", "system"]
    id: str
    name: str


class AuditAnswer(Answer):
    """One entry of the audit log."""

    at: datetime
    actor: ActorAnswer
    source_ip: str
    action: str
    target: str
    outcome: str
    request_id: str


class AuditPage(Answer):
    """One page of the audit log, newest first."""

    items: list[AuditAnswer]
    next_token: str | None = None
