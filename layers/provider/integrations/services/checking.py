"""A workflow's definition checked against everything that it names: all mistakes at once.

``workflows.definition`` knows the grammar, this knows the providers, and the tenant's connections
and webhooks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

from pydantic import ValidationError

from integrations import mistakes
from integrations.errors import (
    ExpressionError,
    FieldError,
    InvalidWorkflow,
    UnknownAction,
    UnknownProvider,
    UnknownWebhook,
)
from integrations.models import DEFAULT_CONNECTION, Json, now
from integrations.providers import registry
from integrations.providers.base import Action, Params, Trigger
from integrations.services.answers.checks import CheckAnswer, MistakeAnswer
from integrations.services.forms import mistakes_in
from integrations.services.triggers import (
    GENERIC,
    SCHEDULE_KEY,
    providers_of,
    target_of,
    trigger_key,
    trigger_of,
)
from integrations.storage.connections import Connection, Connections
from integrations.storage.secrets import Secrets
from integrations.storage.webhooks import Webhooks
from integrations.workflows import expressions
from integrations.workflows.definition import (
    BUILT_IN_TRIGGERS,
    Workflow,
    bounded,
    check,
    refusal_of,
)


class Bound(NamedTuple):
    """What a trigger is bound to: the index's key, and the connection that its events come by."""

    key: str | None = None
    connection: Connection | None = None
    webhook_id: str | None = None


class Checked(NamedTuple):
    """A workflow without a mistake, and what its trigger is bound to."""

    workflow: Workflow
    bound: Bound


class Checker:
    """Checks definitions.

    Args:
        connections, webhooks, secrets: The tables.
        clock: The present moment.
    """

    def __init__(
        self,
        connections: Connections,
        webhooks: Webhooks,
        secrets: Secrets,
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._connections = connections
        self._webhooks = webhooks
        self._secrets = secrets
        self._clock = clock

    def check(self, tenant: str, definition: Json) -> Checked:
        """Check a definition whole.

        Raises:
            InvalidWorkflow: With the place of every mistake.
        """
        definition = bounded(definition)
        errors: list[FieldError] = []
        workflow = None
        try:
            workflow = check(definition, ProviderCatalogue(), now=self._clock())
        except InvalidWorkflow as invalid:
            errors += invalid.errors
        bound = Bound()
        connections = {each.key: each for each in self._connections.of_tenant(tenant)}
        trigger, steps = definition.get("trigger"), definition.get("steps")
        if isinstance(trigger, dict) and _may_be_bound(trigger):
            try:
                bound = self._bind(tenant, trigger, connections)
            except InvalidWorkflow as refused:
                errors += refused.errors
        steps = steps if isinstance(steps, list) else []
        errors += _missing_connections(steps, connections)
        errors += self._missing_secrets(tenant, steps)
        if errors or workflow is None:
            raise refusal_of(errors)
        return Checked(workflow, bound)

    def _missing_secrets(self, tenant: str, steps: list[Json]) -> list[FieldError]:
        """The secrets that steps name and that there are not."""
        named = [
            (place, name)
            for index, step in enumerate(steps)
            if isinstance(step, dict)
            for place, name in _secrets_named(step.get("params"), f"steps[{index}].params")
        ]
        if not named:
            return []
        known = {each.name for each in self._secrets.of_tenant(tenant)}
        return [
            mistakes.unknown(place, f"there is no secret {name[:100]!r}", name, known)
            for place, name in named
            if name not in known
        ]

    def answer(self, tenant: str, definition: Json) -> CheckAnswer:
        """What saving a definition would say; nothing is saved, and no provider is asked."""
        try:
            self.check(tenant, without_ours(definition))
        except InvalidWorkflow as invalid:
            errors = [
                MistakeAnswer.model_validate({
                    "field": each.field,
                    "message": each.message,
                    "code": each.code,
                    "suggestions": list(each.suggestions),
                })
                for each in invalid.errors
            ]  # fmt: skip
            return CheckAnswer(valid=False, errors=errors)
        return CheckAnswer(valid=True, errors=[])

    def _bind(
        self, tenant: str, trigger: Mapping[str, Any], existing: Mapping[str, Connection]
    ) -> Bound:
        """What the trigger's events come by.

        Raises:
            InvalidWorkflow: There is no such webhook or connection, or it has several targets.
        """
        kind = str(trigger["type"])
        if kind == "manual":
            return Bound()
        if kind == "schedule":
            return Bound(SCHEDULE_KEY)
        if kind == "webhook" and trigger.get("webhookId"):
            return self._bind_webhook(tenant, str(trigger["webhookId"]), existing)
        name = str(trigger.get("connection") or DEFAULT_CONNECTION)
        wanted = trigger.get("provider")
        candidates = [each for each in providers_of(kind) if wanted in (None, each)]
        found = [existing[f"{each}#{name}"] for each in candidates if f"{each}#{name}" in existing]
        if not found:
            missing = _no_connection(candidates, name, existing)
            raise InvalidWorkflow(missing.message, [missing._replace(field="trigger.connection")])
        if len(found) > 1:
            names = " and ".join(each.provider for each in found)
            raise unbound("trigger.provider", f"Both {names} have a connection {name!r}: say which")
        return self._bind_connection(kind, trigger, found[0])

    def _bind_webhook(
        self, tenant: str, webhook_id: str, existing: Mapping[str, Connection]
    ) -> Bound:
        try:
            webhook = self._webhooks.get(webhook_id, consistent=True)
        except UnknownWebhook:
            webhook = None
        connection = existing.get(f"{webhook.provider}#{webhook.connection}") if webhook else None
        if webhook is None or webhook.tenant != tenant or connection is None:
            known = [each.webhook_id for each in existing.values() if each.webhook_id]
            message = f"There is no webhook {webhook_id[: mistakes.MAX_NAME]!r}"
            missing = mistakes.unknown("trigger.webhookId", message, webhook_id, known)
            raise InvalidWorkflow(missing.message, [missing])
        if webhook.provider not in providers_of("webhook"):
            noun = registry.family_of(webhook.provider)
            detail = f"is the webhook of a {webhook.provider} connection: use a trigger {noun}.…"
            raise unbound("trigger.webhookId", detail)
        return Bound(trigger_key(webhook_id, "webhook", webhook_id), connection, webhook_id)

    @staticmethod
    def _bind_connection(kind: str, trigger: Mapping[str, Any], connection: Connection) -> Bound:
        inbound = registry.get(connection.provider).inbound
        targets = inbound.targets(connection.account) if inbound and inbound.targets else {}
        field, noun = target_of(connection.provider)
        chosen = trigger.get(field)
        if chosen is not None and str(chosen) not in targets:
            known = ", ".join(targets) or "none"
            named = str(chosen)[: mistakes.MAX_NAME]
            detail = f"The connection has no {noun} {named}; it has {known}"
            raise unbound(f"trigger.{field}", detail)
        shared = registry.shared_webhook_of(connection.provider)
        if shared is None:
            webhook_id = connection.webhook_id or ""
            return Bound(trigger_key(webhook_id, kind, ""), connection, webhook_id)
        target = str(chosen) if chosen is not None else ""
        if not target and len(targets) == 1:
            (target,) = targets
        if not target:
            known = ", ".join(f"{name} ({id_})" for id_, name in targets.items())
            detail = f"Say which {noun}, of {known or 'none that there are'}"
            raise unbound(f"trigger.{field}", detail)
        return Bound(trigger_key(shared.webhook_id, kind, target), connection, shared.webhook_id)


SET_HERE = frozenset({"workflowId", "version", "createdAt", "updatedAt", "webhookUrl", "warning"})
"""What an answer holds beside the definition."""


def without_ours(definition: Json) -> Json:
    """A definition without what only we write: what ``GET`` answers can be sent back."""
    if not isinstance(definition, dict):
        return definition
    return {name: value for name, value in definition.items() if name not in SET_HERE}


def _secrets_named(value: Json, place: str) -> Iterator[tuple[str, str]]:
    """Each secret that the templates anywhere in a value name, with its place."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _secrets_named(each, f"{place}.{key[:100]}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _secrets_named(each, f"{place}[{index}]")
    elif isinstance(value, str):
        try:
            names = expressions.secret_names(value)
        except ExpressionError:
            return  # which is a mistake of its own
        for name in sorted(names):
            yield place, name


def _may_be_bound(trigger: Mapping[str, Any]) -> bool:
    """Whether a trigger, whatever else is wrong with it, says what it waits for."""
    kind = trigger.get("type")
    if not isinstance(kind, str) or (kind not in BUILT_IN_TRIGGERS and not providers_of(kind)):
        return False
    if kind == "webhook" and not trigger.get("webhookId"):
        return False  # which is said already
    named = ("connection", "webhookId", "provider")
    return all(isinstance(trigger.get(name), str | None) for name in named)


def _no_connection(provider_ids: Iterable[str], name: str, existing: Iterable[str]) -> FieldError:
    """There is no such connection; the field is still to be set."""
    providers = list(provider_ids)
    known = [key.partition("#")[2] for key in existing if key.partition("#")[0] in providers]
    called = " or ".join(providers)
    message = f"There is no {called} connection named {name[: mistakes.MAX_NAME]!r}"
    if not known:
        return FieldError("", f"{message}; there is none of {called} yet", "unknown")
    return mistakes.unknown("", message, name, known)


def _missing_connections(steps: list[Any], existing: Mapping[str, Connection]) -> list[FieldError]:
    found = []
    for index, step in enumerate(steps):
        if not isinstance(step, dict) or ProviderCatalogue.action(str(step.get("action"))) is None:
            continue
        provider_id, name = str(step["action"]).partition(".")[0], step.get("connection")
        place = f"steps[{index}].connection"
        if not isinstance(name, str | None):
            continue
        name = name or DEFAULT_CONNECTION
        provided = registry.get(provider_id).stack_credentials and name == DEFAULT_CONNECTION
        if f"{provider_id}#{name}" not in existing and not provided:
            found.append(_no_connection([provider_id], name, existing)._replace(field=place))
    return found


def unbound(field: str, message: str) -> InvalidWorkflow:
    """What a trigger that cannot be bound is refused with."""
    return InvalidWorkflow("The trigger cannot be bound", [FieldError(field, message)])


# -- what the check knows of providers -------------------------------------------------------


class _ActionSpec:
    """An action, as ``definition.check`` asks for it."""

    def __init__(self, action: Action) -> None:
        self._params = action.params

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Every accepted name of each parameter → its proper one."""
        names: dict[str, str] = {}
        for name, field in self._params.model_fields.items():
            proper = field.alias or name
            names |= {name: proper, proper: proper}
        return names

    @cached_property
    def required(self) -> frozenset[str]:
        """The proper names of the parameters that must be there."""
        fields = self._params.model_fields.items()
        return frozenset(field.alias or name for name, field in fields if field.is_required())

    def validate(self, params: Mapping[str, Json], *, whole: bool) -> list[FieldError]:
        """What is wrong with literal parameters, and together where they are the ``whole``."""
        return _mistakes(self._params, params, whole=whole)


class _TriggerSpec:
    """A trigger, as ``definition.check`` asks for it."""

    def __init__(self, trigger: Trigger) -> None:
        self._filters = trigger.filters

    def validate_filters(self, filters: Mapping[str, Json]) -> list[FieldError]:
        """What is wrong with the trigger's own fields."""
        own = {name: existing for name, existing in filters.items() if name not in GENERIC}
        return _mistakes(self._filters, own)


class ProviderCatalogue:
    """The registry's actions and triggers."""

    @staticmethod
    def action_names() -> list[str]:
        """Every ``provider.action``."""
        return [
            f"{provider_id}.{action.name}"
            for provider_id in registry.PROVIDER_IDS
            for action in registry.get(provider_id).actions
        ]

    @staticmethod
    def trigger_types() -> list[str]:
        """Every trigger type of a provider."""
        return [
            trigger.type
            for provider_id in registry.PROVIDER_IDS
            for trigger in registry.get(provider_id).triggers
        ]

    @staticmethod
    def action(name: str) -> _ActionSpec | None:
        """The action ``provider.action``; ``None`` where there is none."""
        provider_id, _, action = name.partition(".")
        try:
            return _ActionSpec(registry.get(provider_id).action(action))
        except (UnknownProvider, UnknownAction):
            return None

    @staticmethod
    def trigger(type_: str) -> _TriggerSpec | None:
        """The provider's trigger of this type; ``None`` where there is none."""
        for provider_id in providers_of(type_):
            trigger = trigger_of(provider_id, type_)
            if trigger:
                return _TriggerSpec(trigger)
        return None


def _mistakes(
    model: type[Params], given: Mapping[str, Json], *, whole: bool = True
) -> list[FieldError]:
    try:
        model.model_validate(given)
    except ValidationError as invalid:
        # The model's own check, whichever field it blames, has no place in what was given.
        if whole or all(error["loc"] for error in invalid.errors(include_input=False)):
            return mistakes_in(invalid, model, given, "")
    return []
