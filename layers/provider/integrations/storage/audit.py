"""The audit log: who did what, with which token, from where; no secret. Rows live for a year."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from integrations.models import now, rfc3339
from integrations.storage.aws import Attribute, Aws, item, pages
from integrations.storage.paging import Span, encode_token

RETENTION = timedelta(days=365)
MAX_TARGET = 512
PAGE = 1000
PAGES = 20
"""How many rows are looked through for one page of one action: twenty times a thousand."""


class AuditEntry(NamedTuple):
    """One thing that somebody did, or was refused.

    Attributes:
        actor: ``kind`` (``token``, ``jwt``, ``connect``, ``system``), ``id`` and ``name``.
        action: The function that was asked, e.g. ``save_credentials``; ``log_in``.
        target: What it was about, as a path without secrets.
        outcome: ``succeeded``, or the code of the problem that was answered.
    """

    tenant: str
    at: datetime
    request_id: str
    actor: Mapping[str, str]
    source_ip: str
    action: str
    target: str
    outcome: str

    @property
    def key(self) -> str:
        """The sort key: in order of time, unique by the request."""
        return f"{rfc3339(self.at)}#{self.request_id}"


class Audit:
    """The Audit table."""

    def __init__(self, aws: Aws, table: str, *, clock: Callable[[], datetime] = now) -> None:
        self._aws = aws
        self._table = table
        self._clock = clock

    def record(self, entry: AuditEntry) -> None:
        """Write an entry; the same one again changes nothing."""
        row: dict[str, Attribute] = {
            "tenant": entry.tenant,
            "key": entry.key,
            "requestId": entry.request_id,
            "actor": json.dumps(dict(entry.actor)),
            "sourceIp": entry.source_ip,
            "action": entry.action,
            "target": entry.target[:MAX_TARGET],
            "outcome": entry.outcome,
            "expiresAt": int((entry.at + RETENTION).timestamp()),
        }
        self._aws.dynamodb("PutItem", {"TableName": self._table, "Item": item(row)})

    def page(
        self,
        tenant: str,
        *,
        since: datetime | None,
        until: datetime | None,
        action: str | None,
        limit: int,
        next_token: str | None,
    ) -> tuple[list[AuditEntry], str | None]:
        """One page of entries, newest first, and the token of the next one.

        Raises:
            InvalidInput: The token is not one of ours, or of a list with other filters.
        """
        span = Span.between(since, until)
        if span.is_empty:
            return [], None
        values: dict[str, Attribute] = {
            ":tenant": tenant,
            ":since": span.first,
            ":until": span.last,
        }
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "tenant = :tenant AND #key BETWEEN :since AND :until",
            "ExpressionAttributeNames": {"#key": "key"},
            "ScanIndexForward": False,
            "Limit": limit,
        }
        if action:
            query |= {"FilterExpression": "#action = :action", "Limit": PAGE}
            query["ExpressionAttributeNames"] |= {"#action": "action"}
            values[":action"] = action
        query["ExpressionAttributeValues"] = item(values)
        if next_token:
            query["ExclusiveStartKey"] = item({"tenant": tenant, **span.start(next_token)})
        found: list[AuditEntry] = []
        reached: dict[str, Any] | None = None
        for page, reached in islice(pages(self._aws, "Query", query), PAGES):
            found += map(_entry, page)
            if len(found) > limit or (len(found) == limit and reached):
                return found[:limit], encode_token({"key": found[limit - 1].key})
        return found, encode_token({"key": reached["key"]}) if reached else None


def _entry(row: Mapping[str, Any]) -> AuditEntry:
    return AuditEntry(
        tenant=row["tenant"],
        at=datetime.fromisoformat(row["key"].partition("#")[0]),
        request_id=row["requestId"],
        actor=json.loads(row["actor"]),
        source_ip=row["sourceIp"],
        action=row["action"],
        target=row["target"],
        outcome=row["outcome"],
    )
