"""What the API answers when a tenant's data are taken along."""

from typing import Any

from pydantic import Field

from integrations.services.answers.base import Answer


class ExportItem(Answer):
    """One thing that is stored of a tenant, as its own route shows it."""

    kind: str = Field(description="token, connection, workflow, secret, job, execution or event.")
    data: dict[str, Any]


class ExportPage(Answer):
    """One page of all that is stored of a tenant."""

    items: list[ExportItem]
    next_token: str | None = None
