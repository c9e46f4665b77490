"""What people reported of tools of this kind, tried on the deployed stack over HTTP alone."""

import base64
import gzip
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
import requests

from tests.e2e.conftest import Client, StandIns, eventually, problem
from tests.fakes.receiver import Receiver, Reply
from tests.fakes.smtp import MailServer, ScriptedServer
from tests.fakes.telegram import Failure, TelegramServer, refusal, too_many

pytestmark = pytest.mark.e2e

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


# -- Mail ------------------------------------------------------------------------------------

SUBJECT = (
    "Re: [SOS-1495488] Commande et livraison - Demande de retour - bibijolie - 251210-AABBCC - "
    "Abo actualités digitales 20 semaines d\u2019abonnement à 24 heures, Bilan, Tribune de "
    "Genève et tous les titres"
)


def test_a_long_subject_arrives_as_it_was_given_and_the_server_is_greeted_by_name(
    client: Client,
) -> None:
    with MailServer("none") as server:
        account = {"host": "localhost", "port": server.port, "secure": "none"}
        client.save("email", {**account, "from": "Shop <shop@shop.example>"})
        for to, domain in (("ann@example.com", "example.com"), ("ann@faß.de", "xn--fa-hia.de")):
            client.act("email", "sendEmail", {"to": to, "subject": SUBJECT, "text": "Bonjour"})
            mail = server.mails[-1]
            assert mail.message["Subject"] == SUBJECT
            assert mail.recipients == [f"ann@{domain}"]
            assert str(mail.message["Date"]).endswith(" +0000")
        hidden = {"to": "\ufeffann@example.com", "text": "x"}
        refused = client.refused_action("email.sendEmail", hidden, 422, "invalid_params")
        assert refused["errors"][0]["field"] == "params.to"


def test_what_a_mail_server_says_to_the_greeting_is_what_people_are_told(client: Client) -> None:
    with ScriptedServer(b"220 hi\r\n", b"421 4.7.0 your address is limited (EHLO)\r\n") as server:
        account = {"host": "localhost", "port": server.port, "secure": "none"}
        given = {"credentials": {**account, "from": "shop@shop.example"}}
        tested = client.post("/api/integrations/email/test", given).json()
    assert "your address is limited (EHLO)" in tested["message"]
    assert server.lines_received == [b"ehlo shop.example\r\n"]


# -- Bodies ----------------------------------------------------------------------------------


@dataclass
class Hook:
    """A webhook that anybody may send to, and a workflow that it starts."""

    client: Client
    url: str
    webhook_id: str
    workflow_id: str

    def deliver(self, body: bytes, headers: Mapping[str, str]) -> str:
        """Deliver, and return the event's id."""
        answer = requests.post(self.url, data=body, headers=dict(headers), timeout=60)
        assert answer.status_code == 200, answer.text
        event_id: str = answer.json()["eventId"]
        return event_id

    def triggers(self, count: int) -> dict[str, dict[str, Any]]:
        """What the executions were started by, by the event's id."""
        found = self.client.finished(count, workflowId=self.workflow_id)
        return {each["trigger"]["eventId"]: each["trigger"]["data"] for each in found}


def hook(client: Client, stand_ins: StandIns, **credentials: Any) -> Hook:
    name = f"hook-{uuid.uuid4().hex[:8]}"
    given = {"verification": {"type": "none"}, **credentials}
    webhook = client.save("webhook", given, connection=name)["webhook"]
    workflow = client.create_workflow(
        {
            "name": name,
            "trigger": {"type": "webhook", "webhookId": webhook["id"]},
            "steps": [
                {
                    "id": "tell",
                    "action": "webhook.send",
                    "connection": name,
                    "params": {"url": stand_ins.receiver.url(f"/{name}"), "json": {}},
                }
            ],
        }
    )
    return Hook(client, webhook["url"], webhook["id"], workflow["workflowId"])


def multipart(*parts: bytes) -> bytes:
    return b"".join(b"--B\r\n" + part + b"\r\n" for part in parts) + b"--B--\r\n"


BODIES: Mapping[str, tuple[bytes, Mapping[str, str], Any]] = {
    "a form in latin-1": (
        b"name=M%FCller",
        {"Content-Type": f"{FORM}; charset=iso-8859-1"},
        {"name": "Müller"},
    ),
    "PayPal's own field": (
        b"charset=windows-1252&name=M%FCller&sum=%80",
        {"Content-Type": FORM},
        {"charset": "windows-1252", "name": "Müller", "sum": "€"},
    ),
    "a part without a name, and a path of Windows": (
        multipart(
            b"Content-Disposition: form-data\r\n\r\nnobody's",
            b'Content-Disposition: form-data; name="f"; filename="C:\\path\\file.txt"\r\n\r\nhi',
        ),
        {"Content-Type": "multipart/form-data; boundary=B"},
        {
            "": "nobody's",
            "f": {
                "fileName": "C:\\path\\file.txt",
                "contentType": "text/plain",
                "contentBase64": "aGk=",
            },
        },
    ),
    "a byte order mark and no type": (b'\xef\xbb\xbf{"a": 1}', {}, {"a": 1}),
    "JSON in latin-1": (
        '{"name": "Müller"}'.encode("latin-1"),
        {"Content-Type": f"{JSON}; charset=iso-8859-1"},
        {"name": "Müller"},
    ),
    "JSON in UTF-16": ('{"a": "ü"}'.encode("utf-16"), {"Content-Type": JSON}, {"a": "ü"}),
    "packed JSON": (
        gzip.compress(b'{"a": 2}'),
        {"Content-Type": JSON, "Content-Encoding": "gzip"},
        {"a": 2},
    ),
    "packed as nothing unpacks": (
        b"\x00\xff",
        {"Content-Type": JSON, "Content-Encoding": "br"},
        {"base64": "AP8="},
    ),
    "text in latin-1": (
        "<p>Größe</p>".encode("latin-1"),
        {"Content-Type": "text/xml; charset=iso-8859-1"},
        "<p>Größe</p>",
    ),
    "what curl -d sends": (b'{"a":2}', {"Content-Type": FORM}, {"a": 2}),
    "too deep to be JSON": (
        b"[" * 300 + b"1" + b"]" * 300,
        {"Content-Type": JSON},
        "[" * 300 + "1" + "]" * 300,
    ),
}  # fmt: skip


def test_every_body_is_read_as_what_its_sender_meant(client: Client, stand_ins: StandIns) -> None:
    webhook = hook(client, stand_ins)
    sent = {
        webhook.deliver(body, headers): (what, expected)
        for what, (body, headers, expected) in BODIES.items()
    }

    triggers = webhook.triggers(len(sent))

    read = {what: triggers[event_id]["body"] for event_id, (what, _) in sent.items()}
    assert read == dict(sent.values())


def test_a_signature_covers_a_packed_body_as_it_was_sent(
    client: Client, stand_ins: StandIns
) -> None:
    secret = "a-secret-of-24-characters"
    rule = {"type": "hmac", "header": "X-Signature"}
    webhook = hook(client, stand_ins, secret=secret, verification=rule)
    body = gzip.compress('{"name": "Müller"}'.encode("latin-1"))
    headers = {
        "Content-Type": f"{JSON}; charset=iso-8859-1",
        "Content-Encoding": "gzip",
        "X-Signature": hmac.new(secret.encode(), body, "sha256").hexdigest(),
    }

    event_id = webhook.deliver(body, headers)

    assert webhook.triggers(1)[event_id]["body"] == {"name": "Müller"}


# -- Telegram --------------------------------------------------------------------------------


@pytest.fixture
def bot(client: Client, stand_ins: StandIns) -> str:
    """The token of a bot that is this test's alone, and whose connection is saved."""
    unique = uuid.uuid4()
    token = f"{unique.int % 10**9 + 10**9}:AA{unique.hex}"
    stand_ins.telegram.add_bot(token, username="my_shop_bot")
    client.save("telegram", {"botToken": token})
    return token


def on_message(client: Client, stand_ins: StandIns, **filters: Any) -> str:
    """The id of a workflow that runs when the bot hears something."""
    name = f"hears-{uuid.uuid4().hex[:8]}"
    client.save("webhook", {"outboundUrl": stand_ins.receiver.url(f"/{name}")}, name)
    workflow = client.create_workflow(
        {
            "name": name,
            "trigger": {"type": "telegram.message", **filters},
            "steps": [
                {
                    "id": "tell",
                    "action": "webhook.send",
                    "connection": name,
                    "params": {"json": "{{ trigger.text }}"},
                }
            ],
        }
    )
    workflow_id: str = workflow["workflowId"]
    return workflow_id


def say(telegram: TelegramServer, token: str, text: str) -> None:
    mark = {"type": "bot_command", "offset": 0, "length": len(text)}
    message = {
        "message_id": 1,
        "date": 1_795_348_800,
        "chat": {"id": 42, "type": "group", "title": "Friends"},
        "from": {"id": 7, "is_bot": False, "first_name": "Ann"},
        "text": text,
        "entities": [mark] if text.startswith("/") else [],
    }
    assert telegram.tell({"message": message}, token=token) == 200


def test_a_command_to_another_bot_starts_nothing(
    client: Client, stand_ins: StandIns, bot: str
) -> None:
    workflow_id = on_message(client, stand_ins, command="/start")
    for text in ("/start@some_other_bot", "/start@my_shop_bot", "/start"):
        say(stand_ins.telegram, bot, text)

    found = client.finished(2, workflowId=workflow_id)

    assert {each["trigger"]["data"]["text"] for each in found} == {"/start@my_shop_bot", "/start"}


@pytest.mark.parametrize(
    ("word", "text"),
    [("café", "un cafe\u0301 noir"), ("indirim", "büyük İNDİRİM"), ("❤️", "I ❤ it")],
)
def test_words_are_found_however_a_keyboard_writes_them(
    client: Client, stand_ins: StandIns, bot: str, word: str, text: str
) -> None:
    workflow_id = on_message(client, stand_ins, text=word)

    say(stand_ins.telegram, bot, text)

    (found,) = client.finished(workflowId=workflow_id)
    assert found["trigger"]["data"]["text"] == text


def test_one_chats_limit_stops_nothing_else(client: Client, stand_ins: StandIns, bot: str) -> None:
    stand_ins.telegram.fail(too_many(300), method="sendMessage")
    message = {"chatId": 42, "text": "Hello"}

    client.refused_action("telegram.sendMessage", message, 429, "rate_limited")
    paused = client.refused_action("telegram.sendMessage", message, 429, "connection_paused")

    assert "provider" not in paused
    client.act("telegram", "sendMessage", {**message, "chatId": 43})
    assert client.post("/api/integrations/telegram/test", {}).json()["success"] is True


@pytest.mark.parametrize("answer", [{"ok": True}, {"ok": True, "result": True}, {}, []])
def test_nonsense_is_no_success(client: Client, stand_ins: StandIns, bot: str, answer: Any) -> None:
    stand_ins.telegram.fail(Failure(200, json.dumps(answer).encode()), method="sendMessage")
    message = {"chatId": 42, "text": "Hello"}
    client.refused_action("telegram.sendMessage", message, 502, "provider_unavailable")


@pytest.mark.long
def test_workflows_in_a_row_share_a_bot_whose_registration_has_to_wait(
    client: Client, stand_ins: StandIns, bot: str
) -> None:
    """Each is saved at once; the bot is registered, and given up, after the fact."""
    telegram = stand_ins.telegram
    telegram.fail(too_many(1), method="setWebhook")
    made = [on_message(client, stand_ins, text=word) for word in ("one", "two", "three")]
    eventually(lambda: bot in telegram.webhooks)
    say(telegram, bot, "two")
    client.finished(workflowId=made[1])

    telegram.fail(too_many(1), method="deleteWebhook")
    for workflow_id in made:
        assert client.delete(f"/api/workflows/{workflow_id}").json()["deleted"] is True
    eventually(lambda: bot not in telegram.webhooks)


def test_one_origin_s_limit_stops_no_other_of_a_webhook(
    client: Client, stand_ins: StandIns
) -> None:
    client.save("webhook", {"outboundUrl": stand_ins.receiver.url("/calm")})
    with Receiver() as busy:
        busy.default = Reply(429, b"", {"Retry-After": "3600"})
        to_busy = {"url": busy.url("/"), "json": 1}
        client.refused_action("webhook.send", to_busy, 429, "rate_limited")
        client.refused_action("webhook.send", to_busy, 429, "connection_paused")
        assert len(busy.received) == 1
    client.act("webhook", "send", {"json": 1})


def test_an_underscore_in_a_name_does_not_stop_a_message(client: Client, bot: str) -> None:
    message = {"chatId": 42, "text": "Hello first_name", "parseMode": "Markdown"}
    assert client.act("telegram", "sendMessage", message)["message"]["text"] == message["text"]


# -- Workflows -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ('{{ "it\'s ready"|title }}', "It's Ready"),
        ("{{ 2.5|number(0) }}", "3"),
        ("{{ -0.001|number(2) }}", "0.00"),
        ("@media print{#h{color:red}}", "@media print{#h{color:red}}"),
        ("{% raw %}{{ as it is }}{% endraw %}", "{{ as it is }}"),
    ],
)
def test_a_preview_shows_what_people_expect_of_a_template(
    client: Client, bot: str, template: str, shown: str
) -> None:
    params = {"chatId": 42, "text": template}
    workflow = {
        "name": "shown",
        "trigger": {"type": "manual"},
        "steps": [{"id": "say", "action": "telegram.sendMessage", "params": params}],
    }
    answer = client.post("/api/workflows/preview", {"definition": workflow}).json()
    assert answer["steps"][0]["params"]["text"] == shown, answer


def test_true_is_a_text_where_a_text_is_wanted(client: Client, bot: str) -> None:
    step = {"id": "say", "action": "telegram.sendMessage",
            "params": {"chatId": 42, "text": "{{ true }}"}}  # fmt: skip
    made = client.create_workflow({"name": "true", "trigger": {"type": "manual"}, "steps": [step]})
    client.post(f"/api/workflows/{made['workflowId']}/run", {})
    (found,) = client.finished(workflowId=made["workflowId"])
    assert found["steps"][0]["output"]["message"]["text"] == "true"


@pytest.mark.parametrize("template", ["{{ '1.234,50'|float }}", "{{ '12a'|int }}"])
def test_what_is_no_number_is_a_mistake_and_not_a_zero(
    client: Client, bot: str, template: str
) -> None:
    step = {"id": "say", "action": "telegram.sendMessage",
            "params": {"chatId": 42, "text": template}}  # fmt: skip
    workflow = {"name": "wrong", "trigger": {"type": "manual"}, "steps": [step]}
    made = client.create_workflow(workflow)
    client.post(f"/api/workflows/{made['workflowId']}/run", {})
    (found,) = client.finished(workflowId=made["workflowId"])
    assert (found["status"], found["error"]["code"]) == ("failed", "expression_error")


def test_a_key_that_comes_again_with_another_order_is_refused(
    client: Client, stand_ins: StandIns
) -> None:
    workflow_id = hook(client, stand_ins).workflow_id
    path, key = f"/api/workflows/{workflow_id}/run", {"Idempotency-Key": "order-42"}

    first = client.post(path, {"input": {"paid": 1}}, headers=key)
    again = client.post(path, {"input": {"paid": 1}}, headers=key)

    assert first.json()["executionId"] == again.json()["executionId"]
    for other in ({"paid": 2}, {"paid": True}):
        refused = client.post(path, {"input": other}, headers=key)
        problem(refused, 422, "idempotency_key_reused")


def test_an_outage_is_waited_for_and_the_next_attempt_is_shown(
    client: Client, stand_ins: StandIns
) -> None:
    webhook = hook(client, stand_ins)
    stand_ins.receiver.reply(Reply(503))
    webhook.deliver(b"{}", {"Content-Type": JSON})

    def waits() -> str | None:
        for each in client.executions(workflowId=webhook.workflow_id):
            if each["status"] == "retrying":
                retry_at: str = client.get(f"/api/executions/{each['executionId']}").json()[
                    "retryAt"
                ]
                return retry_at
        return None

    assert eventually(waits)
    (done,) = client.finished(workflowId=webhook.workflow_id)
    assert done["status"] == "succeeded"


@pytest.mark.parametrize(
    ("trigger", "field"),
    [
        ({"cron": "0 9 * * *", "timezone": "Factory"}, "trigger.timezone"),
        ({"cron": "0 9 * * *", "timezone": "right/UTC"}, "trigger.timezone"),
        ({"expression": "at(2020-01-01T00:00:00)"}, "trigger.expression"),
        ({"expression": "cron(0 9 * * ? 2020)"}, "trigger.expression"),
        ({"expression": "cron(0 9 31 2 ? *)"}, "trigger.expression"),
    ],
)
def test_a_schedule_that_never_fires_is_not_saved(
    client: Client, trigger: Mapping[str, str], field: str
) -> None:
    definition = {"name": "never", "trigger": {"type": "schedule", **trigger}, "steps": []}
    refused = problem(client.post("/api/workflows", definition), 422, "invalid_workflow")
    assert field in {each["field"] for each in refused["errors"]}


def test_all_that_is_wrong_with_a_workflow_is_told_at_once(client: Client) -> None:
    definition = {
        "name": "wrong",
        "trigger": {"type": "webhook", "webhookId": "nowhere"},
        "steps": [
            {
                "id": "write",
                "action": "sheets.readRange",
                "connection": "mine",
                "params": {"spreadsheetId": "x", "sheet": "Orders", "range": "Other!A1:C1"},
            },
            {"id": "tell", "action": "telegram.sendMesage", "params": {}},
        ],
    }
    refused = problem(client.post("/api/workflows", definition), 422, "invalid_workflow")
    messages = {each["field"]: each["message"] for each in refused["errors"]}
    assert {"trigger.webhookId", "steps[0].connection", "steps[1].action"} <= set(messages)
    assert "steps[0].params.sheet" in messages or "steps[0].params.range" in messages
    assert "'telegram.sendMessage'" in messages["steps[1].action"]


# -- Webhooks from elsewhere -----------------------------------------------------------------


def test_who_only_looks_is_answered_and_runs_nothing(client: Client, stand_ins: StandIns) -> None:
    webhook = hook(client, stand_ins, secret="a-secret-of-24-characters",
                   verification={"type": "hmac", "header": "X-WC-Webhook-Signature"})  # fmt: skip

    for method, path in (("HEAD", ""), ("GET", ""), ("GET", "/"), ("HEAD", "/")):
        assert requests.request(method, webhook.url + path, timeout=60).status_code == 200
    ping = requests.post(webhook.url, data={"webhook_id": "17"}, timeout=60)

    assert (ping.status_code, ping.json()) == (200, {"received": False, "eventId": None})
    assert client.executions(workflowId=webhook.workflow_id) == []


@pytest.mark.parametrize("prefix", ["svix", "webhook"])
def test_svix_signs_under_its_own_names(client: Client, stand_ins: StandIns, prefix: str) -> None:
    key = b"0123456789abcdef01234567"
    secret = f"whsec_{base64.b64encode(key).decode()}"
    webhook = hook(client, stand_ins, secret=secret, verification={"type": "standard-webhooks"})
    body, now = b'{"type": "user.created"}', str(int(time.time()))
    mac = hmac.new(key, b"msg_1." + now.encode() + b"." + body, hashlib.sha256).digest()
    headers = {
        f"{prefix}-id": "msg_1",
        f"{prefix}-timestamp": now,
        f"{prefix}-signature": f"v1,{base64.b64encode(mac).decode()}",
    }

    event_id = webhook.deliver(body, headers)

    logged = webhook.triggers(1)[event_id]["headers"]
    assert f"{prefix}-signature" not in logged


def test_a_webhook_is_verified_by_a_name_and_a_password_a_token_or_an_address(
    client: Client, stand_ins: StandIns
) -> None:
    secret = "a-secret-of-the-shops-own-and-32-long"
    password = base64.b64encode(f"shop:{secret}".encode()).decode()
    ours, old = (
        jwt.encode({"exp": int(time.time()) + seconds}, secret, "HS256") for seconds in (600, -600)
    )
    kinds: list[tuple[dict[str, Any], dict[str, str], dict[str, str]]] = [
        ({"type": "basic", "username": "shop"},
         {"Authorization": f"Basic {password}"}, {"Authorization": f"Basic {password[:-4]}AAA="}),
        ({"type": "jwt"}, {"Authorization": f"Bearer {ours}"}, {"Authorization": f"Bearer {old}"}),
    ]  # fmt: skip
    for verification, good, bad in kinds:
        webhook = hook(client, stand_ins, secret=secret, verification=verification)
        assert requests.post(webhook.url, json={}, headers=bad, timeout=60).status_code == 401
        assert requests.post(webhook.url, json={}, timeout=60).status_code == 401
        webhook.deliver(b"{}", good)
        (found,) = client.finished(workflowId=webhook.workflow_id)
        assert found["status"] == "succeeded"

    closed = hook(client, stand_ins, verification={"type": "ip", "ranges": ["203.0.113.0/24"]})
    assert requests.post(closed.url, json={}, timeout=60).status_code == 401
    here = hook(client, stand_ins, verification={"type": "ip", "ranges": ["127.0.0.0/8"]})
    here.deliver(b"{}", {})


def test_the_status_shows_how_a_webhook_is_verified_and_what_it_refused(
    client: Client, stand_ins: StandIns
) -> None:
    webhook = hook(client, stand_ins, secret="a-secret-of-24-characters",
                   verification={"type": "secret"})  # fmt: skip
    assert requests.post(webhook.url, json={}, timeout=60).status_code == 401

    def shown() -> dict[str, Any] | None:
        kinds = client.get("/api/integrations/status").json()["webhook"]["connections"]
        (found,) = [
            each["webhook"] for each in kinds if each["webhook"]["id"] == webhook.webhook_id
        ]
        return found if found["rejected"] else None

    found = eventually(shown)
    assert (found["verification"], found["rejected"]) == ({"type": "secret"}, 1)


def test_an_execution_names_the_event_that_the_log_shows(
    client: Client, stand_ins: StandIns
) -> None:
    webhook = hook(client, stand_ins, methods=["POST", "PUT"])
    answer = requests.put(f"{webhook.url}/orders/7", data=b"{}", timeout=60)
    (found,) = client.finished(workflowId=webhook.workflow_id)

    assert found["trigger"]["eventId"] == answer.json()["eventId"]
    event = client.get(f"/api/events/{found['trigger']['eventId']}").json()
    assert (event["method"], event["path"]) == ("PUT", "orders/7")


# -- States and errors -----------------------------------------------------------------------


def test_a_revoked_bot_needs_somebody_until_it_works_again(
    client: Client, stand_ins: StandIns, bot: str
) -> None:
    telegram, message = stand_ins.telegram, {"chatId": 42, "text": "Hello"}

    def state() -> str:
        found: str = client.get("/api/integrations/telegram/credentials").json()["status"]
        return found

    telegram.fail(refusal(401, "Unauthorized"), method="sendMessage")
    client.refused_action("telegram.sendMessage", message, 422, "credentials_rejected")
    assert state() == "needs_reauth"
    client.act("telegram", "sendMessage", message)
    assert state() == "connected"


@pytest.mark.parametrize(
    ("action", "params", "field"),
    [
        ("telegram.sendDocument", {"chatId": 1, "document": {}}, "params.document.fileName"),
        ("email.sendEmail", {"to": [5.5], "text": "x"}, "params.to"),
        ("email.sendEmail", {"to": "a@b.example", "text": "x", "headers": {"Subject": "x"}},
         "params.headers.Subject"),
        ("email.sendEmail", {"to": "a@b.example"}, "params.text"),
    ],
)  # fmt: skip
def test_a_mistake_is_at_its_place_in_what_was_sent(
    client: Client, stand_ins: StandIns, bot: str, action: str, params: Any, field: str
) -> None:
    refused = client.refused_action(action, params, 422, "invalid_params")
    messages = {each["field"]: each["message"] for each in refused["errors"]}
    assert any(each.startswith(field) for each in messages), messages
    assert "Value error" not in json.dumps(refused)


def test_a_login_that_nobody_began_is_told_so(client: Client) -> None:
    url = f"{client.platform.url}/api/integrations/oauth/callback/sheets_oauth"
    unknown = requests.get(url, params={"state": "made-up", "code": "x"}, timeout=60)
    assert unknown.status_code == 400
    assert "not known here" in unknown.text
    assert "missing" not in unknown.text


def test_the_allow_list_says_what_is_allowed(client: Client) -> None:
    given = {"redirectUri": "https://elsewhere.example/"}
    refused = client.post("/api/integrations/oauth/start/sheets_oauth", given)
    assert "http://localhost:5173" in problem(refused, 400, "invalid_redirect_uri")["detail"]


def test_the_frontends_pages_may_call_and_no_others(client: Client) -> None:
    url = f"{client.platform.url}/api/integrations/status"
    asks = {
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization",
    }
    own = requests.options(url, headers={"Origin": "http://localhost:5173", **asks}, timeout=60)
    other = requests.options(
        url, headers={"Origin": "https://elsewhere.example", **asks}, timeout=60
    )
    assert own.headers["Access-Control-Allow-Origin"] == "http://localhost:5173"
    assert "Access-Control-Allow-Origin" not in other.headers
