"""API tokens: only a token's SHA-256 is kept, so a stolen table opens nothing."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from integrations.models import now
from integrations.storage.aws import Aws, attributes, item


@dataclass(frozen=True, slots=True)
class Token:
    """Who holds a token and what it allows."""

    tenant: str
    name: str
    scopes: frozenset[str]


def token_hash(token: str) -> str:
    """The key under which a token is kept: lower-case hex SHA-256 of its whole text."""
    # Whatever a client sends is a token that is not known, half a surrogate pair included.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Tokens:
    """The Tokens table."""

    def __init__(self, aws: Aws, table: str, *, clock: Callable[[], datetime] = now) -> None:
        self._aws = aws
        self._table = table
        self._clock = clock

    def find(self, token: str) -> Token | None:
        """The token's holder; ``None`` where it is unknown, revoked or expired."""
        answer = self._aws.dynamodb(
            "GetItem",
            {"TableName": self._table, "Key": item({"tokenHash": token_hash(token)})},
        )
        if "Item" not in answer:
            return None
        held = attributes(answer["Item"])
        if held.get("expiresAt") is not None and held["expiresAt"] <= self._clock().timestamp():
            return None  # DynamoDB's TTL deletes late
        return Token(held["tenant"], held["name"], frozenset(held["scopes"]))
