"""Connections removed: revoked at the provider where it can, then forgotten."""

import time
from collections.abc import Callable

from integrations.errors import (
    ConnectionInUse,
    IntegrationError,
    RateLimited,
    UnknownWebhook,
    VersionConflict,
)
from integrations.providers import registry
from integrations.providers.base import Provider
from integrations.services.answers.connections import DeletedAnswer
from integrations.services.ownership import Ownership
from integrations.services.subscriptions import Subscriptions
from integrations.services.telling import told
from integrations.services.vault import Vault
from integrations.storage.connections import Connection, Connections
from integrations.storage.webhooks import Webhook, Webhooks
from integrations.storage.workflows import Workflows

PATIENCE = 5.0
"""Seconds that whoever removes a connection waits where its provider asks for patience: some
take one change of a webhook a second, and nobody would be left to ask again."""


class ConnectionRemover:
    """Removes connections.

    Args:
        connections, webhooks, workflows: The tables.
        vault: The use of credentials.
        subscriptions: What providers are asked to send.
        ownership: Whose a page is.
        pause: Waits so many seconds.
    """

    def __init__(
        self,
        connections: Connections,
        webhooks: Webhooks,
        workflows: Workflows,
        vault: Vault,
        subscriptions: Subscriptions,
        ownership: Ownership,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connections = connections
        self._webhooks = webhooks
        self._workflows = workflows
        self._vault = vault
        self._subscriptions = subscriptions
        self._ownership = ownership
        self._pause = pause

    def remove(self, tenant: str, provider_id: str, name: str) -> DeletedAnswer:
        """Revoke the credentials where the provider can, then forget them.

        A provider that cannot be reached does not keep the tenant from leaving it: the answer says
        that nothing was revoked, and why.

        Raises:
            UnknownProvider, UnknownConnection: There is none.
            ConnectionInUse: Workflows use it; the detail names them.
            VersionConflict: Somebody changes it at this moment.
        """
        provider = registry.get(provider_id)
        connection = self._connections.get_sealed(tenant, provider_id, name)
        self._check_unused(connection)
        while True:
            revoked, message = self._revoke(provider, connection)
            if self._forget(connection):
                return DeletedAnswer(revoked=revoked, message=message)
            connection = self._refreshed(connection)

    def _check_unused(self, connection: Connection) -> None:
        users = [
            workflow
            for workflow in self._workflows.of_tenant(connection.tenant)
            if connection.key in workflow.uses
        ]
        if users:
            names = ", ".join(f"{each.name!r} ({each.workflow_id})" for each in users[:10])
            detail = f"{len(users)} workflow(s) use this connection: {names}. Change them first."
            raise ConnectionInUse(detail)

    def _forget(self, connection: Connection) -> bool:
        """Remove what leads to a connection, then its record; false where that has changed.

        The record goes last: whoever asks again after a process that died here finds it, and with
        it the id of its webhook. The webhook is let go as it was while the connection was this one:
        somebody who connects anew writes another one over it, which stays.
        """
        tenant, provider_id, name = connection.tenant, connection.provider, connection.name
        webhook = self._webhook(connection)
        if self._connections.get_sealed(tenant, provider_id, name).version != connection.version:
            return False
        if webhook and not self._webhooks.release(webhook):
            raise _changed(connection)
        self._ownership.forget(connection)
        if not self._connections.delete(connection):
            return False
        self._ownership.forget(connection)  # once more: a check may have ended in between
        return True

    def _webhook(self, connection: Connection) -> Webhook | None:
        """Its webhook as it is now; ``None`` where it has none, or none any more."""
        try:
            found = self._webhooks.get(connection.webhook_id or "", consistent=True)
        except UnknownWebhook:
            return None
        owner = (found.tenant, found.provider, found.connection)
        return found if owner == (connection.tenant, connection.provider, connection.name) else None

    def _refreshed(self, removed: Connection) -> Connection:
        """The connection as somebody has written it in between, where he only refreshed it.

        Raises:
            UnknownConnection: Somebody else has removed it.
            VersionConflict: Somebody has connected it anew: that is not what was to be removed.
        """
        present = self._connections.get_sealed(removed.tenant, removed.provider, removed.name)
        if present.granted_at != removed.granted_at:
            self._ownership.hold(present, present.account)
            raise _changed(removed)
        return present

    def _revoke(self, provider: Provider, connection: Connection) -> tuple[bool | None, str | None]:
        failures = []
        try:
            self._stop(connection)
        except IntegrationError as failure:
            failures.append(failure)
        if provider.revoke and (sharing := self._sharing(connection)):
            # What a log-in granted is one grant of the account, however often it logs in.
            return False, f"Removed here; not revoked, as {sharing} uses the same account"
        if provider.revoke:
            try:
                credentials = self._vault.opened(provider, connection).credentials
                self._vault.ask(provider, credentials, provider.revoke)
            except IntegrationError as failure:
                failures.append(failure)
            else:
                return True, None  # and nothing is sent without a grant
        if failures:
            reason = told(failures[-1]).detail
            return False, f"Removed here, but not revoked at the provider: {reason}"
        return None, None

    def _stop(self, connection: Connection) -> None:
        """Let the provider send nothing more; one that asks for a moment gets it, once."""
        try:
            self._subscriptions.stop(connection)
        except RateLimited as limited:
            if limited.retry_after is None or limited.retry_after > PATIENCE:
                raise
            self._pause(limited.retry_after)
            self._subscriptions.stop(connection)

    def _sharing(self, connection: Connection) -> str | None:
        """The name of another connection of the tenant that a revocation would end too."""
        others = self._connections.of_tenant(connection.tenant, connection.provider)
        return next(
            (
                other.name
                for other in others
                if other.name != connection.name and other.account.id == connection.account.id
            ),
            None,
        )


def _changed(connection: Connection) -> VersionConflict:
    detail = f"{connection.label} was connected anew at the same moment; read it again"
    return VersionConflict(detail)
