"""From deliveries to executions: normalize, match, create one execution each, tell the runners."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from integrations.errors import ExpressionError, InvalidInput, UnknownProvider, UnknownWorkflow
from integrations.models import Delivery, Event, Json, now
from integrations.providers import registry
from integrations.services.deliveries import QueuedDelivery
from integrations.services.executions import ExecutionService, Launch
from integrations.services.triggers import SCHEDULE_KEY, filters_of, trigger_key
from integrations.services.webhooks import HOPS_HEADER
from integrations.storage.queues import Message, Queue
from integrations.storage.webhooks import Webhooks
from integrations.storage.workflows import StoredWorkflow, Workflows
from integrations.workflows import lifecycle

if TYPE_CHECKING:
    from integrations.workflows.records import TriggerDefinition

MAX_HOPS = 8
"""How many executions may lead to one another through webhooks before it is called a cycle."""


class CycleDetected(InvalidInput):
    """Workflows trigger each other, or one itself, without end."""

    code = "cycle_detected"


@dataclass(frozen=True, slots=True)
class Received:
    """One message of the events queue.

    Attributes:
        first: It was not delivered before.
    """

    message_id: str
    text: str
    first: bool = True


class Dispatcher:
    """Turns messages of the events queue into executions.

    Args:
        webhooks, workflows: The tables.
        events: The events queue, for large payloads.
        executions: Creates and announces executions.
        clock: The present moment.
    """

    def __init__(
        self,
        webhooks: Webhooks,
        workflows: Workflows,
        events: Queue,
        executions: ExecutionService,
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._webhooks = webhooks
        self._workflows = workflows
        self._events = events
        self._executions = executions
        self._clock = clock

    def dispatch(self, batch: Sequence[Received]) -> tuple[list[str], list[Exception]]:
        """Dispatch a batch: one query per trigger key, the messages sent together.

        A message that fails is delivered again, and its executions are created once all the same.

        Returns:
            The ids of the messages that failed, and why.
        """
        workflows_of_key: dict[str, list[StoredWorkflow]] = {}
        failed: dict[str, Exception] = {}
        outbox: list[Message] = []
        sent: list[str] = []
        for received in batch:
            try:
                outbox += self._messages(received, workflows_of_key)
                sent.append(received.message_id)
            except Exception as failure:  # noqa: BLE001 - one message must not take others along
                failed[received.message_id] = failure
        try:
            self._executions.send_all(outbox)
        except Exception as failure:  # noqa: BLE001 - none of them is known to have arrived
            failed |= dict.fromkeys(sent, failure)
        return list(failed), list(failed.values())

    def _messages(
        self, received: Received, workflows_of_key: dict[str, list[StoredWorkflow]]
    ) -> list[Message]:
        body = cast("dict[str, Any]", self._events.load(received.text))
        if "schedule" in body:
            launches = self._scheduled(body, received)
        else:
            launches = self._delivered(body, received, workflows_of_key)
        messages = []
        for launch, failure in launches:
            message = self._executions.launch(launch, failure=failure)
            if message:
                messages.append(message)
        return messages

    # -- schedules ---------------------------------------------------------------------------

    def _scheduled(
        self, body: Mapping[str, Any], received: Received
    ) -> list[tuple[Launch, ExpressionError | InvalidInput | None]]:
        try:
            workflow = self._workflows.get(
                body["schedule"]["tenant"], body["schedule"]["workflowId"]
            )
        except UnknownWorkflow:
            return []  # deleted since; its schedule goes, too
        if not workflow.enabled or workflow.trigger_key != SCHEDULE_KEY:
            return []
        time = str(body.get("scheduledTime", ""))
        # Scheduler puts the time in the placeholder's place; where it does not, the message's id
        # is what stays the same over its redeliveries.
        event_id = received.message_id if time.startswith("<") or not time else time
        data: Json = {"scheduledTime": None if time.startswith("<") else time}
        return [(Launch(workflow, f"schedule:{event_id}", data), None)]

    # -- deliveries --------------------------------------------------------------------------

    def _delivered(
        self,
        body: Mapping[str, Any],
        received: Received,
        workflows_of_key: dict[str, list[StoredWorkflow]],
    ) -> list[tuple[Launch, ExpressionError | InvalidInput | None]]:
        queued = QueuedDelivery.from_message(body)
        delivery = queued.delivery
        inbound = registry.get(queued.provider).inbound
        if inbound is None:
            raise UnknownProvider(f"{queued.provider} has no webhooks")
        try:
            events = inbound.normalize(delivery)
        except InvalidInput as unreadable:
            if received.first:
                self._webhooks.record_failure(delivery.webhook_id, unreadable.detail)
            # It will be no better the next time: the refusal is recorded, nothing is tried again.
            return []
        hops = _hops(delivery)
        launches: list[tuple[Launch, ExpressionError | InvalidInput | None]] = []
        for event in events:
            key = trigger_key(delivery.webhook_id, event.type, event.target)
            if key not in workflows_of_key:
                workflows_of_key[key] = self._workflows.triggered_by(key)
            for workflow in workflows_of_key[key]:
                if not queued.is_for(workflow.tenant):
                    continue
                launch = self._launch(workflow, event, delivery, hops)
                if launch:
                    launches.append(launch)
        return launches

    def _launch(
        self, workflow: StoredWorkflow, event: Event, delivery: Delivery, hops: int
    ) -> tuple[Launch, ExpressionError | InvalidInput | None] | None:
        """The execution that an event starts, or why it fails before it begins; or neither."""
        trigger = cast("dict[str, Any]", workflow.definition["trigger"])
        matches, filters = filters_of(workflow)
        if not matches(event.data, filters):
            return None
        definition = cast("TriggerDefinition", trigger)
        data = cast("Json", dict(event.data))
        event_id = f"{delivery.webhook_id}:{event.id}"
        try:
            if not lifecycle.passes_filter(definition, data, clock=self._clock):
                return None
            once = lifecycle.once_key(definition, data, clock=self._clock)
        except ExpressionError as broken:
            return Launch(workflow, event_id, data, hops=hops), broken
        launch = Launch(workflow, event_id, data, once, hops)
        if hops > MAX_HOPS:
            reason = f"{hops} executions led to this one: a workflow triggers itself"
            return launch, CycleDetected(reason)
        return launch, None


def _hops(delivery: Delivery) -> int:
    text = delivery.headers.get(HOPS_HEADER, "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else 0  # noqa: PLR2004
