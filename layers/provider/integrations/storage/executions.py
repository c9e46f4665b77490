"""Executions: each run of a workflow, leased by one runner at a time, visible to the end.

An execution is a small head, which lists, leases and the recovery need, and parts beside it that
are written once: pages of its journal (``storage/journal.py``) and values that are too large for
one. A part is written first and named by its content; only the head's conditional write makes it
count. Whatever dies in between leaves a part that nobody names, and that goes with its time.

The indexes ``newest`` and ``workflow`` hold keys alone, so that an execution pays for them once,
when it is created; what a list shows comes from the heads. Sparse are ``ended`` (what failed or was
cancelled) and ``due`` (what is unfinished, by when somebody must look after it).
"""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final, NamedTuple

from integrations.errors import Conflict, UnknownExecution
from integrations.models import Json, from_epoch, now, rfc3339
from integrations.storage import journal
from integrations.storage.aws import (
    Attribute,
    Aws,
    ConditionFailed,
    attributes,
    batch,
    item,
    pages,
    update,
)
from integrations.storage.journal import Journal
from integrations.storage.paging import Span, encode_token

FINISHED = ("succeeded", "failed", "cancelled")
UNFINISHED = ("queued", "running", "retrying")
LISTED_APART = ("failed", "cancelled")
"""The statuses with an index of their own: rare, and looked for."""

RETENTION = timedelta(days=30)

HEAD_BYTES: Final = 600
"""How much of its journal a head holds: with the rest of it, a head takes one write unit."""

FOLD: Final = 8
"""So many pages of one size become one that is so much longer: a name takes room in the head, and
who reads an execution pays for each page. An entry is folded twice at most."""

FOLD_BYTES: Final = (4 * 1024, 8 * 1024)
"""How long a page may be to be folded, once and twice; a longer one stays as it is."""

MOST_PAGES: Final = 24
"""How many pages a head names before their names get a page of their own."""

_FOLDED, _NAMES = "*", "+"
"""What the name of a page begins with that is folded (twice, where it stands there twice), and of
one that holds names."""

STATUS_PAGE = 100
STATUS_PAGES = 10
"""How many executions are looked through for one page of those with a status that has no index."""

UNFINISHED_PAGE: Final = 250
"""How much of each part of the index of what is due is looked through for a tenant's unfinished."""

DUE_SHARDS: Final = 8
"""The index of what is due is walked in so many parts: each takes 1,000 writes a second."""

DUE_PAGE: Final = 50
DUE_SLACK = timedelta(seconds=60)
"""How much later than its lease's end an execution may be due: the index is not written then."""

_OPEN = ("dueShard", "dueAt", "leaseUntil")
"""The attributes that only an unfinished execution has."""

_SUMMARY = (
    "tenant, executionId, workflowKey, workflowName, createdKey, triggerType, finishedAt, "
    "#status, #error, revision, leaseUntil, dueAt"
)
_SUMMARY_NAMES = {"#status": "status", "#error": "error"}


class LeaseLost(Conflict):
    """Another runner took the execution over, or somebody cancelled it."""

    code = "lease_lost"


class StoredExecution(NamedTuple):
    """An execution as it is stored.

    Attributes:
        state: The engine's document; ``{}`` where only the summary was read.
        journal: How much of ``state`` is written, and where.
        revision: Counts the writes; each write names the one that it replaces.
        lease_until: A runner holds it until then.
        due_at: When somebody must look after it; ``None`` where it is finished.
    """

    tenant: str
    execution_id: str
    workflow_id: str
    workflow_name: str
    status: str
    trigger_type: str
    created_at: datetime
    state: Mapping[str, Json]
    finished_at: datetime | None = None
    error: Mapping[str, Json] | None = None
    journal: Journal = Journal()
    revision: int = 0
    lease_until: datetime | None = None
    due_at: datetime | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.status in FINISHED


class Executions:
    """The Executions table."""

    def __init__(
        self,
        aws: Aws,
        table: str,
        *,
        retention: timedelta = RETENTION,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._aws = aws
        self._table = table
        self._retention = retention
        self._clock = clock

    # -- the life of one execution -----------------------------------------------------------

    def create(self, execution: StoredExecution, due_at: datetime) -> bool:
        """Write a new execution, once.

        Returns:
            Whether a runner must get it: it is unfinished, be it new or left by an earlier
            attempt to create it.
        """
        _, packed = self._journal(execution)
        head: dict[str, Attribute] = {
            **_key(execution),
            "workflowName": execution.workflow_name,
            "workflowKey": f"{execution.tenant}#{execution.workflow_id}",
            "createdKey": _created_key(execution),
            "triggerType": execution.trigger_type,
            "revision": 0,
            "expiresAt": self._expires_at(execution),
            **_changing(execution, packed),
        }
        if not execution.finished:
            head |= _open(execution, due_at)
        try:
            self._aws.dynamodb(
                "PutItem",
                {
                    "TableName": self._table,
                    "Item": item(head),
                    "ConditionExpression": "attribute_not_exists(tenant)",
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                },
            )
        except ConditionFailed as there:
            return there.item is None or "dueShard" in there.item
        return not execution.finished

    def lease(self, execution: StoredExecution, until: datetime) -> StoredExecution:
        """Take an unfinished execution that nobody holds, and write its state with the lease.

        Returns:
            The execution as it was written.

        Raises:
            LeaseLost: Another runner was quicker.
        """
        moment = self._clock()
        if execution.lease_until and execution.lease_until > moment:
            raise LeaseLost(f"Execution {execution.execution_id} is run by another process")
        return self.checkpoint(execution, until)

    def checkpoint(self, execution: StoredExecution, until: datetime) -> StoredExecution:
        """Write how far an execution has come and hold it until ``until``; a finished one is free.

        The index of what is due is written only where it would find the execution too late: an
        execution that is short pays for it twice, when it is created and when it ends.

        Raises:
            LeaseLost: Another runner took over, or somebody cancelled it.
        """
        if execution.finished:
            return self._write(execution, {}, remove=_OPEN)
        lease: dict[str, Attribute] = {"leaseUntil": until.timestamp()}
        due_at = execution.due_at
        if due_at is None or due_at > until + DUE_SLACK:
            due_at = until + timedelta(seconds=1)
            lease |= _open(execution, due_at)
        written = self._write(execution, lease)
        return written._replace(lease_until=until, due_at=due_at)

    def renew(self, execution: StoredExecution, until: datetime) -> None:
        """Hold a leased execution until ``until``; nothing else about it changes.

        Raises:
            LeaseLost: It was written since ``execution``.
        """
        try:
            self._aws.dynamodb(
                "UpdateItem",
                update(
                    self._table,
                    _key(execution),
                    {"leaseUntil": until.timestamp()},
                    condition="#revision = :was AND attribute_exists(#dueShard)",
                    values={"was": execution.revision},
                ),
            )
        except ConditionFailed:
            raise LeaseLost(
                f"Execution {execution.execution_id} is run by another process now"
            ) from None

    def release(self, execution: StoredExecution, due_at: datetime) -> StoredExecution:
        """Write an unfinished execution and give the lease back; it is due again at ``due_at``.

        Raises:
            LeaseLost: Another runner took over, or somebody cancelled it.
        """
        return self.replace(execution, due_at=due_at)

    def replace(self, execution: StoredExecution, *, due_at: datetime | None) -> StoredExecution:
        """Change an execution from outside (retry, cancel), taking any lease away.

        Args:
            execution: The new state; an unfinished one needs ``due_at``.
            due_at: When it must have been taken up, or the recovery sends it again.

        Raises:
            LeaseLost: It was written in between.
        """
        if due_at is None:
            return self._write(execution, {}, remove=_OPEN)
        written = self._write(execution, {"leaseUntil": None, **_open(execution, due_at)})
        return written._replace(due_at=due_at)

    def _write(
        self,
        execution: StoredExecution,
        more: Mapping[str, Attribute],
        *,
        remove: tuple[str, ...] = (),
    ) -> StoredExecution:
        revision = execution.revision + 1
        written, packed = self._journal(execution)
        try:
            self._aws.dynamodb(
                "UpdateItem",
                update(
                    self._table,
                    _key(execution),
                    {**_changing(execution, packed), **more, "revision": revision},
                    remove=remove,
                    condition="#revision = :was",
                    values={"was": execution.revision},
                ),
            )
        except ConditionFailed:
            raise LeaseLost(
                f"Execution {execution.execution_id} is run by another process now"
            ) from None
        return execution._replace(revision=revision, lease_until=None, journal=written)

    def _journal(self, execution: StoredExecution) -> tuple[Journal, bytes]:
        """The journal with the state's changes, and what the head holds of it.

        Its pages are written when this returns.
        """
        written = journal.followed_by(execution.journal, execution.state)
        packed = written.packed()
        if len(packed) <= HEAD_BYTES:
            return written, packed
        names = [*written.pages, self._put_page(execution, journal.pack(list(written.tail)), 0)]
        for level in range(len(FOLD_BYTES)):
            self._fold(execution, names, level)
        if len(names) > MOST_PAGES:
            names = [_NAMES + self.put_part(execution, journal.pack(list(names)))]
        written = written._replace(pages=tuple(names), tail=())
        return written, written.packed()

    def _put_page(self, execution: StoredExecution, content: bytes, level: int) -> str:
        """Write a page that was folded ``level`` times; tells its name."""
        while level < len(FOLD_BYTES) and len(content) > FOLD_BYTES[level]:
            level += 1
        return _FOLDED * level + self.put_part(execution, content)

    def _fold(self, execution: StoredExecution, names: list[str], level: int) -> None:
        """Make one of the newest pages of a level where they are many; ``names`` has it then."""
        begin = len(names)
        while begin and _level(names[begin - 1]) == level:
            begin -= 1
        if len(names) - begin < FOLD:
            return
        entries = self._pages(execution.tenant, execution.execution_id, names[begin:])
        names[begin:] = [self._put_page(execution, journal.pack(entries), level + 1)]

    def put_part(self, execution: StoredExecution, content: bytes) -> str:
        """Write a part beside an execution; tells its name. It counts once a head names it."""
        name = journal.name_of(content)
        part = {
            **_key(execution, name),
            "content": content,
            "expiresAt": self._expires_at(execution),
        }
        self._aws.dynamodb("PutItem", {"TableName": self._table, "Item": item(part)})
        return name

    def _expires_at(self, execution: StoredExecution) -> int:
        return int((execution.created_at + self._retention).timestamp())

    # -- reading -----------------------------------------------------------------------------

    def get(self, tenant: str, execution_id: str) -> StoredExecution:
        """An execution, whole.

        Raises:
            UnknownExecution: The tenant has none with this id.
        """
        answer = self._aws.dynamodb(
            "GetItem",
            {
                "TableName": self._table,
                "Key": item({"tenant": tenant, "executionId": execution_id}),
                "ConsistentRead": True,
            },
        )
        if "Item" not in answer or "journal" not in answer["Item"]:
            detail = f"There is no execution {execution_id!r}"
            raise UnknownExecution(detail)
        head = attributes(answer["Item"])
        record = journal.unpack(head["journal"])
        read = Journal(tuple(record["pages"]), tuple(record["tail"]))
        entries = [*self._pages(tenant, execution_id, read.pages), *read.tail]
        state = journal.read(entries)
        stored = _execution(head)
        return stored._replace(state=state, journal=journal.opened(read, state))

    def _pages(self, tenant: str, execution_id: str, names: Sequence[str]) -> list[Json]:
        """The entries of pages, in order."""
        contents = self.parts(tenant, execution_id, [_part_of(name) for name in names])
        entries: list[Json] = []
        for name in names:
            content = journal.unpack(contents[_part_of(name)])
            further = self._pages(tenant, execution_id, content) if name[0] == _NAMES else content
            entries += further
        return entries

    def parts(self, tenant: str, execution_id: str, names: Sequence[str]) -> dict[str, bytes]:
        """The contents of an execution's parts, by name.

        Raises:
            UnknownExecution: One is gone: the execution's time is up.
        """
        keys = [
            {"tenant": tenant, "executionId": f"{execution_id}#{name}"}
            for name in dict.fromkeys(names)  # one that is named twice is asked for once
        ]
        found = {
            row["executionId"].rpartition("#")[2]: row["content"]
            for row in batch(self._aws, self._table, keys, {"ConsistentRead": True})
        }
        if len(found) < len(set(names)):
            detail = f"There is no execution {execution_id!r} any more"
            raise UnknownExecution(detail)
        return found

    def heads(self, keys: Iterable[tuple[str, str]]) -> list[StoredExecution]:
        """Summaries of executions by ``(tenant, execution_id)``, as they are now; in any order."""
        wanted = [{"tenant": tenant, "executionId": each} for tenant, each in keys]
        reading = {
            "ConsistentRead": True,
            "ProjectionExpression": _SUMMARY,
            "ExpressionAttributeNames": _SUMMARY_NAMES,
        }
        return [_execution(row) for row in batch(self._aws, self._table, wanted, reading)]

    # -- lists -------------------------------------------------------------------------------

    def page(
        self,
        tenant: str,
        *,
        workflow_id: str | None,
        status: str | None,
        since: datetime | None,
        until: datetime | None,
        limit: int,
        next_token: str | None,
    ) -> tuple[list[StoredExecution], str | None]:
        """One page of summaries, newest first, and the token of the next one.

        Raises:
            InvalidInput: The token is not one of ours, or of a list with other filters.
        """
        span = Span.between(since, until)
        if span.is_empty:
            return [], None
        key = span.start(next_token, "id") if next_token else None
        if status in UNFINISHED and (found := self._unfinished_of(tenant)) is not None:
            before = key["key"] if key else "~"
            shown = [
                head
                for head in found
                if head.status == status
                and workflow_id in {None, head.workflow_id}
                and span.first <= _created_key(head) <= span.last
                and _created_key(head) < before
            ]
            return shown[:limit], _token_of(shown[limit - 1]) if len(shown) > limit else None
        return self._listed(self._query(tenant, workflow_id, status, span, key), status, limit)

    def _listed(
        self, query: Mapping[str, Any], status: str | None, limit: int
    ) -> tuple[list[StoredExecution], str | None]:
        """A page by an index: the heads of its rows, of a status where one is asked for."""
        request = {**query, "Limit": STATUS_PAGE if status else limit}
        found: list[StoredExecution] = []
        reached: dict[str, Any] | None = None
        most = STATUS_PAGES if status else 1
        for rows, reached in islice(pages(self._aws, "Query", request), most):
            heads = self.heads((row["tenant"], row["executionId"]) for row in rows)
            heads.sort(key=_created_key, reverse=True)
            found += [head for head in heads if status in {None, head.status}]
            if len(found) > limit or (len(found) == limit and reached):
                return found[:limit], _token_of(found[limit - 1])
        if reached is None:
            return found, None
        # Few of very many have the status: a short page, or an empty one, and where to go on.
        return found, encode_token({"id": reached["executionId"], "key": reached["createdKey"]})

    def _unfinished_of(self, tenant: str) -> list[StoredExecution] | None:
        """All of a tenant's that is unfinished, the newest first.

        The index of what is due has it anyhow, where an index by status would cost each execution
        two write units more. ``None`` where the queues are so long that it is too much to look
        through: then the lists by time are, a bounded part at once.
        """
        keys: list[tuple[str, str]] = []
        for shard in range(DUE_SHARDS):
            query = self._due(shard, datetime.max.replace(tzinfo=UTC)) | {"Limit": UNFINISHED_PAGE}
            rows, further = next(pages(self._aws, "Query", query))
            if further:
                return None
            keys += [(row["tenant"], row["executionId"]) for row in rows]
        heads = self.heads(key for key in keys if key[0] == tenant)
        return sorted(heads, key=_created_key, reverse=True)

    def _query(
        self,
        tenant: str,
        workflow_id: str | None,
        status: str | None,
        span: Span,
        after: Mapping[str, str] | None,
    ) -> dict[str, Any]:
        """The query of a list: by status where that has an index, else by workflow or by tenant."""
        hash_key, hash_value, index = "tenant", tenant, "newest"
        of_workflow: dict[str, Attribute] = {}
        if workflow_id:
            of_workflow = {"workflowKey": f"{tenant}#{workflow_id}"}
            hash_key, hash_value, index = "workflowKey", f"{tenant}#{workflow_id}", "workflow"
        if status in LISTED_APART:
            hash_key, hash_value, index = "endedKey", f"{tenant}#{status}", "ended"
        query: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": index,
            "KeyConditionExpression": (
                f"{hash_key} = :hash AND createdKey BETWEEN :since AND :until"
            ),
            "ScanIndexForward": False,
        }
        values: dict[str, Attribute] = {
            ":hash": hash_value,
            ":since": span.first,
            ":until": span.last,
        }
        if status in LISTED_APART and of_workflow:
            query["FilterExpression"] = "workflowKey = :workflow"
            values[":workflow"] = of_workflow["workflowKey"]
        query["ExpressionAttributeValues"] = item(values)
        if after:
            start: dict[str, Attribute] = {
                "tenant": tenant,
                "executionId": after["id"],
                "createdKey": after["key"],
                hash_key: hash_value,
            }
            query["ExclusiveStartKey"] = item(start)
        return query

    # -- what is due -------------------------------------------------------------------------

    def overdue(self, before: datetime) -> Iterator[list[StoredExecution]]:
        """The unfinished executions that somebody must look after, the longest overdue first.

        Yields:
            Summaries as they are now, some from each part of the index in turn. What is not
            postponed or changed is found again next time.
        """
        shards = [pages(self._aws, "Query", self._due(n, before)) for n in range(DUE_SHARDS)]
        while shards:
            for shard in list(shards):
                rows, further = next(shard)
                if further is None:
                    shards.remove(shard)
                if rows:
                    yield self.heads((row["tenant"], row["executionId"]) for row in rows)

    def _due(self, shard: int, before: datetime) -> dict[str, Any]:
        values = item({":shard": str(shard), ":before": int(before.timestamp())})
        return {
            "TableName": self._table,
            "IndexName": "due",
            "KeyConditionExpression": "dueShard = :shard AND dueAt < :before",
            "ExpressionAttributeValues": values,
            "Limit": DUE_PAGE,
        }

    def set_due(self, execution: StoredExecution, due_at: datetime) -> None:
        """Look at an unfinished execution again at ``due_at``; nothing else about it changes."""
        try:
            self._aws.dynamodb(
                "UpdateItem",
                update(
                    self._table,
                    _key(execution),
                    {"dueAt": int(due_at.timestamp())},
                    condition="attribute_exists(#dueShard) AND #dueAt < :dueAt",
                ),
            )
        except ConditionFailed:
            return  # it is finished by now, or somebody runs it


def _key(execution: StoredExecution, part: str = "") -> dict[str, Attribute]:
    name = f"{execution.execution_id}#{part}" if part else execution.execution_id
    return {"tenant": execution.tenant, "executionId": name}


def _part_of(page: str) -> str:
    return page.lstrip(_FOLDED + _NAMES)


def _level(page: str) -> int:
    """How often a page was folded; -1 where it holds names."""
    return -1 if page[0] == _NAMES else page.count(_FOLDED)


def _created_key(execution: StoredExecution) -> str:
    return f"{rfc3339(execution.created_at)}#{execution.execution_id}"


def _token_of(end: StoredExecution) -> str:
    return encode_token({"id": end.execution_id, "key": _created_key(end)})


def _changing(execution: StoredExecution, packed: bytes) -> dict[str, Attribute]:
    apart = execution.status in LISTED_APART
    return {
        "status": execution.status,
        "journal": packed,
        "finishedAt": execution.finished_at.timestamp() if execution.finished_at else None,
        "error": _text(execution.error) if execution.error else None,
        "endedKey": f"{execution.tenant}#{execution.status}" if apart else None,
    }


def _text(document: Mapping[str, Json]) -> str:
    text = json.dumps(dict(document), ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace").decode()


def _open(execution: StoredExecution, due_at: datetime) -> dict[str, Attribute]:
    shard = zlib.crc32(execution.execution_id.encode()) % DUE_SHARDS
    return {"dueShard": str(shard), "dueAt": int(due_at.timestamp())}


def _execution(head: Mapping[str, Any]) -> StoredExecution:
    created = head["createdKey"].partition("#")[0]
    finished_at, lease_until, due_at = (
        from_epoch(head[name]) if head.get(name) is not None else None
        for name in ("finishedAt", "leaseUntil", "dueAt")
    )
    return StoredExecution(
        tenant=head["tenant"],
        execution_id=head["executionId"],
        workflow_id=head["workflowKey"].removeprefix(f"{head['tenant']}#"),
        workflow_name=head["workflowName"],
        status=head["status"],
        trigger_type=head["triggerType"],
        created_at=datetime.fromisoformat(created),
        finished_at=finished_at,
        error=json.loads(head["error"]) if head.get("error") else None,
        state={},
        revision=head.get("revision", 0),
        lease_until=lease_until,
        due_at=due_at,
    )
