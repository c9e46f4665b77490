"""`make restore`: bring back what a table held at a moment, without repeating what was done since.

`python -m local.restore` reads TABLE, AT, TENANT, OVERWRITE, DRY_RUN and STACK from the
environment, where make puts them. DynamoDB restores into a new table beside the stack's own, whose
name tells the moment: the same command again finds it and goes on. From there rows are copied back.
What was unfinished at that moment is closed first, in the new table, where nobody looks for work:
nothing that a runner, the recovery or a queue can take up ever comes back.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, cast

import botocore.exceptions

from integrations.errors import IntegrationError
from integrations.models import now
from integrations.services.executions import stored_from
from integrations.storage.audit import Audit
from integrations.storage.aws import Aws, AwsError, ConditionFailed, attributes, item
from integrations.storage.aws.writes import MARK
from integrations.storage.executions import FINISHED, Executions
from integrations.storage.jobs import Jobs
from integrations.workflows import lifecycle
from local import stacks
from local.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from integrations.workflows.records import Execution

NOT_RESTORED: Final = {
    "TokensTable": "a token that was revoked since would open again: make new ones",
    "HandshakesTable": "a log-in is over after ten minutes: begin it again",
    "QuotasTable": "what was counted ends by itself within a day",
}
"""The tables of which nothing must come back, and why."""

ADDED_ALONE: Final = frozenset({"ExecutionsTable", "EventsTable", "JobsTable", "AuditTable"})
"""What happened: a row that is there is the newer truth, and is never replaced."""

VERSIONS: Final = ("version", "revision")
"""What counts the writes of a row, where something does."""

POLL_SECONDS: Final = 5.0

THERE: Final = frozenset({"TableAlreadyExistsException", "TableInUseException"})
"""What DynamoDB says where the table is restored, or still being: by an earlier run, or by an
earlier try of this one, whose answer was lost."""

NAMED = 20
"""How many of what comes back cancelled are named."""


@dataclass(frozen=True)
class Restore:
    """One table, brought back to a moment.

    Attributes:
        aws: The way to AWS.
        name: The table, as the template calls it.
        table: Its physical name.
        audit: The physical name of the audit log, which knows the tenants that were erased since.
        at: The moment.
        tenant: Whose rows come back; ``""`` for everybody's.
        overwrite: Replace what differs, too.
        dry_run: Count, and write nothing into the stack's own table.
        say: Takes a line of the report.
        wait: Waits so many seconds.
    """

    aws: Aws
    name: str
    table: str
    audit: str
    at: datetime
    tenant: str = ""
    overwrite: bool = False
    dry_run: bool = False
    say: Callable[[str], None] = print
    wait: Callable[[float], None] = time.sleep

    @property
    def side(self) -> str:
        """The table that DynamoDB restores into."""
        return f"{self.table}-at-{self.at.astimezone(UTC):%Y%m%dT%H%M%SZ}"

    def run(self) -> Counter[str]:
        """Restore, close, copy back; whatever was done before is found done.

        Returns:
            How many rows were missing, different, the same, left to an erased tenant, over.

        Raises:
            PlatformError: This table does not come back, or not like that.
            AwsError: AWS refuses it, or does not answer; run it again.
        """
        if self.name in NOT_RESTORED:
            raise PlatformError(f"{self.name} is not restored: {NOT_RESTORED[self.name]}")
        if self.overwrite and self.name in ADDED_ALONE:
            raise PlatformError(
                f"{self.name} holds what happened: rows are added, none is replaced"
            )
        keys = self._restored()
        if self.name == "ExecutionsTable":
            self._closed("executions", self._open_executions())
        if self.name == "JobsTable":
            self._closed("jobs", self._open_jobs())
        counts = self._copied(keys)
        summary = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
        self.say(f"{'would be' if self.dry_run else 'are'} restored: {summary or 'no rows'}")
        when = "Unless it is restored now" if self.dry_run else "When all is well"
        self.say(f"{when}: aws dynamodb delete-table --table-name {self.side}")
        return counts

    # -- the table beside it ---------------------------------------------------------------------

    def _restored(self) -> list[str]:
        """Have the table at the moment beside the stack's own; the names of its key."""
        self._begin()
        is_said = False
        while True:
            described = self.aws.dynamodb("DescribeTable", {"TableName": self.side})["Table"]
            if described["TableStatus"] == "ACTIVE":
                return [each["AttributeName"] for each in described["KeySchema"]]
            if not is_said:
                self.say(f"{self.side}: DynamoDB restores it, which takes from minutes to hours")
                is_said = True
            self.wait(POLL_SECONDS)

    def _begin(self) -> None:
        """Let DynamoDB restore the table, unless it has begun already."""
        wanted: dict[str, Any] = {
            "SourceTableName": self.table,
            "TargetTableName": self.side,
            "RestoreDateTime": self.at.timestamp(),
            "BillingModeOverride": "PAY_PER_REQUEST",
            "GlobalSecondaryIndexOverride": [],  # nobody looks anything up in it
        }
        try:
            self.aws.dynamodb("RestoreTableToPointInTime", wanted)
        except AwsError as refusal:
            if refusal.aws_code not in THERE:
                raise

    def _rows(self) -> Iterator[dict[str, Any]]:
        """The raw rows of the restored table, of the tenant that is asked for."""
        request: dict[str, Any] = {"TableName": self.side, "ConsistentRead": True}
        if self.tenant:
            request["FilterExpression"] = "#tenant = :tenant"
            request["ExpressionAttributeNames"] = {"#tenant": "tenant"}
            request["ExpressionAttributeValues"] = item({":tenant": self.tenant})
        start = None
        while True:
            page = self.aws.dynamodb(
                "Scan", request | ({"ExclusiveStartKey": start} if start else {})
            )
            yield from page["Items"]
            start = page.get("LastEvaluatedKey")
            if not start:
                return

    # -- nothing goes on by itself ---------------------------------------------------------------

    def _closed(self, what: str, closing: Iterator[str]) -> None:
        closed = list(closing)
        if closed:
            shown = ", ".join(closed[:NAMED]) + (" …" if len(closed) > NAMED else "")
            self.say(f"{len(closed)} {what} were unfinished and come back cancelled: {shown}")

    def _open_executions(self) -> Iterator[str]:
        """Cancel, in the restored table, what was unfinished at the moment."""
        executions = Executions(self.aws, self.side)
        for row in map(attributes, self._rows()):
            if "journal" not in row or row["status"] in FINISHED:
                continue
            stored = executions.get(row["tenant"], row["executionId"])
            state = cast("Execution", stored.state)
            lifecycle.cancel(state)
            executions.replace(stored_from(stored.tenant, state, stored), due_at=None)
            yield stored.execution_id

    def _open_jobs(self) -> Iterator[str]:
        jobs = Jobs(self.aws, self.side)
        for row in map(attributes, self._rows()):
            job = jobs.get(row["tenant"], row["jobId"])
            if not job.finished:
                jobs.save(job._replace(status="cancelled", finished_at=now(), due_at=None))
                yield job.job_id

    # -- back into the stack's own table ---------------------------------------------------------

    def _copied(self, keys: list[str]) -> Counter[str]:
        counts: Counter[str] = Counter()
        erased: dict[str, bool] = {}
        moment = now().timestamp()
        for row in self._rows():
            known = attributes(row)
            tenant = str(known.get("tenant", ""))
            if tenant and tenant not in erased:
                erased[tenant] = self._erased(tenant)
            if erased.get(tenant):
                counts["of erased tenants left out"] += 1
            elif float(known.get("expiresAt", moment + 1)) <= moment:
                counts["over by now"] += 1
            else:
                counts[self._one(row, keys)] += 1
        return counts

    def _one(self, row: Mapping[str, Any], keys: list[str]) -> str:
        """Bring one row back where it is missing, or differs and may be replaced."""
        key = {name: row[name] for name in keys}
        read = {"TableName": self.table, "Key": key, "ConsistentRead": True}
        present = self.aws.dynamodb("GetItem", read).get("Item")
        if present is not None and _unmarked(present) == _unmarked(row):
            return "the same"
        if present is not None and not self.overwrite:
            return "newer, and left"
        if not self.dry_run:
            try:
                self._put(row, keys, present)
            except ConditionFailed:
                return "written by somebody meanwhile, and left"
        return "missing" if present is None else "replaced"

    def _put(
        self, row: Mapping[str, Any], keys: list[str], present: Mapping[str, Any] | None
    ) -> None:
        """Write a row, where the one that was looked at still stands there."""
        request: dict[str, Any] = {"TableName": self.table, "Item": row}
        counter = next((name for name in VERSIONS if present and name in present), "")
        if present is None:
            request["ConditionExpression"] = "attribute_not_exists(#key)"
            request["ExpressionAttributeNames"] = {"#key": keys[0]}
        elif counter:
            request["ConditionExpression"] = "#counter = :was"
            request["ExpressionAttributeNames"] = {"#counter": counter}
            request["ExpressionAttributeValues"] = {":was": present[counter]}
        self.aws.dynamodb("PutItem", request)

    def _erased(self, tenant: str) -> bool:
        """Whether a tenant was erased since the moment: what it had must not come back."""
        entries, _ = Audit(self.aws, self.audit).page(
            tenant, since=self.at, until=None, action="erase_tenant", limit=100, next_token=None
        )
        return any(each.outcome == "succeeded" for each in entries)


def _unmarked(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without the mark of its last write, which a restored one has of its own."""
    return {name: value for name, value in row.items() if name != MARK}


def moment_of(text: str) -> datetime:
    """The moment that `AT` names; raises PlatformError where it names none that is over."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise PlatformError(f"AT={text} is no time: AT=2026-11-26T05:00:00Z") from None
    if found.tzinfo is None:
        raise PlatformError(f"AT={text} has no zone: {text}Z, or {text}+01:00")
    if found > now():
        raise PlatformError(f"AT={text} is yet to come")
    return found.replace(microsecond=0)


def main() -> None:
    """Restore what the environment names."""
    settings = {name: os.environ.get(name, "") for name in ("TABLE", "AT", "TENANT", "STACK")}
    flags = {name: os.environ.get(name, "") not in {"", "0"} for name in ("OVERWRITE", "DRY_RUN")}
    if not settings["TABLE"] or not settings["AT"]:
        sys.exit("what? make restore TABLE=WorkflowsTable AT=2026-11-26T05:00:00Z [TENANT=…]")
    try:
        stack = stacks.of(settings["STACK"], os.environ.get("AWS_ENDPOINT_URL"))
        Restore(
            stack.aws,
            settings["TABLE"],
            stack.table(settings["TABLE"]),
            stack.table("AuditTable"),
            moment_of(settings["AT"]),
            tenant=settings["TENANT"],
            overwrite=flags["OVERWRITE"],
            dry_run=flags["DRY_RUN"],
        ).run()
    except KeyboardInterrupt:
        sys.exit("Stopped; the same command again goes on.")
    except IntegrationError as failure:
        sys.exit(f"the restore could not go on: {failure.detail}")
    except (
        PlatformError,
        botocore.exceptions.BotoCoreError,
        botocore.exceptions.ClientError,
    ) as failure:
        sys.exit(f"make restore: {failure}")


if __name__ == "__main__":
    main()
