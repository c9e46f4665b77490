"""Connections, as the API shows them."""

from collections.abc import Callable
from datetime import datetime
from typing import cast

from integrations.errors import UnknownWebhook
from integrations.models import DEFAULT_CONNECTION, ConnectionStatus, now
from integrations.providers import registry
from integrations.services.answers import (
    AccountAnswer,
    ConnectionAnswer,
    ErrorAnswer,
    RejectionAnswer,
    StatusAnswer,
    WebhookAnswer,
)
from integrations.storage.connections import Connection, Connections
from integrations.storage.webhooks import Webhook, Webhooks


class ConnectionReader:
    """Reads connections' metadata.

    Args:
        connections, webhooks: The tables.
        public_url: Where this backend answers, without a trailing slash.
        clock: The present moment.
    """

    def __init__(
        self,
        connections: Connections,
        webhooks: Webhooks,
        *,
        public_url: str,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._connections = connections
        self._webhooks = webhooks
        self._public_url = public_url
        self._clock = clock

    def status(self, tenant: str) -> dict[str, StatusAnswer]:
        """The state of every provider, those without a connection included. One query."""
        found: dict[str, list[Connection]] = {name: [] for name in registry.PROVIDER_IDS}
        for connection in self._connections.of_tenant(tenant):
            found.setdefault(connection.provider, []).append(connection)
        return {name: self._provider_status(each) for name, each in found.items()}

    def metadata(self, tenant: str, provider_id: str, name: str) -> ConnectionAnswer:
        """A connection's metadata with its webhook, rejected deliveries included.

        Raises:
            UnknownProvider, UnknownConnection: There is none.
        """
        known(provider_id)
        connection = self._connections.get(tenant, provider_id, name)
        webhook = None
        if connection.webhook_id:
            try:
                webhook = self._webhooks.get(connection.webhook_id)
            except UnknownWebhook:
                webhook = None
        return self.answer(connection, webhook)

    def _provider_status(self, found: list[Connection]) -> StatusAnswer:
        if not found:
            return StatusAnswer(status="disconnected")
        answers = [self.answer(connection) for connection in found]
        first = next(
            (each for each in answers if each.connection == DEFAULT_CONNECTION), answers[0]
        )
        return StatusAnswer(
            status=first.status,
            account=first.account,
            connected_at=first.connected_at,
            expires_at=first.expires_at,
            last_tested=first.last_tested,
            last_error=first.last_error,
            connections=answers,
        )

    def answer(self, connection: Connection, webhook: Webhook | None = None) -> ConnectionAnswer:
        """A connection as the API shows it, with its webhook where that is given."""
        error = connection.last_error
        return ConnectionAnswer(
            provider=connection.provider,
            connection=connection.name,
            status=self.state(connection),
            account=AccountAnswer(
                id=connection.account.id,
                label=connection.account.label,
                details=dict(connection.account.details),
            ),
            connected_at=connection.connected_at,
            updated_at=connection.updated_at,
            expires_at=connection.expires_at,
            last_tested=connection.last_tested,
            last_error=ErrorAnswer(code=error.code, message=error.message, at=error.at)
            if error
            else None,
            webhook=self._webhook_answer(connection, webhook),
        )

    def _webhook_answer(
        self, connection: Connection, webhook: Webhook | None
    ) -> WebhookAnswer | None:
        if not connection.webhook_id:
            return None
        url = f"{self._public_url}/api/webhooks/{connection.webhook_id}"
        if webhook is None:
            return WebhookAnswer(id=connection.webhook_id, url=url)
        return WebhookAnswer(
            id=webhook.webhook_id,
            url=url,
            verification=dict(webhook.verification),
            rejected=webhook.rejected,
            last_rejection=_note(webhook.last_rejection),
            last_failure=_note(webhook.last_failure),
            received=webhook.received,
            last_received=webhook.last_received,
        )

    def state(self, connection: Connection) -> ConnectionStatus:
        """The state of a connection at this moment."""
        expired = connection.expires_at is not None and connection.expires_at <= self._clock()
        if (
            connection.status == "connected"
            and expired
            and not registry.is_refreshable(connection.provider)
        ):
            return "expired"
        return cast("ConnectionStatus", connection.status)


def known(provider_id: str) -> None:
    """Make sure that there is such a provider, without loading it.

    Raises:
        UnknownProvider: There is none.
    """
    registry.family_of(provider_id)


def _note(note: tuple[datetime, str] | None) -> RejectionAnswer | None:
    return RejectionAnswer(at=note[0], reason=note[1]) if note else None
