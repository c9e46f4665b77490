"""JWTs that deliveries carry: by a secret of both sides, or by the keys of an issuer.

Loaded for webhooks of the type ``jwt`` alone. A token proves who sends; the body is not signed.

RFC 7519, RFC 7517, RFC 8725
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jwt

from integrations.errors import ProviderError, ServiceUnavailable, SignatureRefused
from integrations.models import Json

if TYPE_CHECKING:
    from integrations.outbound.http import Http

KEY_ALGORITHMS = ["RS256", "ES256"]
"""Of an issuer's keys; never together with HS256: a public key could pass as the secret."""

KEYS_SECONDS = 300
"""How long an issuer's keys are cached."""

COOLDOWN_SECONDS = 10
"""How long a token with an unknown key is no reason to ask the issuer again, nor a failure to."""

KEYS_TIMEOUT = 5.0
MAX_KEYS_BYTES = 256 * 1024
MAX_ISSUERS = 256
LEEWAY = 60
"""Seconds that the two clocks may differ, where the verification does not say."""


class DeliveryTokens:
    """Verifies the JWT of a delivery.

    Args:
        outbound: The guarded way to an issuer's keys.
        monotonic: Seconds that pass.
    """

    def __init__(
        self,
        outbound: "Callable[[], Http]",
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outbound = outbound
        self._monotonic = monotonic
        self._sets: dict[str, tuple[float, Mapping[str, jwt.PyJWK]]] = {}

    def verify(
        self, verification: Mapping[str, Json], secret: str, headers: Mapping[str, str]
    ) -> None:
        """Check the token of a delivery.

        Args:
            verification: ``jwt`` and its fields.
            secret: What signs by HS256, where no ``jwksUrl`` is given.
            headers: Names in lower case.

        Raises:
            SignatureRefused: It is missing, expired, of another issuer or audience, or not signed
                by the right key.
            ServiceUnavailable: The issuer does not answer: the delivery must come again.
        """
        header = str(verification.get("header") or "Authorization")
        scheme, _, token = headers.get(header.lower(), "").strip().rpartition(" ")
        if not token or scheme.lower() not in {"", "bearer"}:
            raise SignatureRefused(f"The header {header} has no bearer token", kind="token")
        issuer, audience = verification.get("issuer"), verification.get("audience")
        tolerance = verification.get("toleranceSeconds")
        options: dict[str, Any] = {
            "require": ["exp", *(["iss"] if issuer else []), *(["aud"] if audience else [])],
            "verify_aud": bool(audience),
        }
        keys_url = verification.get("jwksUrl")
        try:
            jwt.decode(
                token,
                self._key(str(keys_url), token) if keys_url else secret,
                algorithms=KEY_ALGORITHMS if keys_url else ["HS256"],
                issuer=str(issuer) if issuer else None,
                audience=str(audience) if audience else None,
                leeway=tolerance if isinstance(tolerance, int) else LEEWAY,
                options=options,  # type: ignore[arg-type]
            )
        except (jwt.PyJWTError, ValueError) as refusal:
            detail = f"The token in the header {header} is refused: {type(refusal).__name__}"
            raise SignatureRefused(detail, kind="token") from None

    def _key(self, url: str, token: str) -> jwt.PyJWK:
        named = str(jwt.get_unverified_header(token).get("kid") or "")
        fetched_at, keys = self._sets.get(url, (float("-inf"), {}))
        age = self._monotonic() - fetched_at
        found = _chosen(keys, named)
        if age > KEYS_SECONDS or (found is None and age > COOLDOWN_SECONDS):
            keys = self._fetch(url)
            found = _chosen(keys, named)
        if found is None:
            raise SignatureRefused("The issuer has no key that the token names", kind="token")
        return found

    def _fetch(self, url: str) -> Mapping[str, jwt.PyJWK]:
        if len(self._sets) >= MAX_ISSUERS:
            self._sets.clear()
        keys: Mapping[str, jwt.PyJWK] = {}
        self._sets[url] = (self._monotonic(), keys)
        try:
            answer = self._outbound().request(
                "GET", url, max_bytes=MAX_KEYS_BYTES, read_timeout=KEYS_TIMEOUT
            )
            found = answer.json()
        except ProviderError as failure:
            raise ServiceUnavailable(
                f"The issuer's keys could not be fetched: {failure.detail}"
            ) from None
        if not isinstance(found, dict):
            raise SignatureRefused(
                "What the issuer has at jwksUrl is not a set of keys", kind="token"
            )
        keys = {each.key_id or "": each for each in jwt.PyJWKSet.from_dict(found).keys}
        self._sets[url] = (self._monotonic(), keys)
        return keys


def _chosen(keys: Mapping[str, jwt.PyJWK], named: str) -> jwt.PyJWK | None:
    """The key of a name; a token that names none means the only one."""
    if named:
        return keys.get(named)
    return next(iter(keys.values())) if len(keys) == 1 else None
