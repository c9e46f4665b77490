"""POST /api/integrations/{providerId}/credentials."""

import json
import re
import threading
from typing import Any

import pytest

from integrations import memory
from integrations.entry import wiring
from integrations.models import from_epoch
from integrations.storage import connections as stored
from integrations.storage.aws import AwsError
from integrations.storage.connections import Connections
from tests.backend import TENANT, Answer, Backend, body_of
from tests.fakes.facebook import FacebookStandIn
from tests.fakes.google import FakeGoogle
from tests.fakes.telegram import (
    HANG_UP,
    Failure,
    TelegramServer,
    bad_gateway,
    refusal,
    too_many,
)
from tests.integration.flows import manual_flow
from tests.integration.moments import before

OTHER_BOT = "42:AAanother-token-of-another-bot-000"
HOOK = {
    "url": "https://example.com/hooks/orders",
    "secret": "the-webhooks-own-secret",
    "verifySecret": False,
}


def save(
    backend: Backend,
    credentials: Any,
    provider: str = "telegram",
    connection: str = "default",
    tenant: str = "acme",
) -> Answer:
    return backend.call(
        "POST",
        f"/api/integrations/{provider}/credentials",
        {"credentials": credentials, "connection": connection},
        tenant=tenant,
    )


# -- What is good is kept --------------------------------------------------------------------


def test_good_credentials_are_kept_and_answered_as_metadata(
    backend: Backend, telegram: TelegramServer
) -> None:
    answer = save(backend, {"botToken": telegram.token})
    assert answer.status == 200
    metadata = answer.json
    assert metadata["provider"] == "telegram"
    assert metadata["connection"] == "default"
    assert metadata["status"] == "connected"
    assert metadata["account"]["label"] == "@stand_in_bot"
    assert metadata["lastTested"] == metadata["connectedAt"] <= metadata["updatedAt"]
    assert metadata["lastError"] is None
    assert metadata["webhook"]["url"] == (
        f"https://api.example.com/api/webhooks/{metadata['webhook']['id']}"
    )
    assert [call.method for call in telegram.calls] == ["getMe"]


def test_the_example_of_the_events_folder_is_kept(
    backend: Backend, telegram: TelegramServer
) -> None:
    answer = backend.call(
        "POST", "/api/integrations/telegram/credentials", body_of("save_credentials", "telegram")
    )
    assert answer.status == 200


def test_the_row_holds_metadata_in_the_clear_and_no_part_of_the_token(
    backend: Backend, telegram: TelegramServer
) -> None:
    save(backend, {"botToken": telegram.token})
    (row,) = backend.aws.rows("ConnectionsTable")
    assert row["tenant"] == "acme"
    assert row["connection"] == "telegram#default"
    secret = telegram.token.partition(":")[2]
    stored = repr({name: value for name, value in row.items() if name != "tenant"})
    assert not any(secret[at : at + 6] in stored for at in range(len(secret) - 6))
    assert {"ciphertext", "nonce", "dataKey", "keyId"} <= row.keys()


def test_a_provider_holds_several_named_connections(
    backend: Backend, telegram: TelegramServer
) -> None:
    telegram.add_bot(OTHER_BOT, "other_bot")
    backend.secrets.add("AAanother-token-of-another-bot-000")
    save(backend, {"botToken": telegram.token})
    save(backend, {"botToken": OTHER_BOT}, connection="second.bot")
    status = backend.call("GET", "/api/integrations/status").json["telegram"]
    labels = {each["connection"]: each["account"]["label"] for each in status["connections"]}
    assert labels == {"default": "@stand_in_bot", "second.bot": "@other_bot"}


def test_saving_again_replaces_and_keeps_the_webhook_and_the_first_time(
    backend: Backend, telegram: TelegramServer
) -> None:
    telegram.add_bot(OTHER_BOT, "other_bot")
    first = backend.save("telegram", {"botToken": telegram.token})
    (earlier,) = backend.aws.rows("ConnectionsTable")
    second = backend.save("telegram", {"botToken": OTHER_BOT})
    assert second["account"]["label"] == "@other_bot"
    assert second["connectedAt"] == first["connectedAt"]
    assert second["webhook"]["id"] == first["webhook"]["id"]
    assert len(backend.webhooks()) == 1
    (row,) = backend.aws.rows("ConnectionsTable")
    assert row["version"] == earlier["version"] + 1


def test_tenants_do_not_meet(backend: Backend, telegram: TelegramServer) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    backend.save("telegram", {"botToken": telegram.token}, tenant="other")
    webhooks = {row["webhookId"] for row in backend.webhooks()}
    assert len(webhooks) == 2
    assert len(backend.aws.rows("ConnectionsTable")) == 2


def test_a_service_account_is_kept_without_its_addresses(
    backend: Backend, google_server: FakeGoogle
) -> None:
    key = google_server.add_service_account()
    backend.secrets.add(key["private_key"].splitlines()[2])
    metadata = backend.save("sheets", {"serviceAccount": key})
    assert metadata["account"]["label"] == "robot@project.iam.gserviceaccount.com"
    assert metadata["webhook"] is None


def test_a_facebook_token_is_kept_long_lived(backend: Backend, facebook: FacebookStandIn) -> None:
    page = facebook.add_page("Bakery")
    ann = facebook.add_user("Ann", pages=[page])
    short = facebook.user_token(ann)
    metadata = backend.save(
        "facebook",
        {"appId": facebook.app_id, "appSecret": facebook.app_secret, "accessToken": short},
    )
    assert metadata["expiresAt"]
    assert "Bakery" in metadata["account"]["label"]
    assert metadata["webhook"]["id"]
    assert any(call.path.endswith("/oauth/access_token") for call in facebook.requests)


# -- Webhooks --------------------------------------------------------------------------------


def test_a_webhooks_id_comes_from_its_url(backend: Backend) -> None:
    metadata = backend.save("webhook", HOOK)
    assert metadata["webhook"]["id"] == "orders"
    assert metadata["webhook"]["verification"] == {"type": "none"}
    (row,) = backend.webhooks()
    assert row["webhookId"] == "orders"


def test_a_webhook_id_that_another_connection_holds_is_a_conflict_and_nothing_is_kept(
    backend: Backend,
) -> None:
    backend.save("webhook", HOOK | {"verifySecret": True})
    answer = save(backend, HOOK, "webhook", "second")
    assert (answer.status, answer.code) == (409, "webhook_id_taken")
    assert len(backend.aws.rows("ConnectionsTable")) == 1
    (row,) = backend.webhooks()
    assert (row["tenant"], row["connection"]) == ("acme", "default")


def living(backend: Backend) -> list[str]:
    """The ids of the webhooks that take something."""
    rows = backend.webhooks()
    return [row["webhookId"] for row in rows if "releasedAt" not in row]


def test_a_webhook_that_gets_another_id_lets_the_old_one_go(backend: Backend) -> None:
    backend.save("webhook", HOOK)
    backend.save("webhook", HOOK | {"url": "https://example.com/hooks/invoices"})
    assert living(backend) == ["invoices"]
    backend.save("webhook", HOOK, "again")
    assert sorted(living(backend)) == ["invoices", "orders"]


@pytest.mark.parametrize("webhook_id", ["facebook", "Facebook", "verify", "webhooks"])
def test_a_reserved_webhook_id_is_refused(backend: Backend, webhook_id: str) -> None:
    answer = save(backend, HOOK | {"url": f"https://example.com/{webhook_id}"}, "webhook")
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert "credentials.url" in answer.fields
    assert backend.webhooks() == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/orders",
        "javascript:alert(1)",
        "https://example.com/",
        "https://user:pass@example.com/orders",
        "https://example.com/a b",
        "https://example.com/\x00orders",
        "https:///orders",
        "orders",
        "",
        "https://example.com/" + "x" * 3000,
    ],
)
def test_a_hostile_webhook_url_is_refused(backend: Backend, url: str) -> None:
    answer = save(backend, HOOK | {"url": url}, "webhook")
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert "credentials.url" in answer.fields


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data/hook",
        "http://10.0.0.7/hooks/out",
        "http://[fd00::1]/hook",
        "http://0.0.0.0/hook",
    ],
)
def test_an_outbound_url_into_the_inner_network_is_refused(backend: Backend, url: str) -> None:
    answer = save(backend, HOOK | {"outboundUrl": url}, "webhook")
    assert (answer.status, answer.code) == (422, "address_refused")
    assert backend.aws.rows("ConnectionsTable") == []


def test_loopback_is_refused_where_the_stack_is_not_local(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbound = HOOK | {"outboundUrl": "http://127.0.0.1:8080/hook"}
    monkeypatch.setenv("ALLOW_LOOPBACK", "false")
    answer = save(backend, outbound, "webhook")
    assert (answer.status, answer.code) == (422, "address_refused")


# -- What is refused changes nothing ---------------------------------------------------------


def test_what_the_provider_refuses_is_not_kept(backend: Backend, telegram: TelegramServer) -> None:
    wrong = "7350119642:AAwrong-token-of-nobody-0000000000000"
    backend.secrets.add("AAwrong-token-of-nobody-0000000000000")
    answer = save(backend, {"botToken": wrong})
    assert (answer.status, answer.code) == (422, "credentials_rejected")
    assert answer.json["provider"]["status"] == 401
    assert "Unauthorized" in answer.json["detail"]
    assert backend.aws.rows("ConnectionsTable") == []
    assert backend.webhooks() == []


def test_a_refusal_leaves_the_earlier_credentials_in_use(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    before = backend.aws.rows("ConnectionsTable") + backend.webhooks()
    answer = save(backend, {"botToken": "7350119642:AAwrong-token-of-nobody-0000000000000"})
    assert answer.status == 422
    assert backend.aws.rows("ConnectionsTable") + backend.webhooks() == before
    sent = backend.call(
        "POST",
        "/api/integrations/telegram/actions/sendMessage",
        {"params": {"chatId": 1, "text": "still here"}},
    )
    assert sent.status == 200


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (bad_gateway(), 502, "provider_unavailable"),
        (bad_gateway(200), 502, "provider_unavailable"),
        (HANG_UP, 502, "provider_unavailable"),
        (refusal(500, "Internal Server Error"), 502, "provider_unavailable"),
        (Failure(200, b'{"ok": true}'), 502, "provider_unavailable"),
        (Failure(200, b"[]"), 502, "provider_unavailable"),
        (Failure(200, b"\xff\xfe\x00"), 502, "provider_unavailable"),
        (too_many(7), 429, "rate_limited"),
    ],
    ids=["502 page", "200 page", "hang up", "500", "no result", "a list", "bytes", "429"],
)
def test_a_provider_that_does_not_work_leaves_everything_as_it_was(
    backend: Backend, telegram: TelegramServer, failure: Failure, status: int, code: str
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    before = backend.aws.rows("ConnectionsTable") + backend.webhooks()
    telegram.fail(*[failure] * 5)
    answer = save(backend, {"botToken": telegram.token})
    assert (answer.status, answer.code) == (status, code)
    assert "<html" not in answer.json["detail"]
    assert backend.aws.rows("ConnectionsTable") + backend.webhooks() == before
    if status == 429:
        assert answer.headers["Retry-After"] == "7"


def test_a_provider_that_nobody_can_reach_is_said_to_be_down(backend: Backend) -> None:
    answer = save(backend, {"botToken": "7350119642:AAE-token-of-the-bot-in-these-tests_0001"})
    assert (answer.status, answer.code) == (502, "provider_unavailable")
    assert backend.aws.rows("ConnectionsTable") == []


def test_a_provider_that_takes_its_time_is_a_timeout(
    backend: Backend, telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "OUTBOUND_SECONDS", 0.3)
    telegram.fail(*[Failure(delay=5, carried_out=True)] * 3)
    answer = save(backend, {"botToken": telegram.token})
    assert (answer.status, answer.code) == (504, "provider_timeout")
    assert backend.aws.rows("ConnectionsTable") == []


@pytest.mark.parametrize(
    ("credentials", "field"),
    [
        ({}, "credentials.botToken"),
        ({"botToken": ""}, "credentials.botToken"),
        ({"botToken": None}, "credentials.botToken"),
        ({"botToken": 7}, "credentials.botToken"),
        ({"botToken": ["7350119642:AAE-token-of-the-bot"]}, "credentials.botToken"),
        ({"botToken": "no token at all"}, "credentials.botToken"),
        ({"botToken": "7350119642:AAE-token\r\nHost: evil.example"}, "credentials.botToken"),
        ({"botToken": "7350119642:AAE/../../etc/passwd-000000000"}, "credentials.botToken"),
    ],
)
def test_credentials_of_the_wrong_form_are_told_by_their_field(
    backend: Backend, telegram: TelegramServer, credentials: Any, field: str
) -> None:
    answer = save(backend, credentials)
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert field in answer.fields
    assert not telegram.calls
    assert backend.aws.rows("ConnectionsTable") == []


def test_a_surplus_field_is_named_and_its_value_is_not(backend: Backend) -> None:
    backend.secrets.add("a-secret-in-the-wrong-field")
    answer = save(
        backend,
        {
            "botToken": "7350119642:AAE-token-of-the-bot-in-these-tests_0001",
            "bottoken": "a-secret-in-the-wrong-field",
        },
    )
    assert answer.status == 422
    assert "credentials.bottoken" in answer.fields


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "credentials"),
        ({"credentials": None}, "credentials"),
        ({"credentials": "x"}, "credentials"),
        ({"credentials": []}, "credentials"),
        ({"credentials": {}, "surplus": 1}, "surplus"),
        ({"credentials": {}, "connection": ""}, "connection"),
        ({"credentials": {}, "connection": "a b"}, "connection"),
        ({"credentials": {}, "connection": "a#b"}, "connection"),
        ({"credentials": {}, "connection": "../b"}, "connection"),
        ({"credentials": {}, "connection": "x" * 65}, "connection"),
        ({"credentials": {}, "connection": None}, "connection"),
        ({"credentials": {}, "connection": 1}, "connection"),
        ({"credentials": {}, "connection": "default\n"}, "connection"),
    ],
)
def test_a_body_of_the_wrong_form_is_told_by_its_field(
    backend: Backend, body: Any, field: str
) -> None:
    answer = backend.call("POST", "/api/integrations/telegram/credentials", body)
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert field in answer.fields


def test_credentials_beyond_all_measure_are_refused(backend: Backend) -> None:
    answer = save(backend, {"botToken": "x" * 70_000})
    assert (answer.status, answer.code) == (422, "invalid_input")
    answer = save(backend, {f"field{number}": "x" for number in range(3000)})
    assert (answer.status, len(answer.fields)) == (422, 50)
    answer = save(backend, {"x" * 60_000: "x"})
    assert (answer.status, len(answer.fields)) == (422, 2)


@pytest.mark.parametrize("provider", ["sheets_oauth", "facebook_oauth"])
def test_what_only_a_login_makes_cannot_be_saved(backend: Backend, provider: str) -> None:
    answer = save(backend, {"accessToken": "x", "refreshToken": "y"}, provider)
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert f"/api/integrations/oauth/start/{provider}" in answer.json["detail"]


# -- At once and in between ------------------------------------------------------------------


def test_of_two_that_save_at_once_both_are_told_the_truth(
    backend: Backend, telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored.secrets, "randbits", lambda _: 1)
    answers: list[Answer] = []
    barrier = threading.Barrier(4)

    def one() -> None:
        barrier.wait()
        answers.append(save(backend, {"botToken": telegram.token}))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.status for each in answers} <= {200, 409}
    saved = sum(each.status == 200 for each in answers)
    (row,) = backend.aws.rows("ConnectionsTable")
    assert row["version"] == saved >= 1
    webhook = backend.call("GET", "/api/integrations/telegram/credentials").json["webhook"]
    assert webhook["id"] in {each["webhookId"] for each in backend.webhooks()}


def test_a_connection_that_is_removed_while_it_is_saved_again_leaves_no_webhook(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.save("webhook", HOOK)
    path = "/api/integrations/webhook/credentials"
    before(monkeypatch, wiring.webhooks(), "save", lambda: backend.call("DELETE", path))
    save(backend, HOOK, "webhook")
    assert backend.call("GET", path).status == 404
    assert living(backend) == []


def test_of_two_that_save_again_at_once_the_last_ones_secret_is_the_webhooks(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.save("webhook", HOOK | {"verifySecret": True})
    last = {"secret": "the-secret-of-the-last-one", "verifySecret": True}
    before(monkeypatch, wiring.webhooks(), "save", lambda: backend.save("webhook", HOOK | last))
    other = {"secret": "the-secret-of-the-other-one", "verifySecret": True}
    save(backend, HOOK | other, "webhook")
    memory.forget()
    sent = {"X-Webhook-Secret": last["secret"]}
    assert backend.deliver("orders", {}, sent).status == 200


@pytest.mark.parametrize("webhook_id", ["orders", "invoices"])
def test_a_first_save_that_comes_second_leaves_the_webhook_of_the_other(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, webhook_id: str
) -> None:
    backend.save("webhook", HOOK | {"verifySecret": True})
    looked: list[None] = [None]  # as somebody who looked before the other one wrote
    find = Connections.find
    monkeypatch.setattr(Connections, "find", lambda *key: looked.pop() if looked else find(*key))
    mine = {"url": f"https://example.com/hooks/{webhook_id}", "secret": "another-secret"}
    answer = save(backend, mine | {"verifySecret": True}, "webhook")
    assert (answer.status, answer.code) == (409, "version_conflict")
    assert living(backend) == ["orders"]
    assert backend.deliver("orders", {}, {"X-Webhook-Secret": HOOK["secret"]}).status == 200
    assert backend.deliver("orders", {}, {"X-Webhook-Secret": "another-secret"}).status == 401


def test_without_the_key_nothing_is_kept(backend: Backend, telegram: TelegramServer) -> None:
    backend.aws.fail("GenerateDataKey", "DisabledException", status=400)
    answer = save(backend, {"botToken": telegram.token})
    assert (answer.status, answer.code) == (500, "internal_error")
    assert backend.aws.rows("ConnectionsTable") == []
    assert backend.webhooks() == []


@pytest.mark.parametrize(
    ("code", "status"), [("ConditionalCheckFailedException", 409), ("AccessDenied", 500)]
)
def test_a_save_that_fails_leaves_the_webhook_verified_as_before(
    backend: Backend, code: str, status: int
) -> None:
    backend.save("webhook", HOOK | {"verifySecret": True})
    table = backend.aws.names["ConnectionsTable"]
    backend.aws.fail("UpdateItem", code, status=400, where=table)
    answer = save(backend, HOOK | {"verifySecret": True, "secret": "another-secret"}, "webhook")
    assert answer.status == status
    backend.aws.recover()
    memory.forget()
    assert backend.deliver("orders", {}, {"X-Webhook-Secret": HOOK["secret"]}).status == 200
    assert backend.deliver("orders", {}, {"X-Webhook-Secret": "another-secret"}).status == 401


def test_a_new_secret_verifies_from_then_on(backend: Backend) -> None:
    backend.save("webhook", HOOK | {"verifySecret": True})
    backend.save("webhook", HOOK | {"verifySecret": True, "secret": "another-secret"})
    assert backend.deliver("orders", {}, {"X-Webhook-Secret": HOOK["secret"]}).status == 401
    assert backend.deliver("orders", {}, {"X-Webhook-Secret": "another-secret"}).status == 200


def listening_beside_another(backend: Backend, telegram: TelegramServer) -> None:
    """A bot with a workflow that waits for its messages, and another one that is not used yet."""
    telegram.add_bot(OTHER_BOT, "other_bot")
    backend.save("telegram", {"botToken": telegram.token})
    backend.create_workflow(manual_flow() | {"trigger": {"type": "telegram.message"}})


def test_new_credentials_of_a_bot_with_workflows_are_subscribed_at_once(
    backend: Backend, telegram: TelegramServer
) -> None:
    listening_beside_another(backend, telegram)
    assert telegram.token in telegram.webhooks
    backend.save("telegram", {"botToken": OTHER_BOT})
    assert OTHER_BOT in telegram.webhooks
    assert telegram.token not in telegram.webhooks, "what it is told would be taken for the new's"


def test_a_bot_that_cannot_be_left_keeps_nobody_from_another(
    backend: Backend, telegram: TelegramServer
) -> None:
    listening_beside_another(backend, telegram)
    telegram.revoke(telegram.token)
    metadata = backend.save("telegram", {"botToken": OTHER_BOT})
    assert (metadata["status"], metadata["lastError"]) == ("connected", None)
    assert OTHER_BOT in telegram.webhooks


def test_a_subscription_that_fails_does_not_lose_good_credentials(
    backend: Backend, telegram: TelegramServer
) -> None:
    listening_beside_another(backend, telegram)
    telegram.fail(refusal(400, "Bad Request: bad webhook: IP is reserved"), method="setWebhook")
    metadata = backend.save("telegram", {"botToken": OTHER_BOT})
    assert metadata["account"]["label"] == "@other_bot"
    shown = backend.call("GET", "/api/integrations/telegram/credentials").json
    assert "webhooks could not be set up" in shown["lastError"]["message"]
    assert shown["status"] == "connected"


def test_new_credentials_begin_without_the_pauses_of_the_earlier_ones(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    connections = wiring.connections()
    for scope in ("", "chat 5"):
        paused = connections.get_sealed("acme", "telegram", "default")
        assert connections.pause(paused, from_epoch(2e9), scope)
    backend.save("telegram", {"botToken": telegram.token})
    assert connections.get_sealed("acme", "telegram", "default").rests_until("chat 5") is None


def test_what_aws_says_is_stored_and_shown_nowhere(
    backend: Backend, telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise AwsError("UpdateItem", "AccessDeniedException", "User: arn:aws:sts::123:role/save-x")

    backend.save("telegram", {"botToken": telegram.token})
    monkeypatch.setattr(wiring.connections(), "record_subscription", denied)
    trigger = {"type": "telegram.message"}
    workflow = backend.create_workflow(manual_flow() | {"trigger": trigger, "name": "w"})
    path = "/api/integrations/telegram/credentials"
    shown = backend.call("GET", path).json
    assert "not available here now" in shown["lastError"]["message"]
    assert "arn:" not in json.dumps([workflow, shown])
    backend.call("DELETE", f"/api/workflows/{workflow['workflowId']}")
    monkeypatch.setattr(wiring.subscriptions(), "stop", denied)
    gone = backend.call("DELETE", path).json
    assert "not available here now" in gone["message"]
    assert "arn:" not in json.dumps(gone)


def test_what_was_saved_a_moment_ago_is_found_again(
    backend: Backend, telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening_beside_another(backend, telegram)
    path = "/api/integrations/telegram/credentials"
    webhook = backend.call("GET", path).json["webhook"]
    monkeypatch.setattr(backend.aws.tables, "_lag", lambda: 5.0)
    telegram.fail(refusal(400, "Bad Request: bad webhook: IP is reserved"), method="setWebhook")
    backend.save("telegram", {"botToken": OTHER_BOT})
    shown = backend.call("GET", path).json
    assert "webhooks could not be set up" in shown["lastError"]["message"]
    assert shown["webhook"] == webhook


def test_a_connection_that_is_saved_twice_at_once_has_one_webhook(
    backend: Backend, telegram: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend.aws.tables, "_lag", lambda: 5.0)
    first = backend.save("telegram", {"botToken": telegram.token})
    again = backend.save("telegram", {"botToken": telegram.token})
    assert again["webhook"] == first["webhook"]


# -- Names that are let go -------------------------------------------------------------------


def webhook_of(name: str) -> dict[str, str]:
    return {"url": f"https://example.com/hooks/{name}"}


def test_a_webhooks_id_that_a_workflow_waits_for_cannot_be_let_go(backend: Backend) -> None:
    backend.save("webhook", webhook_of("first"))
    trigger = {"type": "webhook", "webhookId": "first"}
    steps = [{"id": "out", "action": "webhook.send", "params": {"url": "https://example.com/x"}}]
    made = backend.create_workflow({"name": "Waits", "trigger": trigger, "steps": steps})
    body = {"credentials": webhook_of("second")}
    answer = backend.call("POST", "/api/integrations/webhook/credentials", body)
    assert (answer.status, answer.code) == (409, "connection_in_use")
    assert made["workflowId"] in answer.json["detail"]
    assert backend.deliver("first", {}).status == 200
    assert backend.deliver("second", {}).status == 401
    assert backend.call("DELETE", f"/api/workflows/{made['workflowId']}").status == 200
    assert backend.call("POST", "/api/integrations/webhook/credentials", body).status == 200


def test_short_ids_are_all_one_tenant_s_and_nobody_else_can_look_or_squat(
    backend: Backend,
) -> None:
    """Without ``PlatformTenant``: the first that asks has them, the free ones as well."""
    longer = r"[a-z]+-[A-Za-z0-9_-]{24}"
    assert backend.save("webhook", {"secret": "the-webhooks-own-secret"}, "x", tenant="early")
    assert backend.save("webhook", HOOK)["webhook"]["id"] == "orders"
    for tenant, name in (("other", "orders"), ("other", "free"), ("early", "tickets")):
        id_ = backend.save("webhook", webhook_of(name), name, tenant=tenant)["webhook"]["id"]
        assert re.fullmatch(longer, id_), "whether it is used or not"
    for name in ("free", "tickets"):
        assert backend.save("webhook", webhook_of(name), name)["webhook"]["id"] == name


def test_an_erased_tenant_s_short_ids_are_nobody_s(backend: Backend) -> None:
    backend.save("webhook", HOOK)
    assert backend.call("DELETE", "/api/tenant", scopes="admin").status < 300
    backend.run_jobs()
    taken = backend.save("webhook", webhook_of("tickets"), tenant="other")["webhook"]["id"]
    assert taken.startswith("tickets-")
    stored = repr(backend.aws.rows("WebhooksTable"))
    assert TENANT not in stored


def test_a_short_id_that_is_another_tenants_becomes_a_longer_one(backend: Backend) -> None:
    backend.save("webhook", HOOK)
    theirs = backend.save("webhook", HOOK, tenant="other")["webhook"]
    assert re.fullmatch(r"orders-[A-Za-z0-9_-]{24}", theirs["id"])
    assert theirs["url"].endswith(f"/{theirs['id']}")
    again = backend.save("webhook", HOOK | {"secret": "another-secret"}, tenant="other")
    assert again["webhook"]["id"] == theirs["id"], "it stays"
    assert backend.deliver(theirs["id"], {}).status == 200
    (message,) = backend.aws.sent("EventsQueue")
    assert message.json()["tenant"] == "other"


def test_where_tenants_share_a_stack_a_claim_tells_nothing(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_TENANT", "acme")
    memory.forget()
    free = backend.save("webhook", HOOK, tenant="other")["webhook"]["id"]
    assert backend.save("webhook", HOOK)["webhook"]["id"] == "orders", "nobody can squat it"
    taken = backend.save("webhook", HOOK, tenant="third")["webhook"]["id"]
    for each in (free, taken):
        assert re.fullmatch(r"orders-[A-Za-z0-9_-]{24}", each)


def test_without_a_url_a_webhook_has_a_random_id(backend: Backend) -> None:
    made = backend.save("webhook", {"secret": "the-webhooks-own-secret"})["webhook"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{32}", made["id"])
    assert made["verification"] == {"type": "secret"}
    again = backend.save("webhook", {"secret": "the-webhooks-own-secret"})["webhook"]
    assert again["id"] == made["id"]


def test_an_id_that_was_let_go_is_never_another_tenants(backend: Backend) -> None:
    backend.save("webhook", webhook_of("first"))
    backend.save("webhook", webhook_of("second"))
    claim = {"credentials": webhook_of("first")}
    path = "/api/integrations/webhook/credentials"
    answer = backend.call("POST", path, claim, tenant="other")
    assert answer.json["webhook"]["id"] != "first"
    # A sender that still uses it reaches nobody, and a receiver that knew it nobody else.
    assert backend.deliver("first", {}).status in {200, 401}
    for message in backend.aws.sent("EventsQueue"):
        assert message.json()["tenant"] == "acme"
    assert backend.call("POST", path, claim | {"connection": "again"}).status == 200
