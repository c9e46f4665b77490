"""The use of stored credentials: opened, refreshed by one caller at a time, with their state."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import SecretStr, ValidationError

from integrations.errors import (
    ConnectionPaused,
    CredentialsRejected,
    CredentialsUnreadable,
    IntegrationError,
    NeedsReauthentication,
    ProviderError,
    ProviderNotConfigured,
    ProviderUnavailable,
    RateLimited,
    UnknownConnection,
    VersionConflict,
)
from integrations.models import DEFAULT_CONNECTION, Json, now
from integrations.outbound.http import Http
from integrations.providers import registry
from integrations.providers.base import (
    Action,
    Addresses,
    Call,
    Credentials,
    FileStore,
    OAuthApp,
    Params,
    Provider,
)
from integrations.providers.masking import Masking
from integrations.services import states
from integrations.services.lineage import Lineage
from integrations.services.observing import Observe, nobody
from integrations.services.quotas import Quotas
from integrations.services.secrecy import masked, secrets_of
from integrations.storage.app_secret import AppSecret
from integrations.storage.connections import Connection, Connections
from integrations.storage.envelope import EnvelopeBroken

if TYPE_CHECKING:
    from integrations.outbound.conversations import Conversations

REFRESH_BEFORE = timedelta(minutes=5)
"""A token that lives no longer than this is refreshed before it is used."""

LEASE = timedelta(seconds=75)
"""Longer than a token endpoint is waited for: a refresh token that rotates must not be sent twice,
for some providers then end the whole grant."""
WAIT_SECONDS = 10.0
POLL_SECONDS = 0.25
CHECK_EVERY = timedelta(days=1)
CHECK_SOON = timedelta(hours=1)
CHECK_AHEAD = timedelta(days=3)
"""The daily check refreshes what would end before a few more checks have had their chance."""
LONG_PAUSE = timedelta(hours=1)
_LOST = "needs_reauth"


def reveal(credentials: Credentials) -> dict[str, Json]:
    """Credentials as JSON, secrets included: for sealing, and for nothing else."""
    revealed: dict[str, Json] = _plain(credentials.model_dump(mode="python", by_alias=True))
    return revealed


def _plain(value: Any) -> Any:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case Mapping():
            return {name: _plain(inner) for name, inner in value.items() if inner is not None}
        case list() | tuple() | set() | frozenset():
            return [_plain(inner) for inner in value]
        case datetime():
            return value.isoformat()
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)


class Opened(NamedTuple):
    """Credentials ready for use, and whose they are; ``connection`` is ``None`` for the stack's."""

    provider: Provider
    credentials: Credentials
    connection: Connection | None


class Vault:
    """Gives credentials to those who call providers.

    Args:
        connections: Where they are stored.
        app_secret: The stack's own OAuth clients and defaults.
        addresses: Where the providers live.
        http: Makes the one way out, on first use.
        lineage: Proves how many executions led to a call.
        quotas: What a tenant may send with the stack's own credentials.
        allow_loopback: True on the local platform alone.
        time_left: For how many seconds whoever asks may still wait.
        observe: Hears of each call of a provider, and of connections that break.
        clock: The present moment.
        sleep: Waits, in seconds.
    """

    def __init__(
        self,
        connections: Connections,
        app_secret: AppSecret,
        addresses: Addresses,
        http: Callable[[], Http],
        *,
        lineage: Lineage | None = None,
        quotas: Quotas | None = None,
        allow_loopback: bool = False,
        time_left: Callable[[], float] = lambda: inf,
        observe: Observe = nobody,
        clock: Callable[[], datetime] = now,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connections = connections
        self._app_secret = app_secret
        self._addresses = addresses
        self._http = http
        self._lineage = lineage
        self._quotas = quotas
        self._allow_loopback = allow_loopback
        self._time_left = time_left
        self._observe = observe
        self._clock = clock
        self._sleep = sleep

    # -- calls -------------------------------------------------------------------------------

    def call(
        self,
        provider: Provider,
        credentials: Credentials,
        *,
        connection: Connection | None = None,
        idempotency_key: str | None = None,
        hops: int = 0,
    ) -> Call[Any]:
        """What a provider's function is given; ``connection`` knows which of its calls rest."""
        call = Call(
            credentials=credentials,
            http=self._http(),
            addresses=self._addresses,
            app=self.app(provider) if provider.oauth else None,
            idempotency_key=idempotency_key,
            hops=hops,
            lineage=partial(self._lineage.header, hops + 1, idempotency_key)
            if self._lineage and idempotency_key
            else None,
            allow_loopback=self._allow_loopback,
            time_left=self._time_left,
        )
        if connection is None:
            return call
        return replace(call, check_pause=partial(self._check_pause, connection))

    def ask[T](
        self, provider: Provider, credentials: Credentials, question: Callable[[Call[Any]], T]
    ) -> T:
        """Ask a provider with credentials that are not stored (yet); errors hold no secret."""
        call = self.call(provider, credentials)
        with self._observed(provider), masked(call):
            return question(call)

    def app(self, provider: Provider) -> OAuthApp:
        """The stack's OAuth client at a provider.

        Raises:
            ProviderNotConfigured: The stack has none; the detail names the parameters to set.
        """
        if provider.oauth is None:
            detail = f"{provider.id} is not connected by OAuth; save its credentials instead"
            raise ProviderNotConfigured(detail)
        value = self._app_secret.values()
        client_id, client_secret = (
            value.get(name[0].lower() + name[1:], "") for name in provider.oauth.parameters
        )
        if not client_id or not client_secret:
            detail = (
                f"This stack has no OAuth client for {provider.id}: deploy it with the parameters "
                + " and ".join(provider.oauth.parameters)
            )
            raise ProviderNotConfigured(detail)
        return OAuthApp(client_id, SecretStr(client_secret))

    @property
    def http(self) -> Http:
        """The one way out."""
        return self._http()

    @property
    def addresses(self) -> Addresses:
        """Where the providers live."""
        return self._addresses

    # -- use ---------------------------------------------------------------------------------

    def use[T](
        self,
        tenant: str,
        provider_id: str,
        name: str,
        act: Callable[[Call[Any]], T],
        *,
        before: Callable[[Opened], None] | None = None,
        idempotency_key: str | None = None,
        hops: int = 0,
    ) -> T:
        """Do something with a connection's credentials; what happens to them is recorded.

        Args:
            tenant: Whose connection.
            provider_id: At which provider.
            name: Which.
            act: What to do.
            before: Asked first, with the credentials as they are stored; it may refuse.
            idempotency_key: The same for each repetition.
            hops: How many executions led to it.

        Raises:
            UnknownConnection: The tenant has none of this name, nor has the stack a default.
            NeedsReauthentication: Only a new log-in can help; the provider is not asked again.
            ConnectionPaused: The provider asked for patience that is not over yet.
            ProviderError: As the provider's function raised it.
        """
        opened = self._found(tenant, provider_id, name)
        if before:
            before(opened)
        connection = opened.connection
        if connection and states.is_lost(connection):
            raise NeedsReauthentication(_reason(connection))
        if connection:
            self._check_pause(connection, "")
        opened = self._refreshed(opened)
        _, result = self.attempt(opened, act, idempotency_key=idempotency_key, hops=hops)
        if connection and connection.status != "connected":
            worked = states.after(connection.status, states.Happening.WORKED)
            self._connections.record_use(connection, worked)
        return result

    def act(
        self,
        tenant: str,
        provider_id: str,
        name: str,
        action: Action,
        params: Params,
        *,
        idempotency_key: str | None = None,
        hops: int = 0,
        files: FileStore | None = None,
        secrets: Sequence[str] = (),
        conversations: "Conversations | None" = None,
    ) -> Json:
        """Carry out an action with a connection's credentials.

        Args:
            tenant: Whose connection.
            provider_id: At which provider.
            name: Which.
            action: What to do.
            params: With what.
            idempotency_key: The same for each repetition.
            hops: How many executions led to it.
            files: Where the files of a workflow's steps are.
            secrets: What else must not be seen in the result, beside the connection's own.
            conversations: What is open with servers, for this call and the next.

        Returns:
            The result, without the secrets that it was asked for with.

        Raises:
            QuotaExceeded: The tenant has sent too much with the stack's own credentials.
            UnknownConnection, NeedsReauthentication, ConnectionPaused, ProviderError: As ``use``.
        """

        def count(opened: Opened) -> None:
            if opened.connection is None and action.recipients and self._quotas:
                self._quotas.send_mails(tenant, action.recipients(params))

        def run(call: Call[Any]) -> Json:
            call = replace(call, files=files, hidden=tuple(secrets), conversations=conversations)
            with masked(call):
                result = action.run(call, params)
            return Masking(secrets_of(call)).json(result)

        return self.use(
            tenant,
            provider_id,
            name,
            run,
            before=count,
            idempotency_key=idempotency_key,
            hops=hops,
        )

    def attempt[T](
        self,
        opened: Opened,
        act: Callable[[Call[Any]], T],
        *,
        idempotency_key: str | None = None,
        hops: int = 0,
    ) -> tuple[Opened, T]:
        """Do something with opened credentials, once more where only a refresh was needed.

        Returns:
            The credentials that it was done with in the end, and what came of it.

        Raises:
            ProviderError: As the provider's function raised it; a refusal is recorded.
        """
        try:
            return opened, self._attempt(opened, act, idempotency_key, hops)
        except CredentialsRejected as refusal:
            if self._is_final(opened, refusal):
                self.record_refusal(opened, refusal)
                raise
        opened = self._refreshed(opened, refused=True)
        try:
            return opened, self._attempt(opened, act, idempotency_key, hops)
        except CredentialsRejected as refusal:
            self.record_refusal(opened, refusal, just_refreshed=True)
            raise

    def open(self, tenant: str, provider_id: str, name: str) -> Opened:
        """A connection's credentials, refreshed where they are about to expire.

        Raises:
            UnknownConnection: The tenant has none of this name, nor has the stack a default.
            NeedsReauthentication: Only a new log-in can help.
            ProviderUnavailable: They have expired and the provider cannot refresh them now.
        """
        return self._refreshed(self._found(tenant, provider_id, name))

    def open_for_check(self, tenant: str, provider_id: str, name: str) -> Opened:
        """The same for the daily check: refreshed where they end within ``CHECK_AHEAD``."""
        provider = registry.get(provider_id)
        connection = self._connections.get_sealed(tenant, provider_id, name)
        return self._refreshed(self.opened(provider, connection), ahead=CHECK_AHEAD)

    def record_refusal(
        self, opened: Opened, refusal: CredentialsRejected, *, just_refreshed: bool = False
    ) -> bool:
        """Keep that the provider refuses these credentials; ``services/states.py`` knows the state.

        Args:
            opened: The credentials.
            refusal: The provider's words.
            just_refreshed: They were fresh from the provider, or it is the refresh that is refused.

        Returns:
            ``False`` where the credentials changed in between: the refusal is not of the new ones.
        """
        if opened.connection is None:
            return True
        happening = states.happening_of(refusal, just_refreshed=just_refreshed)
        state = states.after(opened.connection.status, happening)
        is_recorded = self._connections.record_error(
            opened.connection, refusal.code, refusal.detail, status=state
        )
        if is_recorded:
            states.tell(self._observe, opened.connection, state, refusal)
        return is_recorded

    # -- within ------------------------------------------------------------------------------

    def _attempt[T](
        self,
        opened: Opened,
        act: Callable[[Call[Any]], T],
        idempotency_key: str | None,
        hops: int,
    ) -> T:
        call = self.call(
            opened.provider,
            opened.credentials,
            connection=opened.connection,
            idempotency_key=idempotency_key,
            hops=hops,
        )
        try:
            observed = self._observed(opened.provider, opened.connection, idempotency_key)
            with observed, masked(call):
                return act(call)
        except ConnectionPaused:
            raise
        except RateLimited as limit:
            if opened.connection and limit.retry_after:
                pause = min(timedelta(seconds=limit.retry_after), LONG_PAUSE)
                self._connections.pause(opened.connection, self._clock() + pause, limit.scope)
            raise

    @contextmanager
    def _observed(
        self, provider: Provider, connection: Connection | None = None, key: str | None = None
    ) -> Iterator[None]:
        """Tell of a call of a provider: how it ended, and how long it took."""
        began = time.monotonic()
        outcome = "internal_error"
        try:
            yield
            outcome = "succeeded"
        except IntegrationError as failure:
            outcome = failure.code
            raise
        finally:
            self._observe(
                "call",
                provider=provider.id,
                outcome=outcome,
                tenant=connection.tenant if connection else None,
                connection=connection.name if connection else None,
                key=key,
                ms=round((time.monotonic() - began) * 1000),
            )

    def _check_pause(self, connection: Connection, scope: str) -> None:
        end = connection.rests_until(scope)
        wait = (end - self._clock()).total_seconds() if end else 0
        if wait > 0:
            detail = f"{connection.label} waits {wait:.0f} s more, as the provider asked"
            raise ConnectionPaused(detail, scope=scope, retry_after=wait)

    def _is_final(self, opened: Opened, refusal: CredentialsRejected) -> bool:
        return not _can_refresh(opened) or isinstance(refusal, NeedsReauthentication)

    def _found(self, tenant: str, provider_id: str, name: str) -> Opened:
        """The credentials as they are stored."""
        provider = registry.get(provider_id)
        try:
            connection = self._connections.get_sealed(tenant, provider_id, name)
        except UnknownConnection:
            return self._stack_default(provider, tenant, name)
        return self.opened(provider, connection)

    def _stack_default(self, provider: Provider, tenant: str, name: str) -> Opened:
        if provider.stack_credentials and name == DEFAULT_CONNECTION:
            credentials = provider.stack_credentials(self._app_secret.values(), tenant)
            if credentials:
                return Opened(provider, credentials, None)
        detail = f"There is no {provider.id} connection named {name!r}"
        raise UnknownConnection(detail)

    def opened(self, provider: Provider, connection: Connection) -> Opened:
        """The credentials of a connection that was read with them, as they are stored.

        Raises:
            CredentialsUnreadable: They do not decrypt, or are not of the provider's form any more;
                the record says so from then on.
        """
        try:
            credentials = provider.credentials.model_validate(self._connections.open(connection))
        except (EnvelopeBroken, ValidationError):
            name = connection.name
            detail = (
                f"The stored credentials of the {provider.id} connection {name!r} cannot be read; "
                "save them again"
            )
            unreadable = CredentialsUnreadable(detail)
            state = states.after(connection.status, states.happening_of(unreadable))
            self._connections.record_error(connection, unreadable.code, detail, status=state)
            states.tell(self._observe, connection, state, unreadable)
            raise unreadable from None
        return Opened(provider, credentials, connection)

    def _lasts(self, opened: Opened, margin: timedelta = timedelta(0)) -> bool:
        """Whether the credentials live longer than ``margin``."""
        if opened.provider.expires_at is None:
            return True
        ends = opened.provider.expires_at(opened.credentials)
        return ends is None or ends - margin > self._clock()

    def _refreshed(
        self, opened: Opened, *, ahead: timedelta = REFRESH_BEFORE, refused: bool = False
    ) -> Opened:
        """The credentials, or fresher ones: by our own refresh, or that of whom we waited for.

        Args:
            opened: The credentials at hand.
            ahead: They are refreshed where they do not live longer than this.
            refused: The provider does not take them, whatever their time says.
        """
        provider, connection = opened.provider, opened.connection
        if connection is None or not _can_refresh(opened):
            return opened
        if not refused and self._lasts(opened, ahead):
            return opened
        version = connection.version
        waited = 0.0
        while not self._connections.lease(connection, self._clock() + LEASE):
            if waited >= WAIT_SECONDS:
                if not refused and self._lasts(opened):
                    return opened
                detail = f"{connection.label} is being refreshed by another call that does not end"
                raise ProviderUnavailable(detail)
            self._sleep(POLL_SECONDS)
            waited += POLL_SECONDS
            connection = self._connections.get_sealed(
                connection.tenant, connection.provider, connection.name
            )
            opened = self.opened(provider, connection)
            if connection.version != version and self._lasts(opened):
                return opened
            if states.is_lost(connection):
                raise NeedsReauthentication(_reason(connection))
        return self._refresh(opened, refused=refused)

    def _refresh(self, opened: Opened, *, refused: bool) -> Opened:
        """Refresh under the lease, which ends with it."""
        connection = opened.connection
        assert connection is not None and opened.provider.refresh is not None  # noqa: PT018
        try:
            credentials = self.ask(opened.provider, opened.credentials, opened.provider.refresh)
        except CredentialsRejected as refusal:
            if not self.record_refusal(opened, refusal, just_refreshed=True):
                # Somebody logged in again in the meantime.
                return self.open(connection.tenant, connection.provider, connection.name)
            self._connections.release(connection)
            raise
        except (ProviderError, ProviderNotConfigured) as failure:
            self._connections.record_error(connection, failure.code, failure.detail, status=None)
            self._connections.release(connection)
            if not refused and self._lasts(opened):
                return opened  # still good for a little while
            raise
        except Exception:
            self._connections.release(connection)
            raise
        refreshed = Opened(opened.provider, credentials, connection)
        try:
            written = self.save(connection, refreshed, replaces=connection.version)
        except VersionConflict:
            self._connections.release(connection)
            found = self._found(connection.tenant, connection.provider, connection.name)
            if found.connection and states.is_lost(found.connection):
                raise NeedsReauthentication(_reason(found.connection)) from None
            return self._refreshed(found)  # somebody logged in again in the meantime
        return Opened(opened.provider, credentials, written)

    def save(
        self,
        connection: Connection,
        opened: Opened,
        *,
        replaces: int | None,
        is_new_grant: bool = False,
    ) -> Connection:
        """Seal and keep credentials; when they die and when to look again follows from them.

        Args:
            connection: The metadata; of credentials that were made better, as they were read.
            opened: The credentials.
            replaces: The version that they replace; ``None`` where there must be none yet.
            is_new_grant: Somebody has given them or logged in, whatever has become of the earlier
                ones; else a grant that was taken back since it was read stays so.

        Raises:
            VersionConflict: Somebody else wrote in between, or the grant was taken back.
        """
        expiry_of = opened.provider.expires_at
        alive = connection._replace(
            status=states.after(connection.status, states.Happening.WORKED),
            last_error=None,
            expires_at=expiry_of(opened.credentials) if expiry_of else connection.expires_at,
            refreshable=_can_refresh(opened),
        )
        return self._connections.save(
            alive,
            reveal(opened.credentials),
            replaces=replaces,
            due_at=self.next_check(),
            unless="" if is_new_grant or connection.status == _LOST else _LOST,
        )

    def next_check(self, *, soon: bool = False) -> datetime:
        """When the schedule should look again: tomorrow, or ``soon`` where nothing was learnt."""
        return self._clock() + (CHECK_SOON if soon else CHECK_EVERY)


def _can_refresh(opened: Opened) -> bool:
    provider = opened.provider
    if provider.refresh is None or opened.connection is None:
        return False
    return provider.can_refresh is None or provider.can_refresh(opened.credentials)


def _reason(connection: Connection) -> str:
    return connection.last_error.message if connection.last_error else "Somebody must log in again"
