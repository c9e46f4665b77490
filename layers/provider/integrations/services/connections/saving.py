"""Connections saved: validated, tested, sealed, with the webhook that they need."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pydantic import SecretStr

from integrations.errors import (
    ConnectionInUse,
    FieldError,
    InvalidInput,
    UnknownWebhook,
    VersionConflict,
    WebhookIdTaken,
)
from integrations.models import Json, now
from integrations.providers import registry
from integrations.providers.base import Credentials, Provider, Verified
from integrations.services.answers.connections import ConnectionAnswer
from integrations.services.connections.reading import ConnectionReader
from integrations.services.forms import credentials_of
from integrations.services.ownership import Ownership
from integrations.services.quotas import Quotas
from integrations.services.subscriptions import Subscriptions
from integrations.services.vault import Opened, Vault
from integrations.storage.connections import Connection, Connections
from integrations.storage.envelope import EnvelopeBroken
from integrations.storage.webhooks import Webhook, Webhooks, WebhookSecrets
from integrations.storage.workflows import Workflows

_LONGER_BYTES = 18
_LONGER_CHARS = 24
"""In base64: 144 bits, which nobody guesses."""


class ConnectionSaver:
    """Saves connections.

    Args:
        connections, webhooks, workflows: The tables.
        vault: The use of credentials.
        subscriptions: What providers are asked to send.
        ownership: Whose a page is.
        reader: Shows what was saved.
        quotas: How many connections a tenant may have.
        platform_tenant: Whoever runs the stack, who alone has short webhook ids; ``""`` where they
            are those of the first tenant that asks.
        clock: The present moment.
    """

    def __init__(
        self,
        connections: Connections,
        webhooks: Webhooks,
        workflows: Workflows,
        vault: Vault,
        subscriptions: Subscriptions,
        ownership: Ownership,
        reader: ConnectionReader,
        quotas: Quotas,
        *,
        platform_tenant: str,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._connections = connections
        self._webhooks = webhooks
        self._workflows = workflows
        self._vault = vault
        self._subscriptions = subscriptions
        self._ownership = ownership
        self._reader = reader
        self._quotas = quotas
        self._platform_tenant = platform_tenant
        self._clock = clock

    def save(
        self, tenant: str, provider_id: str, name: str, given: Mapping[str, Json]
    ) -> ConnectionAnswer:
        """Validate, test, then keep credentials. Nothing changes where any of that fails.

        Raises:
            UnknownProvider: There is none with this id.
            InvalidInput: The credentials are not of the provider's form.
            CredentialsRejected, ProviderError: The provider refuses them, or cannot be asked.
            WebhookIdTaken: The webhook's id belongs to somebody else.
            VersionConflict: Somebody saves the same connection at this moment.
            QuotaExceeded: The tenant has as many connections as it may.
        """
        provider = registry.get(provider_id)
        if provider.oauth:
            detail = (
                f"{provider_id} is connected by logging in: "
                f"POST /api/integrations/oauth/start/{provider_id}"
            )
            raise InvalidInput(detail, [FieldError("credentials", detail)])
        credentials = credentials_of(provider, given)
        verified = self._vault.ask(provider, credentials, provider.verify)
        return self.store(tenant, provider, name, credentials, verified)

    def store(
        self,
        tenant: str,
        provider: Provider,
        name: str,
        credentials: Credentials,
        verified: Verified[Any],
    ) -> ConnectionAnswer:
        """Keep credentials that were just tested, with the webhook that they need.

        A new webhook's record comes first, so that its id is ours: where the process dies in
        between it waits, harmless, for the same connection to be saved again. That of a webhook in
        use comes after the connection, so that a save that fails leaves its deliveries verified as
        before.
        """
        earlier = self._connections.find(tenant, provider.id, name)
        if earlier is None:
            self._quotas.check_connections(partial(self._connections.count, tenant))
        credentials = verified.credentials or credentials
        webhook, its_secrets = self._webhook(tenant, provider, name, credentials, earlier)
        in_use = bool(webhook and earlier and webhook.webhook_id == earlier.webhook_id)
        if earlier and not in_use:
            self._check_unused(earlier)
        if webhook and not in_use:
            webhook = self._claim(webhook, its_secrets)
        moment = self._clock()
        connection = Connection(
            tenant=tenant,
            provider=provider.id,
            name=name,
            account=verified.account,
            connected_at=earlier.connected_at if earlier else moment,
            updated_at=moment,
            granted_at=moment,
            last_tested=moment,
            expires_at=verified.expires_at,
            webhook_id=webhook.webhook_id if webhook else None,
            subscribed=earlier.subscribed if earlier else None,
            pauses=earlier.pauses if earlier else {},  # which end with the earlier credentials
        )
        opened = Opened(provider, credentials, connection)
        try:
            written = self._vault.save(
                connection,
                opened,
                replaces=earlier.version if earlier else None,
                is_new_grant=True,
            )
        except VersionConflict:
            if webhook and not in_use:
                self._give_way(provider, webhook)
            raise
        if webhook and in_use:
            self._webhooks.save(webhook, its_secrets)
            present = self._connections.find(tenant, provider.id, name)
            if present is None or present.version != written.version:
                self._give_way(provider, webhook)
        if earlier and earlier.account.id != written.account.id:
            self._subscriptions.leave(earlier)
        if earlier and earlier.webhook_id not in (None, written.webhook_id):
            self._webhooks.release_of(earlier)
        self._ownership.hold(written, written.account)
        # The credentials are good and stored, whatever the provider says to that.
        self._subscriptions.synchronize(tenant, provider.id, name)
        return self._reader.answer(written, webhook)

    def _webhook(
        self,
        tenant: str,
        provider: Provider,
        name: str,
        credentials: Credentials,
        earlier: Connection | None,
    ) -> tuple[Webhook | None, WebhookSecrets]:
        """The webhook that a connection needs; what a provider leaves open stays as it was."""
        if provider.inbound is None or provider.inbound.endpoint is None:
            return None, WebhookSecrets("", "")
        endpoint = provider.inbound.endpoint(credentials)
        earlier_id = earlier.webhook_id if earlier else None
        wanted = self._id_for(tenant, endpoint.webhook_id, earlier_id)
        replaced = WebhookSecrets("", "")
        if earlier_id and wanted in (None, earlier_id):
            try:
                replaced = self._webhooks.secrets(self._webhooks.get(earlier_id, consistent=True))
            except UnknownWebhook:
                earlier_id = None
            except EnvelopeBroken:
                replaced = WebhookSecrets("", "")  # what cannot be read is replaced
        webhook = Webhook(
            webhook_id=wanted or earlier_id or secrets.token_urlsafe(24),
            tenant=tenant,
            provider=provider.id,
            connection=name,
            verification=endpoint.verification,
            methods=endpoint.methods,
        )
        # An earlier version of this backend took the secret for the token, too.
        earlier_token = replaced.verify_token if replaced.verify_token != replaced.secret else ""
        return webhook, WebhookSecrets(
            _secret(endpoint.secret) or replaced.secret or secrets.token_urlsafe(32),
            _secret(endpoint.verify_token) or earlier_token or secrets.token_urlsafe(32),
            _secret(endpoint.previous),
            (self._clock() + timedelta(hours=endpoint.previous_hours)).timestamp(),
        )

    def _id_for(self, tenant: str, short: str | None, earlier_id: str | None) -> str | None:
        """The webhook's id for a short one that somebody asks for.

        A short id would tell each tenant which ids the others have, and could be taken before its
        owner comes. So one tenant alone has them: ``PlatformTenant``, or where the stack names
        none, the first tenant that asks. Each other one always gets a longer id, whether the short
        one is used or not.
        """
        if short is None:
            return None
        if earlier_id and (earlier_id == short or _is_longer(earlier_id, short)):
            return earlier_id
        if self._platform_tenant:
            is_owner = tenant == self._platform_tenant
        else:
            is_owner = self._webhooks.has_short_ids(tenant)
        return short if is_owner else _longer(short)

    def _claim(self, webhook: Webhook, its_secrets: WebhookSecrets) -> Webhook:
        """Save a new webhook; where its id is another tenant's, under a longer one.

        Raises:
            WebhookIdTaken: Another connection of the same tenant holds the id.
        """
        try:
            self._webhooks.save(webhook, its_secrets)
        except WebhookIdTaken:
            if self._webhooks.is_of(webhook.tenant, webhook.webhook_id):
                raise
            webhook = webhook._replace(webhook_id=_longer(webhook.webhook_id))
            self._webhooks.save(webhook, its_secrets)
        return webhook

    def _check_unused(self, earlier: Connection) -> None:
        """An id that workflows wait for cannot be let go: what is sent there would be lost.

        Raises:
            ConnectionInUse: Workflows name it.
        """
        if not earlier.webhook_id:
            return
        users = [
            each
            for each in self._workflows.of_tenant(earlier.tenant)
            if (each.trigger_key or "").startswith(f"{earlier.webhook_id}#")
        ]
        if users:
            names = ", ".join(f"{each.name!r} ({each.workflow_id})" for each in users[:10])
            detail = (
                f"{len(users)} workflow(s) wait for the webhook {earlier.webhook_id!r}: {names}. "
                "Change them first, or keep the id."
            )
            raise ConnectionInUse(detail)

    def _give_way(self, provider: Provider, webhook: Webhook) -> None:
        """Leave a webhook as the other save wants it; let it go where nobody has it any more."""
        winner = self._connections.find(webhook.tenant, provider.id, webhook.connection)
        if winner is None or winner.webhook_id != webhook.webhook_id:
            self._webhooks.release(webhook)
            return
        stored = self._vault.opened(provider, winner).credentials
        its_webhook, its_secrets = self._webhook(
            winner.tenant, provider, winner.name, stored, winner
        )
        if its_webhook:
            self._webhooks.save(its_webhook, its_secrets)


def _longer(short: str) -> str:
    return f"{short}-{secrets.token_urlsafe(_LONGER_BYTES)}"


def _is_longer(webhook_id: str, short: str) -> bool:
    """Whether an id is one that ``_longer`` made of a short one."""
    return len(webhook_id) == len(short) + 1 + _LONGER_CHARS and webhook_id.startswith(f"{short}-")


def _secret(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""
