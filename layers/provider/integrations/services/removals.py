"""Grants and data that somebody takes back at the provider: told by it, carried out here.

Whose connections those are, the Pages table knows: a connection of a provider that tells of such
things holds its own account there, beside its pages.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from integrations.errors import NeedsReauthentication, NotFound, UnknownDeletion
from integrations.providers import registry
from integrations.providers.base import OAuth, OAuthApp, Provider, Removal
from integrations.services.ownership import Ownership, account_target
from integrations.services.vault import Vault
from integrations.storage.connections import Connection, Connections
from integrations.storage.pages import PageHolder, Pages

_TIME, _ACCOUNT, _PROOF = 8, 8, 16
"""How many characters of a confirmation code say when, whose, and that it is ours."""


class Deletion(NamedTuple):
    """A deletion that is done.

    Attributes:
        code: What confirms it, of letters and digits; the same for each telling of one request.
        url: Where a person sees what became of it.
        tenants: Whose connections it ended.
    """

    code: str
    url: str
    tenants: tuple[str, ...]


class Removals:
    """Ends what somebody takes back.

    Args:
        connections: The table.
        pages: Which connections an account has.
        ownership: Whose a page is.
        vault: The stack's apps.
        public_url: Where this backend answers.
    """

    def __init__(
        self,
        connections: Connections,
        pages: Pages,
        ownership: Ownership,
        vault: Vault,
        *,
        public_url: str,
    ) -> None:
        self._connections = connections
        self._pages = pages
        self._ownership = ownership
        self._vault = vault
        self._public_url = public_url

    def deauthorize(self, provider_id: str, form: Mapping[str, str]) -> tuple[str, ...]:
        """Somebody has removed the app at the provider: its tokens are dead, a log-in repairs it.

        Args:
            provider_id: Who tells.
            form: What it posted.

        Returns:
            The tenants whose connections need a log-in now. Telling it again changes nothing, nor
            does a telling that is older than the connection's credentials.

        Raises:
            UnknownProvider, NotFound: No such provider tells of such things.
            ProviderNotConfigured: The stack has no app there.
            SignatureRefused, InvalidInput: It is not what the provider sends.
        """
        provider, _, removal = self._verified(provider_id, form)
        return tuple(
            holder.tenant
            for holder, connection in self._of(provider, removal)
            if connection and self._end(provider, holder, connection, removal)
        )

    def delete(self, provider_id: str, form: Mapping[str, str]) -> Deletion:
        """Somebody wants their data gone: their connections are removed, whoever uses them.

        The answer comes when it is done. Raises as ``deauthorize`` does.
        """
        provider, app, removal = self._verified(provider_id, form)
        tenants = []
        for holder, connection in self._of(provider, removal):
            if self._forget(provider, holder, connection, removal):
                tenants.append(holder.tenant)
        code = _code(app, provider_id, removal)
        path = f"/api/integrations/oauth/delete/{provider_id}/{code}"
        return Deletion(code=code, url=f"{self._public_url}{path}", tenants=tuple(tenants))

    def deletion(self, provider_id: str, code: str) -> tuple[Provider, datetime]:
        """The provider, and when the deletion with this code was asked for.

        Raises:
            UnknownProvider, UnknownDeletion: There is none.
            ProviderNotConfigured: The stack has no app there.
        """
        provider, _ = self._teller(provider_id)
        app = self._vault.app(provider)
        stem, proof = code[: _TIME + _ACCOUNT], code[_TIME + _ACCOUNT :]
        if not hmac.compare_digest(proof.encode(), _proof(app, provider_id, stem).encode()):
            raise UnknownDeletion("There is no deletion with this confirmation code")
        return provider, datetime.fromtimestamp(int(stem[:_TIME], 16), UTC)

    # -- within ----------------------------------------------------------------------------------

    @staticmethod
    def _teller(provider_id: str) -> tuple[Provider, OAuth]:
        provider = registry.get(provider_id)
        if provider.oauth is None or provider.oauth.removal is None:
            raise NotFound(f"{provider_id} does not report what is removed")
        return provider, provider.oauth

    def _verified(
        self, provider_id: str, form: Mapping[str, str]
    ) -> tuple[Provider, OAuthApp, Removal]:
        provider, oauth = self._teller(provider_id)
        app = self._vault.app(provider)
        assert oauth.removal is not None
        return provider, app, oauth.removal(app, form)

    def _of(
        self, provider: Provider, removal: Removal
    ) -> Iterator[tuple[PageHolder, Connection | None]]:
        """The account's connections; ``None`` for one that is gone.

        Credentials of a log-in after the removal are left alone.
        """
        for holder in self._pages.holders(provider.id, account_target(removal.account_id)):
            connection = self._find(provider, holder)
            if connection is None or not _is_newer(connection, removal):
                yield holder, connection

    def _end(
        self, provider: Provider, holder: PageHolder, connection: Connection, removal: Removal
    ) -> bool:
        """Keep that a connection needs a log-in; false where somebody logs in meanwhile."""
        found: Connection | None = connection
        code = NeedsReauthentication.code
        detail = f"The app was removed from the account at {provider.title}; log in again"
        while found and not self._connections.record_error(
            found, code, detail, status="needs_reauth"
        ):
            found = self._find(provider, holder)  # it was refreshed in between
            if found and _is_newer(found, removal):
                return False
        if found:
            self._ownership.release(found)
        return found is not None

    def _forget(
        self,
        provider: Provider,
        holder: PageHolder,
        connection: Connection | None,
        removal: Removal,
    ) -> bool:
        """Remove a connection and what leads to it; false where somebody logs in meanwhile."""
        found = connection
        # The record first: as long as it is there, the account can be found again.
        while found and not self._connections.delete(found):
            found = self._find(provider, holder)  # it was refreshed in between
            if found and _is_newer(found, removal):
                return False
        if connection:
            self._ownership.forget(connection)
        else:
            self._pages.release(holder.tenant, holder.connection_key)
        return True

    def _find(self, provider: Provider, holder: PageHolder) -> Connection | None:
        name = holder.connection_key.partition("#")[2]
        return self._connections.find(holder.tenant, provider.id, name)


def _is_newer(connection: Connection, removal: Removal) -> bool:
    """Whether somebody logged in after they had removed something."""
    granted = connection.granted_at or connection.updated_at
    return int(granted.timestamp()) > int(removal.at.timestamp())


def _code(app: OAuthApp, provider_id: str, removal: Removal) -> str:
    account = _mac(app, f"account {provider_id} {removal.account_id}")[:_ACCOUNT]
    stem = f"{int(removal.at.timestamp()):0{_TIME}x}{account}"
    return stem + _proof(app, provider_id, stem)


def _proof(app: OAuthApp, provider_id: str, stem: str) -> str:
    return _mac(app, f"deletion {provider_id} {stem}")[:_PROOF]


def _mac(app: OAuthApp, text: str) -> str:
    secret = app.client_secret.get_secret_value().encode()
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
