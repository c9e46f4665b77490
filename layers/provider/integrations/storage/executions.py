"""Executions: each run of a workflow, leased by one runner at a time, visible to the end.

The state of a run is the engine's own JSON document; beside it stand the few attributes that lists
and leases need. An unfinished execution is in the sparse ``unfinished`` index, so that whatever a
crash left behind is found again (``functions/recover_executions``).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from integrations.errors import Conflict, InvalidInput, UnknownExecution
from integrations.models import Json, from_epoch, now, rfc3339
from integrations.storage.aws import (
    Attribute,
    Aws,
    ConditionFailed,
    attributes,
    item,
    pages,
    rows,
    update,
)
from integrations.storage.paging import decode_token, encode_token

FINISHED = ("succeeded", "failed", "cancelled")
RETENTION = timedelta(days=30)

STATUS_PAGE = 1000
STATUS_PAGES = 20
"""How many rows are looked through for one page of those with a status: twenty times a thousand."""

_NAMES = {"#status": "status"}
_OPEN = ("unfinished", "dueAt")
"""The attributes that only an unfinished execution has."""


class LeaseLost(Conflict):
    """Another runner took the execution over, or somebody cancelled it."""

    code = "lease_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredExecution:
    """An execution as it is kept.

    Attributes:
        state: The engine's document; ``{}`` where only the summary was read.
        revision: Counts the writes; each write names the one that it replaces.
        lease_until: A runner holds it until then.
    """

    tenant: str
    execution_id: str
    workflow_id: str
    workflow_name: str
    status: str
    trigger_type: str
    created_at: datetime
    finished_at: datetime | None = None
    error: Mapping[str, Json] | None = None
    state: Mapping[str, Json]
    revision: int = 0
    lease_until: datetime | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.status in FINISHED


class Executions:
    """The Executions table."""

    def __init__(self, aws: Aws, table: str, *, clock: Callable[[], datetime] = now) -> None:
        self._aws = aws
        self._table = table
        self._clock = clock

    # -- the life of one execution -----------------------------------------------------------

    def create(self, execution: StoredExecution, due_at: datetime) -> bool:
        """Write a new execution, once.

        Returns:
            Whether a runner must hear of it: it is unfinished, be it new or left by an earlier
            attempt to create it.
        """
        created = rfc3339(execution.created_at)
        held: dict[str, Attribute] = {
            "tenant": execution.tenant,
            "executionId": execution.execution_id,
            "workflowId": execution.workflow_id,
            "workflowName": execution.workflow_name,
            "workflowKey": f"{execution.tenant}#{execution.workflow_id}",
            "createdKey": f"{created}#{execution.execution_id}",
            "createdAt": execution.created_at.timestamp(),
            "triggerType": execution.trigger_type,
            "revision": 0,
            "expiresAt": int((execution.created_at + RETENTION).timestamp()),
            **_changing(execution),
        }
        if not execution.finished:
            held |= _unfinished(execution, due_at)
        try:
            self._aws.dynamodb(
                "PutItem",
                {
                    "TableName": self._table,
                    "Item": item(held),
                    "ConditionExpression": "attribute_not_exists(tenant)",
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                },
            )
        except ConditionFailed as there:
            return there.item is None or "unfinished" in there.item
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
            raise LeaseLost(f"Execution {execution.execution_id} is in other hands")
        if execution.finished:
            return self._write(execution, {"leaseUntil": None}, remove=_OPEN)
        due = int(until.timestamp()) + 1
        written = self._write(execution, {"leaseUntil": until.timestamp(), "dueAt": due})
        return replace(written, lease_until=until)

    def checkpoint(self, execution: StoredExecution) -> StoredExecution:
        """Write how far a leased execution has come; a finished one gives the lease back.

        Raises:
            LeaseLost: Another runner took over, or somebody cancelled it.
        """
        if execution.finished:
            return self._write(execution, {"leaseUntil": None}, remove=_OPEN)
        return self._write(execution, {})

    def release(self, execution: StoredExecution, due_at: datetime) -> StoredExecution:
        """Write an unfinished execution and give the lease back; it is due again at ``due_at``.

        Raises:
            LeaseLost: Another runner took over, or somebody cancelled it.
        """
        return self._write(execution, {"leaseUntil": None, "dueAt": int(due_at.timestamp())})

    def replace(self, execution: StoredExecution, *, due_at: datetime | None) -> StoredExecution:
        """Change an execution from outside (retry, cancel), taking any lease away.

        Args:
            execution: The new state; an unfinished one needs ``due_at``.
            due_at: When it must have been taken up, or the recovery sends it again.

        Raises:
            LeaseLost: It was written in between.
        """
        if due_at is None:
            return self._write(execution, {"leaseUntil": None}, remove=_OPEN)
        return self._write(execution, {"leaseUntil": None, **_unfinished(execution, due_at)})

    def _write(
        self,
        execution: StoredExecution,
        more: Mapping[str, Attribute],
        *,
        remove: tuple[str, ...] = (),
    ) -> StoredExecution:
        revision = execution.revision + 1
        try:
            self._aws.dynamodb(
                "UpdateItem",
                update(
                    self._table,
                    {"tenant": execution.tenant, "executionId": execution.execution_id},
                    {**_changing(execution), **more, "revision": revision},
                    remove=remove,
                    condition="#revision = :was",
                    values={"was": execution.revision},
                ),
            )
        except ConditionFailed:
            raise LeaseLost(f"Execution {execution.execution_id} is in other hands now") from None
        return replace(execution, revision=revision, lease_until=None)

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
        if "Item" not in answer:
            detail = f"There is no execution {execution_id!r}"
            raise UnknownExecution(detail)
        return _execution(attributes(answer["Item"]))

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
        hash_key, hash_value, index = "tenant", tenant, "newest"
        if workflow_id:
            hash_key, hash_value, index = "workflowKey", f"{tenant}#{workflow_id}", "workflow"
        first = rfc3339(since) if since else "0"
        last = rfc3339(until) + "~" if until else "~"
        if first > last:
            return [], None  # which DynamoDB would call a mistake
        values: dict[str, Attribute] = {":hash": hash_value, ":since": first, ":until": last}
        query: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": index,
            "KeyConditionExpression": (
                f"{hash_key} = :hash AND createdKey BETWEEN :since AND :until"
            ),
            "ScanIndexForward": False,
            "Limit": limit,
        }
        if status:
            query |= {"FilterExpression": "#status = :status", "ExpressionAttributeNames": _NAMES}
            values[":status"] = status
            query["Limit"] = STATUS_PAGE
        query["ExpressionAttributeValues"] = item(values)
        if next_token:
            key = decode_token(next_token, "id", "key")
            if not first <= key["key"] <= last:
                raise InvalidInput("nextToken is of a list with other filters")
            query["ExclusiveStartKey"] = item(self._start_key(tenant, workflow_id, key))
        found: list[StoredExecution] = []
        reached: dict[str, Any] | None = None
        for page, reached in islice(pages(self._aws, "Query", query), STATUS_PAGES):
            found += map(_execution, page)
            if len(found) > limit or (len(found) == limit and reached):
                found = found[:limit]
                end = found[-1]
                return found, encode_token({"id": end.execution_id, "key": _created_key(end)})
        if reached is None:
            return found, None
        # Few of very many have the status: a short page, or an empty one, and where to go on.
        return found, encode_token({"id": reached["executionId"], "key": reached["createdKey"]})

    def unfinished(self, before: datetime) -> Iterator[tuple[str, str]]:
        """Which executions nobody took up in time: ``(tenant, executionId)``."""
        scan = {
            "TableName": self._table,
            "IndexName": "unfinished",
            "FilterExpression": "dueAt < :before",
            "ExpressionAttributeValues": item({":before": int(before.timestamp())}),
        }
        for row in rows(self._aws, "Scan", scan):
            yield row["tenant"], row["executionId"]

    def postpone(self, tenant: str, execution_id: str, due_at: datetime) -> None:
        """Look at an unfinished execution again at ``due_at``; nothing else about it changes."""
        try:
            self._aws.dynamodb(
                "UpdateItem",
                update(
                    self._table,
                    {"tenant": tenant, "executionId": execution_id},
                    {"dueAt": int(due_at.timestamp())},
                    condition="attribute_exists(#unfinished) AND #dueAt < :dueAt",
                ),
            )
        except ConditionFailed:
            return  # it is finished by now, or somebody runs it

    @staticmethod
    def _start_key(
        tenant: str, workflow_id: str | None, token: Mapping[str, str]
    ) -> dict[str, Attribute]:
        start: dict[str, Attribute] = {
            "tenant": tenant,
            "executionId": token["id"],
            "createdKey": token["key"],
        }
        if workflow_id:
            start["workflowKey"] = f"{tenant}#{workflow_id}"
        return start


def _created_key(execution: StoredExecution) -> str:
    return f"{rfc3339(execution.created_at)}#{execution.execution_id}"


def _changing(execution: StoredExecution) -> dict[str, Attribute]:
    return {
        "status": execution.status,
        "state": _text(execution.state),
        "finishedAt": execution.finished_at.timestamp() if execution.finished_at else None,
        "error": _text(execution.error) if execution.error else None,
    }


def _text(document: Mapping[str, Json]) -> str:
    """A document as JSON in as few bytes as there are: a row takes 400 KB of them."""
    text = json.dumps(dict(document), ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace").decode()


def _unfinished(execution: StoredExecution, due_at: datetime) -> dict[str, Attribute]:
    return {"unfinished": execution.execution_id, "dueAt": int(due_at.timestamp())}


def _execution(held: Mapping[str, Any]) -> StoredExecution:
    finished_at = held.get("finishedAt")
    return StoredExecution(
        tenant=held["tenant"],
        execution_id=held["executionId"],
        workflow_id=held["workflowId"],
        workflow_name=held["workflowName"],
        status=held["status"],
        trigger_type=held["triggerType"],
        created_at=from_epoch(held["createdAt"]),
        finished_at=from_epoch(finished_at) if finished_at is not None else None,
        error=json.loads(held["error"]) if held.get("error") else None,
        state=json.loads(held.get("state") or "{}"),
        revision=held.get("revision", 0),
        lease_until=from_epoch(held["leaseUntil"]) if held.get("leaseUntil") else None,
    )
