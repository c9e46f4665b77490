"""POST /api/webhooks/{webhookId}."""

import base64
import hashlib
import hmac
import json
import time
from datetime import timedelta
from typing import Any

import jwt
import pytest
import standardwebhooks
import stripe
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from integrations import memory
from integrations.entry import wiring
from integrations.entry.problem import MAX_BODY_BYTES
from integrations.models import now
from integrations.storage.aws.attributes import item
from tests.backend import Answer, Backend, event
from tests.fakes.facebook import sign
from tests.fakes.receiver import Receiver, Reply
from tests.fakes.telegram import TelegramServer
from tests.integration.conftest import FACEBOOK_SECRET
from tests.integration.flows import manual_flow

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://example.com/hooks/orders"
BODY = json.dumps({"order": {"id": 42, "note": "Größe 🙂"}}, ensure_ascii=False).encode()


def hook(backend: Backend, verification: Any = None, **more: Any) -> None:
    backend.secrets.add(SECRET)
    credentials = {"url": URL, "secret": SECRET, **more}
    if verification:
        credentials["verification"] = verification
    else:
        credentials.setdefault("verifySecret", False)
    backend.begin_with(("webhook", credentials, "default"))
    backend.aws.calls.clear()


def queued(backend: Backend) -> Any:
    """The one delivery in the queue."""
    (message,) = backend.aws.sent("EventsQueue")
    return message.json()


def taken(answer: Answer) -> str:
    """The id of a delivery that was accepted."""
    assert answer.status == 200, answer
    assert set(answer.json) == {"received", "eventId"}
    assert answer.json["received"] is True
    return str(answer.json["eventId"])


# -- What is accepted is durable -------------------------------------------------------------


def test_a_delivery_is_in_the_queue_before_it_is_answered(backend: Backend) -> None:
    hook(backend, verifySecret=True)
    answer = backend.deliver("orders", BODY, {"X-Webhook-Secret": SECRET, "X-Shop": "7"}, "a=1")
    event_id = taken(answer)
    message = queued(backend)
    assert message["eventId"] == event_id
    assert base64.b64decode(message["body"]) == BODY
    assert message["headers"]["x-shop"] == "7"
    assert message["query"] == {"a": "1"}
    assert (message["tenant"], message["provider"]) == ("acme", "webhook")
    assert "x-webhook-secret" not in message["headers"]


def test_a_delivery_costs_one_read_one_key_and_one_message_when_cold(backend: Backend) -> None:
    hook(backend, verifySecret=True)
    memory.forget()
    for _ in range(3):
        taken(backend.deliver("orders", BODY, {"X-Webhook-Secret": SECRET}))
    assert dict(backend.aws.calls) == {"GetItem": 1, "Decrypt": 1, "SendMessage": 3}


@pytest.mark.parametrize("case", ["order", "form", "binary"])
def test_the_examples_of_the_events_folder_are_taken(backend: Backend, case: str) -> None:
    backend.save("webhook", {"url": URL, "secret": "orders-webhook-secret", "verifySecret": True})
    backend.secrets.add("orders-webhook-secret")
    taken(backend.send("receive_webhook", event("receive_webhook", case)))


def test_the_queues_group_is_the_tenant(backend: Backend) -> None:
    hook(backend)
    taken(backend.deliver("orders", BODY))
    (message,) = backend.aws.sent("EventsQueue")
    assert message.group == "acme"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"plain text",
        b"\xff\xfe\x00\x01",
        b"a=1&b=2",
        b"{not json",
        b'{"n": NaN}',
        b"\x00" * 1000,
        b"\xed\xa0\x80",
    ],
    ids=repr,
)
def test_a_body_of_any_kind_arrives_byte_for_byte(backend: Backend, body: bytes) -> None:
    hook(backend)
    taken(backend.deliver("orders", body))
    assert base64.b64decode(queued(backend)["body"]) == body


def test_text_that_came_as_text_is_the_same_bytes(backend: Backend) -> None:
    hook(backend, {"type": "github"})
    signature = "sha256=" + hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()
    taken(backend.deliver("orders", BODY.decode(), {"X-Hub-Signature-256": signature}))
    assert base64.b64decode(queued(backend)["body"]) == BODY


def test_a_large_body_travels_by_s3(backend: Backend) -> None:
    hook(backend)
    body = json.dumps({"text": "ß" * 100_000}).encode()
    event_id = taken(backend.deliver("orders", body))
    (key,) = backend.aws.objects()
    assert queued(backend) == {"payload": key}
    assert key.startswith(f"events/orders/{event_id}/")


def test_redeliveries_of_a_large_body_do_not_overwrite_each_other(backend: Backend) -> None:
    hook(backend)
    for _ in range(2):
        taken(backend.deliver("orders", b"x" * 200_000, {"Idempotency-Key": "one"}))
    assert len(backend.aws.objects()) == 2


@pytest.mark.parametrize(
    ("unit", "most"),
    [
        (b"x", MAX_BODY_BYTES // 4 * 3),  # bytes travel as base64
        ("x", MAX_BODY_BYTES - 2),  # text as a JSON string
        ('"', (MAX_BODY_BYTES - 2) // 2),
        ("\x01", (MAX_BODY_BYTES - 2) // 6),
        ("\u00e9", (MAX_BODY_BYTES - 2) // 2),
        ("\U0001f600", (MAX_BODY_BYTES - 2) // 4),
    ],
)
def test_what_fits_into_lambdas_event_is_taken_and_no_more(
    backend: Backend, unit: bytes | str, most: int
) -> None:
    hook(backend)
    path = "/api/webhooks/orders"
    fits = backend.call("POST", path, raw=unit * most)
    assert fits.status == 200, fits
    backend.aws.take("EventsQueue")
    answer = backend.call("POST", path, raw=unit * (most + 3))
    assert (answer.status, answer.code) == (413, "payload_too_large")
    assert backend.aws.sent("EventsQueue") == []


# -- Nothing that was answered 200 is lost ---------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("SendMessage", "ServiceUnavailable"),
        ("SendMessage", "AccessDenied"),
        ("GetItem", "InternalServerError"),
        ("Decrypt", "KMSInternalException"),
    ],
)
def test_what_cannot_be_made_durable_is_to_be_sent_again(
    backend: Backend, operation: str, code: str
) -> None:
    hook(backend, verifySecret=True)
    memory.forget()
    backend.aws.fail(operation, code, status=400 if code == "AccessDenied" else 500)
    answer = backend.deliver("orders", BODY, {"X-Webhook-Secret": SECRET})
    assert (answer.status, answer.code) == (503, "not_stored")
    assert int(answer.headers["Retry-After"]) > 0
    backend.aws.recover()
    taken(backend.deliver("orders", BODY, {"X-Webhook-Secret": SECRET}))


def test_a_secret_that_does_not_open_is_shown_to_its_owner_and_loses_no_delivery(
    backend: Backend,
) -> None:
    hook(backend, verifySecret=True)
    memory.forget()
    row = next(each for each in backend.aws.rows("WebhooksTable") if each["webhookId"] == "orders")
    backend.aws.put("WebhooksTable", item(row | {"nonce": b"0" * 12}))
    asked_again = backend.deliver("orders", BODY, {"X-Webhook-Secret": SECRET})
    assert (asked_again.status, asked_again.code) == (503, "not_stored")
    challenged = backend.call(
        "GET",
        "/api/webhooks/orders",
        query={"mode": "subscribe", "token": "a-token-of-ours", "challenge": "1"},
    )
    assert (challenged.status, challenged.code) == (503, "not_stored")
    path = "/api/integrations/webhook/credentials"
    shown = backend.call("GET", path).json["webhook"]
    assert "save its connection again" in shown["lastRejection"]["reason"]
    backend.save("webhook", {"url": URL, "secret": SECRET, "verifySecret": True})
    taken(backend.deliver("orders", BODY, {"X-Webhook-Secret": SECRET}))


def test_a_large_body_that_s3_does_not_take_is_to_be_sent_again(backend: Backend) -> None:
    hook(backend)
    backend.aws.fail_payloads()
    answer = backend.deliver("orders", b"x" * 200_000)
    assert (answer.status, answer.code) == (503, "not_stored")
    assert backend.aws.sent("EventsQueue") == []
    backend.aws.recover()
    taken(backend.deliver("orders", b"x" * 200_000))


def test_a_throttled_table_is_asked_again_before_giving_up(backend: Backend) -> None:
    hook(backend)
    memory.forget()
    throttled = "ProvisionedThroughputExceededException"
    backend.aws.fail("GetItem", throttled, status=400, times=2)
    taken(backend.deliver("orders", BODY))


def test_a_damaged_secret_is_no_reason_to_accept(backend: Backend) -> None:
    hook(backend, verifySecret=True)
    (row,) = backend.webhooks()
    backend.aws.client.dynamodb(
        "UpdateItem",
        {
            "TableName": backend.aws.names["WebhooksTable"],
            "Key": {"webhookId": {"S": row["webhookId"]}},
            "UpdateExpression": "SET ciphertext = :c",
            "ExpressionAttributeValues": {":c": {"B": base64.b64encode(b"x" * 40).decode()}},
        },
    )
    memory.forget()
    answer = backend.deliver("orders", BODY, {"X-Webhook-Secret": SECRET})
    assert answer.status == 503
    assert backend.aws.sent("EventsQueue") == []


# -- Each way to prove oneself ---------------------------------------------------------------


def hmac_of(algorithm: str, body: bytes = BODY, secret: str = SECRET) -> bytes:
    return hmac.new(secret.encode(), body, algorithm).digest()


def github(secret: str = SECRET) -> dict[str, str]:
    return {"X-Hub-Signature-256": "sha256=" + hmac_of("sha256", secret=secret).hex()}


def standard(secret: str = SECRET) -> dict[str, str]:
    from datetime import UTC, datetime

    moment = datetime.now(UTC)
    signature = standardwebhooks.Webhook(secret).sign("msg_1", moment, BODY.decode())
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }


def stripes(secret: str = SECRET) -> dict[str, str]:
    moment = int(time.time())
    signed = f"{moment}.{BODY.decode()}"
    digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).hexdigest()
    header = f"t={moment},v1={digest}"
    if secret == SECRET:
        stripe.WebhookSignature.verify_header(BODY.decode(), header, secret)
    return {"Stripe-Signature": header}


CUSTOM = {
    "type": "hmac",
    "header": "X-Shop-Signature",
    "prefix": "v0=",
    "algorithm": "sha512",
    "encoding": "base64",
}


def custom(secret: str = SECRET) -> dict[str, str]:
    digest = base64.b64encode(hmac_of("sha512", secret=secret)).decode()
    return {"X-Shop-Signature": f"v0={digest}"}


KINDS: dict[str, tuple[Any, Any]] = {
    "secret": (
        {"type": "secret"},
        lambda secret=SECRET: {"X-Webhook-Secret": secret},
    ),
    "secret in a header of one's own": (
        {"type": "secret", "header": "Authorization", "prefix": "Bearer "},
        lambda secret=SECRET: {"Authorization": f"Bearer {secret}"},
    ),
    "hmac": (CUSTOM, custom),
    "github": ({"type": "github"}, github),
    "standard-webhooks": ({"type": "standard-webhooks"}, standard),
    "stripe": ({"type": "stripe"}, stripes),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_delivery_that_proves_itself_is_taken(backend: Backend, kind: str) -> None:
    verification, prove = KINDS[kind]
    hook(backend, verification)
    taken(backend.deliver("orders", BODY, prove()))
    names = {name.lower() for name in queued(backend)["headers"]}
    proof = {name.lower() for name in prove()} - {"webhook-id", "webhook-timestamp"}
    assert not names & proof


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_does_not_is_refused_and_counted(backend: Backend, kind: str) -> None:
    verification, prove = KINDS[kind]
    hook(backend, verification)
    wrong = prove("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
    for headers in (wrong, {}, dict.fromkeys(wrong, ""), dict.fromkeys(wrong, "\u0100🙂")):
        answer = backend.deliver("orders", BODY, headers)
        assert (answer.status, answer.code) == (401, "signature_refused")
    assert backend.aws.sent("EventsQueue") == []
    shown = backend.call("GET", "/api/integrations/webhook/credentials").json["webhook"]
    assert shown["rejected"] == 4
    assert shown["lastRejection"]["reason"]


@pytest.mark.parametrize("kind", ["hmac", "github", "standard-webhooks", "stripe"])
def test_a_body_that_was_changed_is_refused(backend: Backend, kind: str) -> None:
    verification, prove = KINDS[kind]
    hook(backend, verification)
    assert backend.deliver("orders", BODY + b" ", prove()).status == 401


def test_a_parameter_that_repeats_keeps_all_its_values(backend: Backend) -> None:
    hook(backend, {"type": "none"})
    taken(backend.deliver("orders", BODY, {}, "tag=new&tag=paid&tag=&page=2"))
    assert queued(backend)["query"] == {"tag": ["new", "paid", ""], "page": "2"}


def test_a_secret_that_comes_twice_is_none(backend: Backend) -> None:
    hook(backend, {"type": "secret", "query": "key"})
    answer = backend.deliver("orders", BODY, {}, f"key={SECRET}&key={SECRET}")
    assert (answer.status, answer.code) == (401, "signature_refused")


def test_a_secret_in_the_query_is_taken_and_goes_no_further(backend: Backend) -> None:
    hook(backend, {"type": "secret", "query": "key"})
    assert backend.deliver("orders", BODY, {}, {"key": "wrong"}).status == 401
    taken(backend.deliver("orders", BODY, {}, {"key": SECRET, "a": "1"}))
    assert queued(backend)["query"] == {"a": "1"}


def test_an_old_signature_is_refused(backend: Backend) -> None:
    hook(backend, {"type": "stripe"})
    moment = int(time.time()) - 301
    digest = hmac.new(SECRET.encode(), f"{moment}.".encode() + BODY, hashlib.sha256).hexdigest()
    answer = backend.deliver("orders", BODY, {"Stripe-Signature": f"t={moment},v1={digest}"})
    assert (answer.status, answer.code) == (401, "signature_refused")


def test_telegrams_deliveries_carry_the_secret_that_we_gave_it(
    backend: Backend, telegram: TelegramServer
) -> None:
    saved = backend.save("telegram", {"botToken": telegram.token})
    backend.create_workflow(manual_flow() | {"trigger": {"type": "telegram.message"}})
    set_up = telegram.webhooks[telegram.token]
    backend.secrets.add(set_up["secret_token"])
    assert set_up["url"].partition("?")[0] == saved["webhook"]["url"]
    update = {"update_id": 7, "message": {"message_id": 1}}
    webhook_id = saved["webhook"]["id"]
    assert backend.deliver(webhook_id, update).status == 401
    token = {"X-Telegram-Bot-Api-Secret-Token": set_up["secret_token"]}
    taken(backend.deliver(webhook_id, update, token))
    assert "x-telegram-bot-api-secret-token" not in queued(backend)["headers"]


def test_the_stacks_own_facebook_webhook_takes_what_its_app_signed(backend: Backend) -> None:
    body, headers = sign({"object": "page", "entry": []}, FACEBOOK_SECRET)
    taken(backend.deliver("facebook", body, headers))
    message = queued(backend)
    assert (message["provider"], message["tenant"]) == ("facebook_oauth", "")
    assert message["shared"] is True
    assert not {"x-hub-signature", "x-hub-signature-256"} & message["headers"].keys()
    body, headers = sign({"object": "page", "entry": []}, "another app's secret")
    assert backend.deliver("facebook", body, headers).status == 401
    assert backend.webhooks() == []


def test_a_stack_without_an_app_has_no_facebook_webhook(backend: Backend) -> None:
    backend.aws.set_secret(facebookAppSecret="")
    body, headers = sign({"object": "page", "entry": []}, "")
    answer = backend.deliver("facebook", body, headers)
    assert (answer.status, answer.code) == (401, "signature_refused")


# -- The same delivery is the same event -----------------------------------------------------


def test_a_redelivery_has_the_same_event_id(backend: Backend) -> None:
    hook(backend)
    one, other = (
        taken(backend.deliver("orders", BODY, {"Idempotency-Key": "order-42"})) for _ in range(2)
    )
    assert one == other
    assert taken(backend.deliver("orders", BODY, {"Idempotency-Key": "order-43"})) != one


def test_the_same_id_at_another_webhook_is_another_event(backend: Backend) -> None:
    hook(backend)
    invoices = {"url": "https://example.com/hooks/invoices"}
    backend.save("webhook", invoices, "invoices")
    ids = {
        taken(backend.deliver(name, BODY, {"Idempotency-Key": "one"}))
        for name in ("orders", "invoices")
    }
    assert len(ids) == 2


def test_deliveries_without_an_id_are_events_of_their_own(backend: Backend) -> None:
    hook(backend)
    assert len({taken(backend.deliver("orders", BODY)) for _ in range(3)}) == 3


@pytest.mark.parametrize("value", ["x" * 10_000, "ß🙂", "a b", "\x01", "'; DROP"])
def test_an_id_of_any_kind_makes_a_plain_event_id(backend: Backend, value: str) -> None:
    hook(backend)
    event_id = taken(backend.deliver("orders", BODY, {"Idempotency-Key": value}))
    assert event_id.startswith("evt_")
    assert event_id.removeprefix("evt_").isalnum()
    assert len(event_id) == 36


# -- Whom it is for --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "webhook_id",
    ["unknown", "Orders", "__proto__", "ß", "x" * 4000, "..", "*", "orders\x00", "%2e%2e"],
)
def test_nobody_is_told_whether_there_is_a_webhook(backend: Backend, webhook_id: str) -> None:
    hook(backend, verifySecret=True)
    answer, known = (backend.deliver(name, BODY) for name in (webhook_id, "orders"))
    assert (answer.status, answer.code) == (401, "signature_refused")
    assert answer.json["detail"] == known.json["detail"]
    assert answer.headers == known.headers
    assert backend.aws.sent("EventsQueue") == []


def test_hostile_queries_do_no_harm(backend: Backend) -> None:
    hook(backend)
    for query in ("%ff=%fe", "a", "&&&", "=", "a=%00", "%", "x=" + "y" * 5000, "a=1;b=2"):
        taken(backend.deliver("orders", BODY, {}, query))


def test_what_an_execution_of_ours_sends_is_known_by_its_proof(backend: Backend) -> None:
    hook(backend)
    header = wiring.lineage().header(3, "step_1")
    taken(backend.deliver("orders", BODY, {"Integrations-Hops": header}))
    message = queued(backend)
    assert message["hops"] == 3
    assert "integrations-hops" not in message["headers"]


@pytest.mark.parametrize("forged", ["999", "3;step_1;", "3;step_1;0000", "9;x", ";;", "3", "ß;a;b"])
def test_what_a_sender_makes_up_is_no_proof(backend: Backend, forged: str) -> None:
    hook(backend)
    wiring.lineage().header(3, "step_1")
    taken(backend.deliver("orders", BODY, {"Integrations-Hops": forged}))
    assert "hops" not in queued(backend)


def test_a_flood_of_refusals_costs_few_writes(backend: Backend) -> None:
    hook(backend, verifySecret=True)
    for _ in range(40):
        assert backend.deliver("orders", BODY).status == 401
    assert backend.aws.calls["PutItem"] == backend.aws.calls["UpdateItem"] == 10


def test_a_challenge_with_a_wrong_token_is_counted(backend: Backend) -> None:
    hook(backend, verifySecret=True)
    wrong = {"hub.mode": "subscribe", "hub.verify_token": "guess", "hub.challenge": "1"}
    assert backend.call("GET", "/api/webhooks/orders", query=wrong).status == 403
    shown = backend.call("GET", "/api/integrations/webhook/credentials").json["webhook"]
    assert shown["rejected"] == 1
    assert "challenge" in shown["lastRejection"]["reason"]


def test_svix_names_of_the_headers_are_understood(backend: Backend) -> None:
    hook(backend, {"type": "standard-webhooks"})
    proof = {name.replace("webhook-", "svix-"): each for name, each in standard().items()}
    first = taken(backend.deliver("orders", BODY, proof))
    assert taken(backend.deliver("orders", BODY, proof)) == first
    names = backend.aws.sent("EventsQueue")[0].json()["headers"]
    assert "svix-signature" not in names
    wrong = {**proof, "svix-signature": "v1,AAAA"}
    assert backend.deliver("orders", BODY, wrong).status == 401


def test_header_names_as_a_sender_writes_them_prove_it_and_hide_its_secrets(
    backend: Backend,
) -> None:
    for verification, proof in (
        ({"type": "secret"}, {"x-webhook-secret": SECRET}),
        ({"type": "standard-webhooks"}, standard()),
        ({"type": "secret", "header": "X-Shop-Key"}, {"x-shop-key": SECRET}),
    ):
        hook(backend, verification)
        memory.forget()
        sent = {**proof, "x-shop": "7", "content-type": "application/json"}
        answer = backend.call(
            "POST", "/api/webhooks/orders", raw=BODY, headers=sent, written=str.title
        )
        taken(answer)
        names = backend.aws.sent("EventsQueue")[-1].json()["headers"]
        assert (names["x-shop"], names["content-type"]) == ("7", "application/json")
        assert not {name for name in names if name != name.lower()}
        assert SECRET not in names.values()
        assert "webhook-signature" not in names


def test_an_unsigned_ping_is_answered_and_starts_nothing(backend: Backend) -> None:
    hook(backend, {"type": "hmac", "header": "X-WC-Webhook-Signature", "encoding": "base64"})
    answer = backend.deliver("orders", b"webhook_id=17")
    assert (answer.status, answer.json) == (200, {"received": False, "eventId": None})
    assert backend.aws.sent("EventsQueue") == []
    for body in (b"webhook_id=17&order=1", b"webhook_id=x", b'{"webhook_id": 17}'):
        assert backend.deliver("orders", body).status == 401


def test_the_time_of_a_ping_tells_no_more_than_that_of_a_refusal(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook(backend, {"type": "hmac", "header": "X-WC-Webhook-Signature", "encoding": "base64"})
    paused: list[float] = []
    monkeypatch.setattr(wiring.receiver(), "_pause", paused.append)
    for webhook in ("orders", "orders", "no-such"):
        assert backend.deliver(webhook, b"webhook_id=17").status == 200
    assert len(paused) == 3


# -- By a user's name, by a token, by where it comes from -------------------------------------


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def test_a_user_and_a_password_open_a_webhook(backend: Backend) -> None:
    hook(backend, {"type": "basic", "username": "shop"})
    taken(backend.deliver("orders", BODY, basic("shop", SECRET)))
    assert "authorization" not in queued(backend)["headers"]
    for wrong in (basic("shop", "x"), basic("x", SECRET), basic("", ""), {}):
        assert backend.deliver("orders", BODY, wrong).status == 401
    for header in ("Basic", "Basic !", f"Bearer {SECRET}", "Basic ß"):
        assert backend.deliver("orders", BODY, {"Authorization": header}).status == 401


def token(claims: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256", **more: Any) -> Any:
    claims = {"exp": time.time() + 60, **claims}
    made = jwt.encode(claims, key, algorithm, **more)
    return {"Authorization": f"Bearer {made}"}


def test_a_token_signed_by_the_secret_opens_a_webhook(backend: Backend) -> None:
    rule = {"type": "jwt", "issuer": "shop", "audience": "us"}
    hook(backend, rule)
    good = {"iss": "shop", "aud": "us"}
    taken(backend.deliver("orders", BODY, token(good)))
    for wrong in (
        token({**good, "iss": "x"}),
        token({**good, "aud": "x"}),
        token({"aud": "us"}),
        token({**good, "exp": time.time() - 120}),
        token(good, "another secret, long enough for it"),
        {"Authorization": f"Bearer {jwt.encode({**good}, SECRET)}"},
        {"Authorization": f"Bearer {jwt.encode({**good}, '', 'none')}"},
        {"Authorization": "Bearer x.y.z"},
        {},
    ):
        assert backend.deliver("orders", BODY, wrong).status == 401


def test_a_token_of_an_issuer_opens_a_webhook(backend: Backend, receiver: Receiver) -> None:
    ours, others = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    public = json.loads(ECAlgorithm.to_jwk(ours.public_key()))
    keys = {"keys": [{**public, "kid": "one", "use": "sig", "alg": "ES256"}]}
    receiver.reply(*[Reply(200, json.dumps(keys).encode())] * 9)
    hook(backend, {"type": "jwt", "jwksUrl": receiver.url("/keys")})
    for _ in range(2):
        taken(backend.deliver("orders", BODY, token({}, ours, "ES256", headers={"kid": "one"})))
    taken(backend.deliver("orders", BODY, token({}, ours, "ES256")))
    for wrong in (
        token({}, others, "ES256", headers={"kid": "one"}),
        token({}, ours, "ES256", headers={"kid": "two"}),
        token({}),
        token({}, public["x"]),
    ):
        assert backend.deliver("orders", BODY, wrong).status == 401


def test_a_delivery_comes_again_while_the_issuer_of_its_token_is_down_and_its_webhook_says_why(
    backend: Backend, receiver: Receiver
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    receiver.reply(*[Reply(503, b'{"error": "busy"}')] * 9)
    hook(backend, {"type": "jwt", "jwksUrl": receiver.url("/keys")})
    for _ in range(2):
        answer = backend.deliver("orders", BODY, token({}, key, "ES256", headers={"kid": "one"}))
        assert (answer.status, answer.code) == (503, "not_stored")
        assert answer.headers["Retry-After"] == "5"
    connection = backend.call("GET", "/api/integrations/webhook/credentials").json
    told = connection["webhook"]["lastRejection"]
    assert told["reason"] == "The issuer's keys could not be fetched: it answered with status 503"


def test_a_webhook_can_ask_where_a_delivery_comes_from(backend: Backend) -> None:
    hook(backend, {"type": "ip", "ranges": ["203.0.113.0/24", "2001:db8::/32"]})
    payload = event("receive_webhook", "order")

    def come_from(address: str) -> int:
        payload["requestContext"]["http"]["sourceIp"] = address
        payload["headers"]["x-forwarded-for"] = "203.0.113.9"
        return backend.send("receive_webhook", payload).status

    assert [come_from(each) for each in ("203.0.113.9", "2001:db8::1", "::ffff:203.0.113.1")] == [
        200, 200, 200,
    ]  # fmt: skip
    assert [come_from(each) for each in ("203.0.114.9", "", "x", "2001:db9::1")] == [401] * 4


def test_a_secret_before_this_one_is_good_for_a_while(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = "the-new-secret-of-orders"
    backend.secrets.add(new)
    given = {"secret": new, "previousSecret": SECRET, "previousSecretHours": 2}
    hook(backend, verifySecret=True, **given)
    for secret in (new, SECRET):
        taken(backend.deliver("orders", BODY, {"X-Webhook-Secret": secret}))
    assert backend.deliver("orders", BODY, {"X-Webhook-Secret": "another one"}).status == 401
    later = now() + timedelta(hours=2, seconds=1)
    monkeypatch.setattr(wiring.receiver(), "_clock", lambda: later)
    taken(backend.deliver("orders", BODY, {"X-Webhook-Secret": new}))
    assert backend.deliver("orders", BODY, {"X-Webhook-Secret": SECRET}).status == 401


# -- By which method, and below which path -----------------------------------------------------


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_a_trigger_sees_by_which_method_and_path_a_delivery_came(
    backend: Backend, telegram: TelegramServer, method: str
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    hook(backend, methods=["POST", method])
    backend.create_workflow(manual_flow() | {"trigger": {"type": "webhook", "webhookId": "orders"}})
    taken(backend.call(method, "/api/webhooks/orders/a/b/", raw=BODY))
    taken(backend.call("POST", "/api/webhooks/orders/", raw=BODY))
    backend.dispatch()
    seen = {
        (each["trigger"]["data"]["method"], each["trigger"]["data"]["path"])
        for each in backend.executions()
    }
    assert seen == {(method, "a/b"), ("POST", "")}


def test_a_method_that_a_webhook_does_not_take_is_refused(backend: Backend) -> None:
    hook(backend)
    answer = backend.call("PUT", "/api/webhooks/orders", raw=BODY)
    assert (answer.status, answer.code) == (401, "signature_refused")
    shown = backend.call("GET", "/api/integrations/webhook/credentials").json["webhook"]
    assert "PUT" in shown["lastRejection"]["reason"]
