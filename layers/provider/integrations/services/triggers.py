"""Triggers: the key that ties an event to the workflows it starts, and their own filters."""

from collections.abc import Callable, Mapping

from integrations.models import Json
from integrations.providers import registry
from integrations.providers.base import Params, Trigger

GENERIC = frozenset({"type", "connection", "provider", "webhookId", "filter", "oncePer"})
"""The fields of a trigger that are not its type's own filters."""

SCHEDULE_KEY = "schedule"
"""The trigger key of scheduled workflows; no event has it."""

type Matches = Callable[[Mapping[str, Json], Params], bool]


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


def trigger_of(provider_id: str, trigger_type: str) -> Trigger | None:
    """A provider's trigger of this type; ``None`` where it has none."""
    triggers = registry.get(provider_id).triggers
    return next((each for each in triggers if each.type == trigger_type), None)


def filters_of(given: Mapping[str, Json]) -> tuple[Matches, Params]:
    """What decides, beside the filter expression, whether an event fits a saved trigger.

    Raises:
        LookupError: No provider has the trigger's type (any more).
    """
    for name in providers_of(str(given["type"])):
        trigger = trigger_of(name, str(given["type"]))
        if trigger:
            own = {field: value for field, value in given.items() if field not in GENERIC}
            return trigger.matches, trigger.filters.model_validate(own)
    raise LookupError(f"no provider has {given['type']}")
