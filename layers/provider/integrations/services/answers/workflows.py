"""What the API answers about workflows."""

from datetime import datetime
from typing import Any

from pydantic import Field

from integrations.services.answers.base import Answer


class WorkflowAnswer(Answer):
    """A workflow with its definition."""

    workflow_id: str
    name: str
    enabled: bool
    version: int
    created_at: datetime
    updated_at: datetime
    trigger: dict[str, Any]
    steps: list[dict[str, Any]]
    webhook_url: str | None = Field(None, description="Where the events that start it come in.")
    warning: str | None = Field(
        None,
        description="Why the provider does not send the trigger's events yet, when it was saved.",
    )


class WorkflowPage(Answer):
    """One page of workflows."""

    items: list[WorkflowAnswer]
    next_token: str | None = None


class WorkflowDeleted(Answer):
    """What came of a removal."""

    deleted: bool = True
