"""What the API answers about providers, with the forms of what they take."""

from typing import Any

from pydantic import Field

from integrations.services.answers.base import Answer


class ActionForm(Answer):
    """One action in the catalogue."""

    name: str = Field(description="Its id; a workflow's step names it `provider.name`.")
    title: str
    description: str
    idempotent: bool = Field(description="Whether a repetition does no harm.")
    params: dict[str, Any] = Field(description="The form of its parameters, a JSON Schema.")
    example: dict[str, Any] = Field(description="Parameters that fit.")
    output_example: Any = Field(description="What it gives, as the vendor documents it.")


class TriggerForm(Answer):
    """One trigger in the catalogue."""

    type: str
    title: str
    filters: dict[str, Any] = Field(description="The form of its own filters, a JSON Schema.")
    example: dict[str, Any] = Field(description="What templates see as `trigger`.")


class ProviderForm(Answer):
    """One provider in the catalogue: its forms as JSON Schema, fields in the order of the form."""

    id: str
    title: str
    docs_url: str = Field(description="The vendor's documentation.")
    oauth: bool = Field(description="Whether it is connected by a log-in.")
    credentials: dict[str, Any] = Field(description="The form of its credentials, a JSON Schema.")
    actions: list[ActionForm]
    triggers: list[TriggerForm]


class CatalogueAnswer(Answer):
    """The catalogue."""

    items: list[ProviderForm]
