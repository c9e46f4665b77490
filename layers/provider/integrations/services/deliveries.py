"""What the receiver hands to the dispatcher: one verified delivery, as a message of the queue.

Nothing heavy may be imported here: the receiver uses it.
"""

import base64
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, Self, cast

from integrations.models import Delivery, Json, Query, rfc3339
from integrations.storage.queues import Message

SHARED_GROUP = "shared"
"""The queue's group of what comes to a shared webhook: it belongs to no tenant yet."""

EARLIER_SHARED_TENANT = "*"
"""How a shared webhook was marked in messages that an earlier version of this backend sent."""


class QueuedDelivery(NamedTuple):
    """One delivery on its way from the receiver to the dispatcher.

    Attributes:
        webhook_id: The webhook that it came to.
        provider: Whose events these are, as a provider's id.
        tenant: Whose webhook it is; ``""`` where it is shared.
        connection_name: The connection that the webhook belongs to; ``""`` where it is shared.
        event_id: Our id of it, the same for each redelivery.
        received_at: When it came.
        headers: Lower-case names; those that carry secrets or signatures are already left out.
        query: The query's parameters; those that carry secrets are already left out.
        body: The raw bytes.
        shared: It came to the one webhook that the stack has for all tenants: whose events these
            are follows from their targets alone.
        only: Of a shared webhook's delivery, the tenant whose share alone is meant.
        earlier_id: Where the same body is the same delivery for a while: the id that it would have
            had in the window before.
        verification: How it was verified, as a type of ``integrations.signatures``.
        hops: How many executions of ours led to it, proven.
        method, path: How it came, and what followed the webhook's URL.
    """

    webhook_id: str
    provider: str
    event_id: str
    received_at: datetime
    headers: Mapping[str, str]
    query: Query
    body: bytes
    tenant: str = ""
    connection_name: str = ""
    shared: bool = False
    only: str | None = None
    earlier_id: str | None = None
    verification: str = "none"
    hops: int = 0
    method: str = "POST"
    path: str = ""

    @property
    def delivery(self) -> Delivery:
        """The delivery as providers read it."""
        return Delivery(
            webhook_id=self.webhook_id,
            event_id=self.event_id,
            received_at=self.received_at,
            headers=self.headers,
            query=self.query,
            body=self.body,
            method=self.method,
            path=self.path,
        )

    def to_message(self) -> Message:
        """The message that carries it."""
        body: dict[str, Json] = {
            "webhookId": self.webhook_id,
            "tenant": self.tenant,
            "provider": self.provider,
            "connection": self.connection_name,
            "eventId": self.event_id,
            "receivedAt": rfc3339(self.received_at),
            "headers": dict(self.headers),
            "query": dict(self.query),
            "body": base64.b64encode(self.body).decode(),
            "verification": self.verification,
        }
        if self.shared:
            body["shared"] = True
        if self.only is not None:
            body["only"] = self.only
        if self.earlier_id is not None:
            body["earlierId"] = self.earlier_id
        if self.hops:
            body["hops"] = self.hops
        if self.method != "POST":
            body["method"] = self.method
        if self.path:
            body["path"] = self.path
        return Message(
            body=body,
            group=self.only or (SHARED_GROUP if self.shared else self.tenant),
            key=f"events/{self.webhook_id}/{self.event_id}/{secrets.token_hex(16)}",
        )

    @classmethod
    def from_message(cls, body: Mapping[str, Json]) -> Self:
        """The delivery that a message's document carries.

        Raises:
            LookupError, ValueError, TypeError: It is not a message of ours.
        """
        message = cast("Mapping[str, Any]", body)
        tenant = str(message["tenant"])
        shared = message.get("shared") is True or tenant == EARLIER_SHARED_TENANT
        return cls(
            webhook_id=message["webhookId"],
            provider=message["provider"],
            tenant="" if shared else tenant,
            connection_name=message["connection"],
            event_id=message["eventId"],
            received_at=datetime.fromisoformat(message["receivedAt"]),
            headers=message["headers"],
            query=message["query"],
            body=base64.b64decode(message["body"], validate=True),
            shared=shared,
            only=message.get("only"),
            earlier_id=message.get("earlierId"),
            verification=message.get("verification", "none"),
            hops=int(message.get("hops", 0)),
            method=message.get("method", "POST"),
            path=message.get("path", ""),
        )
