"""Whose a page is: written when a provider says so, asked when an event comes.

Only where all tenants share a webhook: elsewhere the webhook itself says whose an event is.
"""

from collections.abc import Set as AbstractSet

from integrations.models import Account
from integrations.providers import registry
from integrations.storage.connections import Connection, Connections
from integrations.storage.pages import Pages


class Ownership:
    """Keeps the record of which connection holds which page.

    A connection's own record says what is so, and may change while its pages are written. So
    whoever has written pages looks at it afterwards: whoever comes last sees the others' changes.

    Args:
        pages: The table.
        connections: Where it is looked what has changed in between.
    """

    def __init__(self, pages: Pages, connections: Connections) -> None:
        self._pages = pages
        self._connections = connections

    def hold(self, connection: Connection, account: Account) -> None:
        """Write which pages a connection was just seen to hold.

        Args:
            connection: The connection, as it is stored by now.
            account: What the provider has just answered about it.
        """
        if registry.shared_webhook_of(connection.provider):
            self._write(connection, _targets(connection, account))

    def release(self, connection: Connection) -> None:
        """Write that a connection holds no page any more: its grant is gone.

        It still is its account's, who may want it deleted.
        """
        if registry.shared_webhook_of(connection.provider):
            self._write(connection, _targets(connection, connection.account) & _own(connection))

    def forget(self, connection: Connection) -> None:
        """Write that there is no such connection any more, or will be none in a moment."""
        if registry.shared_webhook_of(connection.provider):
            gone = _targets(connection, connection.account)
            self._write(connection, frozenset(), gone=gone)

    def _write(
        self,
        connection: Connection,
        targets: AbstractSet[str],
        *,
        gone: AbstractSet[str] = frozenset(),
    ) -> None:
        tenant, key, version = connection.tenant, connection.key, connection.version
        while True:
            self._pages.hold(tenant, key, targets, gone=gone)
            present = self._connections.find(tenant, connection.provider, connection.name)
            wanted: AbstractSet[str] = targets
            if present is None:
                wanted = frozenset()
            elif present.version != version:
                version = present.version
                wanted = _targets(present, present.account)
            if present and present.status == "needs_reauth":
                wanted &= _own(present)
            if wanted == targets:
                return
            targets, gone = wanted, targets - wanted


def _targets(connection: Connection, account: Account) -> frozenset[str]:
    """What a connection holds: its pages, and its account where the provider tells of that."""
    provider = registry.get(connection.provider)
    targets = provider.inbound.targets if provider.inbound else None
    found = frozenset(targets(account)) if targets else frozenset()
    if provider.oauth and provider.oauth.removal:
        found |= {account_target(account.id)}
    return found


def _own(connection: Connection) -> frozenset[str]:
    return frozenset({account_target(connection.account.id)})


def account_target(account_id: str) -> str:
    """What stands for an account among pages; no page is called so."""
    return f"@{account_id}"
