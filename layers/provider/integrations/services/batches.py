"""A batch of the events queue: whose messages it has, whose turn it is, what was read for them."""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from integrations.errors import IntegrationError, UnknownWorkflow
from integrations.services import shares
from integrations.services.deliveries import SHARED_GROUP
from integrations.services.quotas import Start
from integrations.storage.events import LoggedEvent
from integrations.storage.pages import PageHolder, Pages
from integrations.storage.queues import AGAIN, Message
from integrations.storage.workflows import StoredWorkflow, WaitingWorkflow, Workflows

TENANT_SECONDS = 1.0
"""When the messages of one tenant have taken so long of a batch, the rest of them wait."""

REST = 3
"""So many times as long as it took, this process then does nothing for that tenant: it has a
quarter of each process at most, and there is nearly always one that is free for others."""


HELD_BYTES = 1024 * 1024
"""With so many bytes of events matched, they are started before another message is read: a large
one takes twenty times as much memory as text, and a batch has ten."""


class TenantWaits(IntegrationError):
    """A message was not begun, for its tenant has had its time of this batch."""

    code = "tenant_waits"


class Received(NamedTuple):
    """One message of the events queue.

    Attributes:
        group: The queue's group: the tenant, as far as the sender knew it.
        first: It was not delivered before.
    """

    message_id: str
    text: str
    group: str = ""
    first: bool = True


def by_group(batch: Sequence[Received]) -> list[list[Received]]:
    """The messages of each group, the smallest group first."""
    groups: dict[str, list[Received]] = {}
    for each in batch:
        groups.setdefault(each.group, []).append(each)
    return sorted(groups.values(), key=len)


def again(received: Sequence[Received], resent: shares.Resent) -> list[Message]:
    """Messages once more, later: not the old ones hidden, for that would count as failures.

    Args:
        received: Those that have to wait.
        resent: Knows of which a newer copy waits already: they are left out.
    """
    newest: dict[str, Message] = {}
    for each in received:
        body = json.loads(each.text)
        earlier = body.get(AGAIN, {})
        tries = int(earlier.get("tries", 0))
        message_id = earlier.get("messageId", each.message_id)
        if message_id in newest or resent.has_newer(message_id, tries):
            continue
        newest[message_id] = Message(
            body={**body, AGAIN: {"tries": tries + 1, "messageId": message_id}},
            group=each.group or SHARED_GROUP,
            key=f"events/{message_id}/again",
            delay=math.ceil(shares.wait(tries)),
        )
    return list(newest.values())


class Matched(NamedTuple):
    """What a message starts.

    Attributes:
        workflow_ids: The workflow of each start that needs room.
        record: Writes what starts, given when each may; ``None`` for one that is over the quota.
        start: Starts what the record says.
    """

    message_id: str
    tenant: str
    workflow_ids: Sequence[str]
    record: "Record"
    start: "Launch"


type Record = Callable[[Sequence[Start | None]], LoggedEvent]
type Launch = Callable[[LoggedEvent, Sequence[Start | None]], None]


class Batch:
    """What the messages of one batch share: what was read for one of them, and what is to send.

    Args:
        time_left: Seconds that this process may still live.
        rests: Tenant → until when this process does nothing for it; changed in place.
        monotonic: Seconds that pass.

    Attributes:
        outbox: What must be sent to runners.
        received: Webhook id → how many deliveries came to it.
        message_id: The message that is being matched.
        first: It was not delivered before.
        matched: What the group at hand starts, and has not started yet.
        held: How many bytes its events have.
    """

    def __init__(
        self,
        time_left: Callable[[], float],
        rests: dict[str, float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.time_left = time_left
        self._rests = rests
        self.message_id = ""
        self.first = True
        self.matched: list[Matched] = []
        self._monotonic = monotonic
        self._tenant = ""
        self._spent: dict[str, float] = {}
        self._waiting: dict[str, list[WaitingWorkflow]] = {}
        self._holders: dict[tuple[str, str], list[PageHolder]] = {}
        self._definitions: dict[tuple[str, str], StoredWorkflow | None] = {}
        self.begin()

    def begin(self) -> None:
        """Begin a group: what was to be started and sent before is."""
        self.outbox: list[Message] = []
        self.received: dict[str, int] = {}
        self.take_matched()

    def take_matched(self) -> list[Matched]:
        """Give what was matched, to start it now."""
        matched = self.matched
        self.matched, self.held = [], 0
        return matched

    @contextmanager
    def timed(self, group: str) -> Iterator[None]:
        """Count the time that passes meanwhile as that of a group's tenant; see ``turn``.

        Raises:
            TenantWaits: It has had its time.
        """
        # What came to a shared webhook is one tenant's or another's: `turn` says whose.
        self.turn("" if group == SHARED_GROUP else group)
        with self._counted():
            yield

    @contextmanager
    def starting(self, tenant: str) -> Iterator[None]:
        """Count the time that passes meanwhile as a tenant's; what was matched is not held back."""
        self._tenant = tenant
        with self._counted():
            yield

    @contextmanager
    def _counted(self) -> Iterator[None]:
        began = self._monotonic()
        try:
            yield
        finally:
            taken = self._monotonic() - began
            self._spent[self._tenant] = self._spent.get(self._tenant, 0.0) + taken

    def turn(self, tenant: str) -> None:
        """It turns out that the present message is this tenant's; ``""`` is nobody's.

        Raises:
            TenantWaits: It has had its time.
        """
        self._tenant = tenant
        if not tenant:
            return
        has_had_it = self._spent.get(tenant, 0.0) >= TENANT_SECONDS
        if has_had_it or self._rests.get(tenant, 0.0) > self._monotonic():
            raise TenantWaits("Its tenant has had its time")

    def end(self) -> None:
        """End the batch: who had its time in it rests."""
        moment = self._monotonic()
        for tenant in [each for each, until in self._rests.items() if until <= moment]:
            del self._rests[tenant]
        for tenant, spent in self._spent.items():
            if spent >= TENANT_SECONDS:
                self._rests[tenant] = moment + REST * spent

    def match(
        self,
        tenant: str,
        workflow_ids: Sequence[str],
        record: Record,
        start: Launch,
        size: int = 0,
    ) -> None:
        """Add what the present message starts, and how many bytes its event has."""
        self.matched.append(Matched(self.message_id, tenant, workflow_ids, record, start))
        self.held += size

    def waiting(self, workflows: Workflows, key: str) -> list[WaitingWorkflow]:
        """The workflows that wait for events with this key."""
        if key not in self._waiting:
            self._waiting[key] = workflows.triggered_by(key)
        return self._waiting[key]

    def holders(self, pages: Pages, provider_id: str, target: str) -> list[PageHolder]:
        """The connections that hold a page."""
        key = (provider_id, target)
        if key not in self._holders:
            self._holders[key] = pages.holders(provider_id, target)
        return self._holders[key]

    def definition(
        self, workflows: Workflows, tenant: str, workflow_id: str
    ) -> StoredWorkflow | None:
        """A workflow whole; ``None`` where it was deleted."""
        key = (tenant, workflow_id)
        if key not in self._definitions:
            try:
                self._definitions[key] = workflows.get(tenant, workflow_id)
            except UnknownWorkflow:
                self._definitions[key] = None
        return self._definitions[key]
