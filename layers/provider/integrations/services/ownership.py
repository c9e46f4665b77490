"""Whose a page is: written when a provider says so, asked when an event comes.

Only where all tenants share a webhook: elsewhere the webhook itself says whose an event is.
"""

from integrations.models import Account
from integrations.providers import registry
from integrations.storage.connections import Connection
from integrations.storage.pages import Pages


class Ownership:
    """Keeps the record of which connection holds which page.

    Args:
        pages: The table.
    """

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def hold(self, connection: Connection, account: Account) -> None:
        """Write which pages a connection was just seen to hold.

        Args:
            connection: The connection.
            account: What the provider has just told of it.
        """
        inbound = registry.get(connection.provider).inbound
        if registry.shared_webhook_of(connection.provider) and inbound and inbound.targets:
            self._pages.hold(connection.tenant, connection.key, inbound.targets(account))

    def release(self, connection: Connection) -> None:
        """Write that a connection holds no page any more: its grant is gone."""
        if registry.shared_webhook_of(connection.provider):
            self._pages.release(connection.tenant, connection.key)
