"""The refresh of a mailbox's access token, at whichever issuer its owner registered an app.

- https://www.rfc-editor.org/rfc/rfc6749#section-6
- https://developers.google.com/identity/protocols/oauth2/native-app#offline
- https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow#refresh-the-access-token
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from pydantic import SecretStr

from integrations.errors import (
    CredentialsRejected,
    NeedsReauthentication,
    ProviderUnavailable,
)
from integrations.models import Json, now
from integrations.outbound.http import Response
from integrations.outbound.retry_after import retry_after
from integrations.providers.base import Call
from integrations.providers.email.credentials import EmailCredentials
from integrations.providers.masking import Masking

_HOUR: Final = 3600
_YEAR: Final = 366 * 24 * 3600
"""Longer than any access token lives; what says more may not even be a moment."""
_LONGEST_REASON: Final = 300
_GRANT_IS_GONE: Final = frozenset({"invalid_grant", "interaction_required", "consent_required"})
_TRY_LATER: Final = frozenset({"server_error", "temporarily_unavailable", "slow_down"})


def expires_at(credentials: EmailCredentials) -> datetime | None:
    """When the access token ends; ``None`` for a password, or where nobody said."""
    return credentials.expires_at


def can_refresh(credentials: EmailCredentials) -> bool:
    """Whether there is a refresh token; a password and a token by itself stay what they are."""
    return credentials.refresh_token is not None


def refresh(call: Call[EmailCredentials]) -> EmailCredentials:
    """Get a new access token; the refresh token stays unless a new one comes with it.

    Raises:
        NeedsReauthentication: The grant is gone; its owner must give another one.
        CredentialsRejected: The issuer refuses for another reason: the client's id or secret, say.
        AddressRefused: The guard refuses the token address.
        ProviderUnavailable: The issuer is down or busy, or answers nonsense.
    """
    old = call.credentials
    form: dict[str, str] = {"grant_type": "refresh_token"}
    for name, value in (
        ("refresh_token", old.refresh_token),
        ("client_id", old.client_id),
        ("client_secret", old.client_secret),
        ("scope", old.scope),
    ):
        if value:
            form[name] = value.get_secret_value() if isinstance(value, SecretStr) else value
    response = call.http.request("POST", old.token_address or "", data=form)
    reply = _object(response)
    token = reply.get("access_token")
    if response.status != HTTPStatus.OK or not isinstance(token, str) or not token:
        raise _refusal(old, response, reply)
    rotated, lifetime = reply.get("refresh_token"), reply.get("expires_in")
    seconds = min(lifetime, _YEAR) if isinstance(lifetime, int) and lifetime > 0 else _HOUR
    return old.model_copy(
        update={
            "access_token": SecretStr(token),
            "refresh_token": SecretStr(rotated)
            if isinstance(rotated, str) and rotated
            else old.refresh_token,
            "expires_at": now() + timedelta(seconds=seconds),
        }
    )


def _refusal(
    credentials: EmailCredentials, response: Response, reply: Mapping[str, Json]
) -> CredentialsRejected | ProviderUnavailable:
    """What an answer without a token means: https://www.rfc-editor.org/rfc/rfc6749#section-5.2."""
    status, error, description = response.status, reply.get("error"), reply.get("error_description")
    secrets = (credentials.refresh_token, credentials.client_secret)
    masking = Masking(secret.get_secret_value() for secret in secrets if secret)
    reason = " ".join(masking.text(f"{description or error or ''}").split())[:_LONGEST_REASON]
    detail = f"The token service of {credentials.host} answered {status} {reason}".rstrip()
    code = error if isinstance(error, str) else None
    if code in _GRANT_IS_GONE:
        detail = f"{detail}. Save the connection with a new refresh token."
        return NeedsReauthentication(detail, status=status, provider_code=code)
    refused = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    if code and code not in _TRY_LATER and refused and status != HTTPStatus.TOO_MANY_REQUESTS:
        return CredentialsRejected(detail, status=status, provider_code=code)
    return ProviderUnavailable(
        detail, status=status, provider_code=code, retry_after=retry_after(response.headers)
    )


def _object(response: Response) -> Mapping[str, Json]:
    try:
        body = response.json()
    except ProviderUnavailable:
        return {}
    return body if isinstance(body, dict) else {}
