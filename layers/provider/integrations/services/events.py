"""The event log: what was received, what came of it, and what templates see of it."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, cast

from integrations.errors import InvalidInput, UnknownEvent
from integrations.models import Delivery, Event, Json, now
from integrations.providers import registry
from integrations.services.observing import Observe, nobody
from integrations.storage.events import (
    EventFilter,
    Events,
    LoggedEvent,
    Outcome,
    Payload,
    WorkflowOutcome,
)
from integrations.storage.workflows import StoredWorkflow

__all__ = [
    "EventFilter",
    "EventLog",
    "Incoming",
    "Outcome",
    "event_json",
    "events_of",
    "read_again",
    "replay_id",
    "share_id",
    "start_id",
]

UNMATCHED = "No enabled workflow waits for it"
MAX_TYPES = 10

LATE_SECONDS = 60.0
"""Within this time of its delivery an event should be dispatched: docs/operating.md promises it."""

TOLD_STARTS = 10
"""How many of the executions that an event starts are named in its log line."""


class Incoming(NamedTuple):
    """One tenant's share of a delivery, on its way into the log and to its workflows.

    Attributes:
        event_id: Its id in the log.
        tenant: Whose it is; ``""`` where nobody's.
        events: What it means.
        payload: What is stored of it.
        size: Bytes of the body.
        hops: How many executions led to it.
        replay_of: The event that it repeats.
        workflow_ids: The workflows that alone shall get it; ``None`` for whoever waits for it.
        shared: It came by a webhook that all tenants share.
    """

    event_id: str
    tenant: str
    webhook_id: str
    provider: str
    connection_name: str
    received_at: datetime
    events: tuple[Event, ...]
    payload: Payload
    size: int
    verification: Mapping[str, Json]
    hops: int = 0
    replay_of: str | None = None
    workflow_ids: tuple[str, ...] | None = None
    shared: bool = False


class EventLog:
    """Reads and writes the log; see each method.

    Args:
        events: The table.
        platform_tenant: Under whose name stands what belongs to no tenant.
        observe: Hears of each event that is recorded.
        clock: The present moment.
    """

    def __init__(
        self,
        events: Events,
        *,
        platform_tenant: str,
        observe: Observe = nobody,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._events = events
        self._platform_tenant = platform_tenant
        self._observe = observe
        self._clock = clock

    # -- reading -----------------------------------------------------------------------------

    def get(self, tenant: str, event_id: str) -> LoggedEvent:
        """An event of this tenant, whole.

        Raises:
            UnknownEvent: There is none with this id, or it is no longer stored.
        """
        event = self._events.get(event_id)
        if event.tenant != tenant:
            raise UnknownEvent(f"There is no event {event_id!r}")
        return event

    def page(
        self,
        tenant: str,
        chosen: EventFilter,
        limit: int,
        next_token: str | None,
        *,
        oldest_first: bool = False,
    ) -> tuple[list[LoggedEvent], str | None]:
        """One page of the tenant's events, without their payloads."""
        return self._events.page(
            tenant, chosen, limit=limit, next_token=next_token, oldest_first=oldest_first
        )

    def event(self, tenant: str, event_id: str, index: int) -> Event:
        """What templates see of an event as ``trigger``.

        Args:
            tenant: Whose event.
            event_id: Its id in the log.
            index: Which of the delivery's events.

        Raises:
            UnknownEvent: It is no longer stored.
        """
        events = events_of(self.get(tenant, event_id))
        if index >= len(events):
            raise UnknownEvent(f"The event {event_id!r} has no part {index}")
        return events[index]

    def was_received_since(self, tenant: str, event_id: str, since: datetime) -> bool:
        """Whether an event is in the log that was received at or after a moment."""
        try:
            return self.get(tenant, event_id).received_at >= since
        except UnknownEvent:
            return False

    # -- writing -----------------------------------------------------------------------------

    def record(
        self,
        incoming: Incoming,
        workflows: Sequence[WorkflowOutcome] = (),
        *,
        refused: str | None = None,
    ) -> LoggedEvent:
        """Write what came of a delivery at one tenant, once.

        Args:
            incoming: The tenant's share of it.
            workflows: What came of it at each workflow.
            refused: Why it could not be understood.

        Returns:
            The record as it stands: what an earlier attempt wrote wins.
        """
        started = {each.execution_id for each in workflows if each.execution_id}
        outcome: Outcome = "dispatched" if started else "filtered" if workflows else "unmatched"
        reason = None
        if refused is not None:
            outcome, reason = "refused", refused
        elif not started:
            over = [each.reason for each in workflows if each.outcome == "refused"]
            reason = (over[0] if over else workflows[0].reason) if workflows else UNMATCHED
        return self._recorded(
            LoggedEvent(
                event_id=incoming.event_id,
                tenant=incoming.tenant or self._platform_tenant,
                webhook_id=incoming.webhook_id,
                provider=incoming.provider,
                connection_name=incoming.connection_name,
                received_at=incoming.received_at,
                outcome=outcome,
                reason=reason,
                types=tuple(dict.fromkeys(each.type for each in incoming.events))[:MAX_TYPES],
                size=incoming.size,
                executions=len(started),
                replay_of=incoming.replay_of,
                verification=incoming.verification,
                workflows=tuple(workflows),
                payload=incoming.payload,
            )
        )

    def record_start(
        self,
        workflow: StoredWorkflow,
        kind: str,
        identity: str,
        data: Json,
        *,
        execution_id: str,
        hops: int = 0,
        refused: str | None = None,
    ) -> LoggedEvent:
        """Write that a person or a schedule starts a workflow, once.

        Args:
            workflow: What starts.
            kind: ``manual`` or ``schedule``.
            identity: The same for each repetition of the same start.
            data: What templates see as ``trigger``.
            execution_id: The execution that it starts.
            hops: How many executions led to it.
            refused: Why it does not start after all.

        Returns:
            The record as it stands.
        """
        event = Event(type=kind, id=identity, target=workflow.workflow_id, data={})
        outcome = WorkflowOutcome(
            workflow_id=workflow.workflow_id,
            workflow_name=workflow.name,
            outcome="refused" if refused else "dispatched",
            reason=refused,
            execution_id=None if refused else execution_id,
            hops=hops,
        )
        return self._recorded(
            LoggedEvent(
                event_id=start_id(workflow, identity),
                tenant=workflow.tenant,
                webhook_id="",
                provider=kind,
                received_at=self._clock(),
                outcome="filtered" if refused else "dispatched",
                reason=refused,
                types=(kind,),
                size=len(json.dumps(data)),
                executions=0 if refused else 1,
                verification={"type": kind, "verified": True},
                workflows=(outcome,),
                payload=Payload(events=({**event_json(event), "data": data},)),
            )
        )

    def recorded_before(self, tenant: str, event_id: str) -> LoggedEvent | None:
        """The record of an event that may have come before; ``None`` where there is none.

        Args:
            tenant: Whose event; ``""`` where nobody's.
            event_id: Its id in the log.
        """
        try:
            found = self.get(tenant or self._platform_tenant, event_id)
        except UnknownEvent:
            return None
        return self._observed(found._replace(earlier=True))

    def _recorded(self, event: LoggedEvent) -> LoggedEvent:
        return self._observed(self._events.record(event))

    def _observed(self, recorded: LoggedEvent) -> LoggedEvent:
        started = [each for each in recorded.workflows if each.execution_id]
        delay = (self._clock() - recorded.received_at).total_seconds()
        self._observe(
            "event",
            outcome=recorded.outcome,
            eventId=recorded.event_id,
            tenant=recorded.tenant,
            provider=recorded.provider,
            webhookId=recorded.webhook_id or None,
            replayOf=recorded.replay_of,
            workflowIds=[each.workflow_id for each in started[:TOLD_STARTS]],
            executionIds=[str(each.execution_id) for each in started[:TOLD_STARTS]],
            ms=round(delay * 1000),
            late=int(delay > LATE_SECONDS),
        )
        return recorded


def start_id(workflow: StoredWorkflow, identity: str) -> str:
    """The id in the log of a manual start or a schedule's tick."""
    return _hashed("start", workflow.tenant, workflow.workflow_id, identity)


def share_id(event_id: str, tenant: str) -> str:
    """The id in the log of one tenant's share of a shared webhook's delivery."""
    return _hashed("share", event_id, tenant)


def replay_id(event_id: str, replay: str) -> str:
    """The id of one event's repetition by one replay."""
    return _hashed("replay", event_id, replay)


def _hashed(*parts: str) -> str:
    return f"evt_{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"


def events_of(logged: LoggedEvent) -> list[Event]:
    """The events of a logged delivery, as workflows see them; none where it was refused."""
    return read_again(logged, logged.event_id, logged.received_at)


def read_again(logged: LoggedEvent, event_id: str, received_at: datetime) -> list[Event]:
    """The events of a logged delivery as if it had come under another id, at another time."""
    payload = logged.payload
    if payload is None or logged.outcome == "refused":
        return []
    if payload.events is not None:
        return [_event(each) for each in payload.events]
    reader = registry.events_of(logged.provider)
    if reader is None:
        return []
    delivery = Delivery(
        webhook_id=logged.webhook_id,
        event_id=event_id,
        received_at=received_at,
        headers=payload.headers,
        query=payload.query,
        body=payload.body or b"",
        method=payload.method,
        path=payload.path,
    )
    try:
        return reader.normalize(delivery)
    except InvalidInput:
        return []  # a later version of ours may read it otherwise than the one that took it


def event_json(event: Event) -> dict[str, Json]:
    """An event as a payload keeps it."""
    return {
        "type": event.type,
        "id": event.id,
        "target": event.target,
        "data": cast("Json", event.data),
    }


def _event(stored: Mapping[str, Json]) -> Event:
    # A manual start may be given any JSON; what a provider tells is always an object.
    data = cast("Mapping[str, Json]", stored["data"])
    return Event(
        type=str(stored["type"]), id=str(stored["id"]), target=str(stored["target"]), data=data
    )
