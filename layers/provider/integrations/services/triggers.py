"""Triggers: the key that ties an event to the workflows it starts, and their own filters."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from integrations.models import Json
from integrations.providers import registry
from integrations.providers.base import Params, Trigger
from integrations.services.webhooks import STACK_WEBHOOK
from integrations.storage.workflows import StoredWorkflow

GENERIC = frozenset({"type", "connection", "provider", "webhookId", "filter", "oncePer"})
"""The fields of a trigger that are not its type's own filters."""

SCHEDULE_KEY = "schedule"
"""The trigger key of scheduled workflows; no event has it."""

type Matches = Callable[[Mapping[str, Json], Params], bool]


def trigger_key(webhook_id: str, event_type: str, target: str) -> str:
    """The trigger index's key.

    A webhook belongs to one connection, so it says whose workflows an event may start. The stack's
    own webhook belongs to nobody: there the target (the page) says it.
    """
    if webhook_id == STACK_WEBHOOK:
        return f"{webhook_id}#{event_type}#{target}"
    return f"{webhook_id}#{event_type}"


def providers_of(trigger_type: str) -> list[str]:
    """The providers that tell of this type, e.g. ``facebook`` and ``facebook_oauth``."""
    noun = trigger_type.partition(".")[0]
    candidates = [name for name in registry.PROVIDER_IDS if name in (noun, f"{noun}_oauth")]
    return [name for name in candidates if trigger_of(name, trigger_type)]


def trigger_of(provider_id: str, trigger_type: str) -> Trigger | None:
    """A provider's trigger of this type; ``None`` where it has none."""
    triggers = registry.get(provider_id).triggers
    return next((each for each in triggers if each.type == trigger_type), None)


def filters_of(workflow: StoredWorkflow) -> tuple[Matches, Params]:
    """What decides, beside the filter expression, whether an event starts this workflow.

    Raises:
        LookupError: No provider tells of the trigger's type (any more).
    """
    given = cast("dict[str, Any]", workflow.definition["trigger"])
    for name in providers_of(str(given["type"])):
        trigger = trigger_of(name, str(given["type"]))
        if trigger:
            own = {field: kept for field, kept in given.items() if field not in GENERIC}
            return trigger.matches, trigger.filters.model_validate(own)
    raise LookupError(f"no provider tells of {given['type']}")
