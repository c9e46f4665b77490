"""The webhook provider as a sender: requests as they arrive, and the guard on where they may go."""

import re
import uuid
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from local.platform import Platform
from tests.e2e.conftest import Client, StandIns
from tests.fakes.receiver import Received, Receiver, Reply

pytestmark = pytest.mark.e2e

SECRET = f"whsec_{b64encode(b'the secret of thirty-two bytes..').decode()}"
ORDER = {"type": "order.paid", "data": {"id": 42, "name": "Grüße"}}


@pytest.fixture
def receiver(stand_ins: StandIns) -> Receiver:
    return stand_ins.receiver


@pytest.fixture
def path() -> str:
    """A path at the receiver that is this test's alone."""
    return f"/in/{uuid.uuid4().hex}"


@pytest.fixture
def hook(client: Client, receiver: Receiver, path: str) -> Client:
    client.save("webhook", credentials() | {"outboundUrl": receiver.url(path)})
    return client


def credentials() -> dict[str, Any]:
    """The documented form: the last part of the URL's path is the webhook's id."""
    webhook_id = f"orders-{uuid.uuid4().hex[:12]}"
    return {
        "url": f"https://example.com/hooks/{webhook_id}",
        "secret": SECRET,
        "verifySecret": True,
    }


def received(receiver: Receiver, path: str) -> list[Received]:
    return [request for request in receiver.received if request.path == path]


# -- Its life --------------------------------------------------------------------------------


def test_a_webhook_is_tested_saved_shown_and_removed_and_its_secret_never_shown(
    client: Client,
) -> None:
    path, given = "/api/integrations/webhook", credentials()
    webhook_id = given["url"].rpartition("/")[2]

    tested = client.post(f"{path}/test", {"credentials": given})
    saved = client.post(f"{path}/credentials", {"credentials": given})
    shown = client.get(f"{path}/credentials")
    deleted = client.delete(f"{path}/credentials")

    answers = [tested, saved, shown, deleted]
    assert [answer.status_code for answer in answers] == [200] * 4, [a.text for a in answers]
    assert SECRET not in "".join(answer.text for answer in answers)
    assert tested.json()["success"] is True
    webhook = saved.json()["webhook"]
    # The short one for the tenant that has the short ids, a longer one for all others.
    assert re.fullmatch(rf"{webhook_id}(-[\w-]{{24}})?", webhook["id"])
    assert webhook["url"] == f"{client.platform.url}/api/webhooks/{webhook['id']}"
    assert shown.json()["webhook"]["verification"] == {"type": "secret"}
    assert shown.json()["webhook"]["rejected"] == 0


def test_an_id_that_another_tenant_holds_becomes_a_longer_one(
    client: Client, platform: Platform
) -> None:
    given = credentials()
    client.save("webhook", given)
    tenant = f"tenant-{uuid.uuid4().hex[:12]}"
    other = Client(platform, platform.tokens.create(tenant=tenant, name="e2e"), tenant)

    made = other.save("webhook", given)

    assert made["webhook"]["id"].startswith(given["url"].rpartition("/")[2] + "-")


# -- What it sends ---------------------------------------------------------------------------


def test_json_arrives_signed_by_standard_webhooks(
    hook: Client, receiver: Receiver, path: str
) -> None:
    result = hook.act("webhook", "send", {"json": ORDER, "headers": {"X-Source": "orders"}})

    (request,) = received(receiver, path)
    assert (result["status"], result["body"]) == (200, {"ok": True})
    assert request.method == "POST"
    assert request.json() == ORDER
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-source"] == "orders"
    assert Webhook(SECRET).verify(request.body, dict(request.headers)) == ORDER
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body + b" ", dict(request.headers))


def test_forms_texts_and_bytes_arrive_as_they_are_by_each_method(
    hook: Client, receiver: Receiver, path: str
) -> None:
    hook.act("webhook", "send", {"form": {"a": "1 & 2", "b": ["x", "y"]}, "method": "PUT"})
    hook.act("webhook", "send", {"body": "Grüße", "headers": {"Content-Type": "text/csv"}})
    hook.act("webhook", "send", {"bodyBase64": b64encode(b"\x00\xff").decode(), "method": "PATCH"})
    hook.act("webhook", "send", {"method": "DELETE", "query": {"id": 5, "tag": ["a", "b"]}})
    hook.act("webhook", "send", {"method": "GET"})

    form, text, raw, delete, get = received(receiver, path)
    assert (form.method, parse_qs(form.body.decode())) == ("PUT", {"a": ["1 & 2"], "b": ["x", "y"]})
    assert (text.body.decode(), text.headers["content-type"]) == ("Grüße", "text/csv")
    assert (raw.method, raw.body) == ("PATCH", b"\x00\xff")
    assert (delete.method, delete.query["id"]) == ("DELETE", "5")
    assert (get.method, get.body) == ("GET", b"")


def test_headers_that_are_secret_go_to_the_outbound_urls_host_alone(
    client: Client, receiver: Receiver, path: str
) -> None:
    key = f"key-{uuid.uuid4().hex}"
    given = credentials() | {
        "outboundUrl": receiver.url(path),
        "outboundHeaders": {"Authorization": f"Bearer {key}"},
    }
    client.save("webhook", given)
    with Receiver() as elsewhere:
        client.act("webhook", "send", {"json": 1})
        client.act("webhook", "send", {"json": 1, "url": elsewhere.url("/other")})

        assert received(receiver, path)[0].headers["authorization"] == f"Bearer {key}"
        assert "authorization" not in elsewhere.last.headers
    assert key not in client.get("/api/integrations/webhook/credentials").text


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (Reply(400, b"no such order"), 422, "request_rejected"),
        (Reply(410), 422, "request_rejected"),
        (Reply(500), 502, "provider_unavailable"),
        (Reply(503, headers={"Retry-After": "9"}), 502, "provider_unavailable"),
        (Reply(429, headers={"Retry-After": "9"}), 429, "rate_limited"),
        (Reply(302, headers={"Location": "http://127.0.0.1/"}), 422, "request_rejected"),
        (Reply(hang_up=True), 502, "provider_unavailable"),
        (Reply(raw=b"nonsense\r\n\r\n"), 502, "provider_unavailable"),
        (Reply(truncate=True), 502, "provider_unavailable"),
        (Reply(delay=3), 504, "provider_timeout"),
    ],
    ids=["400", "410", "500", "503", "429", "302", "hang-up", "nonsense", "cut off", "slow"],
)
def test_what_a_receiver_does_not_take_is_a_problem_of_its_kind(
    hook: Client, receiver: Receiver, reply: Reply, status: int, code: str
) -> None:
    receiver.reply(reply)

    refused = hook.refused_action(
        "webhook.send", {"json": ORDER, "timeoutSeconds": 1}, status, code
    )

    if reply.status == 400:
        assert "no such order" in refused["detail"]


@pytest.mark.parametrize(
    "params",
    [
        {"json": 1, "body": "x"},
        {"method": "GET", "json": 1},
        {"method": "TRACE"},
        {"url": "ftp://example.com/x"},
        {"url": "//example.com"},
        {"url": "https://user:pass@example.com/"},
        {"headers": {"X": "a\r\nY: b"}},
        {"headers": {"Host": "example.com"}},
        {"headers": {"webhook-signature": "v1,forged"}},
        {"bodyBase64": "!"},
        {"body": "x" * (1024 * 1024 + 1)},
        {"timeoutSeconds": 600},
        {"surplus": 1},
    ],
    ids=lambda params: str(params)[:60],
)
def test_a_request_that_cannot_be_right_is_not_sent(
    hook: Client, receiver: Receiver, path: str, params: dict[str, Any]
) -> None:
    hook.refused_action("webhook.send", params, 422, "invalid_params")

    assert not received(receiver, path)


# -- The guard -------------------------------------------------------------------------------

PRIVATE = [
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/",
    "http://[::ffff:169.254.169.254]/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://10.0.0.1/",
    "http://172.16.0.1:8080/",
    "http://192.168.1.1/",
    "http://100.64.0.1/",
    "http://0.0.0.0/",
    "http://[::]/",
    "http://[fe80::1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
]
OWN = ["http://127.0.0.1:{}/", "http://localhost:{}/", "http://127.1:{}/", "http://2130706433:{}/"]
OWN += ["http://[::1]:{}/", "http://[::ffff:127.0.0.1]:{}/"]


@pytest.mark.parametrize("url", PRIVATE)
def test_metadata_and_private_addresses_are_refused_even_here(hook: Client, url: str) -> None:
    refused = hook.refused_action("webhook.send", {"url": url}, 422, "address_refused")

    assert "169.254.169.254" not in refused["detail"] or "169.254.169.254" in url


def test_ports_of_other_services_are_refused(hook: Client) -> None:
    for port in (22, 25, 6667):
        url = f"http://127.0.0.1:{port}/"
        hook.refused_action("webhook.send", {"url": url}, 422, "address_refused")


def test_an_outbound_url_that_leads_inside_is_not_even_saved(client: Client) -> None:
    given = credentials() | {"outboundUrl": PRIVATE[0]}

    client.refused_save("webhook", given, 422, "address_refused")


@contextmanager
def as_in_production(platform: Platform, *functions: str) -> Iterator[None]:
    """Let deployed functions run without the local platform's leave to reach this machine."""
    client = platform.client("lambda")
    with ExitStack() as after:
        for function in map(platform.name, functions):
            environment = client.get_function_configuration(FunctionName=function)["Environment"]
            assert environment["Variables"]["ALLOW_LOOPBACK"] == "true"
            after.callback(
                client.update_function_configuration, FunctionName=function, Environment=environment
            )
            less = {"Variables": environment["Variables"] | {"ALLOW_LOOPBACK": "false"}}
            client.update_function_configuration(FunctionName=function, Environment=less)
        yield


def test_without_the_local_platforms_leave_this_very_machine_is_refused_too(
    hook: Client, receiver: Receiver, platform: Platform, path: str
) -> None:
    with as_in_production(platform, "RunActionFunction", "SaveCredentialsFunction"):
        for place in OWN:
            url = place.format(receiver.port)
            hook.refused_action("webhook.send", {"url": url}, 422, "address_refused")
        hook.refused_action("webhook.send", {"json": 1}, 422, "address_refused")
        given = credentials() | {"outboundUrl": receiver.url(path)}
        hook.refused_save("webhook", given, 422, "address_refused")
        hook.refused_save(
            "email",
            {"host": "localhost", "port": 587, "from": "shop@example.com"},
            422,
            "address_refused",
        )
    assert not received(receiver, path)
    assert hook.act("webhook", "send", {"json": 1})["status"] == 200


def test_a_redirect_leads_nowhere_whatever_it_names(
    hook: Client, receiver: Receiver, path: str
) -> None:
    for target in (*PRIVATE[:1], receiver.url(f"{path}/inside"), "http://[::1]/"):
        receiver.reply(Reply(307, headers={"Location": target}))
        refused = hook.refused_action("webhook.send", {"json": 1}, 422, "request_rejected")
        assert "redirects are not followed" in refused["detail"]

    assert not received(receiver, f"{path}/inside")
