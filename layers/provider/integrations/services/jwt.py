"""JWTs of the configured OIDC issuer: its keys are fetched, cached and rotated by PyJWT.

https://openid.net/specs/openid-connect-discovery-1_0.html, RFC 7519, RFC 8725
"""

import json
from dataclasses import dataclass
from http.client import HTTPException
from urllib.parse import urlsplit
from urllib.request import urlopen

import jwt

from integrations.errors import IntegrationError

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
"""Asymmetric ones only: with these a public key can never be taken for a shared secret."""

SCOPES = frozenset({"read", "write"})
LEEWAY_SECONDS = 60
MAX_TENANT = 128
TIMEOUT_SECONDS = 5

KEYS_SECONDS = 300
"""How long the issuer's keys are kept: a key that it withdraws is good for no longer."""

COOLDOWN_SECONDS = 1
"""How long an unknown key is no reason to ask again: rotated keys are found at once, and whoever
makes key names up cannot make us flood the issuer."""


class JwtRefused(IntegrationError):
    """The token is not one that this stack takes."""

    code = "jwt_refused"


class IssuerUnavailable(IntegrationError):
    """The issuer's keys cannot be had now, which says nothing about the token.

    To refuse it would be remembered with it for minutes; a failure is not.
    """

    code = "issuer_unavailable"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a token and what it allows."""

    tenant: str
    name: str
    scopes: frozenset[str]


class JwtVerifier:
    """Verifies tokens of one issuer for one audience.

    The tenant is the claim ``tenant``, else ``org_id``, else the subject itself; so a token of a
    single user opens that user's own tenant. Scopes are those of ``scope``; a token that names none
    of ours may do both.

    Args:
        issuer: The issuer's URL, exactly as in its tokens.
        audience: What ``aud`` must hold.
        allow_http: Whether the issuer may be reached without TLS (the local platform).
    """

    def __init__(self, issuer: str, audience: str, *, allow_http: bool = False) -> None:
        self._issuer = issuer
        self._audience = audience
        self._allow_http = allow_http
        self._keys: jwt.PyJWKClient | None = None

    def verify(self, token: str) -> Holder:
        """The token's holder.

        Raises:
            JwtRefused: It is malformed, expired, of another issuer or audience, or not signed by
                one of the issuer's keys.
            IssuerUnavailable: The keys cannot be had.
        """
        try:
            key = self._client().get_signing_key_from_jwt(token)
            claims = jwt.decode(
                token,
                key.key,
                algorithms=ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWKClientConnectionError:
            raise IssuerUnavailable("The issuer's keys cannot be had") from None
        except (jwt.PyJWTError, ValueError) as refusal:
            raise JwtRefused(f"The token is refused: {type(refusal).__name__}") from None
        granted = str(claims.get("scope", "")).split()
        scopes = SCOPES.intersection(granted) or SCOPES
        tenant = claims.get("tenant") or claims.get("org_id") or claims["sub"]
        if not isinstance(tenant, str) or not 0 < len(tenant) <= MAX_TENANT:
            raise JwtRefused("The tenant of the token is no text of 1 to 128 characters")
        return Holder(tenant, str(claims["sub"]), frozenset(scopes))

    def _client(self) -> jwt.PyJWKClient:
        if self._keys is None:
            url = self._checked(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
            try:
                with urlopen(url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - checked above
                    keys_url = str(json.load(answer)["jwks_uri"])
            except (OSError, HTTPException, ValueError, LookupError, TypeError):
                raise IssuerUnavailable("The issuer's configuration cannot be had") from None
            keys_url = self._checked(keys_url)
            # Its cache of single keys (cache_keys) would never forget one.
            self._keys = jwt.PyJWKClient(
                keys_url,
                lifespan=KEYS_SECONDS,
                cooldown_duration=COOLDOWN_SECONDS,
                timeout=TIMEOUT_SECONDS,
            )
        return self._keys

    def _checked(self, url: str) -> str:
        schemes = ("https", "http") if self._allow_http else ("https",)
        if urlsplit(url).scheme not in schemes:
            raise JwtRefused("The issuer must be reached by https")
        return url
