"""API tokens and connect sessions: made here, shown once, known afterwards by their hashes."""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from integrations.errors import FieldError, Forbidden, InvalidInput
from integrations.models import SUBJECT_PREFIX, is_tenant, now
from integrations.providers import registry
from integrations.services.answers.tokens import (
    CreatedTokenAnswer,
    SessionAnswer,
    SessionCreatedAnswer,
    TokenAnswer,
    TokenDeleted,
    TokenPage,
)
from integrations.services.redirects import Redirects
from integrations.storage.tokens import Token, Tokens, token_hash

TOKEN_PREFIX = "ib_"  # noqa: S105 - what API tokens begin with, no token
SESSION_PREFIX = "ics_"
SCOPES = frozenset({"read", "write", "admin"})
MAX_SESSION_SECONDS = 1800


class TokenService:
    """The use cases of tokens; see each method.

    Args:
        tokens: The table.
        redirects: Where a session's page may lead in the end.
        public_url: Where this backend answers; the connect page is below it.
        application: What the application is called, for people.
        platform_tenant: The tenant whose admins act for any tenant; ``""`` for none.
        clock: The present moment.
    """

    def __init__(
        self,
        tokens: Tokens,
        redirects: Redirects,
        *,
        public_url: str,
        application: str,
        platform_tenant: str,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._tokens = tokens
        self._redirects = redirects
        self._public_url = public_url
        self._application = application
        self._platform_tenant = platform_tenant
        self._clock = clock

    # -- API tokens --------------------------------------------------------------------------

    def page(self, tenant: str, limit: int, next_token: str | None) -> TokenPage:
        """One page of the tenant's tokens; those that have expired are left out.

        Raises:
            InvalidInput: ``next_token`` is not one of ours.
        """
        found, token = self._tokens.page(tenant, limit=limit, next_token=next_token)
        return TokenPage(items=[_answer(each) for each in found], next_token=token)

    def create(
        self,
        tenant: str,
        name: str,
        scopes: Sequence[str],
        *,
        expires_in_days: int | None = None,
        for_tenant: str | None = None,
    ) -> CreatedTokenAnswer:
        """Make an API token. It is in this answer and nowhere else.

        Args:
            tenant: Whose admin asks.
            name: What it is for.
            scopes: What it may do.
            expires_in_days: Its life; ``None`` for no end.
            for_tenant: Another tenant, which only the platform's admins may name.

        Raises:
            Forbidden: Another tenant is named by somebody else's admin.
            InvalidInput: A scope is unknown, or the tenant's name is not one.
        """
        if not scopes or not SCOPES.issuperset(scopes):
            known = ", ".join(sorted(SCOPES))
            raise _invalid("scopes", f"Name one or more of the scopes {known}")
        text = f"{TOKEN_PREFIX}{secrets.token_urlsafe(32)}"
        moment = self._clock()
        token = Token(
            token_hash=token_hash(text),
            tenant=self._acting_for(tenant, for_tenant),
            name=name,
            scopes=frozenset(scopes),
            created_at=moment,
            expires_at=moment + timedelta(days=expires_in_days) if expires_in_days else None,
        )
        self._tokens.create(token)
        return CreatedTokenAnswer(**_answer(token).model_dump(), token=text)

    def delete(self, tenant: str, token_id: str) -> TokenDeleted:
        """Revoke a token; the authorizer's cache forgets it within its time.

        Raises:
            UnknownToken: The tenant has none with this id.
        """
        self._tokens.delete(tenant, token_id)
        return TokenDeleted()

    # -- connect sessions --------------------------------------------------------------------

    def create_session(
        self,
        tenant: str,
        providers: Sequence[str],
        connection_name: str,
        *,
        may_act_for_others: bool,
        redirect_uri: str | None = None,
        expires_in: int = MAX_SESSION_SECONDS,
        for_tenant: str | None = None,
    ) -> SessionCreatedAnswer:
        """Make a connect session: a token that a browser may have.

        Args:
            tenant: Who asks.
            providers: The ids of the providers that it may connect.
            connection_name: The one connection name that it may use.
            may_act_for_others: Whether the caller is an admin, as ``for_tenant`` needs.
            redirect_uri: Where its page leads in the end; ``None`` for nowhere.
            expires_in: Its life in seconds.
            for_tenant: Another tenant, which only the platform's admins may name.

        Raises:
            UnknownProvider: One of the providers does not exist.
            InvalidRedirect: ``redirect_uri`` is not on the allow-list.
            Forbidden: Another tenant is named by somebody else.
        """
        if for_tenant is not None and not may_act_for_others:
            raise Forbidden("Only an admin of the platform's tenant may name another tenant")
        for provider_id in providers:
            registry.family_of(provider_id)
        text = f"{SESSION_PREFIX}{secrets.token_urlsafe(32)}"
        moment = self._clock()
        expires_at = moment + timedelta(seconds=expires_in)
        token = Token(
            token_hash=token_hash(text),
            tenant=self._acting_for(tenant, for_tenant),
            name=f"connect {connection_name}",
            scopes=frozenset({"connect"}),
            kind="connect",
            created_at=moment,
            expires_at=expires_at,
            providers=frozenset(providers),
            connection_name=connection_name,
            redirect_uri=self._redirects.allowed(redirect_uri) if redirect_uri else "",
        )
        self._tokens.create(token)
        return SessionCreatedAnswer(
            token=text,
            connect_url=f"{self._public_url}/connect#token={text}",
            expires_at=expires_at,
        )

    def session(
        self,
        providers: Sequence[str],
        connection_name: str,
        redirect_uri: str,
        expires_at: datetime,
    ) -> SessionAnswer:
        """What a session is for, as its page shows it."""
        return SessionAnswer(
            application=self._application,
            providers=list(providers),
            connection=connection_name,
            redirect_uri=redirect_uri or None,
            expires_at=expires_at,
        )

    # -- within ------------------------------------------------------------------------------

    def _acting_for(self, tenant: str, for_tenant: str | None) -> str:
        if for_tenant is None or for_tenant == tenant:
            return tenant
        if not self._platform_tenant or tenant != self._platform_tenant:
            raise Forbidden("Only an admin of the platform's tenant may name another tenant")
        if not is_tenant(for_tenant) or for_tenant.startswith(SUBJECT_PREFIX):
            detail = (
                "A tenant's name is 1 to 128 printable characters without blanks, #, *, / or \\"
            )
            raise _invalid("tenant", detail)
        return for_tenant


def _answer(token: Token) -> TokenAnswer:
    return TokenAnswer(
        token_id=token.token_id,
        name=token.name,
        tenant=token.tenant,
        scopes=sorted(token.scopes),
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
    )


def _invalid(field: str, message: str) -> InvalidInput:
    return InvalidInput(message, [FieldError(field, message)])
