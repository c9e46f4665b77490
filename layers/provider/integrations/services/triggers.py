"""Triggers: the key that ties an event to the workflows it starts, and their own filters."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from integrations.models import Json
from integrations.providers import registry

if TYPE_CHECKING:
    from integrations.providers.base import Trigger

GENERIC = frozenset({"type", "connection", "provider", "webhookId", "filter", "oncePer"})
"""The fields of a trigger that are not its type's own filters."""

SCHEDULE_KEY = "schedule"
"""The trigger key of scheduled workflows; no event has it."""


def trigger_key(webhook_id: str, event_type: str, target: str) -> str:
    """The trigger index's key.

    A webhook belongs to one connection, so it says whose workflows an event may start. A shared
    webhook belongs to nobody: there the target says it.
    """
    if webhook_id in registry.shared_webhooks():
        return f"{webhook_id}#{event_type}#{target}"
    return f"{webhook_id}#{event_type}"


def providers_of(trigger_type: str) -> list[str]:
    """The providers that have this type: those of its family that have such a trigger."""
    candidates = registry.of_family(trigger_type.partition(".")[0])
    return [name for name in candidates if trigger_of(name, trigger_type)]


def target_of(provider_id: str) -> tuple[str, str]:
    """The trigger's field that names a target at this provider, and what a target is called.

    Both are empty where the provider's events have none. The members of a family name theirs alike.
    """
    for name in registry.of_family(registry.family_of(provider_id)):
        shared = registry.shared_webhook_of(name)
        if shared:
            return shared.target_field, shared.target_noun
    return "", ""


def trigger_of(provider_id: str, trigger_type: str) -> "Trigger | None":
    """A provider's trigger of this type; ``None`` where it has none."""
    triggers = registry.get(provider_id).triggers
    return next((each for each in triggers if each.type == trigger_type), None)


def completed(given: Mapping[str, Json]) -> dict[str, Json] | None:
    """A trigger's own fields, completed for ``passes``; ``None`` where no provider has its type.

    Raises:
        pydantic.ValidationError: They do not fit the type.
    """
    kind = str(given["type"])
    for name in providers_of(kind):
        trigger = trigger_of(name, kind)
        if trigger:
            own = {field: value for field, value in given.items() if field not in GENERIC}
            return trigger.completed(own)
    return None


def passes(
    given: Mapping[str, Json], filters: Mapping[str, Json] | None, data: Mapping[str, Json]
) -> bool:
    """Whether an event's data passes a trigger's own fields.

    Args:
        given: The trigger.
        filters: Its own fields, completed when it was saved, so that no model of the provider is
            imported here; ``None`` for a trigger that is not saved, or was before that was done.
        data: The event's data.

    Raises:
        LookupError: No provider has the trigger's type (any more).
    """
    own = completed(given) if filters is None else filters
    family = registry.of_family(str(given["type"]).partition(".")[0])
    reader = next((found for name in family if (found := registry.events_of(name))), None)
    if own is None or reader is None:
        raise LookupError(f"no provider has {given['type']}")
    return reader.matches(data, own)
