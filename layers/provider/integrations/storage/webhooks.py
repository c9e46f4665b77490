"""Webhooks: which id belongs to whose connection, and how its deliveries are verified."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, NamedTuple, override

from integrations.errors import UnknownWebhook, WebhookIdTaken
from integrations.models import Json, from_epoch, now
from integrations.storage.aws import (
    Attribute,
    Aws,
    ConditionFailed,
    attributes,
    batch,
    item,
    update,
)
from integrations.storage.envelope import Envelope, EnvelopeBroken, Sealed

if TYPE_CHECKING:
    from integrations.storage.connections import Connection

CACHE_SECONDS = 60
CACHE_SIZE = 1024
OWN_KEY = "*"
OWN_KEY_SECONDS = 3600
SHORT_IDS = "**"
"""The row that names the tenant which has the short ids; no webhook has such an id."""
_OWN_KEY_CONTEXT = {"tenant": "*", "webhook": OWN_KEY}
MAX_ID = 128

_METADATA = (
    "webhookId, tenant, provider, #connection, verification, rejected, lastRejection, "
    "lastFailure, received, lastReceived, releasedAt"
)


_OWN = "#tenant = :tenant AND #provider = :provider AND #connection = :connection"
"""That a row belongs to the very connection that writes it."""


class Webhook(NamedTuple):
    """One webhook.

    Attributes:
        verification: How deliveries are verified (``integrations.signatures``); no secret in it.
        methods: How deliveries may come.
        secrets_version: Which write of the secrets this is; they open with it alone.
        rejected: How many deliveries were refused.
        last_rejection: Why the last one was, and when.
        last_failure: Why the last accepted delivery could not be understood, and when.
        received: About how many deliveries were accepted.
        last_received: When, to the minute, the last one was.
    """

    webhook_id: str
    tenant: str
    provider: str
    connection: str
    verification: Mapping[str, Json]
    methods: tuple[str, ...] = ("POST",)
    sealed: Sealed | None = None
    secrets_version: str = ""
    rejected: int = 0
    last_rejection: tuple[datetime, str] | None = None
    last_failure: tuple[datetime, str] | None = None
    received: int = 0
    last_received: datetime | None = None

    @property
    def context(self) -> dict[str, str]:
        """The encryption context that binds the secrets to this webhook."""
        return {"tenant": self.tenant, "webhook": self.webhook_id}


class WebhookSecrets(NamedTuple):
    """What verifies deliveries, and what answers a subscription challenge.

    Attributes:
        previous: The secret before this one, good until ``previous_until`` (Unix time).
    """

    secret: str
    verify_token: str
    previous: str = ""
    previous_until: float = 0.0

    @override
    def __repr__(self) -> str:
        return f"WebhookSecrets(previous_until={self.previous_until})"  # no secret is shown


class Webhooks:
    """The Webhooks table."""

    def __init__(
        self,
        aws: Aws,
        table: str,
        envelope: Envelope,
        *,
        clock: Callable[[], datetime] = now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._aws = aws
        self._table = table
        self._envelope = envelope
        self._clock = clock
        self._monotonic = monotonic
        self._cache: dict[str, tuple[float, Webhook, WebhookSecrets]] = {}
        self._own_key: tuple[float, bytes] | None = None

    def get(self, webhook_id: str, *, consistent: bool = False) -> Webhook:
        """A webhook by its id; ``consistent`` as it was written a moment ago.

        Raises:
            UnknownWebhook: There is none.
        """
        if not 0 < len(webhook_id) <= MAX_ID:
            raise UnknownWebhook("There is no webhook with such an id")
        answer = self._aws.dynamodb(
            "GetItem",
            {
                "TableName": self._table,
                "Key": item({"webhookId": webhook_id}),
                "ConsistentRead": consistent,
            },
        )
        row = attributes(answer.get("Item", {}))
        if "provider" not in row or "releasedAt" in row:
            raise UnknownWebhook(f"There is no webhook {webhook_id!r}")
        return _webhook(row)

    def of(self, tenant: str, webhook_ids: Iterable[str]) -> dict[str, Webhook]:
        """Those of these webhooks that the tenant has, by id, without their secrets."""
        reading = {
            "ProjectionExpression": _METADATA,
            "ExpressionAttributeNames": {"#connection": "connection"},
        }
        keys = [{"webhookId": webhook_id} for webhook_id in dict.fromkeys(webhook_ids)]
        found = batch(self._aws, self._table, keys, reading)
        return {
            row["webhookId"]: _webhook(row)
            for row in found
            if row.get("tenant") == tenant and "provider" in row and "releasedAt" not in row
        }

    def secrets(self, webhook: Webhook) -> WebhookSecrets:
        """The webhook's secrets, decrypted."""
        if webhook.sealed is None:
            return WebhookSecrets("", "")
        record = json.loads(
            self._envelope.open(webhook.sealed, webhook.context, webhook.secrets_version)
        )
        return WebhookSecrets(
            record["secret"],
            record["verifyToken"],
            record.get("previous", ""),
            record.get("previousUntil", 0.0),
        )

    def receive(self, webhook_id: str) -> tuple[Webhook, WebhookSecrets]:
        """A webhook with its secrets, at most a minute old: the way of each delivery.

        Raises:
            UnknownWebhook: There is none.
        """
        moment = self._monotonic()
        for name in [name for name, (ends, *_) in self._cache.items() if ends <= moment]:
            del self._cache[name]  # secrets that nobody uses are not left in memory
        if cached := self._cache.get(webhook_id):
            return cached[1], cached[2]
        webhook = self.get(webhook_id)
        secrets = self.secrets(webhook)
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        self._cache[webhook_id] = (moment + CACHE_SECONDS, webhook, secrets)
        return webhook, secrets

    def make_own_key(self) -> bytes:
        """The stack's own key, made where there is none yet, or none that opens."""
        key = self.own_key()
        while key is None:
            self._write_own_key(token_bytes(32), replaces=self._sealed_own_key())
            key = self.own_key()
        return key

    def own_key(self) -> bytes | None:
        """The stack's own key, by which it knows its own requests again.

        It has a row here, under a name that no webhook can have.

        Returns:
            32 random bytes; ``None`` where there is none yet, or it does not open here (the table
            was restored under another key): then nothing is proven.
        """
        cached = self._own_key
        if cached and self._monotonic() < cached[0]:
            return cached[1]
        key = self._read_own_key()
        if key is not None:
            self._own_key = (self._monotonic() + OWN_KEY_SECONDS, key)
        return key

    def _read_own_key(self) -> bytes | None:
        sealed = self._sealed_own_key()
        try:
            return self._envelope.open(sealed, _OWN_KEY_CONTEXT) if sealed else None
        except EnvelopeBroken:
            return None

    def _sealed_own_key(self) -> Sealed | None:
        answer = self._aws.dynamodb(
            "GetItem",
            {
                "TableName": self._table,
                "Key": item({"webhookId": OWN_KEY}),
                "ConsistentRead": True,
            },
        )
        return Sealed.of(attributes(answer["Item"])) if "Item" in answer else None

    def _write_own_key(self, key: bytes, *, replaces: Sealed | None) -> None:
        condition, values = "attribute_not_exists(webhookId)", {}
        if replaces:
            condition, values = "#ciphertext = :replaced", {"replaced": replaces.ciphertext}
        sealed = self._envelope.seal(key, _OWN_KEY_CONTEXT)
        try:
            self._aws.dynamodb(
                "UpdateItem",
                update(
                    self._table,
                    {"webhookId": OWN_KEY},
                    dict(sealed.attributes()),
                    condition=condition,
                    values=values,
                ),
            )
        except ConditionFailed:
            return  # another process was quicker; its key counts

    def save(self, webhook: Webhook, secrets: WebhookSecrets) -> None:
        """Create or replace a webhook of this connection.

        An id that was let go is free for its tenant alone, for ever: whoever sends to it still,
        sends to that tenant.

        Raises:
            WebhookIdTaken: Another connection holds the id, or another tenant has had it.
        """
        record: dict[str, str | float] = {
            "secret": secrets.secret,
            "verifyToken": secrets.verify_token,
        }
        if secrets.previous:
            record |= {"previous": secrets.previous, "previousUntil": secrets.previous_until}
        plain = json.dumps(record)
        version = repr(self._clock().timestamp())
        sealed = self._envelope.seal(plain.encode(), webhook.context, version)
        written: dict[str, Attribute] = {
            "tenant": webhook.tenant,
            "provider": webhook.provider,
            "connection": webhook.connection,
            "verification": json.dumps(dict(webhook.verification)),
            "methods": ",".join(webhook.methods),
            "secretsVersion": version,
            **sealed.attributes(),
        }
        try:
            self._aws.dynamodb(
                "UpdateItem",
                update(
                    self._table,
                    {"webhookId": webhook.webhook_id},
                    {**written, "releasedAt": None},
                    condition=(
                        f"attribute_not_exists(webhookId) OR ({_OWN}) OR "
                        "(#tenant = :tenant AND attribute_exists(#releasedAt))"
                    ),
                ),
            )
        except ConditionFailed:
            detail = f"The webhook id {webhook.webhook_id!r} is already taken; choose another"
            raise WebhookIdTaken(detail) from None

    def is_of(self, tenant: str, webhook_id: str) -> bool:
        """Whether an id is, or was, a webhook of this tenant."""
        answer = self._aws.dynamodb(
            "GetItem",
            {
                "TableName": self._table,
                "Key": item({"webhookId": webhook_id}),
                "ConsistentRead": True,
            },
        )
        return attributes(answer.get("Item", {})).get("tenant") == tenant

    def has_short_ids(self, tenant: str) -> bool:
        """Whether short ids are this tenant's: the first that asks gets them all, for ever."""
        owner = self._owner_of_short_ids()
        if owner is None:
            condition = "attribute_not_exists(webhookId)"
            request = update(
                self._table, {"webhookId": SHORT_IDS}, {"tenant": tenant}, condition=condition
            )
            try:
                self._aws.dynamodb("UpdateItem", request)
            except ConditionFailed:
                owner = self._owner_of_short_ids()
            else:
                owner = tenant
        return owner == tenant

    def _owner_of_short_ids(self) -> str | None:
        """The tenant; ``""`` where it was erased, ``None`` where none has asked yet."""
        key = item({"webhookId": SHORT_IDS})
        answer = self._aws.dynamodb(
            "GetItem", {"TableName": self._table, "Key": key, "ConsistentRead": True}
        )
        return attributes(answer["Item"]).get("tenant", "") if "Item" in answer else None

    def release(self, webhook: Webhook) -> bool:
        """Let this connection's webhook go: it takes nothing more, its id stays the tenant's.

        Nothing happens where it is another connection's, or where a webhook that was read has been
        saved since: ``False``.
        """
        sealed = ("ciphertext", "nonce", "dataKey", "keyId")
        condition, values = _OWN, {}
        if webhook.secrets_version:
            condition += " AND #secretsVersion = :secretsVersion"
            values["secretsVersion"] = webhook.secrets_version
        try:
            self._aws.dynamodb(
                "UpdateItem",
                update(
                    self._table,
                    {"webhookId": webhook.webhook_id},
                    {"releasedAt": self._clock().timestamp()},
                    remove=sealed,
                    condition=condition,
                    values={
                        "tenant": webhook.tenant,
                        "provider": webhook.provider,
                        "connection": webhook.connection,
                        **values,
                    },
                ),
            )
        except ConditionFailed:
            return False
        return True

    def release_of(self, connection: "Connection") -> None:
        """Let the webhook of a connection go, where it has one of its own."""
        if connection.webhook_id:
            self.release(
                Webhook(
                    webhook_id=connection.webhook_id,
                    tenant=connection.tenant,
                    provider=connection.provider,
                    connection=connection.name,
                    verification={},
                )
            )

    def record_rejections(self, webhook_id: str, reason: str, count: int) -> None:
        """Count deliveries that were refused and keep why the last one was."""
        self._record(webhook_id, "lastRejection", self._note(reason), "rejected", count)

    def record_failure(self, webhook_id: str, reason: str) -> None:
        """Keep why an accepted delivery could not be understood."""
        self._record(webhook_id, "lastFailure", self._note(reason))

    def record_received(self, webhook_id: str, count: int) -> None:
        """Count deliveries that were accepted, and keep that one was just now."""
        self._record(webhook_id, "lastReceived", self._clock().timestamp(), "received", count)

    def _note(self, reason: str) -> str:
        return json.dumps({"at": self._clock().timestamp(), "reason": reason})

    def _record(
        self, webhook_id: str, attribute: str, note: str | float, counter: str = "", count: int = 0
    ) -> None:
        try:
            self._aws.dynamodb(
                "UpdateItem",
                update(
                    self._table,
                    {"webhookId": webhook_id},
                    {attribute: note},
                    add={counter: count} if counter else None,
                    condition="attribute_exists(tenant)",
                ),
            )
        except ConditionFailed:
            return  # deleted in between, or of nobody any more: nobody is left to read it


def _webhook(record: Mapping[str, Any]) -> Webhook:
    return Webhook(
        webhook_id=record["webhookId"],
        tenant=record["tenant"],
        provider=record["provider"],
        connection=record["connection"],
        verification=json.loads(record["verification"]),
        methods=tuple(record.get("methods", "POST").split(",")),
        sealed=Sealed.of(record),
        secrets_version=record.get("secretsVersion", ""),
        rejected=record.get("rejected", 0),
        last_rejection=_note(record.get("lastRejection")),
        last_failure=_note(record.get("lastFailure")),
        received=record.get("received", 0),
        last_received=from_epoch(record["lastReceived"]) if record.get("lastReceived") else None,
    )


def _note(text: str | None) -> tuple[datetime, str] | None:
    if not text:
        return None
    note = json.loads(text)
    return from_epoch(note["at"]), note["reason"]
