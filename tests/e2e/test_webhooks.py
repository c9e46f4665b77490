"""Webhooks in: what senders really send, verified, kept, and run once."""

import base64
import hashlib
import hmac
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
import standardwebhooks
import stripe
from joserfc import jwt
from joserfc.jwk import OctKey

from integrations.entry.problem import MAX_BODY_BYTES
from tests.e2e.conftest import FACEBOOK_VERIFY_TOKEN, Client, StandIns, eventually
from tests.fakes.facebook import batch, sign

pytestmark = pytest.mark.e2e

SECRET = "a-secret-of-24-characters"


class Hook:
    """A webhook connection, the workflow that it starts, and its address."""

    def __init__(
        self,
        client: Client,
        receiver: str,
        *,
        sends: Mapping[str, str] | None = None,
        **credentials: Any,
    ) -> None:
        self.client = client
        self.name = f"hook-{uuid.uuid4().hex[:12]}"
        url = f"https://example.com/hooks/{self.name}"
        self.metadata = client.save(
            "webhook", {"url": url, "outboundUrl": receiver, **credentials}, connection=self.name
        )
        self.id, self.url = self.metadata["webhook"]["id"], self.metadata["webhook"]["url"]
        self.workflow_id = client.create_workflow(
            {
                "name": "forward",
                "trigger": {"type": "webhook", "webhookId": self.id},
                "steps": [
                    {
                        "id": "forward",
                        "action": "webhook.send",
                        "connection": self.name,
                        "params": {"json": sends or {"got": "{{ trigger.body }}"}},
                    }
                ],
            }
        )["workflowId"]

    def deliver(
        self, body: bytes, headers: Mapping[str, str] | None = None, query: str = ""
    ) -> requests.Response:
        """Post a delivery as a sender would: without any token of ours."""
        given = {"Content-Type": "application/json", **(headers or {})}
        return requests.post(self.url + query, data=body, headers=given, timeout=60)

    def accepted(self, body: bytes, headers: Mapping[str, str] | None = None) -> Any:
        """Deliver and return the ``trigger.data`` of the one execution that it starts."""
        answer = self.deliver(body, headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["received"] is True
        return self.execution(answer.json()["eventId"])["trigger"]["data"]

    def execution(self, event_id: str, status: str = "succeeded") -> dict[str, Any]:
        """The finished execution of an event."""

        def look() -> dict[str, Any] | None:
            for each in self.client.executions(workflowId=self.workflow_id):
                path = f"/api/executions/{each['executionId']}"
                whole: dict[str, Any] = self.client.get(path).json()
                if whole["trigger"]["eventId"].endswith(event_id) and whole["finishedAt"]:
                    return whole
            return None

        found = eventually(look)
        assert found["status"] == status, found["error"]
        return found

    def refusals(self) -> dict[str, Any]:
        """The webhook in the connection's metadata."""
        path = "/api/integrations/webhook/credentials"
        metadata = self.client.get(path, params={"connection": self.name}).json()
        webhook: dict[str, Any] = metadata["webhook"]
        return webhook


@pytest.fixture
def receiver(stand_ins: StandIns) -> str:
    return stand_ins.receiver.url(f"/{uuid.uuid4().hex}")


def hex_mac(secret: str, body: bytes, algorithm: str = "sha256") -> str:
    return hmac.new(secret.encode(), body, algorithm).hexdigest()


# -- Verifications ---------------------------------------------------------------------------------


def test_basic(client: Client, receiver: str) -> None:
    rule = {"type": "basic", "username": "shop"}
    hook = Hook(client, receiver, secret=SECRET, verification=rule)

    def named(user: str, password: str) -> dict[str, str]:
        packed = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {packed}"}

    hook.accepted(b'{"n": 1}', named("shop", SECRET))
    for headers in ({}, named("shop", "another-secret"), named("other", SECRET)):
        assert hook.deliver(b'{"n": 2}', headers).status_code == 401
    assert SECRET not in client.get(f"/api/events?webhookId={hook.id}").text


def test_jwt_by_a_shared_secret_and_by_an_issuers_keys(
    client: Client, receiver: str, stand_ins: StandIns
) -> None:
    secret = secrets.token_hex(32)
    shared = Hook(client, receiver, secret=secret, verification={"type": "jwt"})
    claims = {"sub": "shop", "exp": int(time.time()) + 300}
    for key, status in ((secret, 200), (secrets.token_hex(32), 401)):
        token = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(key))
        headers = {"Authorization": f"Bearer {token}"}
        assert shared.deliver(b"{}", headers).status_code == status
    issuer = stand_ins.issuer
    rule = {
        "type": "jwt",
        "jwksUrl": f"{issuer.url}/jwks",
        "issuer": issuer.url,
        "audience": "the-shop",
    }
    keys = Hook(client, receiver, verification=rule)
    good = {"Authorization": f"Bearer {issuer.token(aud='the-shop')}"}
    keys.accepted(b'{"n": 1}', good)
    for token in (issuer.token(aud="another"), issuer.token(aud="the-shop", exp=1), "e30.e30.e30"):
        headers = {"Authorization": f"Bearer {token}"}
        assert keys.deliver(b'{"n": 2}', headers).status_code == 401


def test_where_a_delivery_comes_from(client: Client, receiver: str) -> None:
    here = {"type": "ip", "ranges": ["127.0.0.0/8", "::1/128"]}
    Hook(client, receiver, verification=here).accepted(b'{"n": 1}')
    elsewhere = {"type": "ip", "ranges": ["203.0.113.0/24"]}
    hook = Hook(client, receiver, verification=elsewhere)
    for headers in ({}, {"X-Forwarded-For": "203.0.113.7"}, {"Forwarded": "for=203.0.113.7"}):
        assert hook.deliver(b'{"n": 2}', headers).status_code == 401


def test_two_secrets_are_good_while_one_is_rotated(client: Client, receiver: str) -> None:
    hook = Hook(client, receiver, secret=SECRET)
    later = "the-secret-from-now-on"
    given = {
        "url": f"https://example.com/hooks/{hook.name}",
        "outboundUrl": receiver,
        "secret": later,
        "previousSecret": SECRET,
        "previousSecretHours": 1,
    }
    client.save("webhook", given, connection=hook.name)
    # A warm receiver knows the webhook for a minute as it was.
    eventually(
        lambda: hook.deliver(b'{"n": 0}', {"X-Webhook-Secret": later}).status_code == 200,
        every=2,
    )
    for secret, status in ((later, 200), (SECRET, 200), ("neither-of-the-two", 401)):
        headers = {"X-Webhook-Secret": secret}
        assert hook.deliver(b'{"n": 1}', headers).status_code == status


# -- Senders as they are --------------------------------------------------------------------------


def test_github(client: Client, receiver: str) -> None:
    hook = Hook(client, receiver, secret=SECRET, verification={"type": "github"})
    body = json.dumps({"action": "opened", "issue": {"number": 7, "title": "Größe"}}).encode()
    headers = {
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-Hub-Signature-256": f"sha256={hex_mac(SECRET, body)}",
    }

    data = hook.accepted(body, headers)

    assert data["body"]["issue"] == {"number": 7, "title": "Größe"}
    assert data["headers"]["x-github-event"] == "issues"
    assert "x-hub-signature-256" not in data["headers"]
    # GitHub's own redelivery of the same event.
    assert hook.deliver(body, headers).json()["eventId"] == data["eventId"]


def test_stripe(client: Client, receiver: str) -> None:
    secret = "whsec_" + secrets.token_hex(16)
    hook = Hook(client, receiver, secret=secret, verification={"type": "stripe"})
    event = {"id": f"evt_{uuid.uuid4().hex}", "object": "event", "type": "charge.succeeded"}
    payload = json.dumps(event)

    def header(timestamp: int) -> dict[str, str]:
        signature = stripe.WebhookSignature._compute_signature(f"{timestamp}.{payload}", secret)
        return {"Stripe-Signature": f"t={timestamp},v1={signature}"}

    now = int(time.time())
    stripe.WebhookSignature.verify_header(payload, header(now)["Stripe-Signature"], secret, 300)

    data = hook.accepted(payload.encode(), header(now))

    assert data["body"]["type"] == "charge.succeeded"
    # Stripe's retry has a new timestamp and signature; the event is the same.
    assert hook.deliver(payload.encode(), header(now + 1)).json()["eventId"] == data["eventId"]
    old = hook.deliver(payload.encode(), header(now - 3600))
    assert old.status_code == 401
    shown = client.get(f"/api/integrations/webhook/credentials?connection={hook.name}").json()
    assert "old" in shown["webhook"]["lastRejection"]["reason"]


def test_standard_webhooks(client: Client, receiver: str) -> None:
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    hook = Hook(client, receiver, secret=secret, verification={"type": "standard-webhooks"})
    body = json.dumps({"type": "order.paid", "data": {"id": 42}})
    message_id = f"msg_{secrets.token_hex(12)}"
    moment = datetime.now(UTC)
    signature = standardwebhooks.Webhook(secret).sign(message_id, moment, body)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }

    data = hook.accepted(body.encode(), headers)

    assert data["body"] == {"type": "order.paid", "data": {"id": 42}}
    assert hook.deliver(body.encode(), headers).json()["eventId"] == data["eventId"]
    tampered = hook.deliver(body.replace("42", "43").encode(), headers)
    assert tampered.status_code == 401


def test_what_we_send_verifies_by_the_vendors_library(
    client: Client, receiver: str, stand_ins: StandIns
) -> None:
    """Our own output is somebody's input: ours, when a webhook.send leads back here."""
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    hook = Hook(client, receiver, secret=secret, verification={"type": "none"})

    hook.accepted(b'{"n": 1}')

    path = "/" + receiver.rpartition("/")[2]
    (sent,) = [each for each in stand_ins.receiver.received if each.path == path]
    assert standardwebhooks.Webhook(secret).verify(sent.body, dict(sent.headers)) == {
        "got": {"n": 1}
    }


def test_meta_in_the_users_own_webhook(client: Client, receiver: str) -> None:
    hook = Hook(
        client, receiver, secret=SECRET, verifyToken="verify-me", verification={"type": "meta"}
    )
    body, headers = sign({"object": "instagram", "entry": [{"id": "1", "time": 2}]}, SECRET)

    assert hook.accepted(body, headers)["body"]["object"] == "instagram"
    body, headers = sign({"object": "instagram", "entry": []}, "another secret")
    assert hook.deliver(body, headers).status_code == 401


def test_meta_at_the_stacks_own_webhook(client: Client, stand_ins: StandIns) -> None:
    url = f"{client.platform.url}/api/webhooks/facebook"
    facebook = stand_ins.facebook
    body, headers = facebook.delivery(batch("999999", changes=[]))

    assert requests.post(url, data=body, headers=headers, timeout=60).status_code == 200
    headers["X-Hub-Signature-256"] = "sha256=" + "0" * 64
    assert requests.post(url, data=body, headers=headers, timeout=60).status_code == 401
    challenge = {
        "hub.mode": "subscribe",
        "hub.verify_token": FACEBOOK_VERIFY_TOKEN,
        "hub.challenge": "1158201444",
    }
    answer = requests.get(url, params=challenge, timeout=60)
    assert (answer.status_code, answer.text) == (200, "1158201444")


def test_telegram_shaped(client: Client, receiver: str) -> None:
    hook = Hook(client, receiver, secret="A-Z_0-9_a-z", verification={"type": "telegram"})
    body = json.dumps({"update_id": 10_000, "message": {"text": "/start"}}).encode()

    data = hook.accepted(body, {"X-Telegram-Bot-Api-Secret-Token": "A-Z_0-9_a-z"})

    assert data["body"]["update_id"] == 10_000
    again = hook.deliver(body, {"X-Telegram-Bot-Api-Secret-Token": "A-Z_0-9_a-z"})
    assert again.json()["eventId"] == data["eventId"]
    wrong = hook.deliver(body, {"X-Telegram-Bot-Api-Secret-Token": "a-z_0-9_A-Z"})
    assert wrong.status_code == 401


def test_shared_secret_in_the_short_form(client: Client, receiver: str) -> None:
    hook = Hook(client, receiver, secret=SECRET, verifySecret=True)

    data = hook.accepted(b"{}", {"X-Webhook-Secret": SECRET})

    assert "x-webhook-secret" not in data["headers"]
    assert hook.deliver(b"{}").status_code == 401
    assert hook.deliver(b"{}", {"X-Webhook-Secret": SECRET + "x"}).status_code == 401


@pytest.mark.parametrize(
    ("algorithm", "encoding", "prefix"),
    [("sha256", "hex", "v0="), ("sha512", "base64", ""), ("sha1", "hex", "sha1=")],
)
def test_an_hmac_of_ones_own(
    client: Client, receiver: str, algorithm: str, encoding: str, prefix: str
) -> None:
    rule = {
        "type": "hmac",
        "header": "X-Shop-Signature",
        "algorithm": algorithm,
        "encoding": encoding,
        "prefix": prefix,
        "deliveryHeader": "X-Shop-Delivery",
    }
    hook = Hook(client, receiver, secret=SECRET, verification=rule)
    body = b'{"order": 1}'
    digest = hmac.new(SECRET.encode(), body, algorithm).digest()
    shown = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    headers = {"X-Shop-Signature": prefix + shown, "X-Shop-Delivery": "d-1"}

    data = hook.accepted(body, headers)

    assert hook.deliver(body, headers).json()["eventId"] == data["eventId"]
    assert hook.deliver(body + b" ", headers).status_code == 401


# -- Challenges -----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", "/verify"])
@pytest.mark.parametrize("prefix", ["", "hub."])
def test_a_challenge_in_both_styles_at_both_addresses(
    client: Client, receiver: str, suffix: str, prefix: str
) -> None:
    hook = Hook(client, receiver, verifyToken="verify-me", secret=SECRET)
    token = "verify_token" if prefix else "token"
    asked = {f"{prefix}mode": "subscribe", f"{prefix}{token}": "verify-me"}
    asked[f"{prefix}challenge"] = "<script>1158201444</script>"

    good = requests.get(hook.url + suffix, params=asked, timeout=60)

    assert (good.status_code, good.text) == (200, "<script>1158201444</script>")
    assert good.headers["Content-Type"].startswith("text/plain")
    wrong = {**asked, f"{prefix}{token}": "something else"}
    assert requests.get(hook.url + suffix, params=wrong, timeout=60).status_code == 403
    mode = {**asked, f"{prefix}mode": "unsubscribe"}
    assert requests.get(hook.url + suffix, params=mode, timeout=60).status_code == 403
    unknown = hook.url + "-unknown" + suffix
    assert requests.get(unknown, params=asked, timeout=60).status_code == 403


# -- Bodies ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_hook(request: pytest.FixtureRequest) -> Hook:
    """One webhook for all bodies: it lets everybody in."""
    platform = request.getfixturevalue("platform")
    stand_ins: StandIns = request.getfixturevalue("stand_ins")
    tenant = f"tenant-{uuid.uuid4().hex[:12]}"
    client = Client(platform, platform.tokens.create(tenant=tenant, name="e2e"), tenant)
    return Hook(client, stand_ins.receiver.url("/open"))


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b'{"a": [1, 2.5, null, "\xc3\xbc"]}', {"a": [1, 2.5, None, "ü"]}),
        ("application/vnd.api+json; charset=utf-8", b"[1]", [1]),
        ("application/x-www-form-urlencoded", b"a=1&b=x+y&b=%C3%BC", {"a": "1", "b": ["x y", "ü"]}),
        ("text/plain; charset=utf-8", "grüße".encode(), "grüße"),
        ("application/octet-stream", b"\x00\xff\xfe", {"base64": "AP/+"}),
        ("application/x-ndjson", b'{"a": "\xff\xfe"}', {"base64": "eyJhIjogIv/+In0="}),
        # What is no UTF-8 stays the bytes that it is, whatever it is called.
        ("application/json", b'{"a": "\xff\xfe"}', {"base64": "eyJhIjogIv/+In0="}),
        ("text/plain", b"\xff invalid", {"base64": "/yBpbnZhbGlk"}),
        ("application/json", b'{"a": "\\ud800"}', {"a": "\ufffd"}),
        ("application/json", b'{"a": NaN}', '{"a": NaN}'),
        ("application/json", b"not json at all", "not json at all"),
        ("application/json", b"", None),
    ],
)
def test_a_body_of_any_kind(
    open_hook: Hook, content_type: str, body: bytes, expected: object
) -> None:
    data = open_hook.accepted(body, {"Content-Type": content_type})

    assert data["body"] == expected


@pytest.mark.parametrize("size", [130_000, 900_000, 5_900_000])
def test_a_large_body_arrives_whole(client: Client, receiver: str, size: int) -> None:
    """Over 128 KiB it travels by S3; what a template makes of it may have 256 K characters."""
    large_hook = Hook(client, receiver, sends={"n": "{{ trigger.body.blob|length }}"})
    body = json.dumps({"n": size, "blob": "ü" * (size // 2 - 50)}, ensure_ascii=False).encode()
    answer = large_hook.deliver(body)
    assert answer.status_code == 200, answer.text

    whole = large_hook.execution(answer.json()["eventId"])
    # What is shown may be cut; what the template saw is not.
    step = whole["steps"][0]
    assert step["input"]["json"]["n"] == size // 2 - 50


def test_a_body_over_the_limit_is_413(open_hook: Hook) -> None:
    answer = open_hook.deliver(b"x" * (MAX_BODY_BYTES + 1))

    assert answer.status_code == 413
    assert answer.json()["code"] == "payload_too_large"


def test_an_unknown_webhook_answers_as_one_that_refuses(open_hook: Hook) -> None:
    answer = requests.post(f"{open_hook.url}-unknown", data=b"{}", timeout=60)

    assert (answer.status_code, answer.json()["code"]) == (401, "signature_refused")


def test_a_refused_delivery_is_counted_with_its_reason(client: Client, receiver: str) -> None:
    hook = Hook(client, receiver, secret=SECRET, verification={"type": "github"})
    before = hook.refusals()
    assert not before.get("rejected")

    answers = [
        hook.deliver(b"{}"),
        hook.deliver(b"{}", {"X-Hub-Signature-256": "sha256=" + "0" * 64}),
    ]

    assert [each.status_code for each in answers] == [401, 401]
    assert {each.json()["code"] for each in answers} == {"signature_refused"}
    after = hook.refusals()
    assert after["rejected"] == 2
    assert "X-Hub-Signature-256" in after["lastRejection"]["reason"]
    assert datetime.fromisoformat(after["lastRejection"]["at"]) <= datetime.now(UTC)
    assert client.executions(workflowId=hook.workflow_id) == []


def test_the_same_delivery_ten_times_at_once_runs_once(
    client: Client, receiver: str, stand_ins: StandIns
) -> None:
    hook = Hook(client, receiver, secret=SECRET, verification={"type": "github"})
    body = b'{"action": "opened"}'
    headers = {
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-Hub-Signature-256": f"sha256={hex_mac(SECRET, body)}",
    }

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: hook.deliver(body, headers), range(10)))

    assert {each.status_code for each in answers} == {200}
    assert len({each.json()["eventId"] for each in answers}) == 1
    hook.execution(answers[0].json()["eventId"])
    time.sleep(3)  # for a second one, if there were one
    (only,) = client.executions(workflowId=hook.workflow_id)
    path = "/" + receiver.rpartition("/")[2]
    effects = [each for each in stand_ins.receiver.received if each.path == path]
    count = f"10 deliveries at once: 1 execution ({only['status']}), {len(effects)} request(s)"
    print(count)  # noqa: T201 - what was seen
    assert len(effects) == 1


def test_a_taken_id_stays_its_first_owners(client: Client, receiver: str) -> None:
    hook = Hook(client, receiver)
    tenant = f"tenant-{uuid.uuid4().hex[:12]}"
    other = Client(
        client.platform, client.platform.tokens.create(tenant=tenant, name="e2e"), tenant
    )

    body = {"credentials": {"url": f"https://example.org/{hook.id}"}}
    answer = other.post("/api/integrations/webhook/credentials", body)

    assert answer.status_code == 200
    assert answer.json()["webhook"]["id"].startswith(f"{hook.id}-")


def test_no_secret_is_in_any_message_or_metadata(client: Client, receiver: str) -> None:
    hook = Hook(client, receiver, secret=SECRET, verifySecret=True)
    answer = hook.deliver(b"{}", {"X-Webhook-Secret": SECRET, "Authorization": "Bearer private"})
    execution = hook.execution(answer.json()["eventId"])

    shown = json.dumps([execution, hook.refusals(), hook.metadata])
    assert SECRET not in shown
    assert "private" not in shown
    log = client.platform.log.read_text(errors="replace")
    assert SECRET not in log
    assert hashlib.sha256(SECRET.encode()).hexdigest() not in log


# -- Senders that look first, and those with methods and paths of their own ---------------------


def test_who_only_looks_is_answered_and_nothing_runs(client: Client, receiver: str) -> None:
    hook = Hook(client, receiver, secret=SECRET)
    for url in (hook.url, f"{hook.url}/", f"{hook.url}/a/b"):
        assert requests.head(url, timeout=60).status_code == 200
        assert requests.get(url, timeout=60).status_code == 200
    ping = requests.post(hook.url, data={"webhook_id": "17"}, timeout=60)
    assert (ping.status_code, ping.json()["received"]) == (200, False)
    assert client.get(f"/api/events?webhookId={hook.id}").json()["items"] == []


def test_a_webhook_takes_the_methods_and_paths_that_it_allows(
    client: Client, receiver: str
) -> None:
    hook = Hook(client, receiver, secret=SECRET, methods=["POST", "PUT"])
    proof = {"X-Webhook-Secret": SECRET}
    for method, path in (("PUT", "/a/b"), ("POST", "/"), ("PUT", "")):
        answer = requests.request(method, hook.url + path, json={}, headers=proof, timeout=60)
        assert answer.status_code == 200, answer.text
    for method in ("PATCH", "DELETE"):
        answer = requests.request(method, hook.url, json={}, headers=proof, timeout=60)
        assert answer.status_code == 401
