"""The OAuth handshakes: begun for a tenant, ended by whoever comes back with the state, once.

RFC 6749 (authorization code), RFC 7636 (PKCE), RFC 9207 (``iss``), RFC 9700 (best practice).
"""

import base64
import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from urllib.parse import urlencode

from integrations.errors import (
    HandshakeRefused,
    IntegrationError,
    ProviderError,
    UnknownConnection,
    UnknownHandshake,
    VersionConflict,
)
from integrations.models import now
from integrations.providers import registry
from integrations.providers.base import Provider
from integrations.services.answers.handshakes import HandshakeAnswer, HandshakeError, StartedAnswer
from integrations.services.connections.reading import ConnectionReader
from integrations.services.connections.saving import ConnectionSaver
from integrations.services.redirects import Redirects
from integrations.services.vault import Vault
from integrations.storage.aws import AwsError
from integrations.storage.envelope import EnvelopeBroken
from integrations.storage.handshakes import LIFETIME, UNKNOWN, Handshake, Handshakes

_log = logging.getLogger(__name__)

MAX_STATE = 256
"""No state of ours is as long; a table's key could not be longer than its own limit."""

BROKEN_OFF_AFTER = timedelta(minutes=3)
"""A callback that has been at work for so long is dead: no function lives to that age here."""

KEEPING_ATTEMPTS = 3


class Outcome(NamedTuple):
    """How a callback ended, for the page or the redirect that the browser gets.

    Attributes:
        code: Why it failed, for programs; ``""`` where it did not.
        redirect: Where the browser goes; ``None`` for the page that closes itself.
    """

    handshake_id: str
    tenant: str
    provider: str
    connection_name: str
    status: Literal["completed", "failed"]
    message: str
    code: str
    redirect: str | None = None


class OAuthService:
    """The use cases of OAuth; see each method.

    Args:
        handshakes: The Handshakes table.
        reader: Shows what a handshake brought.
        saver: Stores it.
        vault: The stack's OAuth clients and the way out.
        public_url: Where this backend answers; the callback's address derives from it alone.
        redirects: Where a log-in may lead in the end.
        clock: The present moment.
    """

    def __init__(
        self,
        handshakes: Handshakes,
        reader: ConnectionReader,
        saver: ConnectionSaver,
        vault: Vault,
        *,
        public_url: str,
        redirects: Redirects,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._handshakes = handshakes
        self._reader = reader
        self._saver = saver
        self._vault = vault
        self._public_url = public_url
        self._redirects = redirects
        self._clock = clock

    # -- begin -------------------------------------------------------------------------------

    def start(
        self,
        tenant: str,
        provider_id: str,
        connection: str,
        redirect_uri: str | None,
        *,
        session_id: str = "",
        browser: str = "",
    ) -> StartedAnswer:
        """Begin a handshake.

        Args:
            tenant: For whom.
            provider_id: At which provider.
            connection: The name of the connection that it makes.
            redirect_uri: Where the browser goes in the end; ``None`` for a page that closes itself.
            session_id: The connect session that it is begun in.
            browser: The secret of the one browser that may end it; ``""`` where any may.

        Raises:
            UnknownProvider: There is none with this id.
            ProviderNotConfigured: It has no OAuth, or the stack no client there.
            InvalidRedirect: ``redirect_uri`` is not on the allow-list.
        """
        provider = registry.get(provider_id)
        app = self._vault.app(provider)
        assert provider.oauth is not None
        redirect = self._redirects.allowed(redirect_uri) if redirect_uri else None
        handshake = Handshake(
            handshake_id=secrets.token_urlsafe(16),
            tenant=tenant,
            provider=provider_id,
            connection=connection,
            deadline=self._clock() + LIFETIME,
            callback_url=f"{self._public_url}/api/integrations/oauth/callback/{provider_id}",
            redirect_uri=redirect,
            session_id=session_id,
        )
        state = f"{handshake.handshake_id}.{secrets.token_urlsafe(32)}"
        verifier = secrets.token_urlsafe(48)
        self._handshakes.begin(handshake, state, verifier, browser)
        auth_url = provider.oauth.authorization_url(
            app, self._vault.addresses, handshake.callback_url, state, _challenge(verifier)
        )
        return StartedAnswer(
            auth_url=auth_url,
            handshake_id=handshake.handshake_id,
            expires_at=handshake.deadline,
        )

    # -- look --------------------------------------------------------------------------------

    def status(
        self, tenant: str, handshake_id: str, *, session_id: str | None = None
    ) -> HandshakeAnswer:
        """How far a handshake of this tenant is; with ``session_id`` one of that session alone.

        Raises:
            UnknownHandshake: There is none, or it is another tenant's or session's.
        """
        handshake = self._handshakes.get(tenant, handshake_id)
        if session_id is not None and handshake.session_id != session_id:
            raise UnknownHandshake(f"There is no handshake {handshake_id!r}")
        match handshake.status:
            case "completed":
                try:
                    metadata = self._reader.metadata(
                        tenant, handshake.provider, handshake.connection
                    )
                except UnknownConnection:
                    metadata = None  # removed since
                return HandshakeAnswer(status="completed", credentials=metadata)
            case "failed":
                error = handshake.error or {}
                return HandshakeAnswer(
                    status="failed",
                    error=HandshakeError(code=error["code"], message=error["message"]),
                )
            case "exchanging":
                taken = handshake.taken_at or handshake.deadline
                if taken + BROKEN_OFF_AFTER > self._clock():
                    return HandshakeAnswer(status="pending")
                message = "The log-in stopped here after the provider's answer; start again"
                return HandshakeAnswer(
                    status="failed", error=HandshakeError(code="internal_error", message=message)
                )
        if handshake.deadline <= self._clock():
            message = "Nobody finished the log-in in time; start again"
            return HandshakeAnswer(
                status="expired", error=HandshakeError(code="handshake_expired", message=message)
            )
        return HandshakeAnswer(status="pending")

    # -- end ---------------------------------------------------------------------------------

    def complete(
        self, provider_id: str, parameters: Sequence[tuple[str, str]], *, browser: str = ""
    ) -> Outcome:
        """End a handshake with what the provider sent the browser back with.

        Args:
            provider_id: From the path.
            parameters: The query, decoded, in order.
            browser: The secret that this browser holds; ``""`` for none.

        Returns:
            How it ended; a failure after the state was taken is an outcome, not an error.

        Raises:
            UnknownProvider: There is none with this id.
            HandshakeRefused: A parameter is doubled, or the state is not good (any more).
        """
        provider = registry.get(provider_id)
        if provider.oauth is None:
            raise HandshakeRefused(f"{provider_id} is not connected by OAuth")
        given = dict(parameters)
        if len(given) != len(parameters):
            raise HandshakeRefused("A parameter came twice; start again")
        state = given.get("state", "")
        handshake_id, _, random = state.partition(".")
        if not state:
            raise HandshakeRefused("The state is missing; start again")
        if not handshake_id or not random or len(state) > MAX_STATE:
            raise HandshakeRefused(UNKNOWN)
        handshake, verifier = self._handshakes.consume(handshake_id, provider_id, state, browser)
        try:
            message = self._exchange(provider, handshake, verifier, given)
        except Exception as failure:  # noqa: BLE001 - a person waits, and gets a reason
            code, reason = _reason(failure)
            self._handshakes.fail(handshake, code, reason)
            return self._outcome(handshake, "failed", reason, code)
        self._handshakes.complete(handshake)
        return self._outcome(handshake, "completed", message, "")

    def _exchange(
        self, provider: Provider, handshake: Handshake, verifier: str, given: dict[str, str]
    ) -> str:
        oauth = provider.oauth
        assert oauth is not None
        issuer = given.get("iss")
        known = oauth.issuer(self._vault.addresses) if oauth.issuer else None
        if (
            issuer is not None
            and known is not None
            and not hmac.compare_digest(issuer.encode(), known.encode())
        ):
            raise HandshakeRefused("The answer came from another issuer")
        if "error" in given or "error_code" in given:
            raise _login_error(given)
        code = given.get("code")
        if not code:
            raise HandshakeRefused("The provider sent neither a code nor an error")
        credentials = oauth.exchange(
            self._vault.app(provider),
            self._vault.http,
            self._vault.addresses,
            code,
            handshake.callback_url,
            verifier,
        )
        verified = self._vault.ask(provider, credentials, provider.verify)
        for attempts_left in reversed(range(KEEPING_ATTEMPTS)):
            try:
                self._saver.store(
                    handshake.tenant, provider, handshake.connection, credentials, verified
                )
                break
            except VersionConflict:
                # A refresh of what this log-in replaces; the person should not have to repeat it.
                if not attempts_left:
                    raise
        return verified.message

    def _outcome(
        self,
        handshake: Handshake,
        status: Literal["completed", "failed"],
        message: str,
        code: str,
    ) -> Outcome:
        redirect = None
        if handshake.redirect_uri:
            query = urlencode({"handshakeId": handshake.handshake_id, "status": status})
            joint = "&" if "?" in handshake.redirect_uri else "?"
            redirect = f"{handshake.redirect_uri}{joint}{query}"
        return Outcome(
            handshake.handshake_id,
            handshake.tenant,
            handshake.provider,
            handshake.connection,
            status,
            message,
            code,
            redirect,
        )


class LoginFailed(ProviderError):
    """The provider ended the log-in with an error."""

    code = "login_failed"


class LoginRefused(LoginFailed):
    """The person said no."""

    code = "access_denied"


def _reason(failure: Exception) -> tuple[str, str]:
    """A failure's code and reason; one of our own making is logged and described in general."""
    if isinstance(failure, IntegrationError) and not isinstance(failure, AwsError | EnvelopeBroken):
        return failure.code, failure.detail
    _log.error("a log-in failed in an unforeseen way", exc_info=failure)
    return "internal_error", "Something went wrong here; start again"


def _login_error(given: Mapping[str, str]) -> LoginFailed:
    """The error that a callback's parameters tell (RFC 6749 4.1.2.1, or a vendor's own names)."""
    error = str(given.get("error") or given.get("error_code"))[:100]
    words = str(given.get("error_description") or given.get("error_message") or "")[:300]
    kind = LoginFailed
    if error == "access_denied":
        kind, words = LoginRefused, words or "The log-in was refused"
    detail = f"{words} ({error})" if words else f"The provider answered {error}"
    return kind(detail, provider_code=error)


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
