"""Quotas: how much of a thing a tenant has used, one row per tenant and window of time.

A row counts many things side by side, so that what is taken together is counted in one write, or
not at all. Rows go by themselves when their window is long over.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from integrations.models import from_epoch
from integrations.storage.aws import Attribute, Aws, ConditionFailed, attributes, item
from integrations.storage.aws.updates import update
from integrations.storage.aws.writes import MARK

_STORED_AFTER = timedelta(hours=1)
"""How long a row stays after its window."""

MOST_NAMES: Final = 30
"""How many things are counted in one write: a condition has 4 KB and 300 operators at most.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""


class Window(NamedTuple):
    """A stretch of time in which something is counted.

    Attributes:
        kind: What the windows of this length count; a word without ``#``.
        start: When it begins, in seconds since 1970.
        seconds: How long it is.
    """

    kind: str
    start: int
    seconds: int

    @classmethod
    def at(cls, kind: str, length: timedelta, moment: datetime) -> "Window":
        """The window that a moment is in."""
        seconds = int(length.total_seconds())
        return cls(kind, int(moment.timestamp()) // seconds * seconds, seconds)

    @property
    def end(self) -> datetime:
        """When it is over."""
        return from_epoch(self.start + self.seconds)

    def later(self, windows: int) -> "Window":
        """The window so many after this one."""
        return Window(self.kind, self.start + windows * self.seconds, self.seconds)


class QuotaCounters:
    """The Quotas table."""

    def __init__(self, aws: Aws, table: str) -> None:
        self._aws = aws
        self._table = table

    def take(
        self, tenant: str, window: Window, amounts: Mapping[str, int], limits: Mapping[str, int]
    ) -> dict[str, int] | None:
        """Count, where all of it stays within the limits; else nothing.

        Args:
            tenant: Whose.
            window: When.
            amounts: What is taken: a name of letters, digits and ``_`` → how many. There are
                ``MOST_NAMES`` at most.
            limits: How many of each there may be in the window.

        Returns:
            How many of each there are now; ``None`` where nothing was counted.
        """
        if any(amount > limits[name] for name, amount in amounts.items()):
            return None
        condition = " AND ".join(
            f"(attribute_not_exists(#{name}) OR #{name} <= :room_{name})" for name in amounts
        )
        room = {f"room_{name}": limits[name] - amount for name, amount in amounts.items()}
        try:
            return self._update(tenant, window, amounts, condition, room)
        except ConditionFailed:
            return None

    def add(self, tenant: str, window: Window, amounts: Mapping[str, int]) -> None:
        """Count, whatever the limits."""
        self._update(tenant, window, amounts, "", {})

    def used(self, tenant: str, window: Window) -> dict[str, int]:
        """What was counted so far, by name."""
        key = {"counter": _counter(tenant, window)}
        query = {"TableName": self._table, "Key": item(key), "ConsistentRead": True}
        row = attributes(self._aws.dynamodb("GetItem", query).get("Item", {}))
        return _counts(row)

    def _update(
        self,
        tenant: str,
        window: Window,
        amounts: Mapping[str, int],
        condition: str,
        room: Mapping[str, int],
    ) -> dict[str, int]:
        added: dict[str, Attribute] = dict(amounts)
        values: dict[str, Attribute] = dict(room)
        request = update(
            self._table,
            {"counter": _counter(tenant, window)},
            {"expiresAt": int((window.end + _STORED_AFTER).timestamp())},
            add=added,
            condition=condition,
            values=values,
        )
        answer = self._aws.dynamodb("UpdateItem", request | {"ReturnValues": "UPDATED_NEW"})
        return _counts(attributes(answer["Attributes"]))


_OTHER = frozenset({"counter", "expiresAt", MARK})


def _counts(row: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(count) for name, count in row.items() if name not in _OTHER}


def _counter(tenant: str, window: Window) -> str:
    return f"{tenant}#{window.kind}#{window.start}"
