"""Events: one record per delivery, whatever came of it, with the one copy of what was sent.

The key is the event's own id, which is a hash: writes spread over all partitions, and a tenant's
name is in the index alone. The payload is packed (deflate with a dictionary of what webhooks have
in common) into the row; what does not fit there is in the bucket.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, Self, cast

from integrations.errors import UnknownEvent
from integrations.models import Json, from_epoch, now, rfc3339
from integrations.storage.aws import Attribute, Aws, AwsError, ConditionFailed, attributes, item
from integrations.storage.dictionaries import MEMORY, dictionary
from integrations.storage.objects import GONE, folder
from integrations.storage.paging import Span, encode_token
from integrations.storage.queues import Queue

type Outcome = Literal["refused", "unmatched", "filtered", "dispatched"]

INLINE_BYTES = 32 * 1024
"""A packed payload over this goes to the bucket: a row costs a write unit for each kilobyte, an
object as much as eight."""

MAX_REASON = 300
FILTERED_PAGE = 1000
"""How many rows one page of a filtered list looks at: one query, of a few hundred bytes each."""

_LENGTH = struct.Struct(">I")

_VERSION = b"\x01"
"""The first byte of a packed payload: which dictionary it needs."""


class WorkflowOutcome(NamedTuple):
    """What came of an event at one workflow.

    Attributes:
        outcome: ``failed``: the filter could not be evaluated, and the execution tells why;
            ``refused``: the tenant's quota had no room.
        execution_id: The execution that the event started.
        event_index: Which of the delivery's events it was.
        error_code: The code of the failure.
        hops: How many executions led to this one.
    """

    workflow_id: str
    workflow_name: str
    outcome: Literal["dispatched", "filtered", "failed", "refused"]
    reason: str | None = None
    execution_id: str | None = None
    once_key: str | None = None
    event_index: int = 0
    error_code: str | None = None
    hops: int = 0

    def to_json(self) -> dict[str, Json]:
        """As it is stored: what is empty is left out."""
        fields: dict[str, Json] = {
            "workflowId": self.workflow_id,
            "workflowName": self.workflow_name,
            "outcome": self.outcome,
            "reason": self.reason,
            "executionId": self.execution_id,
            "onceKey": self.once_key,
            "index": self.event_index,
            "errorCode": self.error_code,
            "hops": self.hops,
        }
        return {name: row for name, row in fields.items() if row}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """What ``to_json`` made."""
        return cls(
            workflow_id=row["workflowId"],
            workflow_name=row["workflowName"],
            outcome=row["outcome"],
            reason=row.get("reason"),
            execution_id=row.get("executionId"),
            once_key=row.get("onceKey"),
            event_index=row.get("index", 0),
            error_code=row.get("errorCode"),
            hops=row.get("hops", 0),
        )


class Payload(NamedTuple):
    """What was sent, without its secrets.

    Attributes:
        headers: Lower-case names.
        query: The query's parameters.
        body: The raw bytes; ``None`` where only ``events`` were stored.
        body_truncated: The body was longer: of what was refused only its beginning is stored.
        events: The events as they were, ``{type, id, target, data}`` each, where the body is not
            the tenant's own (of a shared webhook's delivery a tenant sees its own events) or where
            there is none (a manual start, a schedule); ``None`` where the body tells them.
        method, path: How it came, and what followed the webhook's URL.
    """

    headers: Mapping[str, str] = {}
    query: Mapping[str, Json] = {}
    body: bytes | None = None
    body_truncated: bool = False
    events: tuple[Mapping[str, Json], ...] | None = None
    method: str = "POST"
    path: str = ""


class LoggedEvent(NamedTuple):
    """One delivery as it is stored.

    Attributes:
        event_id: ``evt_`` and 32 hexadecimal digits.
        tenant: Whose it is; the platform's own name where nobody's.
        webhook_id: The webhook it came to; ``""`` for a manual start or a schedule.
        provider: Whose event: a provider's id, ``manual`` or ``schedule``.
        outcome, reason: What came of it, and why nothing more did.
        types: The trigger types of its events.
        size: Bytes of the body.
        executions: How many executions it started.
        replay_of: The event that this one repeats.
        verification: ``{type, verified, reason}``.
        workflows: What came of it at each workflow that waits for it.
        payload: What was sent; ``None`` in a list.
        expires_at: When it is forgotten.
        earlier: It was written before: by an earlier attempt, or when it was delivered before.
    """

    event_id: str
    tenant: str
    webhook_id: str
    provider: str
    received_at: datetime
    outcome: Outcome
    connection_name: str = ""
    reason: str | None = None
    types: tuple[str, ...] = ()
    size: int = 0
    executions: int = 0
    replay_of: str | None = None
    verification: Mapping[str, Json] = {}
    workflows: tuple[WorkflowOutcome, ...] = ()
    payload: Payload | None = None
    expires_at: datetime | None = None
    earlier: bool = False


class EventFilter(NamedTuple):
    """Which events of a tenant; ``None`` is any.

    Attributes:
        since, until: Received at or after, at or before.
        replayable: Not what was refused, and no replays.
        past: Also what is older than events are stored for, and not deleted yet.
    """

    webhook_id: str | None = None
    provider: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    replayable: bool = False
    past: bool = False


class Events:
    """The Events table.

    Args:
        aws: The way to DynamoDB.
        table: The table's name.
        bucket: A queue whose bucket takes large payloads.
        retention: How long an event is stored.
        clock: The present moment.
    """

    def __init__(
        self,
        aws: Aws,
        table: str,
        bucket: Queue,
        *,
        retention: timedelta,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._aws = aws
        self._table = table
        self._bucket = bucket
        self._retention = retention
        self._clock = clock

    def record(self, event: LoggedEvent) -> LoggedEvent:
        """Write an event, once.

        Returns:
            The event as it stands: what an earlier attempt has written wins, for executions may
            have been started by it. What is past its time, and not deleted yet, does not count.
        """
        moment = self._clock()
        payload = event.payload or Payload()
        packed, body_key = self._pack(event, payload)
        row: dict[str, Attribute] = {
            "eventId": event.event_id,
            "tenant": event.tenant,
            "receivedKey": _received_key(event),
            "webhookId": event.webhook_id or None,
            "provider": event.provider,
            "connectionName": event.connection_name or None,
            "outcome": event.outcome,
            "reason": event.reason[:MAX_REASON] if event.reason else None,
            "types": ",".join(event.types) or None,
            "size": event.size or None,
            "executions": event.executions or None,
            "replayOf": event.replay_of,
            "packed": packed,
            "bodyKey": body_key,
            "expiresAt": int((moment + self._retention).timestamp()),
        }
        try:
            self._aws.dynamodb(
                "PutItem",
                {
                    "TableName": self._table,
                    "Item": item(row),
                    "ConditionExpression": "attribute_not_exists(eventId) OR expiresAt <= :now",
                    "ExpressionAttributeValues": item({":now": int(moment.timestamp())}),
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                },
            )
        except ConditionFailed as there:
            found = self._whole(attributes(there.item)) if there.item else self.get(event.event_id)
            return found._replace(earlier=True)
        return event

    def get(self, event_id: str) -> LoggedEvent:
        """An event, whole.

        Raises:
            UnknownEvent: There is none with this id, or its time is up.
        """
        answer = self._aws.dynamodb(
            "GetItem",
            {
                "TableName": self._table,
                "Key": item({"eventId": event_id}),
                "ConsistentRead": True,
            },
        )
        if "Item" not in answer:
            raise UnknownEvent(f"There is no event {event_id!r}")
        return self._whole(attributes(answer["Item"]))

    def page(
        self,
        tenant: str,
        chosen: EventFilter,
        *,
        limit: int,
        next_token: str | None,
        oldest_first: bool = False,
    ) -> tuple[list[LoggedEvent], str | None]:
        """One page of a tenant's events, and the token of the next one.

        A page that is filtered may be short, or empty, while more follow: it looks at
        ``FILTERED_PAGE`` events and says where to go on. What is older than events are stored for
        is left out, although DynamoDB deletes it days later: it cannot be read any more.

        Raises:
            InvalidInput: The token is not one of ours, or of a list with other filters.
        """
        span = Span.between(chosen.since, chosen.until)
        key = span.start(next_token, "id") if next_token and not span.is_empty else None
        if not chosen.past:
            stored_since = rfc3339(self._clock() - self._retention)
            span = span._replace(first=max(span.first, f"{stored_since}~"))
            if key and key["key"] < span.first:  # its time is over since the page before
                key, span = None, span if oldest_first else span._replace(last="")
        if span.is_empty:
            return [], None
        equal = {
            "webhookId": chosen.webhook_id,
            "provider": chosen.provider,
            "outcome": chosen.outcome,
        }
        wanted = {name: row for name, row in equal.items() if row is not None}
        values: dict[str, Attribute] = {
            ":tenant": tenant,
            ":since": span.first,
            ":until": span.last,
        }
        query: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": "newest",
            "KeyConditionExpression": (
                "tenant = :tenant AND receivedKey BETWEEN :since AND :until"
            ),
            "ScanIndexForward": oldest_first,
            "Limit": limit,
        }
        conditions = [f"{name} = :{name}" for name in wanted]
        values |= {f":{name}": row for name, row in wanted.items()}
        if chosen.replayable:
            conditions += ["outcome <> :refused", "attribute_not_exists(replayOf)"]
            values[":refused"] = "refused"
        if conditions:
            query |= {"FilterExpression": " AND ".join(conditions), "Limit": FILTERED_PAGE}
        query["ExpressionAttributeValues"] = item(values)
        if key:
            query["ExclusiveStartKey"] = item(
                {"tenant": tenant, "eventId": key["id"], "receivedKey": key["key"]}
            )
        page = self._aws.dynamodb("Query", query)
        found = [_event(attributes(row)) for row in page["Items"]]
        if len(found) > limit:
            found = found[:limit]
            end = found[-1]
            return found, encode_token({"id": end.event_id, "key": _received_key(end)})
        reached = attributes(page.get("LastEvaluatedKey", {}))
        token = {"id": reached["eventId"], "key": reached["receivedKey"]} if reached else None
        return found, encode_token(token) if token else None

    # -- the packed form ---------------------------------------------------------------------

    def _pack(self, event: LoggedEvent, payload: Payload) -> tuple[bytes, str | None]:
        about: dict[str, Json] = {
            "headers": dict(payload.headers),
            "query": dict(payload.query),
            "verification": dict(event.verification),
            "workflows": [each.to_json() for each in event.workflows],
        }
        if payload.method != "POST":
            about["method"] = payload.method
        if payload.path:
            about["path"] = payload.path
        if payload.body is not None:
            about["body"] = "truncated" if payload.body_truncated else "whole"
        if payload.events is None:
            packed = _deflate(about, payload.body or b"")
            if len(packed) <= INLINE_BYTES:
                return packed, None
            body = payload.body or b""
        else:
            body = _bytes([dict(each) for each in payload.events])
            packed = _deflate(about | {"events": True}, body)
            if len(packed) <= INLINE_BYTES:
                return packed, None
            about["events"] = True
        content = _deflate({}, body)
        # What comes under the same id later, with another body, must not take this one's place.
        digest = hashlib.sha256(content).hexdigest()[:32]
        key = f"{folder('payloads', event.tenant)}{event.event_id}/{digest}"
        self._bucket.put(key, content)
        return _deflate(about, b""), key

    def _whole(self, row: Mapping[str, Any]) -> LoggedEvent:
        event = _event(row)
        if event.expires_at and event.expires_at <= self._clock():
            raise UnknownEvent(f"The event {event.event_id!r} is no longer stored")
        about, body = _inflate(row["packed"])
        if row.get("bodyKey"):
            body = self._fetch(row["bodyKey"], event.event_id)
        events = None
        if about.get("events"):
            events = tuple(json.loads(body))
            body = b""
        return event._replace(
            verification=about["verification"],
            workflows=tuple(WorkflowOutcome.from_json(each) for each in about["workflows"]),
            payload=Payload(
                headers=about["headers"],
                query=about["query"],
                body=body if about.get("body") else None,
                body_truncated=about.get("body") == "truncated",
                events=events,
                method=about.get("method", "POST"),
                path=about.get("path", ""),
            ),
        )

    def _fetch(self, key: str, event_id: str) -> bytes:
        try:
            packed = self._bucket.get(key)
        except AwsError as failure:
            if failure.aws_code in GONE:
                detail = f"The payload of the event {event_id!r} is no longer stored"
                raise UnknownEvent(detail) from None
            raise
        return _inflate(packed)[1]


def _deflate(about: Mapping[str, Json], body: bytes) -> bytes:
    text = _bytes(dict(about))
    pack = zlib.compressobj(9, zlib.DEFLATED, -15, MEMORY, zdict=dictionary("events"))
    return _VERSION + pack.compress(_LENGTH.pack(len(text)) + text + body) + pack.flush()


def _inflate(packed: bytes) -> tuple[dict[str, Any], bytes]:
    unpack = zlib.decompressobj(-15, zdict=dictionary("events"))
    whole = unpack.decompress(packed[len(_VERSION) :]) + unpack.flush()
    (length,) = _LENGTH.unpack_from(whole)
    start = _LENGTH.size
    return json.loads(whole[start : start + length]), whole[start + length :]


def _bytes(value: Json) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def _received_key(event: LoggedEvent) -> str:
    return f"{rfc3339(event.received_at)}#{event.event_id}"


def _event(row: Mapping[str, Any]) -> LoggedEvent:
    expires_at = row.get("expiresAt")
    types = row.get("types")
    return LoggedEvent(
        event_id=row["eventId"],
        tenant=row["tenant"],
        webhook_id=row.get("webhookId", ""),
        provider=row["provider"],
        connection_name=row.get("connectionName", ""),
        received_at=datetime.fromisoformat(row["receivedKey"].partition("#")[0]),
        outcome=cast("Outcome", row["outcome"]),
        reason=row.get("reason"),
        types=tuple(types.split(",")) if types else (),
        size=row.get("size", 0),
        executions=row.get("executions", 0),
        replay_of=row.get("replayOf"),
        expires_at=from_epoch(expires_at) if expires_at is not None else None,
    )
