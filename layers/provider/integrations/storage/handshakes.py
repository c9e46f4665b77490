"""OAuth handshakes: begun here, consumed once, gone after ten minutes."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from integrations.errors import HandshakeRefused, UnknownHandshake
from integrations.models import from_epoch, now
from integrations.storage.aws import Attribute, Aws, ConditionFailed, attributes, item, update
from integrations.storage.envelope import Envelope, EnvelopeBroken, Sealed

LIFETIME = timedelta(minutes=10)
STORED_AFTER = timedelta(hours=1)
"""How long the outcome stays readable after the handshake itself is over."""

UNKNOWN = "This log-in is not known here; start again"
"""What is said of a state that is not one of ours."""

_DAMAGED = "This log-in is damaged; start again"


class Handshake(NamedTuple):
    """One attempt to connect.

    Attributes:
        status: ``pending``, ``exchanging`` (the callback is at work), ``completed`` or ``failed``.
        deadline: After it a pending handshake is expired, whenever DynamoDB deletes it.
        redirect_uri: Where the browser goes in the end; ``None`` for the closing page.
        callback_url: Where the provider sends the browser; it must be sent the very same again
            with the code.
        taken_at: When the callback began its work.
        error: ``{"code", "message"}`` of a failed one.
        session_id: The connect session that it was begun in; ``""`` where it was in none.
    """

    handshake_id: str
    tenant: str
    provider: str
    connection: str
    deadline: datetime
    callback_url: str
    status: str = "pending"
    redirect_uri: str | None = None
    taken_at: datetime | None = None
    error: Mapping[str, str] | None = None
    session_id: str = ""

    @property
    def context(self) -> dict[str, str]:
        """The encryption context that binds the PKCE verifier to this handshake."""
        return {
            "tenant": self.tenant,
            "provider": self.provider,
            "handshake": self.handshake_id,
        }


class Handshakes:
    """The Handshakes table."""

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

    def begin(
        self, handshake: Handshake, state: str, code_verifier: str, browser: str = ""
    ) -> None:
        """Store a new handshake: the state by its hash, the verifier sealed.

        Args:
            handshake: Its public part.
            state: What the provider gives back.
            code_verifier: PKCE's.
            browser: The secret of the one browser that may end it; ``""`` where any may.
        """
        sealed = self._envelope.seal(code_verifier.encode(), handshake.context)
        attributes_: dict[str, Attribute] = {
            "handshakeId": handshake.handshake_id,
            "tenant": handshake.tenant,
            "provider": handshake.provider,
            "connection": handshake.connection,
            "status": handshake.status,
            "redirectUri": handshake.redirect_uri,
            "callbackUrl": handshake.callback_url,
            "stateHash": _hash(state),
            "browserHash": _hash(browser) if browser else None,
            "sessionId": handshake.session_id or None,
            "deadline": handshake.deadline.timestamp(),
            "expiresAt": int((handshake.deadline + STORED_AFTER).timestamp()),
        }
        self._aws.dynamodb(
            "PutItem",
            {
                "TableName": self._table,
                "Item": item(attributes_ | sealed.attributes()),
                "ConditionExpression": "attribute_not_exists(handshakeId)",
            },
        )

    def get(self, tenant: str, handshake_id: str) -> Handshake:
        """A handshake of this tenant.

        Raises:
            UnknownHandshake: There is none, or it is another tenant's.
        """
        answer = self._aws.dynamodb(
            "GetItem",
            {
                "TableName": self._table,
                "Key": item({"handshakeId": handshake_id}),
                "ConsistentRead": True,
            },
        )
        record = attributes(answer["Item"]) if "Item" in answer else {}
        gone = record.get("expiresAt", 0) <= self._clock().timestamp()
        if gone or record["tenant"] != tenant:
            detail = f"There is no handshake {handshake_id!r}"
            raise UnknownHandshake(detail)
        return _handshake(record)

    def consume(
        self, handshake_id: str, provider: str, state: str, browser: str = ""
    ) -> tuple[Handshake, str]:
        """Take a pending handshake for its one callback.

        Returns:
            The handshake, and its PKCE verifier.

        Raises:
            HandshakeRefused: The state is unknown, of another provider, expired, used before (also
                by a callback at this very moment: one wins), or of another browser.
        """
        try:
            answer = self._aws.dynamodb(
                "UpdateItem",
                {
                    **update(
                        self._table,
                        {"handshakeId": handshake_id},
                        {"status": "exchanging", "takenAt": self._clock().timestamp()},
                        condition=(
                            "stateHash = :state AND provider = :provider AND #status = :pending "
                            "AND deadline > :takenAt "
                            "AND (attribute_not_exists(browserHash) OR browserHash = :browser)"
                        ),
                        values={
                            "pending": "pending",
                            "state": _hash(state),
                            "provider": provider,
                            "browser": _hash(browser),
                        },
                    ),
                    "ReturnValues": "ALL_NEW",
                    "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
                },
            )
        except ConditionFailed:
            raise HandshakeRefused(self._why(handshake_id, provider, state, browser)) from None
        record = attributes(answer["Attributes"])
        handshake = _handshake(record)
        sealed = Sealed.of(record)
        if sealed is None:
            raise HandshakeRefused(_DAMAGED)
        try:
            return handshake, self._envelope.open(sealed, handshake.context).decode()
        except EnvelopeBroken:
            raise HandshakeRefused(_DAMAGED) from None

    def complete(self, handshake: Handshake) -> None:
        """Mark a consumed handshake as completed."""
        self._finish(handshake, {"status": "completed"})

    def fail(self, handshake: Handshake, code: str, message: str) -> None:
        """Mark a consumed handshake as failed, with its reason."""
        error = json.dumps({"code": code, "message": message})
        self._finish(handshake, {"status": "failed", "error": error})

    def _finish(self, handshake: Handshake, sets: Mapping[str, Attribute]) -> None:
        self._aws.dynamodb(
            "UpdateItem",
            update(
                self._table,
                {"handshakeId": handshake.handshake_id},
                sets,
                remove=("stateHash", "ciphertext", "nonce", "dataKey", "keyId"),
                condition="attribute_exists(handshakeId)",
            ),
        )

    def _why(self, handshake_id: str, provider: str, state: str, browser: str) -> str:
        answer = self._aws.dynamodb(
            "GetItem",
            {
                "TableName": self._table,
                "Key": item({"handshakeId": handshake_id}),
                "ConsistentRead": True,
            },
        )
        record = attributes(answer["Item"]) if "Item" in answer else {}
        if record.get("status") in ("exchanging", "completed", "failed"):
            return "This log-in was already used; start again"
        foreign = record.get("provider") != provider
        if foreign or not hmac.compare_digest(record.get("stateHash") or "", _hash(state)):
            return UNKNOWN
        if "browserHash" in record and record["browserHash"] != _hash(browser):
            return "This log-in was begun in another browser; go on there, or start again here"
        return "This log-in has expired; start again"


def _handshake(record: Mapping[str, Any]) -> Handshake:
    return Handshake(
        handshake_id=record["handshakeId"],
        tenant=record["tenant"],
        provider=record["provider"],
        connection=record["connection"],
        deadline=from_epoch(record["deadline"]),
        status=record["status"],
        callback_url=record["callbackUrl"],
        redirect_uri=record.get("redirectUri"),
        taken_at=from_epoch(record["takenAt"]) if "takenAt" in record else None,
        error=json.loads(record["error"]) if record.get("error") else None,
        session_id=record.get("sessionId", ""),
    )


def _hash(state: str) -> str:
    return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()
