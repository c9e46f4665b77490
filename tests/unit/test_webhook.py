"""The webhook provider: what it is told, what it sends and what it makes of what comes in."""

import gzip
import json
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import standardwebhooks
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from integrations.errors import (
    AddressRefused,
    InvalidInput,
    InvalidParams,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from integrations.models import Delivery, Json
from integrations.outbound import guard
from integrations.outbound.client import Outbound
from integrations.outbound.content import StoredFile
from integrations.providers.base import Addresses, Call
from integrations.providers.masking import Masking
from integrations.providers.webhook import actions, api, events, provider
from integrations.providers.webhook.actions import Send
from integrations.providers.webhook.credentials import WebhookCredentials
from integrations.providers.webhook.provider import PROVIDER
from tests.fakes.dns import Dns
from tests.fakes.receiver import Receiver, Reply

URL = "https://shop.example.com/hooks/order-paid"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

type MakeCall = Callable[..., Call[WebhookCredentials]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Dns:
    return Dns(monkeypatch)


@pytest.fixture
def make_call() -> MakeCall:
    def make(*, loopback: bool = True, hops: int = 0, key: str | None = None, **given: Any) -> Any:
        return Call(
            credentials=credentials(**given),
            http=Outbound(allow_loopback=loopback),
            addresses=Addresses(),
            idempotency_key=key,
            hops=hops,
            lineage=(lambda: f"{hops + 1};proof") if hops else None,
            allow_loopback=loopback,
        )

    return make


def credentials(**given: Any) -> WebhookCredentials:
    return WebhookCredentials.model_validate({"url": URL, **given})


def send(call: Call[WebhookCredentials], **params: Any) -> Any:
    return actions.send(call, Send.model_validate(params))


# -- Credentials -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "webhook_id"),
    [
        (URL, "order-paid"),
        ("https://example.com/api/webhooks/abc/", "abc"),
        ("http://localhost:3000/api/webhooks/my_hook?x=1#y", "my_hook"),
        ("https://example.com/" + "x" * 64, "x" * 64),
    ],
)
def test_the_last_part_of_the_path_is_the_webhooks_id(url: str, webhook_id: str) -> None:
    assert credentials(url=url).webhook_id == webhook_id


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://example.com", "must end in the webhook's id"),
        ("https://example.com/", "must end in the webhook's id"),
        ("https://example.com/ab", "3 to 64"),
        ("https://example.com/" + "x" * 65, "3 to 64"),
        ("https://example.com/hook.php", "letters, digits"),
        ("https://example.com/h%C3%B6ok", "letters, digits"),
        ("https://example.com/facebook", "reserved"),
        ("https://example.com/hooks/abc/verify", "reserved"),
        ("ftp://example.com/hook", "http or https"),
        ("example.com/hook", "http or https"),
        ("https://user:5ecret@example.com/hook", "password"),
        ("https://example.com/" + "x" * 3000, "2048"),
    ],
)
def test_a_url_without_a_usable_id_says_what_is_wrong(url: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as refusal:
        credentials(url=url)
    assert "5ecret" not in str(refusal.value)


@pytest.mark.parametrize("value", [True, "true", "True"])
def test_the_documented_short_form_means_a_shared_secret(value: object) -> None:
    saved = credentials(secret="s3cret-of-it", verifySecret=value)
    endpoint = provider._endpoint(saved)
    assert endpoint.webhook_id == "order-paid"
    assert endpoint.verification == {"type": "secret"}
    assert endpoint.secret is not None
    assert endpoint.secret.get_secret_value() == "s3cret-of-it"
    assert endpoint.verify_token is None, "a random one is made"


def test_a_secret_alone_verifies_what_comes_in() -> None:
    assert credentials(secret="s3cret-of-it").rule == {"type": "secret"}
    assert credentials().rule == {"type": "none"}


def test_without_a_url_the_id_is_left_to_chance(make_call: MakeCall) -> None:
    saved = credentials(url=None, secret="s3cret-of-it")
    assert provider._endpoint(saved).webhook_id is None
    assert provider.verify(make_call(url=None)).account.id == "webhook"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"secret": "7 chars"}, "at least 8"),
        ({"secret": "long enough", "verifySecret": "short"}, "verifySecret must have at least 8"),
        ({"secret": "x" * 31, "verification": {"type": "jwt"}}, "at least 32"),
        ({"secret": "long enough", "previousSecret": "short"}, "previousSecret must have"),
        ({"previousSecret": "long enough"}, "without a secret"),
        ({"secret": "long enough", "previousSecretHours": 169}, "less than or equal to 168"),
        ({"methods": ["GET"]}, "'POST', 'PUT', 'PATCH' or 'DELETE'"),
        ({"methods": []}, "at least 1"),
        ({"verification": {"type": "ip"}}, "verification.ranges is required"),
        ({"verification": {"type": "ip", "ranges": ["10.0.0.1/8"]}}, "must hold ranges"),
        ({"verification": {"type": "ip", "ranges": []}}, "must be a list"),
        ({"secret": "long enough", "verification": {"type": "basic"}}, "username is required"),
        (
            {"secret": "long enough", "verification": {"type": "basic", "username": "a:b"}},
            "colon",
        ),
        ({"verification": {"type": "jwt", "jwksUrl": "http://keys.example.com/"}}, "https URL"),
    ],
    ids=repr,
)
def test_what_guards_a_webhook_too_weakly_is_refused(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        credentials(**given)


@pytest.mark.parametrize("value", [False, "false"])
def test_a_secret_can_be_for_what_is_sent_alone(value: object) -> None:
    assert credentials(secret="s3cret", verifySecret=value).rule == {"type": "none"}


def test_a_secret_of_its_own_can_verify_what_comes_in() -> None:
    saved = credentials(secret="signs", verifySecret="verifies")
    endpoint = provider._endpoint(saved)
    assert endpoint.verification == {"type": "secret"}
    assert endpoint.secret is not None
    assert endpoint.secret.get_secret_value() == "verifies"
    assert "verifies" not in repr(saved)


def test_a_verification_is_kept_as_it_was_given() -> None:
    rule = {"type": "hmac", "header": "X-Sig", "encoding": "base64"}
    saved = credentials(
        secret="of-8-characters", verification=rule, verifyToken="a-t0ken-of-its-own"
    )
    endpoint = provider._endpoint(saved)
    assert endpoint.verification == rule
    assert endpoint.verify_token is not None
    assert endpoint.verify_token.get_secret_value() == "a-t0ken-of-its-own"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"verifySecret": True}, "secret is required"),
        ({"verification": {"type": "github"}}, "secret is required"),
        ({"secret": "s", "verification": {"type": "md5"}}, "verification.type must be one of"),
        ({"secret": "s", "verification": {"type": "hmac"}}, "verification.header is required"),
        ({"secret": "s", "verification": {"type": "none"}, "verifySecret": True}, "does not go"),
        ({"secret": "grüße aus Köln", "verifySecret": True}, "printable ASCII"),
        ({"outboundUrl": "file:///etc/passwd"}, "http or https"),
        ({"outboundUrl": "https://u:5ecret@example.com/"}, "password"),
        ({"outboundHeaders": {"A": "1"}}, "needs an outboundUrl"),
        ({"outboundUrl": URL, "outboundHeaders": {"Host": "x"}}, "set by the connection"),
        ({"outboundUrl": URL, "outboundHeaders": {"A": "5ecret\r\nB: 1"}}, "must not hold"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_credentials_that_do_not_fit_say_why(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as refusal:
        credentials(**given)
    assert "5ecret" not in str(refusal.value)


def test_no_secret_shows_in_the_repr() -> None:
    shown = repr(
        credentials(
            secret="5ecret1-of-it",
            verifySecret="5ecret2-of-it",
            verifyToken="5ecret3-of-its-own",
            outboundUrl="https://chat.example.com/5ecret4",
            outboundHeaders={"Authorization": "5ecret5"},
        )
    )
    assert "5ecret" not in shown


# -- Test ------------------------------------------------------------------------------------


def test_the_test_sends_nothing_and_names_the_webhook(
    make_call: MakeCall,
    receiver: Receiver,
) -> None:
    call = make_call(secret="s3cret-of-it", verifySecret=True, outboundUrl=receiver.url("/in"))
    verified = provider.verify(call)
    assert verified.account.id == "order-paid"
    assert verified.account.label == "shop.example.com/hooks/order-paid"
    assert verified.message == "Ready to receive at webhook order-paid and to send to 127.0.0.1"
    assert verified.account.details["verification"] == {"type": "secret"}
    assert not receiver.received


def test_the_test_says_that_deliveries_are_not_verified(make_call: MakeCall) -> None:
    assert "anyone" in provider.verify(make_call()).message


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "10.0.0.8"])
def test_an_outbound_url_that_leads_inside_fails_the_test(
    address: str,
    dns: Dns,
    make_call: MakeCall,
) -> None:
    dns.answer("inside.example.com", address)
    with pytest.raises(AddressRefused):
        provider.verify(make_call(loopback=False, outboundUrl="http://inside.example.com/"))


def test_an_outbound_url_that_does_not_resolve_fails_the_test(
    dns: Dns,
    make_call: MakeCall,
) -> None:
    with pytest.raises(ProviderUnavailable, match="not found"):
        provider.verify(make_call(outboundUrl="https://nowhere.example.com/"))


# -- Sending ---------------------------------------------------------------------------------


def test_json_is_sent_signed_and_the_signature_verifies(
    make_call: MakeCall,
    receiver: Receiver,
) -> None:
    receiver.reply(Reply(status=201, body=b'{"id": 7}', headers={"x-request-id": "r1"}))
    call = make_call(secret=SECRET, outboundUrl=receiver.url("/in?a=1"), hops=2)
    result = send(call, json={"text": "grüß"}, headers={"X-A": "b"}, query={"q": [1, True, "ü"]})
    assert result["status"] == 201
    assert result["body"] == {"id": 7}
    assert result["headers"]["x-request-id"] == "r1"
    got = receiver.last
    assert (got.method, got.path, got.query["a"], got.query["q"]) == ("POST", "/in", "1", "ü")
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-a"] == "b"
    assert got.headers["integrations-hops"] == "3;proof"
    assert standardwebhooks.Webhook(SECRET).verify(got.body, dict(got.headers)) == {"text": "grüß"}


def test_what_goes_elsewhere_is_not_signed(make_call: MakeCall, receiver: Receiver) -> None:
    # Whoever chooses the URL would otherwise get messages that the saved place takes for ours.
    saved = {"secret": SECRET, "outboundUrl": "https://other.example.com/in"}
    for call in (make_call(**saved), make_call(secret=SECRET)):
        send(call, url=receiver.url("/in"), json={})
        assert "webhook-id" in receiver.last.headers
        assert "webhook-signature" not in receiver.last.headers


@pytest.mark.parametrize(
    "url", ["https://x:abc/", "https://x:99999/", "https://x:0/", "https://[x/"]
)
@pytest.mark.parametrize("field", ["url", "outboundUrl"])
def test_a_url_with_a_port_that_is_none_is_refused(url: str, field: str) -> None:
    model, given_ = (Send, {}) if field == "url" else (WebhookCredentials, {"url": URL})
    with pytest.raises(ValidationError, match=r"must be a URL|must be an http"):
        model.model_validate(given_ | {field: url})


def test_a_body_nested_deeper_than_anybody_reads_is_refused_before_it_is_sent(
    make_call: MakeCall, receiver: Receiver
) -> None:
    deep: Json = 1
    for _ in range(65):
        deep = [deep]
    with pytest.raises(InvalidParams, match="deeper than 64"):
        send(make_call(), url=receiver.url(), json=deep)
    assert not receiver.deliveries()


ECHOED = 'Bearer 5ecret"tökén/+5'


@pytest.mark.parametrize(
    ("content_type", "repeated"),
    [
        ("application/json", json.dumps({"headers": {"Authorization": ECHOED}}).encode()),
        ("application/json", json.dumps([ECHOED], ensure_ascii=False).encode()),
        ("application/json", json.dumps({ECHOED: 1}).encode().replace(b"5", b"\\u0035")),
        ("application/json", json.dumps([ECHOED.partition(" ")[2]]).encode()),
        ("application/json", json.dumps([b64encode(ECHOED.encode()).decode()]).encode()),
        ("text/plain", ECHOED.encode()),
        ("text/plain; charset=latin-1", ECHOED.encode("latin-1")),
        ("text/html", b"<p>" + quote(ECHOED).encode()),
        ("text/plain", b"x" * (api.MAX_BODY - 9) + ECHOED.encode()),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_a_secret_that_the_receiver_repeats_is_masked(
    content_type: str, repeated: bytes, status: int, make_call: MakeCall, receiver: Receiver
) -> None:
    saved = {"outboundUrl": receiver.url("/a"), "secret": SECRET}
    headers = {"content-type": content_type, "location": f"/?s={SECRET}", "x-request-id": SECRET}
    receiver.reply(Reply(status=status, body=repeated, headers=headers))
    if status == 200:
        call = make_call(**saved)
        text = json.dumps(send(call, headers={"X-Api-Key": ECHOED}, json={}))
    else:
        with pytest.raises(RequestRejected) as refusal:
            send(make_call(**saved), headers={"Authorization": ECHOED}, json={})
        text = str(refusal.value)
    for secret in ("5ecret", b64encode(ECHOED.encode()).decode()[:20], SECRET):
        assert secret not in text


PERMISSION = "/services/T00000001/B00000002/gKx9Wq5ecretZ?wait=true&key=hush-hush&chat=5ecret-room7"


@pytest.mark.parametrize(
    "repeated",
    [
        "Cannot POST /services/T00000001/B00000002/gKx9Wq5ecretZ",
        "<p>Cannot POST &#x2F;services&#x2F;T00000001&#x2F;B00000002&#x2F;gKx9Wq5ecretZ",
        r'{"path": "\/services\/T00000001\/B00000002\/gKx9Wq5ecretZ"}',
        "no hook gKx9Wq5ecretZ of team T00000001",
        "no key hush-hush, no chat 5ecret-room7",
    ],
)
@pytest.mark.parametrize("status", [200, 404])
def test_what_a_receiver_repeats_of_the_outbound_url_is_masked(
    repeated: str, status: int, make_call: MakeCall, receiver: Receiver
) -> None:
    receiver.reply(Reply(status=status, body=repeated.encode()))
    call = make_call(outboundUrl=receiver.url(PERMISSION))
    if status == 200:
        text = json.dumps(send(call, json={})["body"], ensure_ascii=False)
    else:
        with pytest.raises(RequestRejected) as refusal:
            send(call, json={})
        text = refusal.value.detail
    assert "…" in text
    for secret in ("5ecret", "T00000001", "hush"):
        assert secret not in text


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (
            "/v1beta/services/messages?wait=true&to=general-talk",
            {"messages": ["/v1beta/services/messages/5"], "services": "general-talk"},
        ),
        (
            "/api/Contacts/createContact?limit=1000&api-version=2016-10-01",
            {"contacts": ["/api/Contacts/createContact/5"], "limit": 1000, "since": "2016-10-01"},
        ),
        ("/projects/12345/Orders", {"projects": [12345], "orders": "Orders"}),
    ],
)
def test_words_that_stand_in_the_outbound_url_too_stay_in_an_answer(
    path: str, answer: dict[str, Any], make_call: MakeCall, receiver: Receiver
) -> None:
    receiver.reply(Reply(body=json.dumps(answer).encode()))
    assert send(make_call(outboundUrl=receiver.url(path)), json={})["body"] == answer


class KeptFiles:
    """Keeps nothing of what a step gives."""

    def content(self, file_id: str) -> Any:
        raise AssertionError(file_id)

    def store(self, pieces: Iterable[bytes]) -> StoredFile:
        return StoredFile("f1", sum(map(len, pieces)))


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "3, 3"])
def test_a_length_that_is_none_is_no_defect_of_ours(length: str) -> None:
    take = api.sink_for(KeptFiles(), Masking([]), {"content-length": length})
    assert take
    assert take([b"abc"]) == b"abc"


@pytest.mark.parametrize("size", [3, api.MAX_BODY + 1])
def test_a_file_is_named_by_a_steps_url_and_never_by_the_outbound_url(
    size: int, make_call: MakeCall, receiver: Receiver
) -> None:
    call = replace(make_call(outboundUrl=receiver.url("/hook/gKx9Wq5ecretZ")), files=KeptFiles())
    receiver.default = Reply(body=b"\xff" * size, headers={"content-type": "image/png"})
    name = "fileName" if size < api.MAX_BODY else "name"
    assert send(call, json={})["file"][name] == "answer"
    assert send(call, json={}, url=receiver.url("/cats/tom.png"))["file"][name] == "tom.png"


def test_a_repetition_carries_the_same_id_and_other_steps_do_not(
    make_call: MakeCall,
    receiver: Receiver,
) -> None:
    for key in ("exec-1:step", "exec-1:step", "exec-2:step", None, None):
        send(make_call(secret=SECRET, key=key, outboundUrl=receiver.url()), json={})
    counts = receiver.deliveries()
    assert sorted(counts.values()) == [1, 1, 1, 2]
    assert all("." not in message_id for message_id in counts)


def test_without_a_secret_the_message_is_not_signed_but_has_its_id(
    make_call: MakeCall,
    receiver: Receiver,
) -> None:
    send(make_call(key="k1"), url=receiver.url(), json={})
    assert receiver.last.headers["webhook-id"] == "msg_k1"
    assert "webhook-signature" not in receiver.last.headers


@pytest.mark.parametrize(
    ("params", "content_type", "body"),
    [
        ({"json": None}, "application/json", b"null"),
        ({"form": {"a": "ü", "b": [1, False], "c": None}}, "application/x-www", b"a=%C3%BC&b=1"),
        ({"body": "grüß"}, "text/plain; charset=utf-8", "grüß".encode()),
        ({"bodyBase64": b64encode(b"\x00\xff").decode()}, "application/octet-stream", b"\x00\xff"),
        ({"body": "<a/>", "headers": {"content-type": "text/xml"}}, "text/xml", b"<a/>"),
        ({}, "", b""),
    ],
)
def test_each_kind_of_body_has_its_content_type(
    params: dict[str, Any],
    content_type: str,
    body: bytes,
    make_call: MakeCall,
    receiver: Receiver,
) -> None:
    send(make_call(), url=receiver.url(), **params)
    assert receiver.last.headers.get("content-type", "").startswith(content_type)
    assert receiver.last.body.startswith(body)
    assert bool(receiver.last.body) == bool(body)


def test_the_methods_go_out_as_they_are(make_call: MakeCall, receiver: Receiver) -> None:
    for method in ("PUT", "PATCH", "DELETE", "GET", "HEAD"):
        send(make_call(), url=receiver.url(), method=method)
    assert [got.method for got in receiver.received] == ["PUT", "PATCH", "DELETE", "GET", "HEAD"]


def test_outbound_headers_go_to_the_outbound_urls_host_alone(
    make_call: MakeCall,
    receiver: Receiver,
) -> None:
    saved = {"outboundUrl": receiver.url("/a"), "outboundHeaders": {"Authorization": "Bearer x"}}
    send(make_call(**saved), json={})
    assert receiver.last.headers["authorization"] == "Bearer x"
    send(make_call(**saved), url=receiver.url("/b"), json={})
    assert receiver.last.headers["authorization"] == "Bearer x"
    send(make_call(**saved), json={}, headers={"authorization": "Bearer y"})
    assert receiver.last.headers["authorization"] == "Bearer y"
    with Receiver() as other:
        send(make_call(**saved), url=other.url(), json={})
        assert "authorization" not in other.last.headers


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"json": 1, "body": "x"}, "only one of"),
        ({"method": "GET", "json": {}}, "GET has no body"),
        ({"method": "CONNECT"}, "POST"),
        ({"bodyBase64": "!!!"}, "must be base64"),
        ({"timeoutSeconds": 31}, "30"),
        ({"headers": {"Host": "x"}}, "set by the connection"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "set by the connection"),
        ({"headers": {"webhook-id": "x"}}, "set by the connection"),
        ({"headers": {"Integrations-Hops": "0"}}, "set by the connection"),
        ({"headers": {"X": "a\r\nY: b"}}, "must not hold"),
        ({"headers": {"X\r\nY": "b"}}, "not the name"),
        ({"headers": {"X": "🌵"}}, "must not hold"),
        ({"headers": {"X": "1", "x": "2"}}, "twice"),
        ({"url": "file:///etc/passwd"}, "http or https"),
        ({"url": "https://u:p@example.com"}, "password"),
        ({"uri": "https://example.com"}, "Extra inputs"),
    ],
)
def test_parameters_that_do_not_fit_say_why(params: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Send.model_validate(params)


def test_without_any_url_there_is_nowhere_to_send(make_call: MakeCall) -> None:
    with pytest.raises(InvalidParams, match="outboundUrl"):
        send(make_call(), json={})


@pytest.mark.parametrize(
    "params",
    [{"json": {"a": float("nan")}}, {"json": "\ud800"}, {"body": "\ud800"}, {"body": "x" * 2**21}],
)
def test_a_body_that_cannot_be_sent_is_a_mistake_of_the_step(
    params: dict[str, Any],
    make_call: MakeCall,
    receiver: Receiver,
) -> None:
    with pytest.raises((InvalidParams, ValidationError)):
        send(make_call(), url=receiver.url(), **params)
    assert not receiver.received


def test_an_address_inside_is_refused(make_call: MakeCall, receiver: Receiver) -> None:
    with pytest.raises(AddressRefused):
        send(make_call(loopback=False), url=receiver.url(), json={})
    assert not receiver.received


@pytest.mark.parametrize(
    ("reply", "error", "reason"),
    [
        (
            Reply(status=400, body=b'{"error": "bad"}'),
            RequestRejected,
            'answered 400: {"error": "bad"}',
        ),
        (Reply(status=401), RequestRejected, "401"),
        (Reply(status=410, body=b""), RequestRejected, "answered 410$"),
        (Reply(status=302, headers={"location": "/5ecret"}), RequestRejected, "redirect"),
        (Reply(status=408), ProviderUnavailable, "408"),
        (Reply(status=500, body=b"x" * 100_000), ProviderUnavailable, "500"),
        (Reply(status=503), ProviderUnavailable, "503"),
        (Reply(hang_up=True), ProviderUnavailable, "closed"),
        (Reply(delay=3), ProviderTimeout, "in time"),
    ],
)
def test_an_answer_that_is_no_success_is_an_error_with_the_receivers_words(
    reply: Reply,
    error: type[Exception],
    reason: str,
    make_call: MakeCall,
    receiver: Receiver,
) -> None:
    receiver.reply(reply)
    with pytest.raises(error, match=reason) as failure:
        send(make_call(), url=receiver.url(), json={}, timeoutSeconds=1)
    assert len(str(failure.value)) < 400
    assert "5ecret" not in str(failure.value)


def test_a_receiver_that_asks_for_patience_gets_it(make_call: MakeCall, receiver: Receiver) -> None:
    receiver.reply(
        Reply(status=429, headers={"retry-after": "30"}),
        Reply(status=429),
        Reply(status=503, headers={"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    )
    waits = []
    for _ in range(2):
        with pytest.raises(RateLimited) as limit:
            send(make_call(), url=receiver.url(), json={})
        waits.append(limit.value.retry_after)
    assert waits == [30.0, None]
    with pytest.raises(ProviderUnavailable) as failure:
        send(make_call(), url=receiver.url(), json={})
    assert failure.value.retry_after == 0.0


def test_one_receivers_limit_is_not_anothers(make_call: MakeCall, receiver: Receiver) -> None:
    receiver.reply(Reply(status=429, headers={"retry-after": "30"}))
    asked: list[str] = []
    call = replace(make_call(), check_pause=asked.append)
    with pytest.raises(RateLimited) as limit:
        send(call, url=receiver.url(), json={})
    host, _, port = receiver.url().partition("://")[2].partition("/")[0].partition(":")
    assert limit.value.scope == f"origin http://{host}:{port}"
    assert asked == [limit.value.scope]


def test_a_receiver_that_repeats_our_headers_does_not_give_them_away(
    make_call: MakeCall,
    receiver: Receiver,
) -> None:
    receiver.reply(Reply(status=400, body=b"you sent Authorization: Bearer 5ecret"))
    saved = {"outboundUrl": receiver.url(), "outboundHeaders": {"Authorization": "Bearer 5ecret"}}
    with pytest.raises(RequestRejected) as failure:
        send(make_call(**saved), json={})
    assert "5ecret" not in failure.value.detail


@pytest.mark.parametrize(
    ("reply", "body", "truncated"),
    [
        (Reply(body=b"", status=204), None, False),
        (Reply(body=b"ok", headers={"content-type": "text/plain"}), "ok", False),
        (Reply(body=b"[1]", headers={"content-type": "text/plain"}), [1], False),
        (Reply(body=b"\xff\xfe\x00"), {"base64": "//4A"}, False),
        (Reply(body=b'{"a": NaN}'), '{"a": NaN}', False),
        (Reply(body=b"x" * (api.MAX_BODY + 9)), "x" * api.MAX_BODY, True),
        (Reply(body=b"x" + "ü".encode() * 40_000), "x" + "ü" * (api.MAX_BODY // 2 - 1), True),
    ],
    ids=["empty", "text", "json", "binary", "no json", "long", "cut within a character"],
)
def test_the_answers_body_is_shown_in_its_plainest_shape_and_bounded(
    reply: Reply,
    body: Json,
    truncated: bool,  # noqa: FBT001
    make_call: MakeCall,
    receiver: Receiver,
) -> None:
    receiver.reply(reply)
    result = send(make_call(), url=receiver.url(), json={})
    assert result["body"] == body
    assert result.get("truncated", False) is truncated


# -- Coming in -------------------------------------------------------------------------------


def delivery(
    body: bytes,
    content_type: str | None = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Delivery:
    return Delivery(
        webhook_id="order-paid",
        event_id="webhook-id:msg_1",
        received_at=datetime(2026, 11, 22, 12, tzinfo=UTC),
        headers={**({"content-type": content_type} if content_type else {}), **(headers or {})},
        query={"shop": "7"},
        body=body,
    )


def test_a_delivery_becomes_one_event() -> None:
    (event,) = events.normalize(delivery(b'{"order": {"id": 42}}', headers={"x-a": "b"}))
    assert (event.type, event.id, event.target) == ("webhook", "webhook-id:msg_1", "order-paid")
    assert event.data == {
        "body": {"order": {"id": 42}},
        "contentType": "application/json",
        "headers": {"content-type": "application/json", "x-a": "b"},
        "query": {"shop": "7"},
        "method": "POST",
        "path": "",
        "receivedAt": "2026-11-22T12:00:00.000Z",
        "eventId": "webhook-id:msg_1",
        "webhookId": "order-paid",
    }


MULTIPART = (
    b'--xx\r\ncontent-disposition: form-data; name="to"\r\n\r\nann\r\n'
    b'--xx\r\ncontent-disposition: form-data; name="to"\r\n\r\ngr\xc3\xbc\xc3\x9f\r\n'
    b'--xx\r\ncontent-disposition: form-data; name="file"; filename="a.png"\r\n'
    b"content-type: image/png\r\n\r\n\x89PNG\r\n\xff\r\n--xx--\r\n"
)


FORM = "application/x-www-form-urlencoded"
MULTI = "multipart/form-data; boundary=xx"


def parts(*dispositions: bytes, body: bytes = b"x") -> bytes:
    made = [b"--xx\r\ncontent-disposition: %s\r\n\r\n%s\r\n" % (d, body) for d in dispositions]
    return b"".join(made) + b"--xx--\r\n"


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b"", "application/json", None),
        (b"17", "application/json", 17),
        (b'{"a":1}', "application/cloudevents+json; charset=utf-8", {"a": 1}),
        (b'{"a":1}', None, {"a": 1}),
        (b" [1]", "text/plain", [1]),
        (b'{"a":', "application/json", '{"a":'),
        (b'{"a": NaN}', "application/json", '{"a": NaN}'),
        (b"[" * 100_000, "application/json", "[" * 100_000),
        (rb'{"a": "\ud800x"}', "application/json", {"a": "\ufffdx"}),
        (rb'{"a": "\ud83c\udf35"}', "application/json", {"a": "🌵"}),
        (b'{"a": "\xff"}', "application/json", {"base64": "eyJhIjogIv8ifQ=="}),
        (b"a=1&b=2&b=%C3%BC&c=", "application/x-www-form-urlencoded",
         {"a": "1", "b": ["2", "ü"], "c": ""}),
        (b"\xff\xfd", "application/x-www-form-urlencoded", {"base64": "//0="}),
        (b"hello", "text/plain", "hello"),
        (b"gr\xfc\xdf", "text/plain; charset=ISO-8859-1", "grüß"),
        (b"gr\xfc\xdf", "text/plain; charset=klingon", {"base64": "Z3L83w=="}),
        (b"\x89PNG\xff", "image/png", {"base64": "iVBOR/8="}),
        (MULTIPART, "multipart/form-data; boundary=xx",
         {"to": ["ann", "grüß"],
          "file": {"fileName": "a.png", "contentType": "image/png",
                   "contentBase64": b64encode(b"\x89PNG\r\n\xff").decode()}}),
        (b"no parts", "multipart/form-data", "no parts"),
        # what a limit refuses is text, which every reader takes
        (b"[" * 300 + b"1" + b"]" * 300, "application/json", "[" * 300 + "1" + "]" * 300),
        # charsets
        (b"name=M%FCller", FORM + "; charset=iso-8859-1", {"name": "Müller"}),
        (b"name=M\xfcller", FORM + "; charset=iso-8859-1", {"name": "Müller"}),
        (b"charset=windows-1252&name=M%FCller&price=%80", FORM,
         {"charset": "windows-1252", "name": "Müller", "price": "€"}),
        (b"_charset_=shift_jis&n=%83e%83X%83g", FORM, {"_charset_": "shift_jis", "n": "テスト"}),
        (b"charset=koi8-r&n=%C3%BC", FORM, {"charset": "koi8-r", "n": "ü"}),
        (b"n=%FF&m=ok", FORM, {"n": {"base64": "/w=="}, "m": "ok"}),
        (b"a+b=c%26d&a+b=", FORM, {"a b": ["c&d", ""]}),
        (b"&".join(b"a=1" for _ in range(1001)), FORM, "&".join(["a=1"] * 1001)),
        # JSON in a form's clothes, with a mark, and in other alphabets
        (b'{"a":2}', FORM, {"a": 2}),
        (b'\xef\xbb\xbf{"a":2}', None, {"a": 2}),
        ('{"a":"ü"}'.encode("utf-16"), None, {"a": "ü"}),
        ('{"a":"ü"}'.encode("utf-16-le"), "application/json", {"a": "ü"}),
        (b'{"a":"\xfc\x80"}', "application/json; charset=iso-8859-1", {"a": "ü€"}),
        (b'{"a":"\xfc"}', "text/plain; charset=latin1", {"a": "ü"}),
        (b"\xef\xbb\xbfhello", "text/plain", "hello"),
        ("grüß".encode("utf-16"), "text/plain; charset=utf-8", "grüß"),
        (b"\x80", "text/plain; charset=us-ascii", "€"),
        # parts
        (parts(b'form-data; name="f"; filename="C:\\path\\file.txt"'), MULTI,
         {"f": {"fileName": "C:\\path\\file.txt", "contentType": "text/plain",
                "contentBase64": "eA=="}}),
        (parts(b'form-data; name="a\\b"'), MULTI, {"a\\b": "x"}),
        (parts(b'form-data; name="say \\"hi\\""'), MULTI, {'say "hi"': "x"}),
        (parts(b'form-data; name="say %22hi%22 100%"'), MULTI, {'say "hi" 100%': "x"}),
        (parts(b"form-data"), MULTI, {"": "x"}),
        (parts(b"form-data", b'form-data; name="a"'), MULTI, {"": "x", "a": "x"}),
        (parts(b"form-data; name=a"), MULTI, {"a": "x"}),
        (parts(b"form-data; name=\"f\"; filename*=utf-8''gr%C3%BC%C3%9F.txt"), MULTI,
         {"f": {"fileName": "grüß.txt", "contentType": "text/plain", "contentBase64": "eA=="}}),
        (parts('form-data; name="ü"; filename="ß"'.encode()), MULTI,
         {"ü": {"fileName": "ß", "contentType": "text/plain", "contentBase64": "eA=="}}),
        (parts(b'form-data; name="M\xfc"'), MULTI + "; charset=latin1", {"Mü": "x"}),
        (parts(b'form-data; name="a"\r\ncontent-type: text/plain; charset=latin1', body=b"\xfc"),
         MULTI, {"a": "ü"}),
        (parts(b'form-data; name="a"\r\ncontent-transfer-encoding: base64', body=b"w7w="),
         MULTI, {"a": "ü"}),
        (parts(b'form-data; name="a"', body=b"\xff"), MULTI, {"a": {"base64": "/w=="}}),
        (b'--xx\r\ncontent-disposition: form-data; name="a"\r\n\r\ncut', MULTI,
         '--xx\r\ncontent-disposition: form-data; name="a"\r\n\r\ncut'),
    ],
)  # fmt: skip
def test_each_body_gets_its_plainest_shape(
    body: bytes,
    content_type: str | None,
    expected: Json,
) -> None:
    (event,) = events.normalize(delivery(body, content_type))
    assert event.data["body"] == expected


def gzipped(data: bytes) -> bytes:
    """The same bytes at any time: they are part of a test's name, which each worker must find."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzipped(b'{"a": 1}')),
        ("GZIP", gzipped(b'{"a"') + gzipped(b": 1}")),
        ("x-gzip, identity", gzipped(b'{"a": 1}')),
        ("deflate", zlib.compress(b'{"a": 1}')),
        ("deflate", zlib.compress(b'{"a": 1}')[2:-4]),
        ("deflate, gzip", gzipped(zlib.compress(b'{"a": 1}'))),
        # somebody on the way has unpacked it and left the header
        ("gzip", b'{"a": 1}'),
    ],
)
def test_a_packed_body_is_unpacked(encoding: str, body: bytes) -> None:
    sent = delivery(body, "application/json", headers={"content-encoding": encoding})
    assert events.normalize(sent)[0].data["body"] == {"a": 1}


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("br", b"\x0b\x03\x80{}\x03"),
        ("gzip", gzipped(b"{}")[:-3]),
        ("gzip", b"\x1f\x8bnonsense"),
        ("deflate", b"\xff\xff"),
        ("gzip, gzip, gzip", gzipped(gzipped(gzipped(b"{}")))),
        # Each of so many parts would copy all that follow it.
        ("deflate", zlib.compress(b"") * 1000),
        ("gzip", gzipped(b"{}") * 1000),
    ],
    ids=range(7),
)
def test_what_does_not_unpack_arrives_as_it_came(encoding: str, body: bytes) -> None:
    sent = delivery(body, "application/json", headers={"content-encoding": encoding})
    assert events.normalize(sent)[0].data["body"] == {"base64": b64encode(body).decode()}


def test_a_small_body_that_unpacks_to_a_huge_one_is_refused() -> None:
    bomb = gzip.compress(b"0" * 7_000_000)
    for body, encoding in ((bomb, "gzip"), (gzip.compress(bomb), "gzip, gzip")):
        with pytest.raises(InvalidInput, match="unpacks to more than"):
            events.normalize(delivery(body, headers={"content-encoding": encoding}))


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.text(st.characters(exclude_categories=["Cs"])),
        max_size=5,
    ),
)
@settings(max_examples=50, deadline=None)
def test_whatever_a_form_holds_comes_back(fields: dict[str, str]) -> None:
    (event,) = events.normalize(delivery(urlencode(fields).encode(), FORM))
    assert event.data["body"] == (fields or None)


@given(
    body=st.binary(),
    content_type=st.one_of(
        st.text(),
        st.sampled_from(
            [
                "application/json",
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=0",
                "text/plain; charset=idna",
                "text/plain; charset=base64",
                "text/plain; charset=utf-16",
                "text/plain; charset=utf-32-be",
                "text/plain; charset=iso-8859-99",
                "text/plain; charset=windows-1259",
                "text/plain; charset=iso-2022-jp",
                "text/plain; charset=unicode_escape",
            ]
        ),
    ),
)
def test_whatever_comes_in_is_an_event_that_can_be_stored(body: bytes, content_type: str) -> None:
    (event,) = events.normalize(delivery(body, content_type))
    json.dumps(event.data["body"], ensure_ascii=False, allow_nan=False).encode()


def test_a_filter_on_the_content_type_passes_what_fits() -> None:
    (event,) = events.normalize(delivery(b"{}", "application/json; charset=utf-8"))
    (trigger,) = PROVIDER.triggers
    fits = trigger.completed({"contentType": "Application/JSON"})
    other = trigger.completed({"contentType": "text/plain"})
    assert trigger.matches(event.data, fits)
    assert not trigger.matches(event.data, other)
    assert trigger.matches(event.data, trigger.completed({}))


# -- The whole -------------------------------------------------------------------------------


def test_the_provider_is_complete_and_its_examples_fit() -> None:
    assert PROVIDER.id == "webhook"
    action = PROVIDER.action("send")
    action.params.model_validate(dict(action.example))
    assert action.idempotent
    (trigger,) = PROVIDER.triggers
    assert trigger.matches(trigger.example, trigger.completed({}))
    assert guard.tls_context().check_hostname


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"verification": {}}, "verification.type"),
        ({"verifySecret": ""}, "verifySecret"),
        ({"verifySecret": "  "}, "verifySecret"),
        ({"verifyToken": "1234567"}, "verifyToken"),
        ({"secret": "one-and-the-same", "verifyToken": "one-and-the-same"}, "verifyToken"),
    ],
)
def test_what_would_leave_a_webhook_open_or_guessable_is_refused(given: Any, field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        credentials(**given)
    assert field.partition(".")[0] in str(refused.value)
