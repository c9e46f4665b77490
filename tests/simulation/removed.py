"""What was taken away, and whether it stays away.

Who has authorized somebody, or knows a webhook, may remember that for a while: what goes on for
that long is no fault.
"""

import json
from collections.abc import Callable

from tests.fakes.dynamodb import Item, Key, Write, texts
from tests.simulation.clock import CLOCK
from tests.simulation.world import World

STAYS = "what is removed stays removed"
REMEMBERED = 65.0
"""Seconds for which an authorizer may know a token, and a receiver a webhook, that are gone."""

LOG_IN_SECONDS = 120.0
"""So long after somebody has consented, the connection may be written."""

ORPHAN_HOURS = 4.0
"""So long a schedule may be there that no workflow has: it is removed when it fires."""

KEPT_OF_THE_ERASED = frozenset({"AuditTable"})
OF_LATE_MESSAGES = frozenset({"EventsTable", "ExecutionsTable", "QuotasTable"})
"""What a message still writes that was in a queue when the erasure ended; it goes by itself."""

OF_NOBODY = frozenset({"webhookId", "releasedAt"})
"""What is kept of a webhook, so that nobody else takes its name."""


class Removed:
    """Watches one world.

    Args:
        world: The world.
        fail: Takes what does not hold: the invariant and the case.

    Attributes:
        workflows, hooks, tokens: What was removed, and when its removal was confirmed.
        leaving: Workflows that somebody has asked to remove.
        accounts: Accounts at Facebook of which nothing may be there, and when that was asked for.
    """

    def __init__(self, world: World, fail: Callable[[str, str], None]) -> None:
        self.world = world
        self.fail = fail
        self.workflows: dict[str, float] = {}
        self.leaving: set[str] = set()
        self.hooks: dict[str, float] = {}
        self.tokens: dict[str, float] = {}
        self.accounts: dict[str, int] = {}
        self._erased: set[str] = set()
        self._late: set[tuple[str, Key]] = set()

    def written(self, write: Write) -> None:
        """A row was written."""
        if write.table == "JobsTable" and write.after is None:
            tenant, job_id = write.key
            if job_id == "job_erase_tenant":
                self._erased.add(tenant)
        elif self._erased and write.table in OF_LATE_MESSAGES:
            self._late.add((write.table, write.key))

    def workflow(self, workflow_id: str) -> None:
        """A workflow was removed."""
        self.workflows[workflow_id] = CLOCK.now

    def started(self, workflow_id: str, execution_id: str) -> None:
        """An execution of a workflow was written for the first time."""
        gone = self.workflows.get(workflow_id)
        if gone and CLOCK.now - gone > REMEMBERED:
            self.fail(STAYS, f"{execution_id} of {workflow_id}, {CLOCK.now - gone:.0f} s after it")

    def delivered(self, hook: str, began: float) -> None:
        """Something was accepted that came to a webhook at this moment."""
        gone = self.hooks.get(hook)
        if gone and began - gone > REMEMBERED:
            self.fail(STAYS, f"{hook} takes deliveries {began - gone:.0f} s after it was removed")

    def used(self, token: str, began: float) -> None:
        """A token was good at this moment."""
        gone = self.tokens.get(token)
        if gone and began - gone > REMEMBERED:
            self.fail(STAYS, f"a token is good {began - gone:.0f} s after it was removed")

    @property
    def orphans(self) -> list[str]:
        """The schedules that no workflow has, or that are another one's than its workflow's."""
        scheduled = self._scheduled()
        found = []
        for name, schedule in self.world.cloud.schedules.items():
            of = json.loads(schedule.message)["schedule"]
            if scheduled.get((of["tenant"], of["workflowId"])) != schedule.expression:
                found.append(name)
        return found

    def silent(self, erased: set[str]) -> list[str]:
        """The enabled workflows that a schedule starts, and that have none.

        Who is told that a removal failed may have one without its schedule, and asks again.
        """
        told = [json.loads(each.message) for each in self.world.cloud.schedules.values()]
        fired = {each["schedule"]["workflowId"] for each in told}
        return [
            workflow_id
            for tenant, workflow_id in self._scheduled()
            if workflow_id not in fired | self.leaving and tenant not in erased
        ]

    def _scheduled(self) -> dict[tuple[str, str], str]:
        """When each enabled workflow fires that a schedule starts."""
        return {
            (row["tenant"]["S"], row["workflowId"]["S"]): json.loads(row["trigger"]["S"])[
                "expression"
            ]
            for row in self.world.cloud.tables.rows("WorkflowsTable")
            if row.get("triggerKey", {}).get("S") == "schedule"
        }

    def at_rest(self, erased: set[str]) -> None:
        """When the weather has been fine for long."""
        tables = self.world.cloud.tables
        there = {row["workflowId"]["S"] for row in tables.rows("WorkflowsTable")}
        if back := there & self.workflows.keys():
            self.fail(STAYS, f"the workflows {back} are there")
        self._accounts_are_gone(tables.rows("ConnectionsTable"))
        for tenant in erased:
            self._is_erased(tenant)

    def _accounts_are_gone(self, connections: list[Item]) -> None:
        """Nothing is there of an account that was to be deleted, but for a log-in after that."""
        for row in connections:
            if not row["connection"]["S"].startswith("facebook_oauth#"):
                continue
            account = json.loads(row["account"]["S"]).get("id", "")
            asked = self.accounts.get(account)
            if asked and self.world.providers.consented[account] + LOG_IN_SECONDS < asked:
                self.fail(STAYS, f"the account {account} is there")

    def _is_erased(self, tenant: str) -> None:
        for name in self.world.cloud.tables.tables:
            if name in KEPT_OF_THE_ERASED:
                continue
            for key, row in self.world.cloud.tables.tables[name].items.items():
                kept = row.keys() == OF_NOBODY or (name, key) in self._late
                if not kept and any(tenant in text for _, text in texts(row)):
                    self.fail(STAYS, f"{name} holds {str(row)[:200]} of {tenant}")
        for key in self.world.cloud.objects:
            if tenant in key:
                self.fail(STAYS, f"the bucket holds {key} of {tenant}")
        for schedule in self.world.cloud.schedules.values():
            if tenant in schedule.message:
                self.fail(STAYS, f"a schedule of {tenant}")
