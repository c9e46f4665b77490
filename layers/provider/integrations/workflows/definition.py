"""A workflow's definition, checked whole when it is saved."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel

from integrations.errors import FieldError
from integrations.models import Json
from integrations.workflows.records import WorkflowDefinition


class ActionSpec(Protocol):
    """What the check needs to know of an action."""

    @property
    def names(self) -> Mapping[str, str]:
        """Every accepted name of a parameter → its proper one (``chat_id`` → ``chatId``)."""
        ...

    @property
    def required(self) -> frozenset[str]:
        """The proper names of the parameters that must be there."""
        ...

    def validate(self, params: Mapping[str, Json]) -> list[FieldError]:
        """What is wrong with literal parameters; ``field`` is the path below ``params``."""
        ...


class TriggerSpec(Protocol):
    """What the check needs to know of a provider's trigger."""

    def validate_filters(self, filters: Mapping[str, Json]) -> list[FieldError]:
        """What is wrong with the trigger's own fields; ``field`` is the path below ``trigger``."""
        ...


class Catalogue(Protocol):
    """The actions and triggers that there are."""

    def action(self, name: str) -> ActionSpec | None:
        """The action ``provider.action``; ``None`` where there is none."""
        ...

    def trigger(self, type_: str) -> TriggerSpec | None:
        """The provider's trigger of this type; ``None`` where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a schedule fires, in EventBridge Scheduler's words."""

    expression: str
    timezone: str


class Workflow(BaseModel):
    """A workflow that checks."""

    def stored(self) -> WorkflowDefinition:
        """The definition as plain JSON, what the engine runs."""
        raise NotImplementedError

    def schedule(self) -> Schedule | None:
        """When it fires; ``None`` for every trigger but ``schedule``."""
        raise NotImplementedError


def check(raw: Json, catalogue: Catalogue) -> Workflow:
    """Check a definition whole.

    Raises:
        InvalidWorkflow: With the place of every mistake.
    """
    raise NotImplementedError
