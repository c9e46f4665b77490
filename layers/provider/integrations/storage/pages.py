"""Pages: which connection holds which page (or other target) of a webhook that all tenants share.

A shared webhook's event says what page it is about, and nothing says whose that is but what a
connection's log-in was last seen to reach. That is stored here, and removed when it is gone.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from integrations.models import from_epoch, now
from integrations.storage.aws import Attribute, Aws, item, rows


class PageHolder(NamedTuple):
    """A connection that holds a page.

    Attributes:
        target: The page's id at the provider.
        tenant: Whose connection.
        connection_key: ``provider#name``.
        checked_at: When the provider last said so.
    """

    target: str
    tenant: str
    connection_key: str
    checked_at: datetime


class Pages:
    """The Pages table."""

    def __init__(self, aws: Aws, table: str, *, clock: Callable[[], datetime] = now) -> None:
        self._aws = aws
        self._table = table
        self._clock = clock

    def holders(self, provider_id: str, target: str) -> list[PageHolder]:
        """The connections that hold a page."""
        return self._query(
            {
                "KeyConditionExpression": "page = :page",
                "ExpressionAttributeValues": item({":page": f"{provider_id}#{target}"}),
            }
        )

    def of_connection(self, tenant: str, connection_key: str) -> list[PageHolder]:
        """The pages that a connection holds."""
        return self._query(
            {
                "IndexName": "holder",
                "KeyConditionExpression": "holder = :holder",
                "ExpressionAttributeValues": item({":holder": _holder(tenant, connection_key)}),
            }
        )

    def hold(
        self,
        tenant: str,
        connection_key: str,
        targets: Iterable[str],
        *,
        gone: Iterable[str] = (),
    ) -> None:
        """Write that a connection holds these pages now, and no others.

        What is gone goes first: a process that dies in between has lost events to nobody, and the
        next check goes on.

        Args:
            tenant: Whose connection.
            connection_key: Which.
            targets: The pages.
            gone: What it has held until now, as far as it is known: the index that names its pages
                learns of them with some delay.
        """
        wanted = frozenset(targets)
        found = {record.target for record in self.of_connection(tenant, connection_key)}
        for target in sorted((found | frozenset(gone)) - wanted):
            key = item(
                {"page": _page(connection_key, target), "holder": _holder(tenant, connection_key)}
            )
            self._aws.dynamodb("DeleteItem", {"TableName": self._table, "Key": key})
        moment = self._clock().timestamp()
        for target in sorted(wanted):
            row: dict[str, Attribute] = {
                "page": _page(connection_key, target),
                "holder": _holder(tenant, connection_key),
                "target": target,
                "tenant": tenant,
                "connectionKey": connection_key,
                "checkedAt": moment,
            }
            self._aws.dynamodb("PutItem", {"TableName": self._table, "Item": item(row)})

    def release(self, tenant: str, connection_key: str) -> None:
        """Write that a connection holds no page any more."""
        self.hold(tenant, connection_key, ())

    def _query(self, query: Mapping[str, Any]) -> list[PageHolder]:
        found = rows(self._aws, "Query", {"TableName": self._table, **query})
        return [_page_holder(row) for row in found]


def _page(connection_key: str, target: str) -> str:
    return f"{connection_key.partition('#')[0]}#{target}"


def _holder(tenant: str, connection_key: str) -> str:
    return f"{tenant}#{connection_key}"


def _page_holder(record: dict[str, Any]) -> PageHolder:
    return PageHolder(
        target=record["target"],
        tenant=record["tenant"],
        connection_key=record["connectionKey"],
        checked_at=from_epoch(record["checkedAt"]),
    )
