"""Everything that can go wrong, as nouns of what happened.

Each error carries a stable ``code`` (for programs), a ``detail`` (for people) and no secret.
``entry/http.py`` alone turns them into HTTP answers, ``workflows/engine.py`` alone sorts them
into retry and failure.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple


class FieldError(NamedTuple):
    """One mistake in what was sent.

    Attributes:
        field: The path in what was sent, e.g. ``steps[2].params.chatId``.
        message: What is wrong with it, a sentence for a person.
        code: ``required``, ``unknown`` or ``invalid``, for programs.
        suggestions: What may have been meant in the place of a name that there is not.
    """

    field: str
    message: str
    code: str = "invalid"
    suggestions: tuple[str, ...] = ()


def unique(found: Iterable[FieldError]) -> list[FieldError]:
    """Each mistake once: of those with one place and message the first, in their order."""
    first: dict[tuple[str, str], FieldError] = {}
    for each in found:
        first.setdefault((each.field, each.message), each)
    return list(first.values())


class IntegrationError(Exception):
    """The root of every error that this package raises on purpose.

    Args:
        detail: A sentence for a person; never holds a secret, a token or a request URL.
    """

    code: ClassVar[str] = "integration_error"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


# -- What the caller did ---------------------------------------------------------------------


class InvalidInput(IntegrationError):
    """What was sent does not fit; ``errors`` names each field."""

    code = "invalid_input"

    def __init__(self, detail: str, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.errors = tuple(errors)


class InvalidParams(InvalidInput):
    """An action's parameters are wrong, by our own check or by the provider's word."""

    code = "invalid_params"


class InvalidWorkflow(InvalidInput):
    """A workflow's definition does not check; ``errors`` gives the place of each mistake."""

    code = "invalid_workflow"


class IdempotencyKeyReused(InvalidInput):
    """An ``Idempotency-Key`` came again with another body."""

    code = "idempotency_key_reused"


class InvalidRedirect(InvalidInput):
    """The ``redirectUri`` is not on the allow-list of this stack."""

    code = "invalid_redirect_uri"


class Forbidden(IntegrationError):
    """The caller may not do this, whatever the request says."""

    code = "insufficient_scope"


class NotFound(IntegrationError):
    """The thing named does not exist for this tenant."""

    code = "not_found"


class UnknownProvider(NotFound):
    """No provider has this id."""

    code = "unknown_provider"


class UnknownAction(NotFound):
    """The provider has no such action."""

    code = "unknown_action"


class UnknownConnection(NotFound):
    """The tenant has no connection of this name at this provider."""

    code = "unknown_connection"


class UnknownWebhook(NotFound):
    """No webhook has this id."""

    code = "unknown_webhook"


class UnknownHandshake(NotFound):
    """No handshake of this tenant has this id."""

    code = "unknown_handshake"


class UnknownWorkflow(NotFound):
    """The tenant has no workflow with this id."""

    code = "unknown_workflow"


class UnknownExecution(NotFound):
    """The tenant has no execution with this id."""

    code = "unknown_execution"


class UnknownDeletion(NotFound):
    """No deletion at this provider has this confirmation code."""

    code = "unknown_deletion"


class UnknownEvent(NotFound):
    """The tenant has no event with this id (any more)."""

    code = "unknown_event"


class UnknownJob(NotFound):
    """The tenant has no job with this id."""

    code = "unknown_job"


class UnknownStep(NotFound):
    """The execution has no step with this id."""

    code = "unknown_step"


class UnknownFile(NotFound):
    """The tenant has no file with this id, or its time is up."""

    code = "unknown_file"


class ValueGone(NotFound):
    """A trigger or an output is no longer stored."""

    code = "value_gone"


class UnknownToken(NotFound):
    """The tenant has no API token with this id."""

    code = "unknown_token"


class UnknownSecret(NotFound):
    """The tenant has no secret of this name."""

    code = "unknown_secret"


class Conflict(IntegrationError):
    """The request does not fit the state that the thing is in."""

    code = "conflict"


class NeverBegan(Conflict):
    """The execution's trigger has not let it in: there is no step to go on from."""

    code = "never_began"


class VersionConflict(Conflict):
    """Somebody else changed the record in between; read it again and repeat."""

    code = "version_conflict"


class WebhookIdTaken(Conflict):
    """Another connection already holds this webhook id."""

    code = "webhook_id_taken"


class ConnectionInUse(Conflict):
    """Workflows still use the connection; the detail names them."""

    code = "connection_in_use"


class ProviderNotConfigured(Conflict):
    """The stack lacks the app-level settings for this; the detail names the parameters."""

    code = "provider_not_configured"


class HandshakeRefused(IntegrationError):
    """An OAuth callback that must not go on: a state that is unknown, used, expired or foreign."""

    code = "handshake_refused"


class SignatureRefused(IntegrationError):
    """A webhook delivery whose signature, secret or timestamp does not verify.

    ``kind``: why, as one of a few words, for the metrics: ``missing``, ``timestamp``, ``address``,
    ``token``, ``method``, ``path``, ``unknown_webhook``; else ``signature``.
    """

    code = "signature_refused"

    def __init__(self, detail: str, *, kind: str = "signature") -> None:
        super().__init__(detail)
        self.kind = kind


class ChallengeRefused(IntegrationError):
    """A subscription challenge with the wrong mode or token."""

    code = "challenge_refused"


class QuotaExceeded(IntegrationError):
    """The tenant has, starts or sends as much as the stack allows it.

    ``retry_after``: seconds until there is room again; ``None`` where something must go first.
    """

    code = "quota_exceeded"

    def __init__(self, detail: str, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class ServiceUnavailable(IntegrationError):
    """What this backend stands on is busy or does not answer; the same request may go well soon."""

    code = "unavailable"
    retry_after = 5.0


# -- What the provider did -------------------------------------------------------------------


class ProviderError(IntegrationError):
    """A provider did not do what was asked.

    Args:
        detail: What happened, with the provider's own words.
        status: The provider's HTTP or SMTP status, where there is one.
        provider_code: The provider's own error code, e.g. ``"190/463"`` or ``"PERMISSION_DENIED"``.
        data: More facts worth keeping (JSON values only, no secrets), e.g. a trace id.
    """

    code = "provider_error"

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        provider_code: str | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.provider_code = provider_code
        self.data = dict(data or {})


class CredentialsRejected(ProviderError):
    """The provider refuses the credentials: wrong, revoked, expired. Never retried as they are."""

    code = "credentials_rejected"
    login_helps: ClassVar[bool] = True
    """Whether a log-in or other credentials would help; not where the app itself is refused."""


class CredentialsUnreadable(CredentialsRejected):
    """What is stored does not decrypt, or is not of the provider's form any more: save it again."""

    code = "credentials_unreadable"


class PermissionMissing(ProviderError):
    """The credentials are good but may not do this. Permanent until somebody grants it."""

    code = "permission_missing"


class RequestRejected(ProviderError):
    """The provider understood and said no for good: no such chat, blocked by the user, too late."""

    code = "request_rejected"


class AddressRefused(ProviderError):
    """The outbound guard refuses the address: scheme, port, or where the name resolves to."""

    code = "address_refused"


class RateLimited(ProviderError):
    """The provider asks us to wait, for ``retry_after`` seconds where it says how long.

    ``scope`` is what the provider limits (a chat, a page, an origin, reads or writes), in words of
    the provider's module that hold no secret; empty for all that the credentials do.
    """

    code = "rate_limited"

    def __init__(
        self,
        detail: str,
        *,
        scope: str = "",
        retry_after: float | None = None,
        status: int | None = None,
        provider_code: str | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail, status=status, provider_code=provider_code, data=data)
        self.scope = scope
        self.retry_after = retry_after


class ConnectionPaused(RateLimited):
    """We wait by ourselves: the connection is still in the pause that its provider asked for.

    Nothing was sent, so it is no attempt.
    """

    code = "connection_paused"


class ProviderUnavailable(ProviderError):
    """The provider is down, slow, or answers nonsense. Worth another try later.

    ``outcome_unknown`` is true where the request may have been carried out all the same (a time-out
    after it was sent): what is not idempotent must then not be repeated blindly.
    """

    code = "provider_unavailable"

    def __init__(
        self,
        detail: str,
        *,
        outcome_unknown: bool = False,
        retry_after: float | None = None,
        status: int | None = None,
        provider_code: str | None = None,
        data: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail, status=status, provider_code=provider_code, data=data)
        self.outcome_unknown = outcome_unknown
        self.retry_after = retry_after


class ProviderTimeout(ProviderUnavailable):
    """The provider did not answer in time."""

    code = "provider_timeout"


class NeedsReauthentication(CredentialsRejected):
    """Only a person can fix this: the grant is gone and somebody must log in again."""

    code = "needs_reauth"


# -- What happened to an execution -----------------------------------------------------------


class CycleDetected(InvalidInput):
    """Workflows trigger each other, or one itself, without end."""

    code = "cycle_detected"


class ExpressionError(IntegrationError):
    """A template did not evaluate: unknown name, wrong type, forbidden access, over its limits."""

    code = "expression_error"
