"""The reception of webhooks: verified over the raw bytes, durable in SQS before the answer.

Nothing heavy may be imported here: this is what providers wait for, and what is paid per delivery.
"""

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from secrets import token_hex
from typing import TYPE_CHECKING, NamedTuple

from integrations import signatures
from integrations.errors import (
    ChallengeRefused,
    ServiceUnavailable,
    SignatureRefused,
    UnknownWebhook,
)
from integrations.models import Query, now, text_of
from integrations.providers import registry
from integrations.services.deliveries import QueuedDelivery
from integrations.services.lineage import HEADER, Lineage
from integrations.services.observing import Observe, nobody
from integrations.services.sampling import Sampler
from integrations.storage.app_secret import AppSecret
from integrations.storage.aws import AwsError
from integrations.storage.envelope import EnvelopeBroken
from integrations.storage.queues import Queue
from integrations.storage.webhooks import Webhook, Webhooks, WebhookSecrets

if TYPE_CHECKING:
    from integrations.services.delivery_tokens import DeliveryTokens
    from integrations.storage.events import Events

_log = logging.getLogger(__name__)

REFUSALS_AT_ONCE = 10
REFUSAL_SECONDS = 30.0
"""Of what one webhook refuses, one process writes so many at once, then one in so many seconds."""

REFUSED_BYTES = 4096
"""How much is stored of a body that was refused."""

REFUSAL_PACE = 0.05
"""Seconds: a refusal is answered at a multiple of it, so that the time which the answer takes does
not tell whether there is such a webhook, was one cached, or was the refusal recorded."""

REFUSED = (
    "The delivery does not prove itself, or there is no such webhook; "
    "why is in the webhook's status and in the log of events"
)
"""All that a stranger is answered: which ids there are, and what they ask for, is their owner's."""

CHALLENGE_REFUSED = "The mode is not 'subscribe', the token is wrong, or there is no such webhook"

UNREADABLE = "The stored secret of the webhook cannot be read; save its connection again"
"""What its owner is told. Its sender is asked to come again, so that nothing is lost meanwhile."""

MAX_PATH = 1024
_HOPS = HEADER.lower()
_CHALLENGE_NAMES = {"mode": "hub.mode", "token": "hub.verify_token", "challenge": "hub.challenge"}
CHALLENGE_PARAMETERS = frozenset({*_CHALLENGE_NAMES, *_CHALLENGE_NAMES.values()})
"""The query parameters of a subscription challenge."""


class Request(NamedTuple):
    """One request to a webhook.

    Attributes:
        headers: Names in lower case.
        query: The query's parameters.
        body: The raw bytes.
        method: In upper case.
        path: What follows the webhook's URL, without slashes around it.
        source_ip: Where the connection came from, as API Gateway saw it.
    """

    headers: Mapping[str, str]
    query: Query
    body: bytes
    method: str = "POST"
    path: str = ""
    source_ip: str = ""


class Receipt(NamedTuple):
    """What the sender is answered.

    Attributes:
        event_id: The event's id; ``None`` where it was a ping, which is no event.
    """

    event_id: str | None


class Undecided(ServiceUnavailable):
    """Nobody can say now whether a request proves itself; it must come again.

    It is this webhook's own trouble, and its record says which: the stack's is an ``AwsError``.
    """


class Receiver:
    """Takes deliveries and answers challenges.

    Args:
        webhooks: The Webhooks table.
        app_secret: For the stack's shared webhooks.
        events: Where accepted deliveries go.
        log: The Events table, for some of what is refused; made on first use.
        lineage: Knows deliveries that executions of ours have sent.
        platform_tenant: Under whose name stands what a shared webhook refuses.
        tokens: Verifies JWTs; made on first use.
        observe: Hears of each delivery.
        clock: The present moment.
        pause: Waits so many seconds.
        monotonic: Seconds that pass.
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
        tokens: "Callable[[], DeliveryTokens]",
        observe: Observe = nobody,
        clock: Callable[[], datetime] = now,
        pause: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._webhooks = webhooks
        self._app_secret = app_secret
        self._events = events
        self._log = log
        self._lineage = lineage
        self._platform_tenant = platform_tenant
        self._tokens = tokens
        self._observe = observe
        self._clock = clock
        self._pause = pause
        self._monotonic = monotonic
        self._refused = Sampler(REFUSALS_AT_ONCE, REFUSAL_SECONDS)

    def receive(self, webhook_id: str, request: Request) -> Receipt:
        """Verify a delivery and make it durable.

        Args:
            webhook_id: From the path.
            request: What came.

        Raises:
            SignatureRefused: It does not verify, or there is no webhook with this id: a stranger
                cannot tell which. The webhook's record keeps why.
            Undecided: Its secret does not open, or the issuer of its tokens gives no keys now.
            AwsError: It could not be made durable; the sender must send it again.
        """
        began = self._monotonic()
        try:
            webhook, secrets = self._find(webhook_id, request)
        except UnknownWebhook:
            if signatures.is_ping(request.body):
                return self._ping(began)
            self._observe("delivery", outcome="refused", reason="unknown_webhook")
            self._keep_pace(began)
            raise SignatureRefused(REFUSED) from None
        try:
            self._verify(webhook, secrets, request)
        except ServiceUnavailable as failure:
            raise self._undecided(webhook, "issuer", failure.detail, request) from None
        except SignatureRefused as refusal:
            if signatures.is_ping(request.body):
                return self._ping(began)
            self._tell_refusal(webhook, refusal.kind)
            self._record_refusal(webhook, refusal.detail, request)
            self._keep_pace(began)
            raise SignatureRefused(REFUSED) from None
        return self._accept(webhook, request)

    def _ping(self, began: float) -> Receipt:
        """Answer what a shop sends first, unsigned: in a time that tells no more than a refusal."""
        self._observe("delivery", outcome="ping")
        self._keep_pace(began)
        return Receipt(None)

    def _tell_refusal(self, webhook: Webhook, reason: str) -> None:
        self._observe(
            "delivery",
            outcome="refused",
            reason=reason,
            webhookId=webhook.webhook_id,
            tenant=webhook.tenant,
            provider=webhook.provider,
        )

    def _verify(self, webhook: Webhook, secrets: WebhookSecrets, request: Request) -> None:
        if request.method not in webhook.methods:
            raise SignatureRefused(f"The webhook does not take {request.method}", kind="method")
        if len(request.path) > MAX_PATH:
            raise SignatureRefused(f"The path is over {MAX_PATH} characters", kind="path")
        try:
            self._verify_by(webhook, secrets.secret, request)
        except SignatureRefused:
            live = secrets.previous and secrets.previous_until > self._clock().timestamp()
            if not (live and self._fits(webhook, secrets.previous, request)):
                raise  # what the present secret says of it counts

    def _fits(self, webhook: Webhook, secret: str, request: Request) -> bool:
        try:
            self._verify_by(webhook, secret, request)
        except SignatureRefused:
            return False
        return True

    def _verify_by(self, webhook: Webhook, secret: str, request: Request) -> None:
        if webhook.verification.get("type") == "jwt":
            self._tokens().verify(webhook.verification, secret, request.headers)
            return
        signatures.verify(
            webhook.verification,
            secret,
            request.headers,
            request.body,
            self._clock().timestamp(),
            request.query,
            request.source_ip,
        )

    def _accept(self, webhook: Webhook, request: Request) -> Receipt:
        moment = self._clock()
        event_id, earlier_id = _event_ids(webhook, request.headers, request.body, moment)
        shown_headers, shown_query = _without_secrets(webhook, request.headers, request.query)
        queued = QueuedDelivery(
            webhook_id=webhook.webhook_id,
            tenant=webhook.tenant,
            provider=webhook.provider,
            connection_name=webhook.connection,
            event_id=event_id,
            earlier_id=earlier_id,
            received_at=moment,
            headers=shown_headers,
            query=shown_query,
            body=request.body,
            shared=webhook.webhook_id in registry.shared_webhooks(),
            verification=str(webhook.verification.get("type", "none")),
            hops=self._lineage.hops_of(request.headers.get(_HOPS, "")),
            method=request.method,
            path=request.path,
        )
        self._events.send(queued.to_message())
        self._observe(
            "delivery",
            outcome="accepted",
            webhookId=webhook.webhook_id,
            eventId=event_id,
            tenant=webhook.tenant,
            provider=webhook.provider,
        )
        return Receipt(event_id)

    def challenge(self, webhook_id: str, query: Query) -> str:
        """The challenge to repeat, where mode and token are right.

        Args:
            webhook_id: From the path.
            query: ``mode``, ``token`` and ``challenge``, or WebSub's ``hub.`` names.

        Raises:
            ChallengeRefused: The mode is not ``subscribe``, the token is wrong, or there is no
                webhook with this id: a stranger cannot tell which.
            Undecided: Its token does not open.
        """
        began = self._monotonic()
        nothing = Request(headers={}, query={}, body=b"")
        given = {
            name: text_of(query, hub) or text_of(query, name)
            for name, hub in _CHALLENGE_NAMES.items()
        }
        try:
            webhook, secrets = self._find(webhook_id, nothing)
        except UnknownWebhook:
            self._observe("delivery", outcome="refused", reason="challenge")
            self._keep_pace(began)
            raise ChallengeRefused(CHALLENGE_REFUSED) from None
        refusal = None
        known = secrets.verify_token.encode()
        if given["mode"] != "subscribe":
            refusal = "mode must be 'subscribe'"
        elif not known or not hmac.compare_digest(
            given["token"].encode("utf-8", "surrogatepass"), known
        ):
            refusal = "The token is wrong"
        if refusal:
            self._tell_refusal(webhook, "challenge")
            self._record_refusal(webhook, f"A subscription challenge: {refusal}", nothing)
            self._keep_pace(began)
            raise ChallengeRefused(CHALLENGE_REFUSED)
        return given["challenge"]

    def _keep_pace(self, began: float) -> None:
        taken = self._monotonic() - began
        self._pause(REFUSAL_PACE - taken % REFUSAL_PACE)

    def _record_refusal(
        self,
        webhook: Webhook,
        reason: str,
        request: Request,
    ) -> None:
        """Write some of what is refused: anybody may send it, and a write for each has a price."""
        count = self._refused.take(webhook.webhook_id)
        if not count:
            return
        from integrations.storage.events import LoggedEvent, Payload

        shown_headers, shown_query = _without_secrets(webhook, request.headers, request.query)
        event = LoggedEvent(
            event_id=f"evt_{token_hex(16)}",
            tenant=webhook.tenant or self._platform_tenant,
            webhook_id=webhook.webhook_id,
            provider=webhook.provider,
            connection_name=webhook.connection,
            received_at=self._clock(),
            outcome="refused",
            reason=reason,
            size=len(request.body),
            verification={
                "type": webhook.verification.get("type", "none"),
                "verified": False,
                "reason": reason,
            },
            payload=Payload(
                headers=shown_headers,
                query=shown_query,
                body=request.body[:REFUSED_BYTES],
                body_truncated=len(request.body) > REFUSED_BYTES,
                method=request.method,
                path=request.path[:MAX_PATH],
            ),
        )
        try:
            if webhook.tenant:
                self._webhooks.record_rejections(webhook.webhook_id, reason, count)
            self._log().record(event)
        except AwsError as failure:  # whatever becomes of the record, it is refused
            _log.warning("a refusal was not recorded: %s", failure.detail)

    def _undecided(self, webhook: Webhook, kind: str, reason: str, request: Request) -> Undecided:
        self._tell_refusal(webhook, kind)
        self._record_refusal(webhook, reason, request)
        return Undecided(reason)

    def _find(self, webhook_id: str, request: Request) -> tuple[Webhook, WebhookSecrets]:
        shared = registry.shared_webhooks().get(webhook_id)
        if shared is None:
            try:
                return self._webhooks.receive(webhook_id)
            except EnvelopeBroken:
                webhook = self._webhooks.get(webhook_id)
                raise self._undecided(webhook, "unreadable", UNREADABLE, request) from None
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
    webhook: Webhook, headers: Mapping[str, str], query: Query
) -> tuple[dict[str, str], Query]:
    """What may be stored of a delivery's headers and query."""
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
        return f"evt_{token_hex(16)}"
    identity = f"{webhook_id}\n{delivery_id}".encode("utf-8", "surrogateescape")
    return f"evt_{hashlib.sha256(identity).hexdigest()[:32]}"
