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
            account: What the provider has just answered about it.
        """
        targets = self._targets(connection, account)
        if targets is not None:
            self._pages.hold(connection.tenant, connection.key, targets)

    def release(self, connection: Connection) -> None:
        """Write that a connection holds no page any more: its grant is gone.

        It still is its account's, who may want it deleted.
        """
        targets = self._targets(connection, connection.account)
        if targets is not None:
            own = {account_target(connection.account.id)} & targets
            self._pages.hold(connection.tenant, connection.key, own)

    def forget(self, connection: Connection) -> None:
        """Write that there is no such connection any more."""
        if registry.shared_webhook_of(connection.provider):
            self._pages.release(connection.tenant, connection.key)

    @staticmethod
    def _targets(connection: Connection, account: Account) -> set[str] | None:
        """What a connection holds: its pages, and its account where the provider tells of that."""
        if not registry.shared_webhook_of(connection.provider):
            return None
        provider = registry.get(connection.provider)
        targets = provider.inbound.targets if provider.inbound else None
        found = set(targets(account)) if targets else set()
        if provider.oauth and provider.oauth.removal:
            found.add(account_target(account.id))
        return found


def account_target(account_id: str) -> str:
    """What stands for an account among pages; no page is called so."""
    return f"@{account_id}"
