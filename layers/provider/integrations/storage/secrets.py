"""A tenant's named secrets, sealed as credentials are: written and used, never read by anybody."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from integrations.errors import UnknownSecret
from integrations.models import from_epoch, now
from integrations.storage.aws import (
    Attribute,
    Aws,
    ConditionFailed,
    attributes,
    item,
    rows,
    update,
)
from integrations.storage.envelope import Envelope, Sealed


class NamedSecret(NamedTuple):
    """A secret's name and dates; never its value."""

    name: str
    created_at: datetime
    updated_at: datetime


class Secrets:
    """The Secrets table."""

    def __init__(
        self,
        aws: Aws,
        table: str,
        envelope: Envelope,
        *,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._aws = aws
        self._table = table
        self._envelope = envelope
        self._clock = clock

    def save(self, tenant: str, name: str, value: str) -> NamedSecret:
        """Create or replace a secret."""
        moment = self._clock().timestamp()
        sealed = self._envelope.seal(value.encode(), _context(tenant, name), repr(moment))
        written: dict[str, Attribute] = {"updatedAt": moment, **sealed.attributes()}
        key: dict[str, Attribute] = {"tenant": tenant, "name": name}
        request = update(self._table, key, written)
        # Only the first write says when it was created.
        request["UpdateExpression"] += ", createdAt = if_not_exists(createdAt, :updatedAt)"
        answer = self._aws.dynamodb("UpdateItem", request | {"ReturnValues": "ALL_NEW"})
        return _named(attributes(answer["Attributes"]))

    def of_tenant(self, tenant: str) -> Iterator[NamedSecret]:
        """The names and dates of all the tenant's secrets, with one that was saved a moment ago."""
        query = {
            "TableName": self._table,
            "ConsistentRead": True,
            "KeyConditionExpression": "tenant = :tenant",
            "ProjectionExpression": "#name, createdAt, updatedAt",
            "ExpressionAttributeNames": {"#name": "name"},
            "ExpressionAttributeValues": item({":tenant": tenant}),
        }
        for row in rows(self._aws, "Query", query):
            yield _named(row)

    def delete(self, tenant: str, name: str) -> None:
        """Remove a secret.

        Raises:
            UnknownSecret: There is none of this name.
        """
        try:
            self._aws.dynamodb(
                "DeleteItem",
                {
                    "TableName": self._table,
                    "Key": item({"tenant": tenant, "name": name}),
                    "ConditionExpression": "attribute_exists(tenant)",
                },
            )
        except ConditionFailed:
            raise _unknown(name) from None

    def open(self, tenant: str, name: str) -> str:
        """A secret's value, for a step that is about to run.

        Raises:
            UnknownSecret: There is none of this name.
        """
        answer = self._aws.dynamodb(
            "GetItem",
            {
                "TableName": self._table,
                "Key": item({"tenant": tenant, "name": name}),
                "ConsistentRead": True,
            },
        )
        row = attributes(answer.get("Item", {}))
        sealed = Sealed.of(row)
        if sealed is None:
            raise _unknown(name)
        version = repr(float(row["updatedAt"]))
        return self._envelope.open(sealed, _context(tenant, name), version).decode()


def _context(tenant: str, name: str) -> dict[str, str]:
    return {"tenant": tenant, "secret": name}


def _named(row: dict[str, Any]) -> NamedSecret:
    return NamedSecret(
        name=row["name"],
        created_at=from_epoch(row["createdAt"]),
        updated_at=from_epoch(row["updatedAt"]),
    )


def _unknown(name: str) -> UnknownSecret:
    return UnknownSecret(f"There is no secret named {name!r}")
