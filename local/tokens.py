"""Make, list and revoke API tokens, on any stack. The table holds their hashes only.

`python -m local.tokens create|list|revoke` reads NAME, TENANT, SCOPES, DAYS and STACK from the
environment, where make puts them.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import botocore.exceptions

from integrations.models import MAX_TOKEN_DAYS, SUBJECT_PREFIX, is_tenant
from local import stacks
from local.errors import PlatformError
from local.report import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

SCOPES = ("read", "write")
"""What a token may do unless more is asked for."""

ALL_SCOPES = (*SCOPES, "admin")
DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Tokens:
    """The tokens of one stack, in its table."""

    dynamodb: DynamoDBClient
    table: str

    def create(
        self, *, tenant: str, name: str, scopes: Collection[str] = SCOPES, days: int | None = None
    ) -> str:
        """Make a token and return it; nothing else will ever show it.

        Args:
            tenant: Whose data it opens.
            name: What it is for; a tenant's tokens have different names.
            scopes: Of `read`, `write` and `admin`.
            days: How long it is good for; always, when None.

        Raises:
            PlatformError: The tenant has a token of that name or is none, a scope is unknown, or it
                would be good for no day or for too many.
        """
        if unknown := sorted(set(scopes) - set(ALL_SCOPES)):
            raise PlatformError(f"unknown scope {unknown[0]}: there are {', '.join(ALL_SCOPES)}")
        if not is_tenant(tenant) or tenant.startswith(SUBJECT_PREFIX):
            raise PlatformError(f"{tenant!r} is no name of a tenant")
        if days is not None and not 1 <= days <= MAX_TOKEN_DAYS:
            raise PlatformError(f"a token is good for 1 to {MAX_TOKEN_DAYS} days, not for {days}")
        if any(item["name"]["S"] == name for item in self.items(tenant)):
            raise PlatformError(f"tenant {tenant} has a token {name}: revoke it first")
        token = f"ib_{secrets.token_urlsafe(32)}"
        self.put(token, tenant=tenant, name=name, scopes=scopes, days=days)
        return token

    def put(
        self,
        token: str,
        *,
        tenant: str,
        name: str,
        scopes: Collection[str],
        days: int | None = None,
    ) -> None:
        """Store a token's hash, and what it is for."""
        now = int(time.time())
        item: dict[str, Any] = {
            "tokenHash": {"S": hash_of(token)},
            "tenant": {"S": tenant},
            "name": {"S": name},
            "scopes": {"SS": sorted(scopes)},
            "createdAt": {"N": str(now)},
        }
        if days is not None:
            item["expiresAt"] = {"N": str(now + days * DAY)}
        self.dynamodb.put_item(TableName=self.table, Item=item)

    def holds(self, token: str) -> bool:
        """Tell whether the table knows a token."""
        key = {"tokenHash": {"S": hash_of(token)}}
        return "Item" in self.dynamodb.get_item(TableName=self.table, Key=key, ConsistentRead=True)

    def items(self, tenant: str) -> list[Mapping[str, Any]]:
        """Return what the table has of a tenant's tokens. It is small, and asked for by hand."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.table,
            ConsistentRead=True,
            FilterExpression="tenant = :tenant",
            ExpressionAttributeValues={":tenant": {"S": tenant}},
        )
        return [item for page in pages for item in page["Items"]]

    def revoke(self, *, tenant: str, name: str) -> None:
        """Delete a token; raises PlatformError when there is none of that name."""
        found = [item for item in self.items(tenant) if item["name"]["S"] == name]
        if not found:
            raise PlatformError(f"tenant {tenant} has no token {name}")
        for item in found:
            self.dynamodb.delete_item(TableName=self.table, Key={"tokenHash": item["tokenHash"]})


def hash_of(token: str) -> str:
    """Return what the table keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def of_stack(stack: str | None, endpoint_url: str | None) -> Tokens:
    """Return the tokens of a stack on AWS, of one behind `endpoint_url`, or the local platform's.

    Raises:
        PlatformError: There is no such stack.
    """
    found = stacks.of(stack, endpoint_url)
    return Tokens(found.client("dynamodb"), found.table("TokensTable"))


def line(item: Mapping[str, Any]) -> str:
    """Return a token's line in the list."""

    def day(attribute: str) -> str:
        return f"{datetime.fromtimestamp(int(item[attribute]['N']), UTC):%Y-%m-%d}"

    until = f"until {day('expiresAt')}" if "expiresAt" in item else "no end"
    scopes = ",".join(item["scopes"]["SS"])
    return f"{one_line(item['name']['S']):24} {scopes:12} since {day('createdAt')}, {until}"


def main() -> None:
    """Do what the one argument says."""
    values = {name: os.environ.get(name, "") for name in ("NAME", "TENANT", "SCOPES", "DAYS")}
    tenant, name = values["TENANT"] or "dev", values["NAME"]
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command not in {"create", "list", "revoke"}:
        sys.exit("usage: python -m local.tokens create|list|revoke")
    if command != "list" and not name:
        sys.exit("which token? Say NAME=…")
    if values["DAYS"] and not values["DAYS"].isdecimal():
        sys.exit(f"DAYS={values['DAYS']} is no number of days")
    try:
        tokens = of_stack(os.environ.get("STACK"), os.environ.get("AWS_ENDPOINT_URL"))
        if command == "create":
            scopes = values["SCOPES"].replace(",", " ").split() or SCOPES
            days = int(values["DAYS"]) if values["DAYS"] else None
            print(tokens.create(tenant=tenant, name=name, scopes=scopes, days=days))
        elif command == "revoke":
            tokens.revoke(tenant=tenant, name=name)
            print(f"{name} is revoked; an authorizer that has seen it forgets it within a minute")
        else:
            for item in sorted(tokens.items(tenant), key=lambda item: str(item["name"]["S"])):
                print(line(item))
    except (
        PlatformError,
        botocore.exceptions.BotoCoreError,
        botocore.exceptions.ClientError,
    ) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
