"""Slots: how many things of one kind a tenant has under way, each on a lease that ends by itself.

A tenant's slots are attributes of one row, each until when it is taken. So one conditional write
takes a slot, nothing is counted that could be counted wrong, and what a dead process held is free
when its time is over. The row is in the Quotas table.
"""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from integrations.models import now
from integrations.storage.aws import Attribute, Aws, ConditionFailed, attributes
from integrations.storage.aws.updates import update

_STORED_AFTER = timedelta(hours=1)
"""How long the row stays after its last use."""

_ATTEMPTS = 3
"""Others may take the very slot that was seen to be free; after so many times there is none."""


class Slot(NamedTuple):
    """A slot that was taken.

    Attributes:
        counter: The row's key.
        name: The attribute.
        until: What stands in it: when the lease ends, in seconds since 1970.
    """

    counter: str
    name: str
    until: str


class Slots:
    """Slots in the Quotas table.

    Args:
        aws: The way to DynamoDB.
        table: The table's name.
        clock: The present moment.
    """

    def __init__(self, aws: Aws, table: str, *, clock: Callable[[], datetime] = now) -> None:
        self._aws = aws
        self._table = table
        self._clock = clock

    def take(self, tenant: str, kind: str, limit: int, lease: timedelta) -> Slot | None:
        """Take one of a tenant's slots: one write, unless another has the same idea.

        Args:
            tenant: Whose.
            kind: Of what; a word without ``#``.
            limit: How many there are.
            lease: How long it is held at most.

        Returns:
            The slot; ``None`` where all are taken.
        """
        counter = f"{tenant}#{kind}#0"  # as the counters' keys are, so that one rule erases both
        free = list(range(limit))
        for _ in range(_ATTEMPTS):
            if not free:
                return None
            name = f"slot{random.choice(free)}"
            moment = self._clock()
            until = moment + lease
            slot = Slot(counter, name, _sortable(until))
            try:
                self._write(slot, _sortable(moment), int((until + _STORED_AFTER).timestamp()))
            except ConditionFailed as taken:
                row = attributes(taken.item or {})
                free = [n for n in range(limit) if row.get(f"slot{n}", "") <= _sortable(moment)]
            else:
                return slot
        return None

    def free(self, slot: Slot) -> None:
        """Give a slot back; nothing happens where its lease is over and another has it."""
        try:
            self._aws.dynamodb(
                "UpdateItem",
                update(
                    self._table,
                    {"counter": slot.counter},
                    remove=[slot.name],
                    condition=f"#{slot.name} = :until",
                    values={"until": slot.until},
                ),
            )
        except ConditionFailed:
            return

    def _write(self, slot: Slot, moment: str, expires_at: int) -> None:
        written: dict[str, Attribute] = {slot.name: slot.until, "expiresAt": expires_at}
        request = update(
            self._table,
            {"counter": slot.counter},
            written,
            condition=f"attribute_not_exists(#{slot.name}) OR #{slot.name} <= :moment",
            values={"moment": moment},
        )
        request["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
        self._aws.dynamodb("UpdateItem", request)


def _sortable(moment: datetime) -> str:
    """A moment as text that compares as moments do, and fine enough to be nobody else's."""
    return f"{moment.timestamp():017.6f}"
