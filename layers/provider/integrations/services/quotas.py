"""Quotas: what one tenant may have, start and send, so that no one's trouble is everybody's.

Three kinds. Objects (connections, workflows, schedules) are counted when one more is made.
Executions are counted by minute: whoever asks for one by the API is refused with the time to come
back, and what events start waits for a minute that has room, up to ``WAITS``, and is refused
for all to see beyond that. Mails on the stack's own server are counted by day.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from integrations.errors import QuotaExceeded
from integrations.models import now
from integrations.storage.aws import AwsError
from integrations.storage.quotas import MOST_NAMES, QuotaCounters, Window

_log = logging.getLogger(__name__)

MINUTE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)

WAITS: Final = 5
"""Minutes that an execution waits at most for one with room. Less than a message's longest delay,
and than the time after which a message counts as lost."""

ALL: Final = "all"
"""The name under which a tenant's executions are counted together; no workflow's id is it."""


class Limits(NamedTuple):
    """The stack's quotas; see the template's parameters of these names.

    Attributes:
        connections, workflows, schedules: How many a tenant may have.
        executions: How many of a tenant's executions may start in a minute.
        workflow_executions: How many of one workflow's.
        mails: How many recipients a tenant may write to in a day by the stack's own server.
        runners: How many of a tenant's executions may run at a time; see ``shares``.
    """

    connections: int
    workflows: int
    schedules: int
    executions: int
    workflow_executions: int
    mails: int
    runners: int


class Start(NamedTuple):
    """When an execution may start.

    Attributes:
        delay: Seconds until then.
        few: It is one of so few that its tenant's runs need not be counted; see ``shares``.
        minute: When the minute begins whose room it has, in seconds since 1970; ``None`` where it
            has none.
    """

    delay: float = 0.0
    few: bool = False
    minute: int | None = None


AT_ONCE: Final = Start()


class Quotas:
    """Asks whether there is room, and takes it; see each method.

    Args:
        counters: The table.
        limits: The quotas.
        clock: The present moment.
    """

    def __init__(
        self,
        counters: QuotaCounters,
        limits: Limits,
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._counters = counters
        self._limits = limits
        self._clock = clock

    # -- objects -----------------------------------------------------------------------------

    def check_connections(self, count: Callable[[], int]) -> None:
        """Refuse one more connection than a tenant may have.

        Raises:
            QuotaExceeded: It has as many already.
        """
        self._check(count, self._limits.connections, "connections", "MaxConnections")

    def check_workflows(self, count: Callable[[], int]) -> None:
        """The same of workflows."""
        self._check(count, self._limits.workflows, "workflows", "MaxWorkflows")

    def check_schedules(self, count: Callable[[], int]) -> None:
        """The same of enabled workflows that a schedule starts."""
        self._check(count, self._limits.schedules, "scheduled workflows", "MaxSchedules")

    @staticmethod
    def _check(count: Callable[[], int], limit: int, noun: str, parameter: str) -> None:
        if (there := count()) >= limit:
            detail = (
                f"There are {there} {noun}; this backend allows {limit} per tenant ({parameter}). "
                "Remove one first"
            )
            raise QuotaExceeded(detail)

    # -- executions --------------------------------------------------------------------------

    def start(self, tenant: str, workflow_id: str) -> Start:
        """Take room for an execution that somebody asks for now.

        Raises:
            QuotaExceeded: This minute has none left.
        """
        window = Window.at("minute", MINUTE, self._clock())
        used = self._counters.take(
            tenant, window, {ALL: 1, workflow_id: 1}, self._of_starts([workflow_id])
        )
        if used is None:
            raise QuotaExceeded(self._limits_in_words(), retry_after=self._until(window))
        return Start(few=self._are_few(used), minute=window.start)

    def _are_few(self, used: Mapping[str, int]) -> bool:
        return used[ALL] <= self._limits.runners // 4

    def starts(self, tenant: str, workflow_ids: Sequence[str]) -> list[Start | None]:
        """Take room for executions that events start: one write where this minute has it all.

        What many workflows want is asked for in parts, each by itself.

        Args:
            tenant: Whose.
            workflow_ids: The workflow of each start, in order.

        Returns:
            For each when it may start; ``None`` for not at all.
        """
        return [
            start for part in _parts(workflow_ids) for start in self._starts_together(tenant, part)
        ]

    def _starts_together(self, tenant: str, workflow_ids: Sequence[str]) -> list[Start | None]:
        window = Window.at("minute", MINUTE, self._clock())
        limits = self._of_starts(workflow_ids)
        used = self._counters.take(tenant, window, _amounts(workflow_ids), limits)
        if used is not None:
            return [Start(0.0, self._are_few(used), window.start)] * len(workflow_ids)
        starts: list[Start | None] = [None] * len(workflow_ids)
        waiting = list(range(len(workflow_ids)))
        for later in range(WAITS + 1):
            candidate = window.later(later)
            used = self._counters.used(tenant, candidate)
            fitting = _fitting(waiting, workflow_ids, used, limits)
            if fitting:
                # Without a condition: what others took since is few, and nobody may be starved.
                self._counters.add(
                    tenant, candidate, _amounts([workflow_ids[each] for each in fitting])
                )
            delay = self._until(window.later(later - 1)) if later else 0.0
            for each in fitting:
                starts[each] = Start(delay, minute=candidate.start)
            waiting = [each for each in waiting if starts[each] is None]
            if not waiting:
                break
        return starts

    def give_back(self, tenant: str, unused: Iterable[tuple[str, Start | None]]) -> None:
        """Give room back that was taken for what does not start after all.

        Where the table does not answer, the minute has less room than it might.

        Args:
            tenant: Whose.
            unused: The workflow of each start, and what ``starts`` gave for it.
        """
        of_minute: dict[int, list[str]] = {}
        for workflow_id, start in unused:
            if start and start.minute is not None:
                of_minute.setdefault(start.minute, []).append(workflow_id)
        for minute, workflow_ids in of_minute.items():
            window = Window("minute", minute, int(MINUTE.total_seconds()))
            for part in _parts(workflow_ids):
                amounts = {name: -amount for name, amount in _amounts(part).items()}
                try:
                    self._counters.add(tenant, window, amounts)
                except AwsError:
                    _log.warning("not given back: the room of %s starts of %s", len(part), tenant)

    def pace(self, per_minute: int | None) -> int:
        """How many events a minute a replay may send: as asked, or half of what may start."""
        return max(1, min(per_minute or self._limits.executions // 2, self._limits.executions))

    def refusal(self) -> str:
        """Why an execution that an event would start does not, in words."""
        return f"{self._limits_in_words()}, and the next {WAITS} minutes are full"

    def _limits_in_words(self) -> str:
        return (
            f"More executions than {self._limits.executions} of a tenant "
            f"(MaxExecutionsPerMinute) or {self._limits.workflow_executions} of one workflow "
            "(MaxWorkflowExecutionsPerMinute) would start in a minute"
        )

    def _of_starts(self, workflow_ids: Sequence[str]) -> dict[str, int]:
        each = dict.fromkeys(workflow_ids, self._limits.workflow_executions)
        return {ALL: self._limits.executions, **each}

    # -- mails -------------------------------------------------------------------------------

    def send_mails(self, tenant: str, recipients: int) -> None:
        """Take room for a mail by the stack's own server.

        Raises:
            QuotaExceeded: The day (UTC) has not so much left.
        """
        window = Window.at("day", DAY, self._clock())
        limit = self._limits.mails
        if self._counters.take(tenant, window, {"mails": recipients}, {"mails": limit}) is None:
            detail = (
                f"The stack's own mail server takes {limit} recipients a day of a tenant "
                "(MaxMailsPerDay); a mail server of one's own has no such limit"
            )
            raise QuotaExceeded(detail, retry_after=self._until(window))

    def _until(self, window: Window) -> float:
        return max(1.0, (window.end - self._clock()).total_seconds())


def _parts(workflow_ids: Sequence[str]) -> Iterator[list[str]]:
    """The starts in order, in parts of so few workflows that each is counted in one write."""
    part: list[str] = []
    names = {ALL}
    for each in workflow_ids:
        if each not in names and len(names) == MOST_NAMES:
            yield part
            part, names = [], {ALL}
        part.append(each)
        names.add(each)
    if part:
        yield part


def _amounts(workflow_ids: Sequence[str]) -> dict[str, int]:
    amounts = {ALL: len(workflow_ids)}
    for each in workflow_ids:
        amounts[each] = amounts.get(each, 0) + 1
    return amounts


def _fitting(
    waiting: Sequence[int],
    workflow_ids: Sequence[str],
    used: Mapping[str, int],
    limits: Mapping[str, int],
) -> list[int]:
    """Which of the starts that wait have room beside what is used, in order."""
    taken = dict(used)
    found = []
    for index in waiting:
        names = (ALL, workflow_ids[index])
        if all(taken.get(name, 0) < limits[name] for name in names):
            found.append(index)
            for name in names:
                taken[name] = taken.get(name, 0) + 1
    return found
