"""Google's OAuth 2.0 endpoints: tokens for a service account, for a code, for a refresh token.

https://developers.google.com/identity/protocols/oauth2

The addresses come from the settings alone. A service account's JSON names its own ``token_uri``,
which is never used: whoever wrote the JSON would choose where our requests go.
"""

import time
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, SecretStr

from integrations import memory, strict_json
from integrations.errors import CredentialsRejected, ProviderUnavailable, RequestRejected
from integrations.models import Json
from integrations.outbound.http import Http, Response
from integrations.outbound.retry_after import retry_after
from integrations.providers.base import Addresses, Credentials

SPREADSHEETS_SCOPE = "https://www.googleapis.com/auth/spreadsheets"

# https://developers.google.com/identity/protocols/oauth2/service-account#jwt-auth
_AUDIENCE = "https://oauth2.googleapis.com/token"
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_ASSERTION_LIFETIME = 3600

_OK = 200
_BAD_REQUEST = 400
_SERVER_ERROR = 500
_RETRYABLE = frozenset({408, 429})
_RETRYABLE_ERRORS = frozenset({"internal_failure", "server_error", "temporarily_unavailable"})
_LONGEST_MESSAGE = 500

_EARLY = 300
"""Seconds before its end at which an access token is not used any more."""

_LONGEST_LIFE = 10 * 366 * 24 * 3600
"""Seconds. What is said to live longer may have no end that is a moment."""

_MOST_TOKENS = 256

_tokens: dict[str, tuple[str, float]] = memory.mapping()
"""Access tokens of this warm process: digest of address and key → token, end (Unix time)."""


def _pem(key: SecretStr) -> SecretStr:
    # Keys that travelled through an environment variable have their line ends escaped once more.
    text = key.get_secret_value().replace("\\n", "\n").strip()
    if not (text.startswith("-----BEGIN ") and "PRIVATE KEY-----" in text):
        raise ValueError("is not a private key in PEM format (-----BEGIN PRIVATE KEY-----…)")
    if not text.endswith(" PRIVATE KEY-----"):
        raise ValueError("is cut off: the line -----END PRIVATE KEY----- is missing")
    return SecretStr(text + "\n")


class ServiceAccount(Credentials):
    """A service account's key, with the names that Google's JSON file has.

    Everything else in the file (its addresses above all) is left out.
    """

    model_config = ConfigDict(alias_generator=None, extra="ignore")

    type: Literal["service_account"]
    client_email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")]
    private_key: Annotated[SecretStr, AfterValidator(_pem)]
    private_key_id: str | None = None
    project_id: str | None = None


def assertion(account: ServiceAccount, scope: str) -> str:
    """The signed statement that a service account trades for an access token.

    https://developers.google.com/identity/protocols/oauth2/service-account#jwt-auth

    Raises:
        CredentialsRejected: The private key cannot be read, or is no RSA key.
    """
    # 0.2 s of imports that no other provider and no warm process should pay for.
    from cryptography.exceptions import UnsupportedAlgorithm
    from google.auth import crypt, jwt

    # The library has no types of its own.
    rsa: Any = crypt.RSASigner
    encode: Any = jwt.encode
    issued = int(time.time())
    claims = {
        "iss": account.client_email,
        "scope": scope,
        "aud": _AUDIENCE,
        "iat": issued,
        "exp": issued + _ASSERTION_LIFETIME,
    }
    try:
        signed: bytes = encode(
            rsa.from_string(account.private_key.get_secret_value(), account.private_key_id), claims
        )
    except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm):
        # The library's own words may quote the key.
        detail = (
            "The service account's private_key cannot be read as an RSA key: "
            "paste the JSON file whole, as Google gave it"
        )
        raise CredentialsRejected(detail, provider_code="invalid_key") from None
    return signed.decode()


def service_account_token(
    account: ServiceAccount, http: Http, addresses: Addresses, *, renew: bool = False
) -> str:
    """An access token for a service account, cached in memory for most of its hour.

    Args:
        account: The key.
        http: The way out.
        addresses: Where the token endpoint is.
        renew: Asks for a new one even where one is cached.

    Raises:
        CredentialsRejected: Google refuses the key, or it cannot be read.
        ProviderUnavailable: Google is down or busy.
    """
    identity = "\n".join(
        (
            addresses.google_token,
            account.client_email,
            account.private_key_id or "",
            account.private_key.get_secret_value(),
        )
    )
    digest = sha256(identity.encode()).hexdigest()
    token, ends = _tokens.get(digest, ("", 0.0))
    if not renew and time.time() < ends:
        return token
    _tokens.pop(digest, None)
    signed = assertion(account, SPREADSHEETS_SCOPE)
    granted = grant(http, addresses, {"grant_type": _JWT_BEARER, "assertion": signed})
    if len(_tokens) >= _MOST_TOKENS:
        _tokens.clear()
    token = str(granted["access_token"])
    _tokens[digest] = token, time.time() + lifetime(granted) - _EARLY
    return token


def grant(http: Http, addresses: Addresses, form: Mapping[str, str]) -> dict[str, Json]:
    """Ask the token endpoint for tokens.

    https://developers.google.com/identity/protocols/oauth2/web-server#exchange-authorization-code

    Args:
        http: The way out.
        addresses: Where the token endpoint is.
        form: The grant and what proves it.

    Returns:
        The reply; it has an ``access_token``.

    Raises:
        CredentialsRejected: Google refuses; ``provider_code`` is OAuth's error code.
        ProviderUnavailable: Google is down or busy, or answers something else.
    """
    response = http.request("POST", addresses.google_token, data=dict(form))
    reply = _json_object(response)
    if response.status == _OK and isinstance(reply.get("access_token"), str):
        return reply
    error, description = _error(reply)
    if (
        response.status in _RETRYABLE
        or response.status >= _SERVER_ERROR
        or error in _RETRYABLE_ERRORS
        or description in _RETRYABLE_ERRORS
    ):
        detail = f"Google's token service answered with status {response.status}"
        raise ProviderUnavailable(
            f"{detail}: {description or error}" if error else detail,
            status=response.status,
            provider_code=error,
            retry_after=retry_after(response.headers),
        )
    if response.status < _BAD_REQUEST or error is None:
        detail = f"Google's token service answered with status {response.status} and no token"
        raise ProviderUnavailable(detail, status=response.status)
    detail = f"Google: {description} ({error})" if description else f"Google: {error}"
    raise CredentialsRejected(detail, status=response.status, provider_code=error)


def revoke(http: Http, addresses: Addresses, token: SecretStr) -> None:
    """Take a token back at Google; one that is already dead is fine.

    https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke

    Raises:
        ProviderUnavailable: Google is down or busy.
        RequestRejected: Google refuses for another reason.
    """
    response = http.request(
        "POST", addresses.google_revoke, data={"token": token.get_secret_value()}
    )
    if response.status == _OK:
        return
    error, description = _error(_json_object(response))
    if error == "invalid_token":
        return
    if response.status in _RETRYABLE or response.status >= _SERVER_ERROR:
        raise ProviderUnavailable(
            f"Google's revocation service answered with status {response.status}",
            status=response.status,
            provider_code=error,
            retry_after=retry_after(response.headers),
        )
    raise RequestRejected(
        f"Google did not revoke the access: {description or error or response.status}",
        status=response.status,
        provider_code=error,
    )


def lifetime(reply: Mapping[str, Json], name: str = "expires_in") -> int:
    """How many seconds a token of this reply lives; an hour where the reply does not say."""
    seconds = reply.get(name)
    if not isinstance(seconds, (int, float)) or seconds <= 0:
        return 3600
    return min(int(seconds), _LONGEST_LIFE)


def claims(id_token: Json) -> dict[str, Json]:
    """What an ID token says, its signature unchecked; empty where it is none.

    Only for one that came straight from the token endpoint over TLS, which proves its origin:
    https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation
    """
    try:
        payload = str(id_token).split(".")[1]
        found = strict_json.read(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _json_object(response: Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ProviderUnavailable:
        return {}
    return body if isinstance(body, dict) else {}


def _error(reply: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """OAuth's error code and its description: RFC 6749, section 5.2."""
    error, description = reply.get("error"), reply.get("error_description")
    return (
        error[:_LONGEST_MESSAGE] if isinstance(error, str) else None,
        description[:_LONGEST_MESSAGE] if isinstance(description, str) else None,
    )
