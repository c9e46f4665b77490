"""API tokens and connect sessions: of a token only its SHA-256 is stored; that opens nothing."""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from integrations.errors import UnknownToken
from integrations.models import from_epoch, now
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

type TokenKind = Literal["token", "connect"]

ID_PREFIX = "tok_"
ID_DIGITS = 24
"""Hex digits of the hash that name a token: enough to be unique, and no way back to the token."""

USE_NOTED_EVERY = timedelta(hours=1)
"""A token that is used all the time costs one write an hour."""


class Token(NamedTuple):
    """Who holds a token and what it allows.

    Attributes:
        kind: ``token``, or ``connect`` for a connect session's.
        providers, connection_name, redirect_uri: What a connect session is for.
        expires_at: Its end; ``None`` for never.
    """

    token_hash: str
    tenant: str
    name: str
    scopes: frozenset[str]
    kind: TokenKind = "token"
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    providers: frozenset[str] = frozenset()
    connection_name: str = ""
    redirect_uri: str = ""

    @property
    def token_id(self) -> str:
        """The token's public name."""
        return token_id_of(self.token_hash)


def token_id_of(hashed: str) -> str:
    """The public name of the token that has this hash."""
    return f"{ID_PREFIX}{hashed[:ID_DIGITS]}"


def token_hash(token: str) -> str:
    """The key under which a token is stored: lower-case hex SHA-256 of its whole text."""
    # Whatever a client sends is a token that is not known, half a surrogate pair included.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Tokens:
    """The Tokens table."""

    def __init__(self, aws: Aws, table: str, *, clock: Callable[[], datetime] = now) -> None:
        self._aws = aws
        self._table = table
        self._clock = clock

    def find(self, token: str) -> Token | None:
        """The token's record, be it expired or not; ``None`` where it is unknown or revoked."""
        read = {"TableName": self._table, "Key": item({"tokenHash": token_hash(token)})}
        # What was made a moment ago is perhaps not seen at first, and a refusal is remembered by
        # API Gateway for a minute.
        for more in ({}, {"ConsistentRead": True}):
            answer = self._aws.dynamodb("GetItem", {**read, **more})
            if "Item" in answer:
                return _token(attributes(answer["Item"]))
        return None

    def is_expired(self, token: Token) -> bool:
        """Whether a token's time is over; DynamoDB's TTL deletes late."""
        return token.expires_at is not None and token.expires_at <= self._clock()

    def create(self, token: Token) -> None:
        """Store a new token.

        Raises:
            ConditionFailed: There is one with this hash, which chance alone does not bring about.
        """
        # A session's tenant stands under another name: sessions are in no list of tokens.
        tenant = "tenant" if token.kind == "token" else "sessionTenant"
        record: dict[str, Attribute] = {
            "tokenHash": token.token_hash,
            tenant: token.tenant,
            "name": token.name,
            "scopes": set(token.scopes),
            "createdAt": int(token.created_at.timestamp()) if token.created_at else None,
            "expiresAt": int(token.expires_at.timestamp()) if token.expires_at else None,
            "providers": set(token.providers) or None,
            "connection": token.connection_name or None,
            "redirectUri": token.redirect_uri or None,
        }
        self._aws.dynamodb(
            "PutItem",
            {
                "TableName": self._table,
                "Item": item(record),
                "ConditionExpression": "attribute_not_exists(tokenHash)",
            },
        )

    def page(
        self, tenant: str, *, limit: int, next_token: str | None
    ) -> tuple[list[Token], str | None]:
        """One page of a tenant's API tokens that have not expired, and the token of the next one.

        Raises:
            InvalidInput: ``next_token`` is not one of ours.
        """
        query = self._of_tenant(tenant) | {"Limit": limit}
        if next_token:
            start = decode_token(next_token, "hash")
            query["ExclusiveStartKey"] = item({"tenant": tenant, "tokenHash": start["hash"]})
        found, reached = next(pages(self._aws, "Query", query))
        alive = [each for each in map(_token, found) if not self.is_expired(each)]
        return alive, encode_token({"hash": reached["tokenHash"]}) if reached else None

    def delete(self, tenant: str, token_id: str) -> Token:
        """Revoke an API token of this tenant.

        Raises:
            UnknownToken: The tenant has none with this id.
        """
        digits = token_id.removeprefix(ID_PREFIX)
        query = self._of_tenant(tenant)
        if token_id.startswith(ID_PREFIX) and len(digits) == ID_DIGITS:
            query["KeyConditionExpression"] += " AND begins_with(tokenHash, :digits)"
            query["ExpressionAttributeValues"] |= item({":digits": digits})
            for found in map(_token, rows(self._aws, "Query", query)):
                key = item({"tokenHash": found.token_hash})
                self._aws.dynamodb("DeleteItem", {"TableName": self._table, "Key": key})
                return found
        raise UnknownToken(f"There is no token {token_id!r}")

    def note_use(self, token: Token) -> Token:
        """Record that a token is used now, at most once an hour."""
        moment = self._clock()
        if token.last_used_at and moment - token.last_used_at < USE_NOTED_EVERY:
            return token
        try:
            self._aws.dynamodb(
                "UpdateItem",
                update(
                    self._table,
                    {"tokenHash": token.token_hash},
                    {"lastUsedAt": int(moment.timestamp())},
                    condition="attribute_exists(tokenHash)",
                ),
            )
        except ConditionFailed:
            return token  # revoked at this very moment
        return token._replace(last_used_at=moment)

    def _of_tenant(self, tenant: str) -> dict[str, Any]:
        return {
            "TableName": self._table,
            "IndexName": "tenant",
            "KeyConditionExpression": "tenant = :tenant",
            "ExpressionAttributeValues": item({":tenant": tenant}),
        }


def _token(record: dict[str, Any]) -> Token:
    return Token(
        token_hash=record["tokenHash"],
        tenant=record.get("tenant") or record["sessionTenant"],
        name=record["name"],
        scopes=frozenset(record["scopes"]),
        kind="token" if "tenant" in record else "connect",
        created_at=_moment(record, "createdAt"),
        expires_at=_moment(record, "expiresAt"),
        last_used_at=_moment(record, "lastUsedAt"),
        providers=frozenset(record.get("providers") or ()),
        connection_name=record.get("connection", ""),
        redirect_uri=record.get("redirectUri", ""),
    )


def _moment(record: dict[str, Any], name: str) -> datetime | None:
    return from_epoch(record[name]) if record.get(name) is not None else None
