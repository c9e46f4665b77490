"""Each way in which a delivery proves where it comes from, and each way in which it can fail."""

import base64
import hashlib
import hmac
import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
import standardwebhooks
import stripe
from hypothesis import given
from hypothesis import strategies as st

from integrations import signatures
from integrations.errors import SignatureRefused
from integrations.models import Json

NOW = 1614265330
SECRET = "s3cret-t0ken"

type Rule = Mapping[str, Json]

GITHUB: Rule = {"type": "github"}
META: Rule = {"type": "meta"}
STANDARD: Rule = {"type": "standard-webhooks"}
STRIPE: Rule = {"type": "stripe"}
TELEGRAM: Rule = {"type": "telegram"}
SHARED: Rule = {"type": "secret"}
NONE: Rule = {"type": "none"}

STANDARD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD_BODY = b'{"test": 2432232314}'
STANDARD_HEADERS = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(NOW),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
STRIPE_SIGNATURE = "v1=347e9afe3d74ec4c5cbefd270edc9246513ae3da7b375223e302560fbd4146eb"
STRIPE_BODY = b'{"id":"evt_1"}'


def accept(
    verification: Rule,
    headers: Mapping[str, str],
    body: bytes = b"",
    secret: str = SECRET,
    now: float = NOW,
    query: Mapping[str, str] | None = None,
) -> None:
    signatures.verify(verification, secret, headers, body, now, query)


def refuse(
    verification: Rule,
    headers: Mapping[str, str],
    body: bytes = b"",
    secret: str = SECRET,
    now: float = NOW,
    query: Mapping[str, str] | None = None,
) -> str:
    with pytest.raises(SignatureRefused) as refusal:
        signatures.verify(verification, secret, headers, body, now, query)
    assert not secret or secret not in refusal.value.detail
    return refusal.value.detail


# -- Published vectors -----------------------------------------------------------------------


def test_githubs_own_example_is_accepted() -> None:
    value = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"x-hub-signature-256": value}
    accept(GITHUB, headers, b"Hello, World!", secret="It's a Secret to Everybody")
    refuse(GITHUB, headers, b"Hello, World?", secret="It's a Secret to Everybody")


def test_metas_signature_covers_the_escaped_bytes() -> None:
    value = "sha256=f823e7ceab4f08bb0b0644678deb928221134967d55acc182a0ae7010ac54852"
    headers = {"x-hub-signature-256": value}
    accept(META, headers, rb'{"text":"\u00e4\u00f6\u00e5"}', secret="appsecret")
    refuse(META, headers, '{"text":"äöå"}'.encode(), secret="appsecret")


def test_the_standard_webhooks_example_is_accepted() -> None:
    accept(STANDARD, STANDARD_HEADERS, STANDARD_BODY, secret=STANDARD_SECRET)


def test_the_stripe_example_is_accepted() -> None:
    headers = {"stripe-signature": f"t={NOW},{STRIPE_SIGNATURE}"}
    accept(STRIPE, headers, STRIPE_BODY, secret="whsec_test")


# -- The vendors' libraries ------------------------------------------------------------------


@given(body=st.text(), key=st.binary(min_size=1, max_size=64))
def test_what_we_sign_the_standard_webhooks_library_accepts(body: str, key: bytes) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    now = int(datetime.now(UTC).timestamp())
    headers = signatures.sign_standard_webhook(secret, "msg_1", now, [body.encode()])
    standardwebhooks.Webhook(secret).verify(body, headers, json_parse=False)


@given(body=st.text(), key=st.binary(min_size=1, max_size=64))
def test_what_the_standard_webhooks_library_signs_we_accept(body: str, key: bytes) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    signature = standardwebhooks.Webhook(secret).sign(
        "msg_1", datetime.fromtimestamp(NOW, UTC), body
    )
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(NOW),
        "webhook-signature": signature,
    }
    accept(STANDARD, headers, body.encode(), secret=secret)


@given(body=st.text(), secret=st.text(min_size=1).filter(str.strip))
def test_what_stripes_library_signs_we_accept(body: str, secret: str) -> None:
    header = stripe.WebhookSignature.generate_signature_header(body, secret, NOW)
    accept(STRIPE, {"stripe-signature": header}, body.encode(), secret=secret)


def test_a_plain_secret_is_understood_by_receivers_that_decode_it_and_by_others() -> None:
    secret = "abcdefghijklmnopqrstuvwxyz012345"
    now = int(datetime.now(UTC).timestamp())
    headers = signatures.sign_standard_webhook(secret, "msg_1", now, [b"{}"])
    standardwebhooks.Webhook(secret).verify(b"{}", headers)
    standardwebhooks.Webhook(secret.encode()).verify(b"{}", headers)
    accept(STANDARD, headers, b"{}", secret=secret, now=now)


# -- Shared secret ---------------------------------------------------------------------------


def test_a_shared_secret_is_looked_for_in_its_usual_header() -> None:
    accept(SHARED, {"x-webhook-secret": SECRET})
    assert "wrong" in refuse(SHARED, {"x-webhook-secret": "guess"})
    assert "X-Webhook-Secret is missing" in refuse(SHARED, {})
    assert "missing" in refuse(SHARED, {"x-webhook-secret": ""})


def test_a_shared_secret_can_have_a_header_and_a_prefix_of_its_own() -> None:
    verification = {"type": "secret", "header": "Authorization", "prefix": "Bearer "}
    accept(verification, {"authorization": f"Bearer {SECRET}"})
    refuse(verification, {"authorization": SECRET})
    refuse(verification, {"x-webhook-secret": SECRET})


def test_a_shared_secret_can_come_in_the_query() -> None:
    verification = {"type": "secret", "query": "token"}
    accept(verification, {}, query={"token": SECRET})
    assert "query parameter token" in refuse(verification, {"x-webhook-secret": SECRET})
    refuse(verification, {}, query={"token": "guess"})


def test_telegrams_secret_token_is_compared_whole() -> None:
    accept(TELEGRAM, {"x-telegram-bot-api-secret-token": SECRET})
    refuse(TELEGRAM, {"x-telegram-bot-api-secret-token": SECRET[:-1]})
    refuse(TELEGRAM, {})


def test_a_webhook_without_verification_accepts_everything() -> None:
    accept(NONE, {}, b"\xff", secret="")


@pytest.mark.parametrize("kind", [each for each in signatures.TYPES if each not in {"none", "jwt"}])
def test_an_empty_secret_verifies_nothing(kind: str) -> None:
    signature = "sha256=" + hmac.new(b"", b"", hashlib.sha256).hexdigest()
    headers = {
        "x-hub-signature-256": signature,
        "x-signature": signature[7:],
        "x-webhook-secret": "",
        "x-telegram-bot-api-secret-token": "",
    }
    assert "no secret" in refuse({"type": kind, "header": "X-Signature"}, headers, secret="")


@pytest.mark.parametrize("verification", [{}, {"type": "md5"}, {"type": 7}, {"type": None}])
def test_an_unknown_verification_accepts_nothing(verification: Rule) -> None:
    refuse(verification, {"x-webhook-secret": SECRET})


# -- HMAC ------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", signatures.ALGORITHMS)
@pytest.mark.parametrize("encoding", signatures.ENCODINGS)
@pytest.mark.parametrize("prefix", ["", "sig="])
def test_an_hmac_is_accepted_in_every_algorithm_and_encoding(
    algorithm: str,
    encoding: str,
    prefix: str,
) -> None:
    body = b"\x00\xff{}"
    digest = hmac.new(SECRET.encode(), body, algorithm)
    text = digest.hexdigest() if encoding == "hex" else base64.b64encode(digest.digest()).decode()
    verification: Rule = {
        "type": "hmac",
        "header": "X-Sig",
        "algorithm": algorithm,
        "encoding": encoding,
        "prefix": prefix,
    }
    accept(verification, {"x-sig": prefix + text}, body)
    assert "does not fit" in refuse(verification, {"x-sig": prefix + text}, body + b" ")
    refuse(verification, {"x-sig": prefix + text}, body, secret="other")
    refuse(verification, {"x-sig": prefix + text[:-5]}, body)


def test_an_hmac_in_capital_hex_or_url_safe_base64_is_the_same_hmac() -> None:
    digest = hmac.new(SECRET.encode(), b"12", hashlib.sha256)
    accept({"type": "hmac", "header": "s"}, {"s": digest.hexdigest().upper()}, b"12")
    text = base64.urlsafe_b64encode(digest.digest()).decode().rstrip("=")
    accept({"type": "hmac", "header": "s", "encoding": "base64"}, {"s": text}, b"12")


def test_a_missing_prefix_is_named() -> None:
    detail = refuse(GITHUB, {"x-hub-signature-256": "757107"})
    assert detail == "The header X-Hub-Signature-256 does not begin with sha256="


def test_githubs_old_sha1_header_is_not_enough() -> None:
    signature = hmac.new(SECRET.encode(), b"{}", hashlib.sha1).hexdigest()
    refuse(GITHUB, {"x-hub-signature": f"sha1={signature}"}, b"{}")


# -- Standard Webhooks and Stripe ------------------------------------------------------------


@pytest.mark.parametrize(
    ("now", "reason"),
    [(NOW + 301, "301 s old; 300 s are allowed"), (NOW - 301, "301 s ahead")],
)
def test_a_timestamp_that_is_too_far_off_is_refused(now: float, reason: str) -> None:
    detail = refuse(STANDARD, STANDARD_HEADERS, STANDARD_BODY, STANDARD_SECRET, now)
    assert reason in detail
    headers = {"stripe-signature": f"t={NOW},{STRIPE_SIGNATURE}"}
    assert reason in refuse(STRIPE, headers, STRIPE_BODY, "whsec_test", now)


@pytest.mark.parametrize("now", [NOW - 300, NOW + 300])
def test_a_timestamp_at_the_tolerance_is_accepted(now: float) -> None:
    accept(STANDARD, STANDARD_HEADERS, STANDARD_BODY, STANDARD_SECRET, now)
    headers = {"stripe-signature": f"t={NOW},{STRIPE_SIGNATURE}"}
    accept(STRIPE, headers, STRIPE_BODY, "whsec_test", now)


def test_the_tolerance_can_be_set() -> None:
    wide: Rule = {"type": "standard-webhooks", "toleranceSeconds": 3600}
    accept(wide, STANDARD_HEADERS, STANDARD_BODY, STANDARD_SECRET, NOW + 3000)
    narrow: Rule = {"type": "standard-webhooks", "toleranceSeconds": 10}
    refuse(narrow, STANDARD_HEADERS, STANDARD_BODY, STANDARD_SECRET, NOW + 11)


def test_one_fitting_signature_among_several_is_enough() -> None:
    good = STANDARD_HEADERS["webhook-signature"]
    headers = STANDARD_HEADERS | {"webhook-signature": f"v1,AAAA v1a,BBBB {good} v1,"}
    accept(STANDARD, headers, STANDARD_BODY, STANDARD_SECRET)
    several = f"t={NOW},v1=00,v0=11,{STRIPE_SIGNATURE}"
    accept(STRIPE, {"stripe-signature": several}, STRIPE_BODY, "whsec_test")


def test_only_v1_signatures_count() -> None:
    value = STANDARD_HEADERS["webhook-signature"].replace("v1,", "v1a,")
    headers = STANDARD_HEADERS | {"webhook-signature": value}
    assert "No v1 signature" in refuse(STANDARD, headers, STANDARD_BODY, STANDARD_SECRET)
    old = {"stripe-signature": f"t={NOW},{STRIPE_SIGNATURE.replace('v1', 'v0')}"}
    assert "No v1 signature" in refuse(STRIPE, old, STRIPE_BODY, "whsec_test")


@pytest.mark.parametrize("name", STANDARD_HEADERS)
def test_each_standard_webhooks_header_is_required_and_signed(name: str) -> None:
    missing = {key: value for key, value in STANDARD_HEADERS.items() if key != name}
    assert name in refuse(STANDARD, missing, STANDARD_BODY, STANDARD_SECRET)
    changed = STANDARD_HEADERS | {name: STANDARD_HEADERS[name][:-1] + "1"}
    refuse(STANDARD, changed, STANDARD_BODY, STANDARD_SECRET)


def test_an_id_cannot_claim_a_part_of_the_body_as_its_own() -> None:
    body = f"{NOW}.rest".encode()
    headers = signatures.sign_standard_webhook(STANDARD_SECRET, "msg", NOW - 5, [body])
    forged = headers | {"webhook-id": f"msg.{NOW - 5}", "webhook-timestamp": str(NOW)}
    accept(STANDARD, headers, body, STANDARD_SECRET)
    assert "full stop" in refuse(STANDARD, forged, b"rest", STANDARD_SECRET)


@pytest.mark.parametrize("timestamp", ["", "now", "-5", "1e9", "١٢٣", "9" * 400, "0x10", "1.5"])
def test_a_malformed_timestamp_is_refused(timestamp: str) -> None:
    headers = STANDARD_HEADERS | {"webhook-timestamp": timestamp}
    refuse(STANDARD, headers, STANDARD_BODY, STANDARD_SECRET)
    refuse(STRIPE, {"stripe-signature": f"t={timestamp},{STRIPE_SIGNATURE}"}, STRIPE_BODY, "x")


# -- Hostile input ---------------------------------------------------------------------------

VERIFICATIONS: list[Rule] = [
    SHARED,
    {"type": "hmac", "header": "x-webhook-secret", "encoding": "base64"},
    {"type": "hmac", "header": "x-webhook-secret", "prefix": "v="},
    {"type": "secret", "query": "token"},
    GITHUB,
    META,
    STANDARD,
    STRIPE,
    TELEGRAM,
]
hostile = st.one_of(
    st.text(st.characters(exclude_categories=[])),
    st.sampled_from(
        ["v1,", "v1,=", "v1,!!!", "t=,v1=", "t", ",", "=", "sha256=", "v1,ä", "\ud800"]
    ),
    st.integers(8000, 9000).map(lambda count: "x" * count),
)


@given(
    verification=st.sampled_from(VERIFICATIONS),
    values=st.tuples(hostile, hostile, hostile),
    body=st.binary(),
)
def test_whatever_the_headers_hold_the_answer_is_a_refusal(
    verification: Rule,
    values: tuple[str, str, str],
    body: bytes,
) -> None:
    first, second, third = values
    headers = {
        "x-webhook-secret": first,
        "x-hub-signature-256": first,
        "x-telegram-bot-api-secret-token": first,
        "stripe-signature": f"t={NOW},v1={first}",
        "webhook-id": second,
        "webhook-timestamp": str(NOW),
        "webhook-signature": third,
    }
    for variant in (headers, headers | {"stripe-signature": third, "webhook-timestamp": second}):
        refuse(verification, variant, body, secret="not-guessed-ever", query={"token": first})


def test_a_huge_header_is_refused_unread() -> None:
    detail = refuse(SHARED, {"x-webhook-secret": "x" * 1_000_000})
    assert detail == "The header X-Webhook-Secret is too long"


# -- Delivery ids ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verification", "headers", "body", "expected"),
    [
        (TELEGRAM, {}, b'{"update_id": 712, "message": {}}', "telegram:712"),
        (TELEGRAM, {"idempotency-key": "k"}, b'{"update_id": "712"}', None),
        (TELEGRAM, {}, b'{"update_id": true}', None),
        (TELEGRAM, {}, b"[]", None),
        (TELEGRAM, {}, b"\xff", None),
        (STRIPE, {}, STRIPE_BODY, "stripe:evt_1"),
        (STRIPE, {"idempotency-key": "k"}, b"{}", None),
        (GITHUB, {"x-github-delivery": "72d3162e-cc78"}, b"", "x-github-delivery:72d3162e-cc78"),
        (GITHUB, {"webhook-id": "w", "idempotency-key": "k"}, b"", None),
        (STANDARD, STANDARD_HEADERS, b"", "webhook-id:msg_p5jXN8AQM9LWM0D4loKWxJek"),
        (STANDARD, {"idempotency-key": "k"}, b"", None),
        (META, {}, b"{}", f"meta:{hashlib.sha256(b'{}').hexdigest()}"),
        (SHARED, {"idempotency-key": " k-1 "}, b"", "idempotency-key:k-1"),
        (SHARED, {"webhook-id": "w", "idempotency-key": "k"}, b"", "webhook-id:w"),
        (NONE, {"x-github-delivery": "g"}, b"", "x-github-delivery:g"),
        (STANDARD, {"webhook-id": "msg_1"}, b"", "webhook-id:msg_1"),
        # The same delivery under its other names.
        (STANDARD, {"svix-id": "msg_1"}, b"", "webhook-id:msg_1"),
        (STANDARD, {"svix-id": "msg_2", "webhook-id": "msg_1"}, b"", "webhook-id:msg_1"),
        (NONE, {}, b'{"id": "evt_1", "update_id": 1}', None),
        (
            {"type": "hmac", "header": "s", "deliveryHeader": "X-Shopify-Webhook-Id"},
            {"x-shopify-webhook-id": "b54", "idempotency-key": "k"},
            b"",
            "x-shopify-webhook-id:b54",
        ),
    ],
)
def test_the_delivery_id_comes_from_where_the_sender_puts_it(
    verification: Rule,
    headers: dict[str, str],
    body: bytes,
    expected: str | None,
) -> None:
    assert signatures.delivery_id(verification, headers, body) == expected


@given(one=hostile, other=hostile)
def test_delivery_ids_are_bounded_plain_and_differ_where_the_senders_differ(
    one: str,
    other: str,
) -> None:
    ids = [
        signatures.delivery_id(SHARED, {"idempotency-key": value}, b"") for value in (one, other)
    ]
    for value, found in zip((one, other), ids, strict=True):
        assert (found is None) == (not value.strip())
        if found:
            assert len(found) <= 150
            assert found.isascii()
            assert found.isprintable()
            assert " " not in found
    assert (ids[0] == ids[1]) == (one.strip() == other.strip())


@given(
    body=st.binary() | st.integers().map(lambda value: json.dumps({"update_id": value}).encode())
)
def test_no_body_breaks_the_search_for_an_id(body: bytes) -> None:
    for verification in (TELEGRAM, STRIPE, META):
        found = signatures.delivery_id(verification, {}, body)
        assert found is None or len(found) <= 150


def test_a_body_of_endless_depth_has_no_id() -> None:
    assert signatures.delivery_id(TELEGRAM, {}, b"[" * 200_000) is None


# -- What must not go on ---------------------------------------------------------------------


def test_headers_with_secrets_and_signatures_are_named() -> None:
    for verification in VERIFICATIONS:
        stripped = signatures.secret_headers(verification)
        assert {"x-webhook-secret", "authorization", "cookie", "stripe-signature"} <= stripped
    own = {"type": "hmac", "header": "X-My-Signature"}
    assert "x-my-signature" in signatures.secret_headers(own)
    assert signatures.secret_parameters({"type": "secret", "query": "token"}) == {"token"}
    assert signatures.secret_parameters(SHARED) == frozenset()


# -- Checking what a user configured ---------------------------------------------------------


@pytest.mark.parametrize(
    "verification",
    [
        *VERIFICATIONS,
        NONE,
        {"type": "secret", "header": "X-Gitlab-Token", "deliveryHeader": "X-Gitlab-Event-UUID"},
        {"type": "hmac", "header": "X-A", "prefix": "a=", "algorithm": "sha1", "encoding": "hex"},
        {"type": "stripe", "toleranceSeconds": 60},
    ],
)
def test_a_good_verification_has_no_mistakes(verification: Rule) -> None:
    assert signatures.check(verification) == []


@pytest.mark.parametrize(
    ("verification", "field"),
    [
        (None, "verification"),
        ("github", "verification"),
        ([], "verification"),
        ({}, "verification.type"),
        ({"type": "md5"}, "verification.type"),
        ({"type": ["hmac"]}, "verification.type"),
        ({"type": "github", "header": "X"}, "verification.header"),
        ({"type": "none", "secret": "x"}, "verification.secret"),
        ({"type": "hmac"}, "verification.header"),
        ({"type": "hmac", "header": ""}, "verification.header"),
        ({"type": "hmac", "header": "X Y"}, "verification.header"),
        ({"type": "hmac", "header": "X:"}, "verification.header"),
        ({"type": "hmac", "header": "Ü"}, "verification.header"),
        ({"type": "hmac", "header": 7}, "verification.header"),
        ({"type": "hmac", "header": "X", "prefix": "a\r\n"}, "verification.prefix"),
        ({"type": "hmac", "header": "X", "algorithm": "md5"}, "verification.algorithm"),
        ({"type": "hmac", "header": "X", "algorithm": []}, "verification.algorithm"),
        ({"type": "hmac", "header": "X", "encoding": "hex64"}, "verification.encoding"),
        ({"type": "hmac", "header": "X", "deliveryHeader": "x"}, "verification.deliveryHeader"),
        ({"type": "none", "deliveryHeader": "Cookie"}, "verification.deliveryHeader"),
        ({"type": "secret", "query": ""}, "verification.query"),
        ({"type": "secret", "query": "a", "header": "X"}, "verification.query"),
        ({"type": "stripe", "toleranceSeconds": 0}, "verification.toleranceSeconds"),
        ({"type": "stripe", "toleranceSeconds": True}, "verification.toleranceSeconds"),
        ({"type": "stripe", "toleranceSeconds": "60"}, "verification.toleranceSeconds"),
        ({"type": "standard-webhooks", "toleranceSeconds": 1e9}, "verification.toleranceSeconds"),
    ],
)
def test_each_mistake_in_a_verification_has_its_place(verification: object, field: str) -> None:
    errors = signatures.check(verification)
    assert field in {error.field for error in errors}


def test_a_secret_that_cannot_verify_is_named() -> None:
    assert signatures.check_secret(NONE, "") is None
    assert signatures.check_secret(GITHUB, "any text, äöü") is None
    assert signatures.check_secret(GITHUB, "") == "is required to verify deliveries"
    assert "8" in (signatures.check_secret(GITHUB, "7 chars") or "")
    assert "ASCII" in (signatures.check_secret(SHARED, "äöü äöü äöü") or "")


# -- Cold start ------------------------------------------------------------------------------


def test_the_module_loads_nothing_beyond_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import integrations.signatures;"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    layer = Path(signatures.__file__).parents[1]
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(layer)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert set(loaded) - sys.stdlib_module_names == {"integrations"}
