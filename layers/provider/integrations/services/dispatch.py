"""From deliveries to executions: normalize, log, match, create executions, tell the runners.

What holds, whatever dies when: an event's record is written before the first of its executions,
with the workflows that it starts; whoever finds the record goes on with what it says. So what was
received is either in the queue or in the log, and what it starts is started once.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from integrations import signatures
from integrations.errors import (
    CycleDetected,
    ExpressionError,
    IntegrationError,
    InvalidInput,
    UnknownEvent,
    UnknownProvider,
    UnknownWorkflow,
)
from integrations.models import Event, Json, now
from integrations.providers import registry
from integrations.services import lineage
from integrations.services.batches import (
    HELD_BYTES,
    Batch,
    Matched,
    Received,
    TenantWaits,
    again,
    by_group,
)
from integrations.services.deliveries import QueuedDelivery
from integrations.services.events import (
    EventLog,
    Incoming,
    event_json,
    events_of,
    read_again,
    share_id,
    start_id,
)
from integrations.services.executions import ExecutionService, Launch
from integrations.services.quotas import AT_ONCE, Quotas, Start
from integrations.services.sampling import Sampler
from integrations.services.shares import Resent
from integrations.services.triggers import passes, trigger_key
from integrations.storage.aws import AwsError
from integrations.storage.events import LoggedEvent, Payload, WorkflowOutcome
from integrations.storage.pages import Pages
from integrations.storage.queues import AGAIN, Message, Queue
from integrations.storage.schedules import Schedules
from integrations.storage.webhooks import Webhooks
from integrations.storage.workflows import StoredWorkflow, WaitingWorkflow, Workflows
from integrations.workflows import lifecycle
from integrations.workflows.expressions import Budget

if TYPE_CHECKING:
    from integrations.workflows.records import TriggerDefinition

_log = logging.getLogger(__name__)

MATCHING_SECONDS = 1.0
MATCHING_STEPS = 400_000
"""What the filters of all workflows together may take for one delivery."""

RESERVE_SECONDS = 8.0
"""With less time than this left, nothing more of a batch is begun: it comes again."""

STRAY_SECONDS: Final = 300
"""So old a schedule must be to be mended or removed: longer than a request lives."""

UNFILTERED = frozenset({"manual", "schedule"})
"""Events that were meant for one workflow from the start: no trigger is asked."""

NOT_STARTED = frozenset({"filtered", "refused"})
"""What comes of an event at a workflow where no execution is made."""

NO_STARTS: Mapping[str | None, Start | None] = {}

RECEIVED_SECONDS = 60.0
"""How often at most one process tells a webhook what came to it."""

WRITERS = 8
CHUNK = 64
"""How many executions are created side by side, and between two looks at the clock."""


class NoTimeLeft(IntegrationError):
    """A message was not begun, for want of time; it comes again at once."""

    code = "no_time_left"


class Dispatcher:
    """Turns messages of the events queue into executions.

    Args:
        webhooks, workflows, pages: The tables.
        log: The event log.
        events: The events queue, for large payloads and for what is put back.
        schedules: What fires scheduled workflows; made where one has to go.
        executions: Creates and announces executions.
        quotas: What a tenant may start.
        clock: The present moment.
        monotonic: Seconds that pass.
    """

    def __init__(
        self,
        webhooks: Webhooks,
        workflows: Workflows,
        pages: Pages,
        log: EventLog,
        events: Queue,
        executions: ExecutionService,
        quotas: Quotas,
        schedules: Callable[[], Schedules],
        *,
        clock: Callable[[], datetime] = now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._webhooks = webhooks
        self._workflows = workflows
        self._pages = pages
        self._log = log
        self._events = events
        self._executions = executions
        self._quotas = quotas
        self._schedules = schedules
        self._resent = Resent()
        self._clock = clock
        self._monotonic = monotonic
        self._rests: dict[str, float] = {}
        self._received = Sampler(1, RECEIVED_SECONDS)

    def dispatch(
        self, batch: Sequence[Received], time_left: Callable[[], float] = lambda: 60.0
    ) -> tuple[list[str], list[Exception]]:
        """Dispatch a batch: one query per trigger key; one count and one sending per tenant.

        A message that fails is delivered again, and its executions are created once all the same.
        Tenants take their turns, who sent least first, and each has its time: where it is over, the
        tenant's other messages go back to the queue, later and later, and nobody else's do.

        Args:
            batch: The messages.
            time_left: Seconds that this process may still live.

        Returns:
            The ids of the messages that failed, and why.
        """
        work = Batch(time_left, self._rests, self._monotonic)
        failed: dict[str, Exception] = {}
        for group in by_group(batch):
            failed |= self._dispatch_group(group, work)
        work.end()
        return list(failed), list(failed.values())

    def _dispatch_group(self, group: Sequence[Received], work: Batch) -> dict[str, Exception]:
        """Dispatch a group's messages to their end; tells which failed, and why."""
        failed: dict[str, Exception] = {}
        waiting: list[Received] = []
        work.begin()
        for received in group:
            try:
                if work.time_left() < RESERVE_SECONDS:
                    raise NoTimeLeft("The rest of the batch comes again")  # noqa: TRY301
                with work.timed(received.group):
                    self._one(received, work)
            except TenantWaits:
                waiting.append(received)
            except Exception as failure:  # noqa: BLE001 - one message must not take others along
                failed[received.message_id] = failure
            if work.held > HELD_BYTES:
                failed |= self._start_matched(work, failed)
        failed |= self._start_matched(work, failed)
        there = [each.message_id for each in group if each not in waiting]
        done = [message_id for message_id in there if message_id not in failed]
        try:
            self._executions.send_all(work.outbox)
        except Exception as failure:  # noqa: BLE001 - none of them is known to have arrived
            failed |= dict.fromkeys(done, failure)
        else:
            self._count(work.received)
        return failed | self._put_back(waiting)

    def _put_back(self, waiting: Sequence[Received]) -> dict[str, Exception]:
        """Let messages wait for their tenant's turn; tells which could not be sent, and why."""
        later = again(waiting, self._resent)
        try:
            self._events.send_all(later)
        except Exception as failure:  # noqa: BLE001 - then they come again by themselves
            return {each.message_id: failure for each in waiting}
        for each in later:
            mark = cast("Mapping[str, Any]", each.body[AGAIN])
            self._resent.note(mark["messageId"], mark["tries"])
        return {}

    def _start_matched(self, work: Batch, failed: Mapping[str, Exception]) -> dict[str, Exception]:
        """Start what was matched, each tenant within its quotas; tells which messages failed."""
        of_tenant: dict[str, list[Matched]] = {}
        for each in work.take_matched():
            if each.message_id not in failed:
                of_tenant.setdefault(each.tenant, []).append(each)
        found: dict[str, Exception] = {}
        for tenant, matched in of_tenant.items():
            with work.starting(tenant):
                found |= self._start_of(tenant, matched, work)
        return found

    def _start_of(
        self, tenant: str, matched: Sequence[Matched], work: Batch
    ) -> dict[str, Exception]:
        """Start what one tenant's messages matched; tells which failed, and why."""
        try:
            wanted = [workflow for each in matched for workflow in each.workflow_ids]
            starts = iter(self._quotas.starts(tenant, wanted))
        except AwsError as failure:
            return {each.message_id: failure for each in matched}
        found: dict[str, Exception] = {}
        unused: list[tuple[str, Start | None]] = []
        for each in matched:
            own = [next(starts) for _ in each.workflow_ids]
            recorded = False
            try:
                if work.time_left() < RESERVE_SECONDS:
                    raise NoTimeLeft("The rest of the batch comes again")  # noqa: TRY301
                logged = each.record(own)
                recorded = not logged.earlier
                each.start(logged, own)
            except Exception as failure:  # noqa: BLE001 - as above
                found[each.message_id] = failure
            if not recorded:
                unused += zip(each.workflow_ids, own, strict=True)
        self._quotas.give_back(tenant, unused)
        return found

    def _count(self, received: Mapping[str, int]) -> None:
        """Tell webhooks what came to them, now and then: not one write for each delivery."""
        for webhook_id, count in received.items():
            if due := self._received.take(webhook_id, count):
                try:
                    self._webhooks.record_received(webhook_id, due)
                except AwsError:  # what was received is done, and in the log
                    _log.warning("not counted: %s deliveries to %s", due, webhook_id)

    def _one(self, received: Received, work: Batch) -> None:
        work.message_id, work.first = received.message_id, received.first
        body = cast("dict[str, Any]", self._events.load(received.text))
        if "schedule" in body:
            self._scheduled(body, received, work)
        elif "replay" in body:
            with _unless_erased():
                self._take(self._replayed(body["replay"]), work)
        elif "started" in body:
            with _unless_erased():
                logged = self._log.get(body["started"]["tenant"], body["started"]["eventId"])
                self._start(logged, work, first=int(body["started"]["from"]))
        else:
            self._delivered(QueuedDelivery.from_message(body), work)

    # -- what comes in -----------------------------------------------------------------------

    def _scheduled(self, body: Mapping[str, Any], received: Received, work: Batch) -> None:
        # Time zones are nothing that a webhook's cold start needs.
        from integrations.services.schedules import is_due

        schedule = body["schedule"]
        tenant, workflow_id = schedule["tenant"], schedule["workflowId"]
        try:
            workflow = self._workflows.get(tenant, workflow_id)
        except UnknownWorkflow:
            workflow = None
        if workflow is None or not is_due(workflow, schedule):
            self._settle(tenant, workflow_id, schedule)
            return
        moment = str(body.get("scheduledTime", ""))
        # Scheduler puts the time in the placeholder's place; where it does not, the message's id
        # is what stays the same over its redeliveries.
        message_id = body.get(AGAIN, {}).get("messageId", received.message_id)
        event_id = message_id if moment.startswith("<") or not moment else moment
        data: Json = {"scheduledTime": None if moment.startswith("<") else moment}
        identity = f"schedule:{event_id}"

        def record(starts: Sequence[Start | None]) -> LoggedEvent:
            return self._log.record_start(
                workflow,
                "schedule",
                identity,
                data,
                execution_id=lifecycle.execution_id(workflow.workflow_id, identity),
                refused=self._quotas.refusal() if starts[0] is None else None,
            )

        def start(logged: LoggedEvent, starts: Sequence[Start | None]) -> None:
            if logged.workflows[0].outcome == "refused":
                return
            event, when = (logged.event_id, 0), next(iter(starts), None) or AT_ONCE
            launch = Launch(workflow, identity, data, logged=event, start=when)
            if message := self._executions.launch(launch):
                work.outbox.append(message)

        if not self._goes_on(tenant, start_id(workflow, identity), start, work):
            work.match(tenant, [workflow_id], record, start)

    def _goes_on(
        self, tenant: str, event_id: str, start: Callable[..., None], work: Batch, size: int = 0
    ) -> bool:
        """Whether an earlier attempt has recorded the event: then what it says starts.

        It has its room: taken once more at each attempt, what was accepted would be refused for it.
        """
        logged = None if work.first else self._log.recorded_before(tenant, event_id)
        if logged:
            work.match(tenant, [], lambda _: logged, start, size)
        return logged is not None

    def _settle(self, tenant: str, workflow_id: str, schedule: Mapping[str, Any]) -> None:
        """Mend or remove a schedule that is not its workflow's: a process died before it could.

        A new one is left alone: its workflow is written after it.
        """
        from integrations.services.schedules import settle

        moment = self._clock()
        if moment.timestamp() - float(schedule.get("since", 0)) > STRAY_SECONDS:
            settle(self._workflows, self._schedules(), tenant, workflow_id, moment)

    def _replayed(self, order: Mapping[str, Any]) -> Incoming:
        """An event of the log once more, under the id that the replay has given it."""
        earlier = self._log.get(order["tenant"], order["replayOf"])
        payload = earlier.payload or Payload()
        moment = datetime.fromisoformat(order["at"])
        events = read_again(earlier, order["eventId"], moment)
        chosen = order.get("workflowIds")
        if chosen is None and earlier.provider in ("manual", "schedule"):
            chosen = [each.target for each in events]
        return Incoming(
            event_id=order["eventId"],
            tenant=earlier.tenant,
            webhook_id=earlier.webhook_id,
            provider=earlier.provider,
            connection_name=earlier.connection_name,
            received_at=moment,
            events=tuple(events),
            payload=payload,
            size=earlier.size,
            verification=earlier.verification,
            replay_of=earlier.event_id,
            workflow_ids=tuple(chosen) if chosen is not None else None,
            shared=payload.events is not None,
        )

    def _delivered(self, queued: QueuedDelivery, work: Batch) -> None:
        reader = registry.events_of(queued.provider)
        if reader is None:
            raise UnknownProvider(f"{queued.provider} has no webhooks")
        window = timedelta(seconds=signatures.REPLAY_WINDOWS.get(queued.verification, 0))
        if queued.earlier_id and self._log.was_received_since(
            queued.tenant, queued.earlier_id, queued.received_at - window
        ):
            return  # the same signed body once more, perhaps under another id: it is in the log
        whole = Incoming(
            event_id=queued.event_id,
            tenant=queued.tenant,
            webhook_id=queued.webhook_id,
            provider=queued.provider,
            connection_name=queued.connection_name,
            received_at=queued.received_at,
            events=(),
            payload=Payload(
                headers=queued.headers,
                query=queued.query,
                body=queued.body,
                method=queued.method,
                path=queued.path,
            ),
            size=len(queued.body),
            verification={"type": queued.verification, "verified": True},
            hops=queued.hops,
            shared=queued.shared,
        )
        try:
            events = reader.normalize(queued.delivery)
        except InvalidInput as unreadable:
            if not queued.shared:
                self._webhooks.record_failure(queued.webhook_id, unreadable.detail)
            self._log.record(whole, refused=unreadable.detail)
            return
        if not queued.shared:
            self._take(whole._replace(events=tuple(events)), work)
            work.received[queued.webhook_id] = work.received.get(queued.webhook_id, 0) + 1
            return
        shares = self._shares(whole, events, work)
        if len(shares) == 1 or queued.only is not None:
            for share in shares:
                if queued.only in (None, share.tenant):
                    self._take(share, work)
            return
        # Each tenant's share goes its own way, so that the trouble of one holds up no other.
        self._events.send_all([queued._replace(only=each.tenant).to_message() for each in shares])

    def _shares(self, whole: Incoming, events: Sequence[Event], work: Batch) -> list[Incoming]:
        """What each tenant gets of a shared webhook's delivery: the events of its own pages."""
        of_tenant: dict[str, list[Event]] = {}
        for event in events:
            holders = work.holders(self._pages, whole.provider, event.target)
            for tenant in {holder.tenant for holder in holders} or {""}:
                of_tenant.setdefault(tenant, []).append(event)
        return [
            whole._replace(
                event_id=share_id(whole.event_id, tenant),
                tenant=tenant,
                events=tuple(share),
                # Of pages that nobody here holds, nothing but their coming is kept.
                payload=Payload(events=tuple(map(event_json, share)) if tenant else ()),
            )
            for tenant, share in of_tenant.items() or [("", [])]
        ]

    # -- matching ----------------------------------------------------------------------------

    def _take(self, incoming: Incoming, work: Batch) -> None:
        """Match a tenant's share of a delivery; it starts when the batch is matched."""
        work.turn(incoming.tenant)
        outcomes: list[WorkflowOutcome] = []
        starting: list[WorkflowOutcome] = []

        def start_of(starts: Sequence[Start | None]) -> dict[str | None, Start | None]:
            ids = (each.execution_id for each in starting)
            return dict(zip(ids, starts, strict=True))

        def record(starts: Sequence[Start | None]) -> LoggedEvent:
            refused = {each for each, when in start_of(starts).items() if when is None}
            settled = [
                each._replace(outcome="refused", reason=self._quotas.refusal(), execution_id=None)
                if each.execution_id in refused and each.outcome not in NOT_STARTED
                else each
                for each in outcomes
            ]
            return self._log.record(incoming, settled)

        def start(logged: LoggedEvent, starts: Sequence[Start | None]) -> None:
            self._start(logged, work, events=incoming.events, start_of=start_of(starts))

        if self._goes_on(incoming.tenant, incoming.event_id, start, work, incoming.size):
            return
        outcomes += self._outcomes(incoming, work)
        starting += (each for each in outcomes if each.outcome not in NOT_STARTED)
        workflow_ids = [each.workflow_id for each in starting]
        work.match(incoming.tenant, workflow_ids, record, start, incoming.size)

    def _outcomes(self, incoming: Incoming, work: Batch) -> list[WorkflowOutcome]:
        """What comes of it at each workflow; one budget for the filters of all of them."""
        waiting = [
            (workflow, index)
            for index, event in enumerate(incoming.events)
            for workflow in self._waiting(incoming, event, work)
        ]
        # Its clock begins when all is read: a slow table is nothing that a filter has done.
        budget = Budget(steps=MATCHING_STEPS, seconds=MATCHING_SECONDS)
        return [self._outcome(workflow, incoming, index, budget) for workflow, index in waiting]

    def _waiting(self, incoming: Incoming, event: Event, work: Batch) -> Iterable[WaitingWorkflow]:
        if incoming.workflow_ids is not None:
            found = (self._workflows.find(incoming.tenant, each) for each in incoming.workflow_ids)
            return [workflow for workflow in found if workflow]
        key = trigger_key(incoming.webhook_id, event.type, event.target)
        waiting = [
            each for each in work.waiting(self._workflows, key) if each.tenant == incoming.tenant
        ]
        if not incoming.shared:
            return waiting
        holders = work.holders(self._pages, incoming.provider, event.target)
        holding = {(holder.tenant, holder.connection_key) for holder in holders}
        return [each for each in waiting if (each.tenant, each.trigger_connection) in holding]

    def _outcome(
        self, workflow: WaitingWorkflow, incoming: Incoming, index: int, budget: Budget
    ) -> WorkflowOutcome:
        event = incoming.events[index]
        outcome = WorkflowOutcome(
            workflow_id=workflow.workflow_id,
            workflow_name=workflow.name,
            outcome="dispatched",
            event_index=index,
            hops=incoming.hops,
        )
        once: str | None = None
        try:
            if cycle := lineage.check(incoming.hops):
                raise cycle
            if event.type not in UNFILTERED:
                refusal = self._refusal(workflow, event, budget)
                if refusal:
                    return outcome._replace(outcome="filtered", reason=refusal)
                if incoming.replay_of is None:  # what is asked for expressly happens again
                    definition = cast("TriggerDefinition", workflow.trigger)
                    data = cast("Json", event.data)
                    once = lifecycle.once_key(definition, data, clock=self._clock, budget=budget)
        except (ExpressionError, CycleDetected) as broken:
            outcome = outcome._replace(
                outcome="failed", reason=broken.detail, error_code=broken.code
            )
        identity = event_identity(incoming.webhook_id, incoming.event_id, incoming.replay_of, event)
        execution_id = lifecycle.execution_id(workflow.workflow_id, identity, once)
        return outcome._replace(execution_id=execution_id, once_key=once)

    def _refusal(self, workflow: WaitingWorkflow, event: Event, budget: Budget) -> str | None:
        """Why an event does not start a workflow that waits for its like; ``None``: it does."""
        kind = workflow.trigger.get("type")
        if kind == "manual":
            return None  # it was named: any event may start it
        if kind != event.type:
            return f"Its trigger is {kind}, the event {event.type}"
        if not passes(workflow.trigger, workflow.filters, event.data):
            return "It is not what the trigger's own fields ask for"
        definition = cast("TriggerDefinition", workflow.trigger)
        if lifecycle.passes_filter(
            definition, cast("Json", event.data), clock=self._clock, budget=budget
        ):
            return None
        return "The filter is false"

    # -- starting ----------------------------------------------------------------------------

    def _start(
        self,
        logged: LoggedEvent,
        work: Batch,
        *,
        first: int = 0,
        events: Sequence[Event] | None = None,
        start_of: Mapping[str | None, Start | None] = NO_STARTS,
    ) -> None:
        """Create the executions that an event's record tells of, from the ``first`` one on.

        What does not fit in the time that is left goes back to the queue as a message of its own.
        """
        starting = [each for each in logged.workflows if each.outcome not in NOT_STARTED]
        if not starting:
            return
        all_events = events if events is not None else events_of(logged)

        def workflows(workflow_id: str) -> StoredWorkflow | None:
            return work.definition(self._workflows, logged.tenant, workflow_id)

        for begin in range(first, len(starting), CHUNK):
            if begin > first and work.time_left() < RESERVE_SECONDS:
                self._events.send(_continuation(logged, begin))
                return
            launches = [
                (
                    _launch(logged, each, workflow, all_events[each.event_index])._replace(
                        start=start_of.get(each.execution_id) or AT_ONCE,
                    ),
                    _failure(each),
                )
                for each in starting[begin : begin + CHUNK]
                if (workflow := workflows(each.workflow_id)) and each.event_index < len(all_events)
            ]
            messages = self._launch(launches)
            work.outbox += [message for message in messages if message]
            if not logged.earlier:
                # What ``oncePer`` has had started before, and is over, does not begin again.
                over = [
                    (launch.workflow.workflow_id, launch.start)
                    for (launch, failure), message in zip(launches, messages, strict=True)
                    if not message and not failure
                ]
                self._quotas.give_back(logged.tenant, over)

    def _launch(
        self, launches: Sequence[tuple[Launch, IntegrationError | None]]
    ) -> list[Message | None]:
        def one(launch: tuple[Launch, IntegrationError | None]) -> Message | None:
            return self._executions.launch(launch[0], failure=launch[1])

        if len(launches) < 2:  # noqa: PLR2004 - a thread costs more than it saves
            return [one(each) for each in launches]
        with ThreadPoolExecutor(WRITERS) as pool:
            return list(pool.map(one, launches))


@contextmanager
def _unless_erased() -> Iterator[None]:
    """Be done with a message about an event that is no longer stored: erased, or its time is up."""
    try:
        yield
    except UnknownEvent as gone:
        _log.warning("dropped: %s", gone.detail)


def event_identity(webhook_id: str, event_id: str, replay_of: str | None, event: Event) -> str:
    """What the ids of an event's executions are made of: the same for each telling of it.

    Args:
        webhook_id: The webhook; ``""`` for a start, whose own id says it all.
        event_id: The delivery's id in the log: what a replay's executions go by.
        replay_of: The event that it repeats.
        event: The event.
    """
    if replay_of is not None:
        return f"{event_id}:{event.id}"
    return f"{webhook_id}:{event.id}" if webhook_id else event.id


def _launch(
    logged: LoggedEvent, outcome: WorkflowOutcome, workflow: StoredWorkflow, event: Event
) -> Launch:
    return Launch(
        workflow,
        event_identity(logged.webhook_id, logged.event_id, logged.replay_of, event),
        cast("Json", event.data),
        outcome.once_key,
        outcome.hops,
        logged=(logged.event_id, outcome.event_index),
        accepted_at=logged.received_at,
    )


def _failure(outcome: WorkflowOutcome) -> IntegrationError | None:
    if outcome.outcome != "failed":
        return None
    kind = CycleDetected if outcome.error_code == CycleDetected.code else ExpressionError
    return kind(outcome.reason or "The filter could not be evaluated")


def _continuation(logged: LoggedEvent, first: int) -> Message:
    return Message(
        body={"started": {"tenant": logged.tenant, "eventId": logged.event_id, "from": first}},
        group=logged.tenant,
        key=f"events/{logged.event_id}/{first}",
    )
