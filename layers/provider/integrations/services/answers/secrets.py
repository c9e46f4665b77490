"""What the API answers about named secrets: everything but the secrets."""

from datetime import datetime
from typing import Literal

from integrations.services.answers.base import Answer


class SecretAnswer(Answer):
    """A named secret; never its value."""

    name: str
    created_at: datetime
    updated_at: datetime


class SecretPage(Answer):
    """All the tenant's named secrets."""

    items: list[SecretAnswer]
    next_token: str | None = None


class SecretDeleted(Answer):
    """What came of a removal."""

    deleted: Literal[True] = True
