"""Everything that the tables and the bucket hold of a tenant, found by its name and removed.

Each call removes or looks at one page and tells whether more is left: whoever calls may die in
between and begin again. The audit log is not touched.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from integrations.models import now
from integrations.storage.aws import Attribute, Aws, attributes, boto3_failures, item, pages
from integrations.storage.tokens import token_id_of

PAGE: Final = 100
SCANNED: Final = 500
"""How many rows of all tenants a page of a scan looks at."""

_LEFT_OF_A_WEBHOOK: Final = frozenset({"webhookId", "releasedAt"})


class TenantData:
    """The rows and objects of a tenant.

    Args:
        aws: The way to AWS.
        bucket: The bucket for what is too large for a row.
        clock: The present moment.
    """

    def __init__(self, aws: Aws, bucket: str, *, clock: Callable[[], datetime] = now) -> None:
        self._aws = aws
        self._bucket = bucket
        self._clock = clock

    def delete_rows(
        self, table: str, tenant: str, sort_key: str, *, keep: str | None = None
    ) -> int | None:
        """Delete a page of rows of a table whose hash key is the tenant.

        Args:
            table: The table's name.
            tenant: Whose rows.
            sort_key: The name of the sort key.
            keep: The sort key of the one row that stays.

        Returns:
            How many were deleted; ``None`` where nothing was left.
        """
        query: dict[str, Any] = {
            "TableName": table,
            "KeyConditionExpression": "tenant = :tenant",
            "ExpressionAttributeValues": item({":tenant": tenant}),
            "ProjectionExpression": "tenant, #sort",
            "ExpressionAttributeNames": {"#sort": sort_key},
            "ConsistentRead": True,
            "Limit": PAGE,
        }
        found, _ = next(pages(self._aws, "Query", query))
        gone = [each for each in found if each[sort_key] != keep]
        for each in gone:
            self._delete(table, {"tenant": tenant, sort_key: each[sort_key]})
        return len(gone) or None

    def delete_tokens(self, table: str, tenant: str, *, keep: str) -> int | None:
        """Delete a page of a tenant's API tokens but the one whose id is ``keep``."""
        found, _ = next(pages(self._aws, "Query", _by_index(table, "tenant", tenant)))
        gone = [each for each in found if token_id_of(each["tokenHash"]) != keep]
        for each in gone:
            self._delete(table, {"tokenHash": each["tokenHash"]})
        return len(gone) or None

    def delete_events(self, table: str, tenant: str) -> int | None:
        """Delete a page of a tenant's events, each after its payload."""
        found, _ = next(pages(self._aws, "Query", _by_index(table, "newest", tenant)))
        for each in found:
            key: dict[str, Attribute] = {"eventId": each["eventId"]}
            answer = self._aws.dynamodb(
                "GetItem",
                {"TableName": table, "Key": item(key), "ProjectionExpression": "bodyKey"},
            )
            if body_key := attributes(answer.get("Item", {})).get("bodyKey"):
                self._delete_object(body_key)
            self._delete(table, key)
        return len(found) or None

    def scan(
        self,
        table: str,
        keys: Sequence[str],
        tenant: str,
        start: Mapping[str, Any] | None,
        *,
        attribute: str = "tenant",
    ) -> tuple[int, Mapping[str, Any] | None]:
        """Delete a tenant's rows among a page of all rows, where the tenant is in no key.

        Args:
            table: The table's name.
            keys: The names of the table's key.
            tenant: Whose rows.
            start: Where the last page ended; ``None`` for the first.
            attribute: What holds the tenant's name.

        Returns:
            How many were deleted, and where the next page begins.
        """
        found, reached = self._scanned(table, tenant, start, attribute)
        for each in found:
            self._delete(table, {name: each[name] for name in keys})
        return len(found), reached

    def delete_counters(
        self, table: str, tenant: str, start: Mapping[str, Any] | None
    ) -> tuple[int, Mapping[str, Any] | None]:
        """Delete a tenant's quota counters, ``<tenant>#<kind>#<start>``, among a page of all."""
        request: dict[str, Any] = {
            "TableName": table,
            "FilterExpression": "begins_with(#counter, :beginning)",
            "ExpressionAttributeNames": {"#counter": "counter"},
            "ExpressionAttributeValues": item({":beginning": f"{tenant}#"}),
            "ConsistentRead": True,
            "Limit": SCANNED,
        }
        if start:
            request["ExclusiveStartKey"] = item(start)
        found, reached = next(pages(self._aws, "Scan", request))
        own = [each["counter"] for each in found if each["counter"].rsplit("#", 2)[0] == tenant]
        for counter in own:
            self._delete(table, {"counter": counter})
        return len(own), reached

    def forget_webhooks(
        self, table: str, tenant: str, start: Mapping[str, Any] | None
    ) -> tuple[int, Mapping[str, Any] | None]:
        """Take the tenant off its webhooks among a page of all.

        The bare id stays, of nobody: whoever still sends to it must not reach another tenant that
        takes the name.
        """
        found, reached = self._scanned(table, tenant, start, "tenant")
        for each in found:
            row: dict[str, Attribute] = {
                "webhookId": each["webhookId"],
                "releasedAt": each.get("releasedAt", self._clock().timestamp()),
            }
            self._aws.dynamodb("PutItem", {"TableName": table, "Item": item(row)})
        return len(found), reached

    def delete_objects(self, prefix: str) -> int | None:
        """Delete a page of the objects below a prefix; ``None`` where nothing was left."""
        with boto3_failures("ListObjectsV2"):
            listed = self._aws.s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=PAGE)
        found = [each["Key"] for each in listed.get("Contents", [])]
        for key in found:
            self._delete_object(key)
        return len(found) or None

    def delete_row(self, table: str, key: Mapping[str, Attribute]) -> None:
        """Delete one row; nothing happens where it is gone."""
        self._delete(table, key)

    def _scanned(
        self, table: str, tenant: str, start: Mapping[str, Any] | None, attribute: str
    ) -> tuple[list[dict[str, Any]], Mapping[str, Any] | None]:
        request: dict[str, Any] = {
            "TableName": table,
            "FilterExpression": "#tenant = :tenant",
            "ExpressionAttributeNames": {"#tenant": attribute},
            "ExpressionAttributeValues": item({":tenant": tenant}),
            "ConsistentRead": True,
            "Limit": SCANNED,
        }
        if start:
            request["ExclusiveStartKey"] = item(start)
        return next(pages(self._aws, "Scan", request))

    def _delete(self, table: str, key: Mapping[str, Attribute]) -> None:
        self._aws.dynamodb("DeleteItem", {"TableName": table, "Key": item(key)})

    def _delete_object(self, key: str) -> None:
        with boto3_failures("DeleteObject"):
            self._aws.s3.delete_object(Bucket=self._bucket, Key=key)


def _by_index(table: str, index: str, tenant: str) -> dict[str, Any]:
    return {
        "TableName": table,
        "IndexName": index,
        "KeyConditionExpression": "tenant = :tenant",
        "ExpressionAttributeValues": item({":tenant": tenant}),
        "Limit": PAGE,
    }
