"""Webhooks: takes in what any system posts, and posts to any URL, signed by Standard Webhooks.

https://www.standardwebhooks.com/

The credentials are in ``credentials``, the request and its answer in ``api``, the action in
``actions``, deliveries in ``events`` and their bodies in ``bodies``.
"""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from integrations.models import Account, Json
from integrations.providers.base import (
    Call,
    Endpoint,
    Inbound,
    Params,
    Provider,
    Trigger,
    Verified,
)
from integrations.providers.webhook.credentials import WebhookCredentials
from integrations.providers.webhook.events import matches, normalize


class WebhookFilters(Params):
    """Which deliveries start a workflow."""

    content_type: Annotated[
        str | None,
        Field(description="Only bodies of this media type, e.g. application/json."),
    ] = None


def verify(call: Call[WebhookCredentials]) -> Verified[WebhookCredentials]:
    """Check the settings, and that the outbound URL leads to a public address.

    Nothing is requested: whatever the URL is, a request to it could set something off.

    Raises:
        AddressRefused: The guard refuses the outbound URL.
        ProviderUnavailable: Its host does not resolve.
    """
    credentials = call.credentials
    details: dict[str, Json] = {"verification": dict(credentials.rule)}
    webhook_id = credentials.webhook_id
    message = f"Ready to receive at webhook {webhook_id}" if webhook_id else "Ready to receive"
    if credentials.rule["type"] == "none":
        message += ", from anyone who knows its URL,"
    if credentials.outbound_url:
        from integrations.outbound import guard

        host = guard.check_url(credentials.outbound_url, allow_loopback=call.allow_loopback).host
        details["outboundHost"] = host
        message += f" and to send to {host}"
    parts = urlsplit(credentials.url or "")
    label = f"{parts.hostname}{parts.path}" if credentials.url else "Webhook"
    account = Account(id=webhook_id or "webhook", label=label, details=details)
    return Verified(account=account, message=message)


def _endpoint(credentials: WebhookCredentials) -> Endpoint:
    return Endpoint(
        webhook_id=credentials.webhook_id,
        verification=credentials.rule,
        secret=credentials.inbound_secret,
        verify_token=credentials.verify_token,
        methods=tuple(dict.fromkeys(credentials.methods)),
        previous=credentials.previous_secret,
        previous_hours=credentials.previous_secret_hours,
    )


PROVIDER = Provider(
    id="webhook",
    title="Webhook",
    docs_url="https://www.standardwebhooks.com/",
    credentials=WebhookCredentials,
    verify=verify,
    actions_in=("integrations.providers.webhook.actions",),
    triggers=(
        Trigger(
            type="webhook",
            title="A webhook was called",
            filters=WebhookFilters,
            matches=matches,
            example={
                "body": {"order": {"id": 42, "total": "19.90"}},
                "contentType": "application/json",
                "headers": {"content-type": "application/json", "user-agent": "Shop/2.1"},
                "query": {},
                "method": "POST",
                "path": "",
                "receivedAt": "2026-11-22T12:00:00.000Z",
                "eventId": "evt_5a1f0c2e9b7d4c38a6e0d1f2b3c4d5e6",
                "webhookId": "orders",
            },
        ),
    ),
    inbound=Inbound(
        endpoint=_endpoint,
        normalize=normalize,
        targets=lambda account: {account.id: account.label},
    ),
)
