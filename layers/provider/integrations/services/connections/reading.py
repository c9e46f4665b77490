"""Connections, as the API shows them."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime

from integrations.errors import FieldError, InvalidInput, UnknownConnection, UnknownWebhook
from integrations.models import DEFAULT_CONNECTION, now
from integrations.providers import registry
from integrations.services import states
from integrations.services.answers.connections import (
    AccountAnswer,
    ConnectionAnswer,
    ErrorAnswer,
    RejectionAnswer,
    StatusAnswer,
    WebhookAnswer,
)
from integrations.storage.connections import Connection, Connections
from integrations.storage.webhooks import Webhook, Webhooks

SHOWN = 50
"""Connections of one provider that are shown at once."""

OVERVIEW = 20
"""The most of each provider in a status of all of them, where they have more than ``SHOWN``
together: nobody reads such a page to its end, and each line of it is read and written."""

type _Page = tuple[list[Connection], str | None]


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

    def status(
        self,
        tenant: str,
        provider_id: str | None = None,
        limit: int = SHOWN,
        next_token: str | None = None,
    ) -> dict[str, StatusAnswer]:
        """The state of every provider, those without a connection included.

        One query where a tenant has not more than ``SHOWN`` connections in all; else one for each
        provider, so that thousands of connections cost no more than a page of each.

        Args:
            tenant: Whose.
            provider_id: Of this provider alone; ``None`` for all.
            limit: How many connections of a provider are shown at most; of all providers, with many
                connections, never more than ``OVERVIEW`` each.
            next_token: Where that provider's last page ended.

        Raises:
            UnknownProvider: There is no such provider.
            InvalidInput: ``next_token`` is not one of this list, or no provider is named with it.
        """
        if provider_id:
            known(provider_id)
            pages = {provider_id: self._connections.page(tenant, provider_id, limit, next_token)}
        elif next_token:
            detail = "Name the provider whose list goes on"
            raise InvalidInput(detail, [FieldError("provider", detail, "required")])
        else:
            pages = self._pages(tenant, limit)
        shown = [each for page, _ in pages.values() for each in page]
        speaking = {name: self._speaking(tenant, name, *page) for name, page in pages.items()}
        hooks = {each.webhook_id for each in shown if each.webhook_id}
        webhooks = self._webhooks.of(tenant, sorted(hooks)) if hooks else {}
        return {
            name: self._provider_status(speaking[name], page, token, webhooks)
            for name, (page, token) in pages.items()
        }

    def _pages(self, tenant: str, limit: int) -> dict[str, _Page]:
        """The first page of each provider."""
        found, more = self._connections.page(tenant, None, SHOWN)
        if more or limit < len(found):
            each = min(limit, OVERVIEW)
            return {
                name: self._connections.page(tenant, name, each) for name in registry.PROVIDER_IDS
            }
        pages: dict[str, _Page] = {name: ([], None) for name in registry.PROVIDER_IDS}
        for connection in found:
            pages.setdefault(connection.provider, ([], None))[0].append(connection)
        return pages

    def _speaking(
        self, tenant: str, provider_id: str, page: list[Connection], more: str | None
    ) -> Connection | None:
        """The connection whose state is the provider's: the default one, else the first."""
        default = next((each for each in page if each.name == DEFAULT_CONNECTION), None)
        if default is None and more:
            with suppress(UnknownConnection):
                default = self._connections.get(tenant, provider_id, DEFAULT_CONNECTION)
        return default or next(iter(page), None)

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
                webhook = self._webhooks.get(connection.webhook_id, consistent=True)
            except UnknownWebhook:
                webhook = None
        return self.answer(connection, webhook)

    def _provider_status(
        self,
        speaking: Connection | None,
        page: list[Connection],
        more: str | None,
        webhooks: Mapping[str, Webhook],
    ) -> StatusAnswer:
        if speaking is None:
            return StatusAnswer(status="disconnected")
        first = self.answer(speaking)
        return StatusAnswer(
            status=first.status,
            account=first.account,
            connected_at=first.connected_at,
            expires_at=first.expires_at,
            last_tested=first.last_tested,
            last_error=first.last_error,
            connections=[self.answer(each, webhooks.get(each.webhook_id or "")) for each in page],
            next_token=more,
        )

    def answer(self, connection: Connection, webhook: Webhook | None = None) -> ConnectionAnswer:
        """A connection as the API shows it, with its webhook where that is given."""
        error = connection.last_error
        return ConnectionAnswer(
            provider=connection.provider,
            connection=connection.name,
            status=states.shown(connection, self._clock()),
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


def known(provider_id: str) -> None:
    """Make sure that there is such a provider, without loading it.

    Raises:
        UnknownProvider: There is none.
    """
    registry.family_of(provider_id)


def _note(note: tuple[datetime, str] | None) -> RejectionAnswer | None:
    return RejectionAnswer(at=note[0], reason=note[1]) if note else None
