"""Workflows: checked whole, made to hear their events, kept."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, cast

from pydantic import ValidationError

from integrations.errors import (
    FieldError,
    IntegrationError,
    InvalidWorkflow,
    ProviderUnavailable,
    RateLimited,
    UnknownAction,
    UnknownConnection,
    UnknownProvider,
    UnknownWebhook,
    VersionConflict,
)
from integrations.models import DEFAULT_CONNECTION, Json, now
from integrations.providers import registry
from integrations.providers.base import Action, Params, Trigger
from integrations.services.answers import WorkflowAnswer, WorkflowDeleted, WorkflowPage
from integrations.services.forms import mistakes_in
from integrations.services.subscriptions import Subscriptions
from integrations.services.triggers import (
    GENERIC,
    SCHEDULE_KEY,
    providers_of,
    target_of,
    trigger_key,
    trigger_of,
)
from integrations.storage.connections import Connection, Connections
from integrations.storage.schedules import Schedules
from integrations.storage.webhooks import Webhooks
from integrations.storage.workflows import StoredWorkflow, Workflows
from integrations.workflows.definition import check
from integrations.workflows.schedules import Schedule

SET_HERE = frozenset({"workflowId", "version", "createdAt", "updatedAt", "webhookUrl", "warning"})
"""What an answer holds beside the definition."""


@dataclass(frozen=True, slots=True)
class _Bound:
    """What a trigger is bound to: the index's key, and the connection that its events come by."""

    key: str | None = None
    connection: Connection | None = None
    webhook_id: str | None = None


MAX_PER_TRIGGER = 100
"""How many enabled workflows of a tenant may wait for the same events."""


class WorkflowService:
    """The use cases of workflows; see each method.

    Args:
        workflows, connections, webhooks: The tables.
        subscriptions: What providers are asked to send.
        schedules: What fires scheduled workflows.
        public_url: Where this backend answers.
        clock: The present moment.
    """

    def __init__(
        self,
        workflows: Workflows,
        connections: Connections,
        webhooks: Webhooks,
        subscriptions: Subscriptions,
        schedules: Schedules,
        *,
        public_url: str,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._workflows = workflows
        self._connections = connections
        self._webhooks = webhooks
        self._subscriptions = subscriptions
        self._schedules = schedules
        self._public_url = public_url
        self._clock = clock

    # -- looking -----------------------------------------------------------------------------

    def get(self, tenant: str, workflow_id: str) -> WorkflowAnswer:
        """A workflow of this tenant.

        Raises:
            UnknownWorkflow: There is none with this id.
        """
        return self._answer(self._workflows.get(tenant, workflow_id))

    def page(self, tenant: str, limit: int, next_token: str | None) -> WorkflowPage:
        """One page of the tenant's workflows, and the token of the next one."""
        found, token = self._workflows.page(tenant, limit=limit, next_token=next_token)
        return WorkflowPage(items=[self._answer(each) for each in found], next_token=token)

    def _answer(
        self, workflow: StoredWorkflow, failure: IntegrationError | None = None
    ) -> WorkflowAnswer:
        definition = cast("dict[str, Any]", workflow.definition)
        key = workflow.trigger_key or ""
        webhook_id = key.partition("#")[0] if "#" in key else ""
        return WorkflowAnswer(
            workflow_id=workflow.workflow_id,
            name=workflow.name,
            enabled=workflow.enabled,
            version=workflow.version,
            created_at=workflow.created_at,
            updated_at=workflow.updated_at,
            trigger=definition["trigger"],
            steps=definition["steps"],
            webhook_url=f"{self._public_url}/api/webhooks/{webhook_id}" if webhook_id else None,
            warning=_warning(failure) if failure else None,
        )

    # -- saving ------------------------------------------------------------------------------

    def create(self, tenant: str, definition: Json) -> WorkflowAnswer:
        """Check a definition and keep it under a new id.

        Raises:
            InvalidWorkflow: With the place of every mistake.
        """
        return self._save(tenant, f"wf_{secrets.token_hex(10)}", definition, None)

    def replace(self, tenant: str, workflow_id: str, definition: Json) -> WorkflowAnswer:
        """Check a definition and put it in the place of the one before.

        It may be what ``get`` has answered, changed: what only we write is left aside, but a
        ``version`` that is given has to be the present one.

        Raises:
            UnknownWorkflow: There is none with this id.
            InvalidWorkflow: With the place of every mistake.
            VersionConflict: Somebody else changed it at this moment.
        """
        earlier = self._workflows.get(tenant, workflow_id)
        if isinstance(definition, dict):
            if definition.get("version", earlier.version) != earlier.version:
                detail = f"Version {earlier.version} is the present one; read it again and repeat"
                raise VersionConflict(detail)
            definition = {name: held for name, held in definition.items() if name not in SET_HERE}
        return self._save(tenant, workflow_id, definition, earlier)

    def _save(
        self, tenant: str, workflow_id: str, definition: Json, earlier: StoredWorkflow | None
    ) -> WorkflowAnswer:
        """Set the schedule, write, and ask the provider to send what the trigger waits for.

        A process that dies in between leaves a schedule that finds no workflow, or a connection
        that the schedule of checks brings in line.
        """
        checked = check(definition, ProviderCatalogue())
        stored = checked.stored()
        trigger = cast("dict[str, Any]", stored["trigger"])
        steps = cast("list[dict[str, Any]]", stored["steps"])
        held = {connection.key: connection for connection in self._connections.of_tenant(tenant)}
        mistakes = _missing_connections(steps, held)
        try:
            bound = self._bind(tenant, trigger, held)
        except InvalidWorkflow as unbound:
            raise InvalidWorkflow(unbound.detail, [*unbound.errors, *mistakes]) from None
        self._check_bound(tenant, workflow_id, bound, stored)
        if mistakes:
            raise InvalidWorkflow("Steps name connections that do not exist", mistakes)
        enabled = bool(stored.get("enabled", True))
        uses = {f"{_provider(step)}#{_name(step)}" for step in steps}
        if bound.connection:
            uses.add(bound.connection.key)
            if enabled:
                self._subscriptions.expect_change(bound.connection, trigger)
        if earlier and earlier.definition["trigger"] != trigger:
            for connection in self._heard_by(earlier):
                self._subscriptions.expect_change(connection, None)
        schedule = checked.schedule()
        if schedule and enabled:
            self._put_schedule(tenant, workflow_id, schedule)
        moment = self._clock()
        workflow = self._workflows.save(
            StoredWorkflow(
                tenant=tenant,
                workflow_id=workflow_id,
                name=stored["name"],
                enabled=enabled,
                definition=cast("Mapping[str, Json]", stored),
                version=earlier.version + 1 if earlier else 1,
                created_at=earlier.created_at if earlier else moment,
                updated_at=moment,
                trigger_key=bound.key,
                uses=frozenset(uses),
                trigger_connection=bound.connection.key if bound.connection else None,
            ),
            replaces=earlier.version if earlier else None,
        )
        failure = None
        if bound.connection and enabled:
            failure = self._subscriptions.bring_in_line(
                tenant, bound.connection.provider, bound.connection.name
            )
        if earlier:
            self._let_go(earlier, keeps_schedule=schedule is not None and enabled)
        return self._answer(workflow, failure)

    def _check_bound(
        self, tenant: str, workflow_id: str, bound: _Bound, stored: Mapping[str, Any]
    ) -> None:
        """Whether events can come and are not too many workflows' already.

        Raises:
            InvalidWorkflow: The connection needs somebody first, or the trigger has its fill.
        """
        connection = bound.connection
        if not stored.get("enabled", True):
            return
        if connection and connection.status != "connected":
            raise _unbound(
                "trigger.connection",
                f"The {connection.provider} connection {connection.name!r} is {connection.status}: "
                "connect it again first",
            )
        if connection and bound.key:
            waiting = [
                each
                for each in self._workflows.triggered_by(bound.key)
                if each.tenant == tenant and each.workflow_id != workflow_id
            ]
            if len(waiting) >= MAX_PER_TRIGGER:
                raise _unbound(
                    "trigger",
                    f"{MAX_PER_TRIGGER} enabled workflows wait for these events already; "
                    "that is the most there may be",
                )

    def _put_schedule(self, tenant: str, workflow_id: str, schedule: Schedule) -> None:
        try:
            self._schedules.put(tenant, workflow_id, schedule.expression, schedule.timezone)
        except ValueError as refused:
            place = FieldError("trigger.expression", str(refused))
            raise InvalidWorkflow("The schedule is refused", [place]) from None

    def _bind(
        self, tenant: str, trigger: Mapping[str, Any], held: Mapping[str, Connection]
    ) -> _Bound:
        """What the trigger's events come by.

        Raises:
            InvalidWorkflow: There is no such webhook or connection, or it has several targets.
        """
        kind = str(trigger["type"])
        if kind == "manual":
            return _Bound()
        if kind == "schedule":
            return _Bound(SCHEDULE_KEY)
        if kind == "webhook" and trigger.get("webhookId"):
            return self._bind_webhook(tenant, str(trigger["webhookId"]), held)
        name = str(trigger.get("connection") or DEFAULT_CONNECTION)
        wanted = trigger.get("provider")
        candidates = [each for each in providers_of(kind) if wanted in (None, each)]
        found = [held[f"{each}#{name}"] for each in candidates if f"{each}#{name}" in held]
        if not found:
            names = " or ".join(candidates)
            raise _unbound("trigger.connection", f"There is no {names} connection named {name!r}")
        if len(found) > 1:
            names = " and ".join(each.provider for each in found)
            raise _unbound(
                "trigger.provider", f"Both {names} have a connection {name!r}: say which"
            )
        return self._bind_connection(kind, trigger, found[0])

    def _bind_webhook(self, tenant: str, webhook_id: str, held: Mapping[str, Connection]) -> _Bound:
        try:
            webhook = self._webhooks.get(webhook_id)
        except UnknownWebhook:
            webhook = None
        connection = held.get(f"{webhook.provider}#{webhook.connection}") if webhook else None
        if webhook is None or webhook.tenant != tenant or connection is None:
            raise _unbound("trigger.webhookId", f"There is no webhook {webhook_id!r}")
        if webhook.provider not in providers_of("webhook"):
            noun = registry.family_of(webhook.provider)
            detail = f"is the webhook of a {webhook.provider} connection: use a trigger {noun}.…"
            raise _unbound("trigger.webhookId", detail)
        return _Bound(trigger_key(webhook_id, "webhook", webhook_id), connection, webhook_id)

    @staticmethod
    def _bind_connection(kind: str, trigger: Mapping[str, Any], connection: Connection) -> _Bound:
        inbound = registry.get(connection.provider).inbound
        targets = inbound.targets(connection.account) if inbound and inbound.targets else {}
        field, noun = target_of(connection.provider)
        chosen = trigger.get(field)
        if chosen is not None and str(chosen) not in targets:
            known = ", ".join(targets) or "none"
            detail = f"The connection has no {noun} {chosen}; it has {known}"
            raise _unbound(f"trigger.{field}", detail)
        shared = registry.shared_webhook_of(connection.provider)
        if shared is None:
            webhook_id = connection.webhook_id or ""
            return _Bound(trigger_key(webhook_id, kind, ""), connection, webhook_id)
        target = str(chosen) if chosen is not None else ""
        if not target and len(targets) == 1:
            (target,) = targets
        if not target:
            known = ", ".join(f"{name} ({id_})" for id_, name in targets.items())
            detail = f"Say which {noun}, of {known or 'none that there are'}"
            raise _unbound(f"trigger.{field}", detail)
        return _Bound(trigger_key(shared.webhook_id, kind, target), connection, shared.webhook_id)

    # -- removal -----------------------------------------------------------------------------

    def delete(self, tenant: str, workflow_id: str) -> WorkflowDeleted:
        """Remove a workflow; what it waited for is cancelled at the provider. Its executions stay.

        Raises:
            UnknownWorkflow: There is none with this id.
        """
        workflow = self._workflows.get(tenant, workflow_id)
        for connection in self._heard_by(workflow):
            self._subscriptions.expect_change(connection, None)
        self._workflows.delete(workflow)
        self._let_go(workflow, keeps_schedule=False)
        return WorkflowDeleted()

    def _let_go(self, earlier: StoredWorkflow, *, keeps_schedule: bool) -> None:
        """Stop what a replaced or deleted workflow alone had needed.

        A provider that cannot be asked now is asked again soon.
        """
        trigger = cast("dict[str, Any]", earlier.definition["trigger"])
        if trigger["type"] == "schedule" and not keeps_schedule:
            self._schedules.delete(earlier.tenant, earlier.workflow_id)
        for connection in self._heard_by(earlier):
            self._subscriptions.bring_in_line(
                connection.tenant, connection.provider, connection.name
            )

    def _heard_by(self, workflow: StoredWorkflow) -> list[Connection]:
        """The connection that a workflow's events come by, where there still is one."""
        if not workflow.trigger_connection:
            return []
        provider_id, _, name = workflow.trigger_connection.partition("#")
        try:
            return [self._connections.get(workflow.tenant, provider_id, name)]
        except UnknownConnection:
            return []


def _warning(failure: IntegrationError) -> str:
    again = isinstance(failure, RateLimited | ProviderUnavailable)
    when = "It is asked again soon" if again else "It is asked again each day"
    return f"The provider does not send the trigger's events yet: {failure.detail} {when}."


def _missing_connections(
    steps: list[dict[str, Any]], held: Mapping[str, Connection]
) -> list[FieldError]:
    mistakes = []
    for index, step in enumerate(steps):
        provider_id, name = _provider(step), _name(step)
        provided = registry.get(provider_id).stack_credentials and name == DEFAULT_CONNECTION
        if f"{provider_id}#{name}" not in held and not provided:
            message = f"There is no {provider_id} connection named {name!r}"
            mistakes.append(FieldError(f"steps[{index}].connection", message))
    return mistakes


def _provider(step: Mapping[str, Any]) -> str:
    return str(step["action"]).partition(".")[0]


def _name(step: Mapping[str, Any]) -> str:
    return str(step.get("connection") or DEFAULT_CONNECTION)


def _unbound(field: str, message: str) -> InvalidWorkflow:
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

    def validate(self, params: Mapping[str, Json]) -> list[FieldError]:
        """What is wrong with literal parameters."""
        return _mistakes(self._params, params)


class _TriggerSpec:
    """A trigger, as ``definition.check`` asks for it."""

    def __init__(self, trigger: Trigger) -> None:
        self._filters = trigger.filters

    def validate_filters(self, filters: Mapping[str, Json]) -> list[FieldError]:
        """What is wrong with the trigger's own fields."""
        own = {name: held for name, held in filters.items() if name not in GENERIC}
        return _mistakes(self._filters, own)


class ProviderCatalogue:
    """The registry's actions and triggers."""

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


def _mistakes(model: type[Params], given: Mapping[str, Json]) -> list[FieldError]:
    try:
        model.model_validate(given)
    except ValidationError as invalid:
        return mistakes_in(invalid, model, given, "")
    return []
