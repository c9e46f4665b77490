"""JWTs of the configured OIDC issuer: its keys are fetched, cached and rotated by PyJWT.

https://openid.net/specs/openid-connect-discovery-1_0.html, RFC 7519, RFC 8725
"""

import time
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import jwt

from integrations import strict_json
from integrations.errors import IntegrationError
from integrations.models import SUBJECT_PREFIX, is_tenant

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
"""Asymmetric ones only: with these a public key can never be taken for a shared secret."""

SCOPES = frozenset({"read", "write", "admin"})
"""What a JWT can grant; what it names beside these grants nothing."""

SCOPE_CLAIMS = ("scope", "scp")
"""Where scopes are looked for unless one claim is configured (RFC 8693, and what Entra and Okta
write): the first that is there says it all."""

SUBJECT = "sub"
LEEWAY_SECONDS = 60
TIMEOUT_SECONDS = 5

KEYS_SECONDS = 300
"""How long the issuer's keys are cached: a key that it withdraws is good for no longer."""

MAX_DOCUMENT = 512 * 1024
"""Bytes of the issuer's configuration, or of its keys: a real one has a few thousand."""

COOLDOWN_SECONDS = 1
"""How long an unknown key is no reason to ask again: rotated keys are found at once, and whoever
makes key names up cannot make us flood the issuer."""


_NO_SET = (jwt.PyJWKSetError, TypeError, LookupError, NotImplementedError)
"""What PyJWT raises of what is no set of keys, which says no more about a token than no answer."""


class JwtRefused(IntegrationError):
    """The token is not one that this stack takes."""

    code = "invalid_token"


class JwtExpired(JwtRefused):
    """The token was good once."""

    code = "token_expired"


class IssuerUnavailable(IntegrationError):
    """The issuer's keys could not be fetched now, which says nothing about the token.

    To refuse it would be remembered with it for minutes; a failure is not.
    """

    code = "issuer_unavailable"


class JwtSettings(NamedTuple):
    """Which JWTs are taken, and how they are read.

    Attributes:
        issuer: The issuer's URL, exactly as in its tokens.
        audience: What ``aud`` must hold.
        tenant_claim: The one claim that names the tenant. ``sub`` gives each subject a tenant of
            its own, in a name space of its own.
        scope_claim: The one claim that names scopes; ``""`` for the first of ``SCOPE_CLAIMS``.
        default_scopes: What a token without any scope claim may do.
    """

    issuer: str
    audience: str
    tenant_claim: str = "tenant"
    scope_claim: str = ""
    default_scopes: frozenset[str] = frozenset({"read"})


class Holder(NamedTuple):
    """Who holds a token and what it allows."""

    tenant: str
    subject: str
    scopes: frozenset[str]


class JwtVerifier:
    """Verifies tokens of one issuer for one audience.

    Args:
        settings: Which tokens are taken.
        allow_http: Whether the issuer may be reached without TLS (the local platform).
    """

    def __init__(self, settings: JwtSettings, *, allow_http: bool = False) -> None:
        self._settings = settings
        self._allow_http = allow_http
        self._keys: jwt.PyJWKClient | None = None

    def verify(self, token: str) -> Holder:
        """The token's holder.

        Raises:
            JwtExpired: Its time is over.
            JwtRefused: It is malformed, of another issuer or audience, not signed by one of the
                issuer's keys, or names no tenant.
            IssuerUnavailable: The keys could not be fetched.
        """
        try:
            key = self._client().get_signing_key_from_jwt(token)
            claims = jwt.decode(
                token,
                key.key,
                algorithms=ALGORITHMS,
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWKClientConnectionError:
            raise IssuerUnavailable("The issuer's keys could not be fetched") from None
        except jwt.ExpiredSignatureError:
            raise JwtExpired("The token has expired") from None
        except (jwt.PyJWTError, ValueError, TypeError) as refusal:
            # PyJWT raises a TypeError where the key is of another kind than the header's ``alg``.
            raise JwtRefused(f"The token is refused: {type(refusal).__name__}") from None
        subject = claims[SUBJECT]
        if not isinstance(subject, str) or not subject.isprintable():
            raise JwtRefused("The token's subject is not printable text")
        return Holder(self._tenant(claims), subject, self._scopes(claims))

    def _tenant(self, claims: Mapping[str, Any]) -> str:
        """The tenant that the one configured claim names; an empty claim names none."""
        claim = self._settings.tenant_claim
        tenant = claims.get(claim)
        if isinstance(tenant, str) and tenant and claim == SUBJECT:
            tenant = f"{SUBJECT_PREFIX}{tenant}"
        elif isinstance(tenant, str) and tenant.startswith(SUBJECT_PREFIX):
            tenant = None
        if not isinstance(tenant, str) or not is_tenant(tenant):
            raise JwtRefused(f"The claim {claim!r} of the token names no tenant")
        return tenant

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """What the token grants: of the scopes that its claim names, those that there are."""
        names = (self._settings.scope_claim,) if self._settings.scope_claim else SCOPE_CLAIMS
        named = next((claims[name] for name in names if name in claims), None)
        if named is None and not any(name in claims for name in names):
            return self._settings.default_scopes & SCOPES
        if isinstance(named, str):
            return SCOPES.intersection(named.split(" "))
        if isinstance(named, list):
            return SCOPES.intersection(each for each in named if isinstance(each, str))
        return frozenset()

    def _client(self) -> jwt.PyJWKClient:
        if self._keys is None:
            url = self._checked(
                f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
            )
            try:
                configuration = _document(url)
                issuer, keys_url = configuration["issuer"], str(configuration["jwks_uri"])
            except (OSError, HTTPException, ValueError, LookupError, TypeError):
                raise IssuerUnavailable("The issuer's configuration could not be fetched") from None
            if issuer != self._settings.issuer:  # OpenID Connect Discovery 1.0, section 4.3
                raise IssuerUnavailable("The issuer's configuration is another issuer's")
            keys_url = self._checked(keys_url)
            # Its cache of single keys (cache_keys) would never forget one.
            self._keys = _Keys(
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


class _Keys(jwt.PyJWKClient):
    """PyJWT's client; it reads no more than a document may have, and nothing but strict JSON."""

    def fetch_data(self) -> Any:
        """The issuer's keys, now; they are cached where they could be had."""
        try:
            found = _document(self.uri)
            if self.jwk_set_cache is not None:
                self.jwk_set_cache.put(found)
        except (OSError, HTTPException, ValueError, *_NO_SET) as failure:
            raise jwt.PyJWKClientConnectionError("The keys cannot be fetched") from failure
        self._last_successful_fetch = time.monotonic()
        return found


class _NoRedirects(HTTPRedirectHandler):
    """The issuer's documents are where it says; whoever answers elsewhere is another."""

    def redirect_request(self, *_: object) -> None:
        """Follow none: the answer itself is then the failure."""


def _document(url: str) -> dict[str, Any]:
    """A JSON object of the issuer's.

    Raises:
        OSError, HTTPException: It could not be fetched.
        ValueError: It is too large, or not strict JSON.
        TypeError: It is no object.
    """
    with build_opener(_NoRedirects()).open(Request(url), timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - the scheme is checked
        text = answer.read(MAX_DOCUMENT + 1)
    if len(text) > MAX_DOCUMENT:
        raise ValueError("the document is too large")
    found = strict_json.read(text)
    if not isinstance(found, dict):
        raise TypeError("the document is not an object")
    return cast("dict[str, Any]", found)
