"""Workflows: checked whole, subscribed to their events, stored."""

import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, cast

from integrations.errors import (
    FieldError,
    IntegrationError,
    InvalidWorkflow,
    UnknownConnection,
    VersionConflict,
)
from integrations.models import DEFAULT_CONNECTION, Json, now
from integrations.services.answers.workflows import WorkflowAnswer, WorkflowDeleted, WorkflowPage
from integrations.services.checking import Bound, Checker, unbound, without_ours
from integrations.services.quotas import Quotas
from integrations.services.schedules import is_scheduled, settle
from integrations.services.subscriptions import Subscriptions, wait_after
from integrations.services.triggers import SCHEDULE_KEY, completed
from integrations.services.vault import CHECK_EVERY
from integrations.storage.aws import AwsError
from integrations.storage.connections import Connection, Connections
from integrations.storage.schedules import Schedules
from integrations.storage.workflows import StoredWorkflow, Workflows
from integrations.workflows.schedules import Schedule

MAX_PER_TRIGGER = 100
"""How many enabled workflows of a tenant may wait for the same events."""


class WorkflowService:
    """The use cases of workflows; see each method.

    Args:
        workflows, connections: The tables.
        checker: Checks definitions.
        subscriptions: What providers are asked to send.
        schedules: What fires scheduled workflows.
        quotas: How many workflows a tenant may have.
        public_url: Where this backend answers.
        clock: The present moment.
    """

    def __init__(
        self,
        workflows: Workflows,
        connections: Connections,
        checker: Checker,
        subscriptions: Subscriptions,
        schedules: Schedules,
        quotas: Quotas,
        *,
        public_url: str,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._workflows = workflows
        self._connections = connections
        self._subscriptions = subscriptions
        self._schedules = schedules
        self._quotas = quotas
        self._public_url = public_url
        self._clock = clock
        self._checker = checker

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
            definition = without_ours(definition)
        return self._save(tenant, workflow_id, definition, earlier)

    def _save(
        self, tenant: str, workflow_id: str, definition: Json, earlier: StoredWorkflow | None
    ) -> WorkflowAnswer:
        """Set the schedule, write, and ask the provider to send what the trigger waits for.

        A process that dies in between leaves a schedule that its next tick brings in line, or a
        connection that the schedule of checks does.
        """
        checked = self._checker.check(tenant, definition)
        bound = checked.bound
        stored = checked.workflow.stored()
        trigger = cast("dict[str, Any]", stored["trigger"])
        steps = cast("list[dict[str, Any]]", stored["steps"])
        self._check_bound(tenant, workflow_id, bound, stored)
        enabled = bool(stored.get("enabled", True))
        schedule = checked.workflow.schedule() if enabled else None
        self._check_quotas(tenant, earlier, scheduled=schedule is not None)
        uses = {f"{_provider(step)}#{_name(step)}" for step in steps}
        if bound.connection:
            uses.add(bound.connection.key)
            if enabled:
                self._subscriptions.expect_change(bound.connection, trigger)
        if earlier and earlier.definition["trigger"] != trigger:
            for connection in self._event_source(earlier):
                self._subscriptions.expect_change(connection, None)
        moment = self._clock()
        workflow = StoredWorkflow(
            tenant=tenant,
            workflow_id=workflow_id,
            name=stored["name"],
            enabled=enabled,
            definition=cast("Mapping[str, Json]", stored),
            version=earlier.version + 1 if earlier else 1,
            created_at=earlier.created_at if earlier else moment,
            updated_at=moment,
            filters=completed(trigger),
            trigger_key=bound.key,
            uses=frozenset(uses),
            trigger_connection=bound.connection.key if bound.connection else None,
        )
        self._write(workflow, earlier, schedule)
        failure = None
        if bound.connection and enabled:
            failure = self._subscriptions.synchronize(
                tenant, bound.connection.provider, bound.connection.name
            )
        if earlier:
            self._release(earlier, keeps_schedule=schedule is not None)
        return self._answer(workflow, failure)

    def _check_quotas(
        self, tenant: str, earlier: StoredWorkflow | None, *, scheduled: bool
    ) -> None:
        """Whether the tenant may have one more of it.

        Raises:
            QuotaExceeded: It may not.
        """
        if earlier is None:
            self._quotas.check_workflows(partial(self._workflows.count, tenant))
        if scheduled and not (earlier and is_scheduled(earlier)):
            count = partial(self._workflows.count, tenant, trigger_key=SCHEDULE_KEY)
            self._quotas.check_schedules(count)

    def _check_bound(
        self, tenant: str, workflow_id: str, bound: Bound, stored: Mapping[str, Any]
    ) -> None:
        """Whether events can come and are not too many workflows' already.

        Raises:
            InvalidWorkflow: The connection needs somebody first, or the trigger has its fill.
        """
        connection = bound.connection
        if not stored.get("enabled", True):
            return
        if connection and connection.status != "connected":
            raise unbound(
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
                raise unbound(
                    "trigger",
                    f"{MAX_PER_TRIGGER} enabled workflows wait for these events already; "
                    "that is the most there may be",
                )

    def _write(
        self, workflow: StoredWorkflow, earlier: StoredWorkflow | None, schedule: Schedule | None
    ) -> None:
        """Write a workflow, its schedule before it, where one starts it.

        Where it is not written, the schedule of what stands there is put back.
        """
        replaces = earlier.version if earlier else None
        if schedule is None:
            self._workflows.save(workflow, replaces=replaces)
            return
        try:
            self._put_schedule(workflow.tenant, workflow.workflow_id, schedule)
            self._workflows.save(workflow, replaces=replaces)
        except IntegrationError:
            if earlier:
                with suppress(AwsError):  # then its next tick does it
                    self._settle_schedule(earlier)
            raise
        if earlier and not is_scheduled(earlier):
            with suppress(AwsError):  # it is set: but who removed the last one may not know of it
                self._settle_schedule(earlier)

    def _put_schedule(self, tenant: str, workflow_id: str, schedule: Schedule) -> None:
        try:
            self._schedules.put(tenant, workflow_id, schedule.expression, schedule.timezone)
        except ValueError as refused:
            place = FieldError("trigger.expression", str(refused))
            raise InvalidWorkflow("The schedule is refused", [place]) from None

    # -- removal -----------------------------------------------------------------------------

    def delete(self, tenant: str, workflow_id: str) -> WorkflowDeleted:
        """Remove a workflow; what it waited for is cancelled at the provider. Its executions stay.

        Its schedule goes first, whatever its trigger is by now: whoever dies in between leaves a
        workflow that can be removed again, and no schedule that nobody finds.

        Raises:
            UnknownWorkflow: There is none with this id.
        """
        workflow = self._workflows.get(tenant, workflow_id)
        for connection in self._event_source(workflow):
            self._subscriptions.expect_change(connection, None)
        self._schedules.delete(tenant, workflow_id)
        self._workflows.delete(workflow)
        self._unsubscribe(workflow)
        return WorkflowDeleted()

    def _release(self, earlier: StoredWorkflow, *, keeps_schedule: bool) -> None:
        """Stop what a replaced workflow alone had needed."""
        trigger = cast("dict[str, Any]", earlier.definition["trigger"])
        if trigger["type"] == "schedule" and not keeps_schedule:
            self._settle_schedule(earlier)
        self._unsubscribe(earlier)

    def _settle_schedule(self, workflow: StoredWorkflow) -> None:
        tenant, workflow_id = workflow.tenant, workflow.workflow_id
        settle(self._workflows, self._schedules, tenant, workflow_id, self._clock())

    def _unsubscribe(self, earlier: StoredWorkflow) -> None:
        """Have sent what other workflows wait for, and no more.

        A provider that cannot be asked now is asked again soon.
        """
        for connection in self._event_source(earlier):
            self._subscriptions.synchronize(connection.tenant, connection.provider, connection.name)

    def _event_source(self, workflow: StoredWorkflow) -> list[Connection]:
        """The connection that a workflow's events come by, where there still is one."""
        if not workflow.trigger_connection:
            return []
        provider_id, _, name = workflow.trigger_connection.partition("#")
        try:
            return [self._connections.get(workflow.tenant, provider_id, name)]
        except UnknownConnection:
            return []


def _warning(failure: IntegrationError) -> str:
    when = "soon" if wait_after(failure) < CHECK_EVERY else "each day"
    reason = failure.detail.rstrip(".")
    return (
        f"The provider does not send the trigger's events yet: {reason}. It is asked again {when}."
    )


def _provider(step: Mapping[str, Any]) -> str:
    return str(step["action"]).partition(".")[0]


def _name(step: Mapping[str, Any]) -> str:
    return str(step.get("connection") or DEFAULT_CONNECTION)
