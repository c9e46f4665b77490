"""The reception of webhooks: verified over the raw bytes, durable in SQS before the answer.

Nothing heavy may be imported here: this is what providers wait for, and what is paid per delivery.
"""

import hashlib
import hmac
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from integrations import signatures
from integrations.errors import ChallengeRefused, SignatureRefused, UnknownWebhook
from integrations.models import now
from integrations.providers import registry
from integrations.services.deliveries import QueuedDelivery
from integrations.services.lineage import HEADER, Lineage
from integrations.services.sampling import Sampler
from integrations.storage.app_secret import AppSecret
from integrations.storage.aws import AwsError
from integrations.storage.queues import Queue
from integrations.storage.webhooks import Webhook, Webhooks, WebhookSecrets

if TYPE_CHECKING:
    from integrations.storage.events import Events

_log = logging.getLogger(__name__)

REFUSALS_AT_ONCE = 10
REFUSAL_SECONDS = 30.0
"""Of what one webhook refuses, one process writes so many at once, then one in so many seconds."""

REFUSED_BYTES = 4096
"""How much is kept of a body that was refused."""

_HOPS = HEADER.lower()
_CHALLENGE_NAMES = {"mode": "hub.mode", "token": "hub.verify_token", "challenge": "hub.challenge"}
CHALLENGE_PARAMETERS = frozenset({*_CHALLENGE_NAMES, *_CHALLENGE_NAMES.values()})
"""The query parameters of a subscription challenge."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender is told.

    Attributes:
        event_id: The event's id; ``None`` where it was a ping, which is no event.
    """

    event_id: str | None


class Receiver:
    """Takes deliveries and answers challenges.

    Args:
        webhooks: The Webhooks table.
        app_secret: For the stack's shared webhooks.
        events: Where accepted deliveries go.
        log: The Events table, for some of what is refused; made on first use.
        lineage: Knows deliveries that executions of ours have sent.
        platform_tenant: Under whose name stands what a shared webhook refuses.
        clock: The present moment.
    """

    def __init__(
        self,
        webhooks: Webhooks,
        app_secret: AppSecret,
        events: Queue,
        log: "Callable[[], Events]",
        lineage: Lineage,
        *,
        platform_tenant: str,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._webhooks = webhooks
        self._app_secret = app_secret
        self._events = events
        self._log = log
        self._lineage = lineage
        self._platform_tenant = platform_tenant
        self._clock = clock
        self._refused = Sampler(REFUSALS_AT_ONCE, REFUSAL_SECONDS)

    def receive(
        self,
        webhook_id: str,
        headers: Mapping[str, str],
        query: Mapping[str, str],
        body: bytes,
    ) -> Receipt:
        """Verify a delivery and make it durable.

        Args:
            webhook_id: From the path.
            headers: Names in lower case.
            query: The query's parameters.
            body: The raw bytes.

        Raises:
            UnknownWebhook: There is none with this id.
            SignatureRefused: It does not verify; the webhook's record keeps why.
            AwsError: It could not be made durable; the sender must send it again.
        """
        webhook, secrets = self._find(webhook_id)
        shared = webhook_id in registry.shared_webhooks()
        moment = self._clock()
        try:
            signatures.verify(
                webhook.verification, secrets.secret, headers, body, moment.timestamp(), query
            )
        except SignatureRefused as refusal:
            if signatures.is_ping(body):
                return Receipt(None)
            self._record_refusal(webhook, refusal.detail, headers, query, body)
            raise
        event_id, earlier_id = _event_ids(webhook, headers, body, moment)
        shown_headers, shown_query = _without_secrets(webhook, headers, query)
        queued = QueuedDelivery(
            webhook_id=webhook_id,
            tenant=webhook.tenant,
            provider=webhook.provider,
            connection_name=webhook.connection,
            event_id=event_id,
            earlier_id=earlier_id,
            received_at=moment,
            headers=shown_headers,
            query=shown_query,
            body=body,
            shared=shared,
            verification=str(webhook.verification.get("type", "none")),
            hops=self._lineage.hops_of(headers.get(_HOPS, "")),
        )
        self._events.send(queued.to_message())
        return Receipt(event_id)

    def challenge(self, webhook_id: str, query: Mapping[str, str]) -> str:
        """The challenge to repeat, where mode and token are right.

        Args:
            webhook_id: From the path.
            query: ``mode``, ``token`` and ``challenge``, or Meta's ``hub.`` names.

        Raises:
            UnknownWebhook: There is none with this id.
            ChallengeRefused: The mode is not ``subscribe``, or the token is wrong.
        """
        given = {
            name: query.get(meta, query.get(name, "")) for name, meta in _CHALLENGE_NAMES.items()
        }
        webhook, secrets = self._find(webhook_id)
        refusal = None
        known = secrets.verify_token.encode()
        if given["mode"] != "subscribe":
            refusal = "mode must be 'subscribe'"
        elif not known or not hmac.compare_digest(
            given["token"].encode("utf-8", "surrogatepass"), known
        ):
            refusal = "The token is wrong"
        if refusal:
            self._record_refusal(webhook, f"A subscription challenge: {refusal}", {}, {}, b"")
            raise ChallengeRefused(refusal)
        return given["challenge"]

    def _record_refusal(
        self,
        webhook: Webhook,
        reason: str,
        headers: Mapping[str, str],
        query: Mapping[str, str],
        body: bytes,
    ) -> None:
        """Write some of what is refused: anybody may send it, and a write for each has a price."""
        count = self._refused.take(webhook.webhook_id)
        if not count:
            return
        from integrations.storage.events import LoggedEvent, Payload  # noqa: PLC0415 - cold start

        shown_headers, shown_query = _without_secrets(webhook, headers, query)
        event = LoggedEvent(
            event_id=f"evt_{uuid.uuid4().hex}",
            tenant=webhook.tenant or self._platform_tenant,
            webhook_id=webhook.webhook_id,
            provider=webhook.provider,
            connection_name=webhook.connection,
            received_at=self._clock(),
            outcome="refused",
            reason=reason,
            size=len(body),
            verification={
                "type": webhook.verification.get("type", "none"),
                "verified": False,
                "reason": reason,
            },
            payload=Payload(
                headers=shown_headers,
                query=shown_query,
                body=body[:REFUSED_BYTES],
                body_truncated=len(body) > REFUSED_BYTES,
            ),
        )
        try:
            if webhook.tenant:
                self._webhooks.record_rejections(webhook.webhook_id, reason, count)
            self._log().record(event)
        except AwsError as failure:  # whatever becomes of the record, it is refused
            _log.warning("a refusal was not recorded: %s", failure.detail)

    def _find(self, webhook_id: str) -> tuple[Webhook, WebhookSecrets]:
        shared = registry.shared_webhooks().get(webhook_id)
        if shared is None:
            return self._webhooks.receive(webhook_id)
        app_secret = self._app_secret.values()
        secret = shared.secret_of(app_secret)
        if not secret:
            raise UnknownWebhook(f"This stack has no app of its own for {shared.provider_id}")
        webhook = Webhook(
            webhook_id=webhook_id,
            tenant="",
            provider=shared.provider_id,
            connection="",
            verification=shared.verification,
        )
        return webhook, WebhookSecrets(secret, shared.verify_token_of(app_secret))


def _without_secrets(
    webhook: Webhook, headers: Mapping[str, str], query: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """What may be kept of a delivery's headers and query."""
    secret_headers = signatures.secret_headers(webhook.verification)
    secret_parameters = signatures.secret_parameters(webhook.verification)
    return (
        {
            name: each
            for name, each in headers.items()
            if name not in secret_headers and name != _HOPS
        },
        {name: each for name, each in query.items() if name not in secret_parameters},
    )


def _event_ids(
    webhook: Webhook, headers: Mapping[str, str], body: bytes, moment: datetime
) -> tuple[str, str | None]:
    """Our id of a delivery, and the id that the same body would have had one window earlier."""
    window = signatures.replay_window(webhook.verification)
    if not window:
        delivery_id = signatures.delivery_id(webhook.verification, headers, body)
        return _event_id(webhook.webhook_id, delivery_id), None
    digest = hashlib.sha256(body).hexdigest()
    number = int(moment.timestamp() // window)
    now_id, earlier_id = (
        _event_id(webhook.webhook_id, f"body:{digest}:{each}") for each in (number, number - 1)
    )
    return now_id, earlier_id


def _event_id(webhook_id: str, delivery_id: str | None) -> str:
    """Our id of a delivery: the same for a redelivery where the sender says what it is."""
    if delivery_id is None:
        return f"evt_{uuid.uuid4().hex}"
    identity = f"{webhook_id}\n{delivery_id}".encode("utf-8", "surrogateescape")
    return f"evt_{hashlib.sha256(identity).hexdigest()[:32]}"
