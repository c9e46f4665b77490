"""Connections: whose credentials a tenant keeps at which provider, secrets apart and sealed."""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from integrations.errors import InvalidInput, UnknownConnection, VersionConflict
from integrations.models import Account, Json, from_epoch, now
from integrations.storage.aws import (
    Attribute,
    Aws,
    ConditionFailed,
    attributes,
    counted,
    item,
    pages,
    rows,
    update,
)
from integrations.storage.envelope import Envelope, Sealed
from integrations.storage.paging import decode_token, encode_token

DUE_SHARDS = 8
"""Partitions of the index of what is due, so that no single one limits the schedule."""

_METADATA = (
    "tenant, #connection, provider, #name, version, #status, account, connectedAt, updatedAt, "
    "grantedAt, expiresAt, refreshes, lastTested, lastError, webhookId, pausedUntil, leaseUntil, "
    "subscribed, address"
)
_PAUSE = "pause_"
"""What the attributes of pauses of a part of a connection's calls begin with."""

MAX_PAUSES = 32
"""With more parts than these at rest, the whole connection is what the provider limits."""

_VERSION_BITS = 48
"""Random bits of a first version: so many that no two meet."""

_NAMES = {"#connection": "connection", "#name": "name", "#status": "status"}


class LastError(NamedTuple):
    """What last went wrong with a connection."""

    code: str
    message: str
    at: datetime


class Connection(NamedTuple):
    """One connection's metadata; never a secret.

    Attributes:
        status: ``connected``, ``needs_reauth`` or ``error``; ``expired`` follows from the time.
        version: Counts the writes of the credentials (optimistic locking), from a number at random
            on: a connection of the same name that was removed before had others.
        granted_at: When somebody gave the credentials or logged in; to refresh them changes nothing
            about it. ``None`` in a record of before this was kept.
        expires_at: When the credentials die unless they are refreshed; ``None`` for never.
        refreshable: They live on after that, refreshed on use.
        webhook_id: The webhook that the provider's events come to.
        paused_until: No calls before this moment: the provider asked for patience.
        pauses: The same for parts of the calls; see ``rests_until``. Read with the credentials
            alone.
        lease_until: Somebody refreshes the credentials until then.
        subscribed: What the provider was last asked to send (``services/subscriptions.py``).
        address: Where this backend answers, as a request that expected a check learned it.
    """

    tenant: str
    provider: str
    name: str
    account: Account
    connected_at: datetime
    updated_at: datetime
    granted_at: datetime | None = None
    version: int = 1
    status: str = "connected"
    expires_at: datetime | None = None
    refreshable: bool = False
    last_tested: datetime | None = None
    last_error: LastError | None = None
    webhook_id: str | None = None
    paused_until: datetime | None = None
    pauses: Mapping[str, datetime] = {}
    lease_until: datetime | None = None
    subscribed: str | None = None
    address: str | None = None
    sealed: Sealed | None = None

    @property
    def key(self) -> str:
        """The sort key: ``provider#name``."""
        return f"{self.provider}#{self.name}"

    @property
    def label(self) -> str:
        """What it is called to a person, at a sentence's beginning."""
        return f"The {self.provider} connection {self.name!r}"

    def rests_until(self, scope: str) -> datetime | None:
        """Before which moment nothing may be called that counts against a limit's scope.

        Args:
            scope: What the provider limits (a chat, a page, an origin); empty for everything.
        """
        ends = [self.paused_until, self.pauses.get(pause_name(scope)) if scope else None]
        return max((end for end in ends if end), default=None)

    @property
    def context(self) -> dict[str, str]:
        """The encryption context that binds the secret to this row."""
        return {"tenant": self.tenant, "provider": self.provider, "connection": self.name}


class Connections:
    """The Connections table."""

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

    # -- reading -----------------------------------------------------------------------------

    def get(self, tenant: str, provider: str, name: str) -> Connection:
        """A connection's metadata, read consistently: whoever asks may have written it just now.

        Raises:
            UnknownConnection: The tenant has none of this name.
        """
        return self._read(tenant, provider, name, metadata_only=True)

    def get_sealed(self, tenant: str, provider: str, name: str) -> Connection:
        """A connection with its sealed credentials, read consistently.

        Raises:
            UnknownConnection: The tenant has none of this name.
        """
        return self._read(tenant, provider, name, metadata_only=False)

    def find(self, tenant: str, provider: str, name: str) -> Connection | None:
        """A connection with its sealed credentials, or ``None``."""
        try:
            return self.get_sealed(tenant, provider, name)
        except UnknownConnection:
            return None

    def open(self, connection: Connection) -> dict[str, Json]:
        """The credentials of a connection that was read with ``get_sealed``."""
        if connection.sealed is None:
            detail = f"{connection.label} holds no credentials"
            raise UnknownConnection(detail)
        plain = self._envelope.open(connection.sealed, connection.context, str(connection.version))
        credentials: dict[str, Json] = json.loads(plain)
        return credentials

    def of_tenant(self, tenant: str, provider: str | None = None) -> Iterator[Connection]:
        """The metadata of all the tenant's connections, or of those at one provider.

        Read consistently: one saved a moment ago is among them.
        """
        query: dict[str, Any] = {
            "TableName": self._table,
            "ConsistentRead": True,
            "KeyConditionExpression": "tenant = :tenant",
            "ProjectionExpression": _METADATA,
            "ExpressionAttributeNames": dict(_NAMES),
            "ExpressionAttributeValues": item({":tenant": tenant}),
        }
        if provider:
            query["KeyConditionExpression"] += " AND begins_with(#connection, :provider)"
            query["ExpressionAttributeValues"] |= item({":provider": f"{provider}#"})
        for row in rows(self._aws, "Query", query):
            yield _connection(row)

    def page(
        self, tenant: str, provider: str | None, limit: int, next_token: str | None = None
    ) -> tuple[list[Connection], str | None]:
        """One page of metadata, by provider and name, and where the next begins.

        Raises:
            InvalidInput: ``next_token`` is not one of this list.
        """
        beginning = f"{provider}#" if provider else ""
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "tenant = :tenant",
            "ProjectionExpression": _METADATA,
            "ExpressionAttributeNames": dict(_NAMES),
            "ExpressionAttributeValues": item({":tenant": tenant}),
            "Limit": limit,
        }
        if provider:
            query["KeyConditionExpression"] += " AND begins_with(#connection, :provider)"
            query["ExpressionAttributeValues"] |= item({":provider": beginning})
        if next_token:
            key = decode_token(next_token, "connection")["connection"]
            if not key.startswith(beginning):
                raise InvalidInput("nextToken is of another provider's list")
            query["ExclusiveStartKey"] = item({"tenant": tenant, "connection": key})
        page, reached = next(pages(self._aws, "Query", query))
        token = encode_token({"connection": reached["connection"]}) if reached else None
        return [_connection(row) for row in page], token

    def count(self, tenant: str) -> int:
        """How many connections the tenant has; none of them is read into memory."""
        query = {
            "TableName": self._table,
            "KeyConditionExpression": "tenant = :tenant",
            "ExpressionAttributeValues": item({":tenant": tenant}),
        }
        return counted(self._aws, query)

    def due(self, shard: int, before: datetime, limit: int) -> list[tuple[str, str, str]]:
        """Which connections are due for their check: ``(tenant, provider, name)``, oldest first."""
        page = self._aws.dynamodb(
            "Query",
            {
                "TableName": self._table,
                "IndexName": "due",
                "KeyConditionExpression": "dueShard = :shard AND dueAt <= :before",
                "ExpressionAttributeValues": item(
                    {":shard": str(shard), ":before": int(before.timestamp())}
                ),
                "Limit": limit,
            },
        )
        found = (attributes(record) for record in page["Items"])
        return [(row["tenant"], *row["connection"].split("#", 1)) for row in found]

    # -- writing -----------------------------------------------------------------------------

    def save(
        self,
        connection: Connection,
        credentials: Mapping[str, Json],
        *,
        replaces: int | None,
        due_at: datetime,
        unless: str = "",
    ) -> Connection:
        """Write a connection: metadata and freshly sealed credentials.

        A lease and a pause end with it; what it is subscribed to stays.

        Args:
            connection: The metadata; its version and times of update are set here.
            credentials: The plain credentials, as JSON.
            replaces: The version that this write replaces; ``None`` where there must be none yet.
            due_at: When the schedule should next check it.
            unless: A state that it must not have come to since it was read; ``""`` where that does
                not matter.

        Raises:
            VersionConflict: Somebody else wrote in between.
        """
        # No version comes twice: whoever holds one that was removed must not write to this one.
        version = secrets.randbits(_VERSION_BITS) if replaces is None else replaces + 1
        sealed = self._envelope.seal(
            json.dumps(credentials).encode(), connection.context, str(version)
        )
        written = connection._replace(
            version=version,
            updated_at=self._clock(),
            lease_until=None,
            paused_until=None,
            pauses={},
            sealed=sealed,
        )
        condition = "attribute_not_exists(tenant)"
        values: dict[str, Attribute] = {}
        if replaces is not None:
            condition, values = "#version = :was", {"was": replaces}
        if unless:
            condition, values = f"{condition} AND #status <> :unless", {**values, "unless": unless}
        sets = _attributes(written) | sealed.attributes()
        remove = ("leaseUntil", "pausedUntil", *connection.pauses)
        if not self._update(
            written, sets, remove=remove, due_at=due_at, condition=condition, values=values
        ):
            detail = (
                f"{connection.label} was changed by somebody else at the same moment; try again"
            )
            raise VersionConflict(detail)
        return written

    def record_success(
        self, connection: Connection, account: Account, *, due_at: datetime | None = None
    ) -> bool:
        """Keep that a test went well.

        Returns ``False`` where the credentials or the state changed in between, as ``record_use``.
        """
        sets: dict[str, Attribute] = {
            "status": "connected",
            "lastTested": self._clock().timestamp(),
            "account": _account_json(account),
        }
        return self._update(
            connection,
            sets,
            remove=("lastError",),
            due_at=due_at,
            condition="#version = :was AND #status = :before",
            values={"was": connection.version, "before": connection.status},
        )

    def record_use(self, connection: Connection, status: str) -> bool:
        """Keep that the credentials worked, where the record said otherwise.

        Returns ``False`` where the credentials or the state changed in between: what happened since
        counts more.
        """
        return self._update(
            connection,
            {"status": status},
            remove=("lastError",),
            condition="#version = :was AND #status = :before",
            values={"was": connection.version, "before": connection.status},
        )

    def record_error(
        self,
        connection: Connection,
        code: str,
        message: str,
        *,
        status: str | None,
        tested: bool = False,
        due_at: datetime | None = None,
    ) -> bool:
        """Keep what went wrong; ``status=None`` leaves the state as it is (transient failures).

        Returns ``False`` where the credentials changed in between: the error is no longer theirs.
        A transient one does not take the place of why the state changed in between, either.
        """
        at = self._clock().timestamp()
        error = json.dumps({"code": code, "message": message, "at": at})
        sets: dict[str, Attribute] = {"lastError": error}
        if tested:
            sets["lastTested"] = at
        if status:
            return self._update(connection, sets | {"status": status}, due_at=due_at)
        return self._update(
            connection,
            sets,
            due_at=due_at,
            condition="#version = :was AND #status = :before",
            values={"was": connection.version, "before": connection.status},
        )

    def check_at(self, connection: Connection, due_at: datetime, *, address: str = "") -> bool:
        """Set only when the schedule should look again, and what it may not know: where we are."""
        return self._update(connection, {"address": address} if address else {}, due_at=due_at)

    def pause(self, connection: Connection, until: datetime, scope: str = "") -> bool:
        """Let nobody call before ``until``: the provider asked for patience.

        Args:
            connection: The connection.
            until: When the pause ends.
            scope: What rests: what the provider limits (a chat, a page); empty for everything.

        Returns:
            ``False`` where the credentials changed in between.
        """
        present = self._clock()
        ended = {name for name, end in connection.pauses.items() if end <= present}
        name = pause_name(scope) if scope else "pausedUntil"
        if scope and len(connection.pauses) - len(ended) >= MAX_PAUSES:
            name = "pausedUntil"
        return self._update(
            connection, {name: until.timestamp()}, remove=tuple(sorted(ended - {name}))
        )

    def record_subscription(
        self, connection: Connection, subscribed: str | None, *, due_at: datetime | None = None
    ) -> None:
        """Keep what the provider was asked to send; ``None`` for nothing."""
        self._update(connection, {"subscribed": subscribed}, due_at=due_at)

    def lease(self, connection: Connection, until: datetime) -> bool:
        """Take the lease for refreshing these credentials. ``False``: another holds it."""
        condition = "#version = :was AND (attribute_not_exists(leaseUntil) OR leaseUntil < :now)"
        return self._update(
            connection,
            {"leaseUntil": until.timestamp()},
            condition=condition,
            values={"was": connection.version, "now": self._clock().timestamp()},
        )

    def release(self, connection: Connection) -> bool:
        """Give the lease back after a refresh that failed."""
        return self._update(connection, {}, remove=("leaseUntil",))

    def delete(self, connection: Connection) -> bool:
        """Remove exactly the version that was read. ``False`` where it changed in between."""
        try:
            self._aws.dynamodb(
                "DeleteItem",
                {
                    "TableName": self._table,
                    "Key": _key(connection),
                    "ConditionExpression": "version = :version",
                    "ExpressionAttributeValues": item({":version": connection.version}),
                },
            )
        except ConditionFailed:
            return False
        return True

    # -- within ------------------------------------------------------------------------------

    def _read(self, tenant: str, provider: str, name: str, *, metadata_only: bool) -> Connection:
        request: dict[str, Any] = {
            "TableName": self._table,
            "Key": item({"tenant": tenant, "connection": f"{provider}#{name}"}),
            "ConsistentRead": True,
        }
        if metadata_only:
            request |= {"ProjectionExpression": _METADATA, "ExpressionAttributeNames": _NAMES}
        answer = self._aws.dynamodb("GetItem", request)
        if "Item" not in answer:
            detail = f"There is no {provider} connection named {name!r}"
            raise UnknownConnection(detail)
        return _connection(attributes(answer["Item"]))

    def _update(
        self,
        connection: Connection,
        sets: Mapping[str, Attribute],
        *,
        remove: tuple[str, ...] = (),
        due_at: datetime | None = None,
        condition: str = "#version = :was",
        values: Mapping[str, Attribute] | None = None,
    ) -> bool:
        written = dict(sets)
        if due_at:
            written |= {"dueShard": str(_shard(connection)), "dueAt": int(due_at.timestamp())}
        try:
            self._aws.dynamodb(
                "UpdateItem",
                update(
                    self._table,
                    {"tenant": connection.tenant, "connection": connection.key},
                    written,
                    remove=remove,
                    condition=condition,
                    values=values or ({"was": connection.version} if ":was" in condition else {}),
                ),
            )
        except ConditionFailed:
            return False
        return True


def pause_name(scope: str) -> str:
    """The attribute of a scope's pause: a digest, as a scope can be an address of any length."""
    return _PAUSE + hashlib.sha256(scope.encode("utf-8", "replace")).hexdigest()[:24]


def _shard(connection: Connection) -> int:
    digest = hashlib.sha256(f"{connection.tenant}/{connection.key}".encode()).digest()
    return digest[0] % DUE_SHARDS


def _key(connection: Connection) -> dict[str, Any]:
    return item({"tenant": connection.tenant, "connection": connection.key})


def _account_json(account: Account) -> str:
    return json.dumps({"id": account.id, "label": account.label, "details": dict(account.details)})


def _attributes(connection: Connection) -> dict[str, Attribute]:
    error = connection.last_error
    return {
        "provider": connection.provider,
        "name": connection.name,
        "version": connection.version,
        "status": connection.status,
        "account": _account_json(connection.account),
        "connectedAt": connection.connected_at.timestamp(),
        "updatedAt": connection.updated_at.timestamp(),
        "grantedAt": connection.granted_at.timestamp() if connection.granted_at else None,
        "expiresAt": connection.expires_at.timestamp() if connection.expires_at else None,
        "refreshes": connection.refreshable,
        "lastTested": connection.last_tested.timestamp() if connection.last_tested else None,
        "lastError": json.dumps(
            {"code": error.code, "message": error.message, "at": error.at.timestamp()}
        )
        if error
        else None,
        "webhookId": connection.webhook_id,
    }


def _connection(record: Mapping[str, Any]) -> Connection:
    account = json.loads(record["account"])
    error = json.loads(record["lastError"]) if record.get("lastError") else None
    return Connection(
        tenant=record["tenant"],
        provider=record["provider"],
        name=record["name"],
        version=record["version"],
        status=record["status"],
        account=Account(account["id"], account["label"], account["details"]),
        connected_at=from_epoch(record["connectedAt"]),
        updated_at=from_epoch(record["updatedAt"]),
        granted_at=_moment(record, "grantedAt"),
        expires_at=_moment(record, "expiresAt"),
        # A record of before this was known is taken for one that is refreshed; its use tells.
        refreshable=record.get("refreshes", True),
        last_tested=_moment(record, "lastTested"),
        last_error=LastError(error["code"], error["message"], from_epoch(error["at"]))
        if error
        else None,
        webhook_id=record.get("webhookId"),
        paused_until=_moment(record, "pausedUntil"),
        pauses={
            name: from_epoch(until) for name, until in record.items() if name.startswith(_PAUSE)
        },
        lease_until=_moment(record, "leaseUntil"),
        subscribed=record.get("subscribed"),
        address=record.get("address"),
        sealed=Sealed.of(record),
    )


def _moment(record: Mapping[str, Any], name: str) -> datetime | None:
    return from_epoch(record[name]) if record.get(name) is not None else None
