"""Who sent a delivery: signatures over the raw bytes, shared secrets, timestamps.

A webhook's ``verification`` says how its deliveries prove themselves. It is plain JSON, part of a
connection's metadata and never secret; the secret that goes with it is stored apart.

================== =========================================================== ====================
type               what a delivery must carry                                  more fields
================== =========================================================== ====================
secret             the secret itself, in ``X-Webhook-Secret``                  header, prefix, query
hmac               an HMAC of the body in a header                             header (required),
                                                                               prefix, algorithm,
                                                                               encoding
github             ``X-Hub-Signature-256: sha256=<hex>``                       none
meta               the same, keyed with the app secret                         none
standard-webhooks  ``webhook-id``, ``webhook-timestamp``, ``webhook-signature``  toleranceSeconds
stripe             ``Stripe-Signature: t=…,v1=…``                              toleranceSeconds
telegram           the secret token in ``X-Telegram-Bot-Api-Secret-Token``     none
basic              ``Authorization: Basic …``, the secret being the password   username (required)
jwt                a JWT in ``Authorization: Bearer …``, signed by the secret  issuer, audience,
                   (HS256) or by a key of an issuer (RS256, ES256)             jwksUrl, header,
                                                                               toleranceSeconds
ip                 nothing, but it must come from one of the ranges            ranges (required)
none               nothing: whoever knows the URL may post                     none
================== =========================================================== ====================

``secret``, ``basic``, ``jwt``, ``ip`` and ``none`` also take ``deliveryHeader``, the header with
the sender's own id of a delivery. ``hmac`` takes it and does not go by it: what counts there is the
body, see ``REPLAY_WINDOWS``. Pure and standard library only: the cold path of every webhook imports
this; what ``jwt`` needs beside it is in ``services/delivery_tokens.py``.

- https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
- https://developers.facebook.com/docs/graph-api/webhooks/getting-started#validate-payloads
- https://www.standardwebhooks.com/
- https://docs.stripe.com/webhooks#verify-manually
- https://core.telegram.org/bots/api#setwebhook
- RFC 7617 (Basic), RFC 7519 and RFC 8725 (JWT)
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from integrations import strict_json
from integrations.errors import FieldError, SignatureRefused
from integrations.models import Json, Query, text_of

TOLERANCE = 300
"""Seconds that a signed timestamp may be off, where the verification does not say."""

MAX_HEADER = 8192
"""Characters that are read of a header; no signature needs as many."""

MAX_VALUE = 100
"""Characters of a field of a verification, and of a delivery's id that is stored as it is."""

MAX_TOLERANCE = 3600
MAX_URL = 500
MAX_RANGES = 100

MIN_SECRET = 8
"""Characters of a secret: fewer can be guessed."""

MIN_KEY = 32
"""Of one that signs JWTs by HS256: as many bytes as the hash has (RFC 7518, section 3.2)."""
MAX_DIGITS = 15
"""Of a timestamp."""

ALGORITHMS = ("sha1", "sha256", "sha512")
ENCODINGS = ("hex", "base64")

_FIELDS: dict[str, frozenset[str]] = {
    "secret": frozenset({"header", "prefix", "query", "deliveryHeader"}),
    "hmac": frozenset({"header", "prefix", "algorithm", "encoding", "deliveryHeader"}),
    "github": frozenset(),
    "meta": frozenset(),
    "standard-webhooks": frozenset({"toleranceSeconds"}),
    "stripe": frozenset({"toleranceSeconds"}),
    "telegram": frozenset(),
    "basic": frozenset({"username", "deliveryHeader"}),
    "jwt": frozenset({
        "issuer", "audience", "jwksUrl", "header", "toleranceSeconds", "deliveryHeader",
    }),
    "ip": frozenset({"ranges", "deliveryHeader"}),
    "none": frozenset({"deliveryHeader"}),
}  # fmt: skip
TYPES = tuple(_FIELDS)
"""The types of verification."""

REQUIRED: dict[str, frozenset[str]] = {
    "hmac": frozenset({"header"}),
    "basic": frozenset({"username"}),
    "ip": frozenset({"ranges"}),
}
"""The fields that a type cannot do without."""


def fields_of(kind: str) -> frozenset[str]:
    """The fields that a type of verification takes beside ``type``."""
    return _FIELDS[kind]


_SECRET_HEADERS = frozenset({
    "authorization",
    "cookie",
    "proxy-authorization",
    "stripe-signature",
    "svix-signature",
    "webhook-signature",
    "x-hub-signature",
    "x-hub-signature-256",
    "x-telegram-bot-api-secret-token",
    "x-webhook-secret",
})  # fmt: skip
_SVIX = "svix"
"""How the headers of Standard Webhooks begin at Svix, where they come from (Clerk, Resend …)."""

_DELIVERY_HEADERS = ("webhook-id", "x-github-delivery", "idempotency-key")
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_URL_SAFE = str.maketrans("-_", "+/")

type Verification = Mapping[str, Json]
type Headers = Mapping[str, str]


# -- Verifying -------------------------------------------------------------------------------


class _Claim(NamedTuple):
    """A delivery, the rule it must meet, and the time."""

    rule: Verification
    secret: str
    headers: Headers
    body: bytes
    now: float
    query: Query
    source_ip: str = ""


def verify(
    verification: Verification,
    secret: str,
    headers: Headers,
    body: bytes,
    now: float,
    query: Query | None = None,
    source_ip: str = "",
) -> None:
    """Check that a delivery comes from whoever holds the secret.

    Args:
        verification: How this webhook's deliveries prove themselves (see the module's table).
        secret: The webhook's secret; empty for ``none`` alone.
        headers: The delivery's headers, names in lower case.
        body: The body's raw bytes, before any parsing.
        now: The present moment in Unix time.
        query: The delivery's query parameters.
        source_ip: Where the connection came from, as API Gateway saw it: no header tells it.

    Raises:
        SignatureRefused: It does not verify; the reason names what is wrong and no secret.
    """
    kind = _string(verification, "type", "")
    rule = _RULES.get(kind)
    if rule is None:
        raise SignatureRefused("The webhook has no valid verification")
    if kind != "none" and not secret:
        # An empty key would accept whatever somebody signs with an empty key.
        raise SignatureRefused("The webhook has no secret to verify with")
    rule(_Claim(verification, secret, headers, body, now, query or {}, source_ip))


def _verify_nothing(_claim: _Claim) -> None:
    """Whoever knows the URL may post."""


def _verify_secret(claim: _Claim) -> None:
    parameter = _string(claim.rule, "query", "")
    if parameter:
        given = text_of(claim.query, parameter)
        place = f"query parameter {parameter}"
    else:
        place = _string(claim.rule, "header", "X-Webhook-Secret")
        given = _header(claim.headers, place)
        place = f"header {place}"
    if not given:
        raise SignatureRefused(f"The {place} is missing", kind="missing")
    prefix = _string(claim.rule, "prefix", "")
    if not _equal(given, prefix + claim.secret):
        raise SignatureRefused(f"The secret in the {place} is wrong")


def _verify_hmac(claim: _Claim) -> None:
    header = _string(claim.rule, "header", "X-Signature")
    prefix = _string(claim.rule, "prefix", "")
    algorithm = _string(claim.rule, "algorithm", "sha256")
    if algorithm not in ALGORITHMS:
        raise SignatureRefused("The webhook has no valid verification")
    given = _required(claim.headers, header)
    if not given.startswith(prefix):
        raise SignatureRefused(f"The header {header} does not begin with {prefix}")
    given = given[len(prefix) :]
    digest = hmac.digest(_bytes(claim.secret), claim.body, algorithm)
    if _string(claim.rule, "encoding", "hex") == "base64":
        given = given.translate(_URL_SAFE).rstrip("=")
        expected = base64.b64encode(digest).decode().rstrip("=")
    else:
        given = given.lower()
        expected = digest.hex()
    if not _equal(given, expected):
        raise SignatureRefused(f"The signature in the header {header} does not fit the body")


_HUB: Verification = {"header": "X-Hub-Signature-256", "prefix": "sha256="}


def _verify_hub(claim: _Claim) -> None:
    _verify_hmac(claim._replace(rule=_HUB))


def _verify_standard(claim: _Claim) -> None:
    svix = "svix-id" in claim.headers and "webhook-id" not in claim.headers
    prefix = _SVIX if svix else "webhook"
    message_id = _required(claim.headers, f"{prefix}-id")
    timestamp = _required(claim.headers, f"{prefix}-timestamp")
    given = _required(claim.headers, f"{prefix}-signature")
    if "." in message_id:
        # The dots part what is signed: an id with one could claim some of the body as its own.
        raise SignatureRefused("The header webhook-id must not hold a full stop")
    _check_age(f"{prefix}-timestamp", timestamp, claim)
    content = _standard_content(message_id, timestamp, claim.body)
    expected = [_standard_signature(key, content) for key in _standard_keys(claim.secret)]
    # Every pair is compared, so that the time does not tell which one fitted.
    matches = [_equal(one, other) for one in given.split(" ") for other in expected]
    if not any(matches):
        raise SignatureRefused("No v1 signature in the header webhook-signature fits the message")


def _verify_stripe(claim: _Claim) -> None:
    pairs = [
        item.partition("=") for item in _required(claim.headers, "Stripe-Signature").split(",")
    ]
    timestamp = next((value for name, _, value in pairs if name.strip() == "t"), "")
    _check_age("Stripe-Signature", timestamp, claim)
    expected = hmac.digest(
        _bytes(claim.secret), _bytes(timestamp) + b"." + claim.body, "sha256"
    ).hex()
    matches = [_equal(value, expected) for name, _, value in pairs if name.strip() == "v1"]
    if not any(matches):
        raise SignatureRefused("No v1 signature in the header Stripe-Signature fits the body")


def _verify_telegram(claim: _Claim) -> None:
    if not _equal(_required(claim.headers, "X-Telegram-Bot-Api-Secret-Token"), claim.secret):
        raise SignatureRefused("The secret in the header X-Telegram-Bot-Api-Secret-Token is wrong")


def _verify_basic(claim: _Claim) -> None:
    scheme, _, encoded = _required(claim.headers, "Authorization").partition(" ")
    if scheme.lower() != "basic":
        raise SignatureRefused("The header Authorization is not of the scheme Basic")
    try:
        given = base64.b64decode(encoded.strip(), validate=True)
    except ValueError:
        raise SignatureRefused(
            "The header Authorization is not valid Basic authentication"
        ) from None
    expected = _bytes(f"{_string(claim.rule, 'username', '')}:{claim.secret}")
    if not hmac.compare_digest(given, expected):
        raise SignatureRefused("The user or the password in the header Authorization is wrong")


def _verify_ip(claim: _Claim) -> None:
    from ipaddress import ip_address, ip_network

    ranges = claim.rule.get("ranges")
    try:
        address = ip_address(claim.source_ip)
    except ValueError:
        raise SignatureRefused("The sender's address is not known", kind="address") from None
    mapped = getattr(address, "ipv4_mapped", None) or address
    networks = ranges if isinstance(ranges, list) else []
    if not any(mapped in ip_network(str(each)) for each in networks):
        raise SignatureRefused(
            f"The sender's address {address} is in none of the ranges", kind="address"
        )


_RULES: dict[str, Callable[[_Claim], None]] = {
    "secret": _verify_secret,
    "hmac": _verify_hmac,
    "github": _verify_hub,
    "meta": _verify_hub,
    "standard-webhooks": _verify_standard,
    "stripe": _verify_stripe,
    "telegram": _verify_telegram,
    "basic": _verify_basic,
    "ip": _verify_ip,
    "none": _verify_nothing,
}


# -- Recognising -----------------------------------------------------------------------------


def delivery_id(verification: Verification, headers: Headers, body: bytes) -> str | None:
    """The sender's own id of a delivery, the same for each redelivery of it.

    Call it after ``verify``: it believes what the verification covers. A type that signs its id
    (``standard-webhooks``, ``stripe``) or has a known one (``github``, ``telegram``, ``meta``)
    takes it from there alone; the others take the header that senders use for it. Of a type with a
    ``replay_window`` it is no more than what the sender says: whoever repeats a delivery can
    change it.

    Args:
        verification: The webhook's verification.
        headers: The delivery's headers, names in lower case.
        body: The raw body.

    Returns:
        ``<source>:<id>``, at most 150 characters of printable ASCII without spaces, so that the
        ids of two sources never meet; ``None`` where the delivery has none.
    """
    kind = _string(verification, "type", "")
    match kind:
        case "telegram":
            update = _member(body, "update_id")
            return _identity("telegram", str(update)) if isinstance(update, int) else None
        case "stripe":
            event = _member(body, "id")
            return _identity("stripe", event) if isinstance(event, str) else None
        case "meta":
            return f"meta:{hashlib.sha256(body).hexdigest()}"
        case "github":
            names: tuple[str, ...] = ("x-github-delivery",)
        case "standard-webhooks":
            # Two names of one thing: under the other one, it is the same delivery.
            value = headers.get("webhook-id") or headers.get("svix-id", "")
            return _identity("webhook-id", value.strip()) if value.strip() else None
        case _:
            own = _string(verification, "deliveryHeader", "").lower()
            names = (own,) if own else _DELIVERY_HEADERS
    for name in names:
        value = headers.get(name, "").strip()
        if value:
            return _identity(name, value)
    return None


def is_ping(body: bytes) -> bool:
    """Whether a delivery that proves nothing only asks whether somebody is there.

    WordPress shops send such a one, unsigned, before they turn a webhook on, and turn it off where
    it is refused. It is answered and starts nothing, whoever sends it.
    https://woocommerce.github.io/woocommerce-rest-api-docs/#webhooks
    """
    name, _, digits = body.partition(b"=")
    return name == b"webhook_id" and digits.isdigit() and len(body) < MAX_PING


MAX_PING = 32

REPLAY_WINDOWS: Mapping[str, int] = {"github": 7 * 86_400, "hmac": 3_600}
"""Types that sign the body and neither a time nor an id: for so many seconds the same body is the
same delivery, whatever id it comes under. Of GitHub no two deliveries have one body; of an HMAC of
somebody's own two may, and an hour is what their sender must leave between them."""


def replay_window(verification: Verification) -> int:
    """For how many seconds the same body is the same delivery; 0 where its id or time is signed."""
    return REPLAY_WINDOWS.get(_string(verification, "type", ""), 0)


def secret_headers(verification: Verification) -> frozenset[str]:
    """The headers, in lower case, that must not go on with a delivery: secrets and signatures."""
    return _SECRET_HEADERS | {_string(verification, "header", "x-webhook-secret").lower()}


def secret_parameters(verification: Verification) -> frozenset[str]:
    """The query parameters that must not go on with a delivery."""
    parameter = _string(verification, "query", "")
    return frozenset({parameter}) if parameter else frozenset()


# -- Sending ---------------------------------------------------------------------------------


def sign_standard_webhook(
    secret: str,
    message_id: str,
    timestamp: int,
    body: Iterable[bytes],
) -> dict[str, str]:
    """The headers of a message that we send, as Standard Webhooks has them.

    Args:
        secret: ``whsec_`` and base64, or any text; a text that could also be base64 is used both
            ways, since receivers' libraries differ on it and one fitting signature is enough.
        message_id: The same for each repetition of the message.
        timestamp: The present moment in Unix time.
        body: What will be sent, in pieces.
    """
    head = _standard_content(message_id, str(timestamp), b"")
    sums = [hmac.new(key, head, "sha256") for key in _standard_keys(secret)]
    for piece in body:
        for each in sums:
            each.update(piece)
    signatures = ["v1," + base64.b64encode(each.digest()).decode() for each in sums]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


# -- Checking what a user configured ---------------------------------------------------------


def check(verification: object) -> list[FieldError]:
    """Every mistake in a verification that a user gave; none where it is good."""
    if not isinstance(verification, Mapping):
        return [FieldError("verification", "must be an object with a type")]
    kind = verification.get("type")
    if not isinstance(kind, str) or kind not in _FIELDS:
        return [FieldError("verification.type", f"must be one of {', '.join(TYPES)}")]
    errors = [
        FieldError(f"verification.{name}", f"is not a field of type {kind}")
        for name in verification
        if name != "type" and name not in _FIELDS[kind]
    ]
    errors += [
        FieldError(f"verification.{name}", f"is required for the type {kind}")
        for name in sorted(REQUIRED.get(kind, frozenset()) - verification.keys())
    ]
    own = verification.get("deliveryHeader")
    if isinstance(own, str) and own.lower() in secret_headers(verification):
        errors.append(FieldError("verification.deliveryHeader", "must not be one with a secret"))
    if "query" in verification and ("header" in verification or "prefix" in verification):
        errors.append(FieldError("verification.query", "does not go with header and prefix"))
    for name in _FIELDS[kind] & verification.keys():
        problem = _CHECKS[name](verification[name])
        if problem:
            errors.append(FieldError(f"verification.{name}", problem))
    return errors


def check_secret(verification: Verification, secret: str) -> str | None:
    """What is wrong with a secret for this verification, ``None`` where it fits."""
    kind = _string(verification, "type", "")
    if not needs_secret(verification):
        return None
    if not secret:
        return "is required to verify deliveries"
    shortest = MIN_KEY if kind == "jwt" else MIN_SECRET
    if len(secret) < shortest:
        return f"must have at least {shortest} characters"
    if kind in {"secret", "telegram"} and not (secret.isascii() and secret.isprintable()):
        return "must be printable ASCII, because it travels in a header"
    return None


def needs_secret(verification: Verification) -> bool:
    """Whether deliveries prove themselves by a secret that sender and receiver share."""
    kind = _string(verification, "type", "")
    return kind not in {"none", "ip"} and not (kind == "jwt" and "jwksUrl" in verification)


def _check_header(value: object) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= MAX_VALUE and _TOKEN.issuperset(value.lower()):
        return None
    return "is not the name of a header"


def _check_prefix(value: object) -> str | None:
    if (
        isinstance(value, str)
        and len(value) <= MAX_VALUE
        and value.isascii()
        and value.isprintable()
    ):
        return None
    return "must be at most 100 characters of printable ASCII"


def _check_query(value: object) -> str | None:
    return _check_prefix(value) if value else "is not the name of a query parameter"


def _check_algorithm(value: object) -> str | None:
    return None if value in ALGORITHMS else f"must be one of {', '.join(ALGORITHMS)}"


def _check_encoding(value: object) -> str | None:
    return None if value in ENCODINGS else f"must be one of {', '.join(ENCODINGS)}"


def _check_username(value: object) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= MAX_VALUE and value.isprintable():
        return None if ":" not in value else "must not hold a colon (RFC 7617)"
    return "must be 1 to 100 printable characters"


def _check_text(value: object) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= MAX_URL and value.isprintable():
        return None
    return f"must be 1 to {MAX_URL} printable characters"


def _check_keys_url(value: object) -> str | None:
    here = ("https://", "http://localhost:", "http://127.0.0.1:")  # the guard knows the latter two
    if isinstance(value, str) and len(value) <= MAX_URL and value.startswith(here):
        return None
    return "must be an https URL"


def _check_ranges(value: object) -> str | None:
    from ipaddress import ip_network

    if not isinstance(value, list) or not 0 < len(value) <= MAX_RANGES:
        return f"must be a list of 1 to {MAX_RANGES} ranges such as 203.0.113.0/24"
    for each in value:
        try:
            ip_network(each if isinstance(each, str) else "")
        except ValueError:
            return f"must hold ranges such as 203.0.113.0/24 or 2001:db8::/32, not {each!r:.60}"
    return None


def _check_tolerance(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_TOLERANCE:
        return None
    return "must be a whole number of seconds from 1 to 3600"


_CHECKS: dict[str, Callable[[object], str | None]] = {
    "header": _check_header,
    "deliveryHeader": _check_header,
    "prefix": _check_prefix,
    "query": _check_query,
    "algorithm": _check_algorithm,
    "encoding": _check_encoding,
    "toleranceSeconds": _check_tolerance,
    "username": _check_username,
    "issuer": _check_text,
    "audience": _check_text,
    "jwksUrl": _check_keys_url,
    "ranges": _check_ranges,
}


# -- Parts -----------------------------------------------------------------------------------


def _string(verification: Verification, name: str, default: str) -> str:
    value = verification.get(name)
    return value if isinstance(value, str) else default


def _bytes(text: str) -> bytes:
    # Header values may hold anything, lone surrogates too; this never fails.
    return text.encode("utf-8", "surrogatepass")


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(_bytes(one), _bytes(other))


def _header(headers: Headers, name: str) -> str:
    value = headers.get(name.lower(), "").strip()
    if len(value) > MAX_HEADER:
        raise SignatureRefused(f"The header {name} is too long")
    return value


def _required(headers: Headers, name: str) -> str:
    value = _header(headers, name)
    if not value:
        raise SignatureRefused(f"The header {name} is missing", kind="missing")
    return value


def _check_age(header: str, timestamp: str, claim: _Claim) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= MAX_DIGITS):
        raise SignatureRefused(f"The header {header} has no valid timestamp", kind="timestamp")
    tolerance = claim.rule.get("toleranceSeconds")
    allowed = tolerance if isinstance(tolerance, int) else TOLERANCE
    age = claim.now - int(timestamp)
    if age > allowed:
        raise SignatureRefused(
            f"The timestamp is {age:.0f} s old; {allowed} s are allowed", kind="timestamp"
        )
    if age < -allowed:
        raise SignatureRefused(
            f"The timestamp is {-age:.0f} s ahead; {allowed} s are allowed", kind="timestamp"
        )


def _standard_content(message_id: str, timestamp: str, body: bytes) -> bytes:
    return _bytes(f"{message_id}.{timestamp}.") + body


def _standard_signature(key: bytes, content: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()


def _standard_keys(secret: str) -> list[bytes]:
    encoded = secret.removeprefix("whsec_").rstrip("=")
    # One character beyond a multiple of four is no base64 of anything.
    if encoded and _BASE64.issuperset(encoded) and len(encoded) % 4 != 1:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
        return [decoded] if secret.startswith("whsec_") else [decoded, _bytes(secret)]
    return [_bytes(secret)]


def _member(body: bytes, name: str) -> Json:
    try:
        parsed = strict_json.read(body)
    except strict_json.NotJson:
        return None
    value = parsed.get(name) if isinstance(parsed, dict) else None
    return None if isinstance(value, bool) else value


def _identity(source: str, value: str) -> str:
    """An id of bounded length and harmless characters; what is neither is replaced by its hash."""
    plain = value.isascii() and value.isprintable() and " " not in value
    if plain and 0 < len(value) <= MAX_VALUE and not value.startswith("sha256="):
        return f"{source}:{value}"
    return f"{source}:sha256={hashlib.sha256(_bytes(value)).hexdigest()}"
