"""JWTs that deliveries carry: by a secret of both sides, or by the keys of an issuer.

Loaded for webhooks of the type ``jwt`` alone. A token proves who sends; the body is not signed.

RFC 7519, RFC 7517, RFC 8725
"""

import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import jwt

from integrations.errors import (
    ProviderError,
    ProviderUnavailable,
    ServiceUnavailable,
    SignatureRefused,
)
from integrations.models import Json

if TYPE_CHECKING:
    from integrations.outbound.http import Http

KEY_ALGORITHMS = ["RS256", "ES256"]
"""Of an issuer's keys; never together with HS256: a public key could pass as the secret."""

KEYS_SECONDS = 300
"""How long an issuer's keys are cached."""

STALE_SECONDS = 3600
"""How long after that they are good while the issuer cannot be asked. Its outage should not stop
deliveries, of which many senders repeat each for some minutes only; but a key that it has withdrawn
must not be good for as long as somebody keeps us from hearing of it."""

COOLDOWN_SECONDS = 10
"""How long a token with an unknown key is no reason to ask the issuer again, nor a failure to."""

KEYS_TIMEOUT = 5.0
"""Seconds for all of it: the sender of a delivery waits meanwhile."""

MAX_KEYS_BYTES = 256 * 1024
MAX_ISSUERS = 256
LEEWAY = 60
"""Seconds that the two clocks may differ, where the verification does not say."""


class _Keys(NamedTuple):
    """What is known of an issuer.

    Attributes:
        keys: By their ids.
        fetched_at: When it gave them.
        asked_at: When it was asked last.
        failure: Why it gave none then; ``""`` where it did.
    """

    keys: Mapping[str, jwt.PyJWK]
    fetched_at: float
    asked_at: float
    failure: str


_NOTHING = _Keys({}, float("-inf"), float("-inf"), "")


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
        self._sets: dict[str, _Keys] = {}

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
            ServiceUnavailable: The issuer gives no keys now: the delivery must come again.
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
        known = self._sets.get(url, _NOTHING)
        present = self._monotonic()
        is_old = present - known.fetched_at > KEYS_SECONDS
        asks = present - known.asked_at > COOLDOWN_SECONDS
        if asks and (is_old or _chosen(known.keys, named) is None):
            known = self._asked(url, known)
        lasts = KEYS_SECONDS + (STALE_SECONDS if known.failure else 0)
        is_good = self._monotonic() - known.fetched_at <= lasts
        found = _chosen(known.keys, named) if is_good else None
        if found is None and known.failure:
            raise ServiceUnavailable(f"The issuer's keys could not be fetched: {known.failure}")
        if found is None:
            raise SignatureRefused("The issuer has no key that the token names", kind="token")
        return found

    def _asked(self, url: str, known: "_Keys") -> "_Keys":
        """The keys as the issuer gives them now; those that are known where it gives none."""
        try:
            keys, failure = self._fetch(url), ""
        except ProviderError as down:
            keys, failure = known.keys, down.detail
        # The cooldown begins when the issuer is done: one that takes long to fail would else be
        # asked without a pause.
        present = self._monotonic()
        if url not in self._sets and len(self._sets) >= MAX_ISSUERS:
            self._sets.clear()
        fetched_at = known.fetched_at if failure else present
        self._sets[url] = _Keys(keys, fetched_at, present, failure)
        return self._sets[url]

    def _fetch(self, url: str) -> Mapping[str, jwt.PyJWK]:
        answer = self._outbound().request(
            "GET", url, max_bytes=MAX_KEYS_BYTES, total_timeout=KEYS_TIMEOUT
        )
        if answer.status != HTTPStatus.OK:
            raise ProviderUnavailable(f"it answered with status {answer.status}")
        found = answer.json()
        try:
            if isinstance(found, dict):
                return {each.key_id or "": each for each in jwt.PyJWKSet.from_dict(found).keys}
        except (jwt.PyJWTError, TypeError, LookupError, NotImplementedError):
            pass  # all that PyJWT raises of a key that is none, whoever wrote it
        raise ProviderUnavailable("what it has there is not a set of keys")


def _chosen(keys: Mapping[str, jwt.PyJWK], named: str) -> jwt.PyJWK | None:
    """The key of a name; a token that names none means the only one."""
    if named:
        return keys.get(named)
    return next(iter(keys.values())) if len(keys) == 1 else None
