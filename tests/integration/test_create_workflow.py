"""POST /api/workflows."""

import time
from typing import Any

import pytest

from integrations.entry import wiring
from integrations.services import workflows
from integrations.services.subscriptions import Subscriptions
from integrations.storage.aws import AwsError
from tests.backend import Answer, Backend, body_of
from tests.fakes.facebook import FacebookStandIn
from tests.fakes.telegram import TelegramServer, bad_gateway, refusal, too_many
from tests.integration.checks import check, minute_later
from tests.integration.flows import flow, step

HOOK = {"url": "https://example.com/hooks/orders"}


@pytest.fixture
def ready(backend: Backend, telegram: TelegramServer) -> TelegramServer:
    bot = {"botToken": telegram.token}
    backend.begin_with(("telegram", bot, "default"), ("webhook", HOOK, "default"))
    telegram.calls.clear()
    return telegram


def create(backend: Backend, definition: Any, **more: Any) -> Answer:
    return backend.call("POST", "/api/workflows", definition, **more)


def mistakes(answer: Answer) -> dict[str, str]:
    assert (answer.status, answer.code) == (422, "invalid_workflow"), answer
    return answer.fields


# -- What checks is kept ---------------------------------------------------------------------


def test_a_workflow_is_kept_and_answered(backend: Backend, ready: TelegramServer) -> None:
    answer = create(backend, flow())
    assert answer.status == 200
    made = answer.json
    assert made["workflowId"].startswith("wf_")
    assert (made["version"], made["enabled"], made["name"]) == (1, True, "Orders")
    assert made["steps"] == flow()["steps"]
    assert made["webhookUrl"] == "https://api.example.com/api/webhooks/orders"
    shown = backend.call("GET", f"/api/workflows/{made['workflowId']}")
    assert shown.json == made


@pytest.mark.parametrize("case", ["orders", "reminder"])
def test_the_examples_of_the_events_folder_check(
    backend: Backend, ready: TelegramServer, case: str
) -> None:
    assert create(backend, body_of("create_workflow", case)).status == 200


def test_a_schedule_is_set(backend: Backend, ready: TelegramServer) -> None:
    trigger = {"type": "schedule", "cron": "0 8 * * 1-5", "timezone": "Europe/Berlin"}
    steps = [step(params={"chatId": 42, "text": "Good morning"})]
    made = backend.create_workflow(flow(trigger=trigger, steps=steps))
    (schedule,) = backend.aws.schedules()
    assert schedule["ScheduleExpressionTimezone"] == "Europe/Berlin"
    assert made["workflowId"] in schedule["Target"]["Input"]


def test_a_switched_off_schedule_is_not_set(backend: Backend, ready: TelegramServer) -> None:
    trigger = {"type": "schedule", "expression": "rate(5 minutes)"}
    steps = [step(params={"chatId": 42, "text": "x"})]
    backend.create_workflow(flow(trigger=trigger, steps=steps, enabled=False))
    assert backend.aws.schedules() == []


def test_a_bots_webhook_is_registered_with_the_first_workflow_that_needs_it(
    backend: Backend, ready: TelegramServer
) -> None:
    trigger = {"type": "telegram.message"}
    backend.create_workflow(flow(trigger=trigger))
    assert ready.webhooks[ready.token]["allowed_updates"] == ["message"]
    backend.create_workflow(flow(trigger=trigger, name="Again"))
    assert len(ready.called("setWebhook")) == 1
    backend.create_workflow(flow(trigger={"type": "telegram.callback_query"}))
    assert set(ready.webhooks[ready.token]["allowed_updates"]) == {"message", "callback_query"}


def test_a_switched_off_workflow_registers_nothing(backend: Backend, ready: TelegramServer) -> None:
    backend.create_workflow(flow(trigger={"type": "telegram.message"}, enabled=False))
    assert not ready.webhooks


def test_a_page_is_subscribed(
    backend: Backend, ready: TelegramServer, facebook: FacebookStandIn
) -> None:
    page = facebook.add_page("Bakery")
    ann = facebook.add_user("Ann", pages=[page])
    credentials = {
        "appId": facebook.app_id,
        "appSecret": facebook.app_secret,
        "accessToken": facebook.user_token(ann),
    }
    backend.save("facebook", credentials)
    made = backend.create_workflow(flow(trigger={"type": "facebook.comment", "pageId": page}))
    assert facebook.pages[page].subscribed_fields
    subscription = facebook.app_subscriptions["page"]
    assert subscription["callback_url"] == made["webhookUrl"]


# -- What does not check is told with its place ----------------------------------------------


def test_every_mistake_is_told_at_once(backend: Backend, ready: TelegramServer) -> None:
    steps = [
        step(id="a", action="telegram.sendMesage"),
        step(id="a", params={"chatId": 42, "txt": "x"}),
        step(id="c", params={"chatId": 42, "text": "{{ steps.later.output }}"}),
        step(id="d", params={"chatId": 42, "text": "{{ trigger. }}"}),
    ]
    found = mistakes(create(backend, flow(name="", steps=steps, surplus=1)))
    assert {
        "name",
        "surplus",
        "steps[0].action",
        "steps[1].id",
        "steps[1].params.txt",
        "steps[2].params.text",
        "steps[3].params.text",
    } <= found.keys()
    assert backend.aws.rows("WorkflowsTable") == []


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"trigger": {"type": "webhook"}}, "trigger.webhookId"),
        ({"trigger": {"type": "webhook", "webhookId": "unknown"}}, "trigger.webhookId"),
        ({"trigger": {"type": "no_such.message"}}, "trigger.type"),
        ({"trigger": {"type": "telegram.message", "connection": "second"}}, "trigger.connection"),
        ({"trigger": {"type": "schedule", "cron": "every day"}}, "trigger.cron"),
        ({"trigger": {"type": "schedule"}}, "trigger.cron"),
        ({"trigger": {"type": "manual", "cron": "x"}}, "trigger.cron"),
        ({"trigger": "manual"}, "trigger"),
        ({"trigger": {"type": "manual", "filter": "1 +"}}, "trigger.filter"),
        ({"trigger": {"type": "manual", "filter": "trigger.__class__"}}, "trigger.filter"),
        ({"steps": []}, "steps"),
        ({"steps": "x"}, "steps"),
        ({"steps": [step(connection="second")]}, "steps[0].connection"),
        ({"steps": [step(action="sheets.readRange", params={})]}, "steps[0].params.range"),
        ({"steps": [step(id="a b")]}, "steps[0].id"),
        ({"steps": [step(retry={"maxAttempts": 0})]}, "steps[0].retry.maxAttempts"),
        ({"steps": [step(forEach="")]}, "steps[0].forEach"),
        ({"enabled": "yes"}, "enabled"),
        ({"name": "x" * 101}, "name"),
        ({"name": "  "}, "name"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    backend: Backend, ready: TelegramServer, changes: dict[str, Any], place: str
) -> None:
    found = mistakes(create(backend, flow(**changes)))
    assert any(each.startswith(place) for each in found), found


def test_a_workflow_of_too_many_steps_is_refused(backend: Backend, ready: TelegramServer) -> None:
    steps = [step(id=f"s{number}") for number in range(500)]
    assert "steps" in mistakes(create(backend, flow(steps=steps)))


def test_a_definition_beyond_all_measure_is_refused(
    backend: Backend, ready: TelegramServer
) -> None:
    assert mistakes(create(backend, flow(name="x", steps=[step(params={"text": "x" * 300_000})])))
    deep: Any = "x"
    for _ in range(100):
        deep = [deep]
    assert create(backend, flow(steps=[step(params={"text": deep})])).code == "malformed_json"


def test_the_largest_definition_with_the_largest_trigger_is_one_row(
    backend: Backend, ready: TelegramServer
) -> None:
    texts = [step(id=f"s{n}", params={"chatId": 1, "text": "x" * 1900}) for n in range(100)]
    trigger = {"type": "telegram.message", "text": "x" * 48_000}
    assert create(backend, flow(steps=texts, trigger=trigger)).status == 200
    answer = create(backend, flow(trigger=trigger | {"text": "x" * 140_000}))
    assert "at most 49152 are allowed" in mistakes(answer)["trigger"]


def test_what_was_saved_a_moment_ago_may_be_named(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend.aws.tables, "_lag", lambda: 5.0)
    hook = backend.save("webhook", HOOK)["webhook"]["id"]
    assert backend.call("PUT", "/api/secrets/SHOP_KEY", {"value": "s" * 20}).status == 200
    send = {"id": "out", "action": "webhook.send", "params": {"json": "{{ secrets.SHOP_KEY }}"}}
    backend.create_workflow(flow(trigger={"type": "webhook", "webhookId": hook}, steps=[send]))


def test_another_tenants_webhook_cannot_be_listened_to(
    backend: Backend, ready: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": ready.token}, tenant="other")
    found = mistakes(create(backend, flow(), tenant="other"))
    assert found.keys() == {"trigger.webhookId"}
    assert "acme" not in str(found)


@pytest.mark.parametrize("webhook_id", ["facebook", "Orders", "orders#webhook", "*"])
def test_a_webhook_that_is_nobodys_cannot_be_listened_to(
    backend: Backend, ready: TelegramServer, webhook_id: str
) -> None:
    trigger = {"type": "webhook", "webhookId": webhook_id}
    assert "trigger.webhookId" in mistakes(create(backend, flow(trigger=trigger)))


@pytest.mark.parametrize(
    "changes",
    [
        {"trigger": {"type": "webhook", "webhookId": "w" * 70_000}},
        {"trigger": {"type": "telegram.message", "connection": "c" * 70_000}},
        {"trigger": {"type": "telegram.message", "provider": "p" * 70_000}},
        {"trigger": {"type": "t" * 70_000}},
        {"steps": [{"id": "a", "action": "telegram.getMe", "connection": "c" * 70_000}]},
        {"steps": [{"id": "a", "action": "telegram." + "a" * 70_000}]},
    ],
)
def test_a_long_name_is_not_repeated(
    backend: Backend, ready: TelegramServer, changes: dict[str, Any]
) -> None:
    found = mistakes(create(backend, flow(**changes)))
    assert found
    assert all(len(message) < 1000 for message in found.values())


def test_a_step_may_use_what_the_stack_provides(backend: Backend, ready: TelegramServer) -> None:
    backend.aws.set_secret(smtpHost="127.0.0.1", smtpPort="2525", smtpFrom="shop@example.com")
    mail = step(
        action="email.sendEmail", params={"to": "ann@example.com", "subject": "x", "text": "y"}
    )
    assert create(backend, flow(steps=[mail])).status == 200


@pytest.mark.parametrize(
    ("failure", "says", "wait"),
    [
        (refusal(400, "Bad Request: bad webhook: IP is reserved"), "each day", 86_400),
        (bad_gateway(), "soon", 60),
        (too_many(1), "soon", 60),
    ],
)
def test_a_provider_that_does_not_send_yet_is_no_reason_not_to_store_it(
    backend: Backend, ready: TelegramServer, failure: Any, says: str, wait: int
) -> None:
    ready.fail(failure, method="setWebhook")
    answer = create(backend, flow(trigger={"type": "telegram.message"}))
    assert answer.status == 200
    assert says in answer.json["warning"]
    (row,) = [row for row in backend.aws.rows("ConnectionsTable") if row["provider"] == "telegram"]
    assert abs(row["dueAt"] - time.time() - wait) < 30
    shown = backend.call("GET", "/api/integrations/telegram/credentials").json
    assert shown["status"] == "connected"
    assert "webhooks" in shown["lastError"]["message"]


def test_what_is_not_there_for_a_moment_is_said_to_be_asked_for_again_soon(
    backend: Backend, ready: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any, **__: Any) -> None:
        raise AwsError("UpdateItem", "ThrottlingException", "Rate exceeded")

    monkeypatch.setattr(wiring.connections(), "record_subscription", busy)
    answer = create(backend, flow(trigger={"type": "telegram.message"}))
    assert "asked again soon" in answer.json["warning"]
    (row,) = [row for row in backend.aws.rows("ConnectionsTable") if row["provider"] == "telegram"]
    assert abs(row["dueAt"] - time.time() - 60) < 30


def test_three_workflows_in_a_row_are_one_subscription_after_the_fact(
    backend: Backend, ready: TelegramServer
) -> None:
    kinds = ["message", "callback_query", "poll_answer"]
    create(backend, flow(trigger={"type": f"telegram.{kinds[0]}"}))
    ready.fail(too_many(1), method="setWebhook")
    made = [create(backend, flow(trigger={"type": f"telegram.{kind}"})) for kind in kinds[1:]]
    assert [answer.status for answer in made] == [200, 200]
    assert "warning" in made[0].json
    minute_later(backend)
    assert check(backend) == {"connected": 1}
    assert set(ready.webhooks[ready.token]["allowed_updates"]) == set(kinds)
    assert len(ready.called("setWebhook")) == 3


def test_a_process_that_dies_after_the_write_leaves_a_connection_that_is_brought_in_line(
    backend: Backend, ready: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise SystemExit

    with monkeypatch.context() as dying:
        dying.setattr(Subscriptions, "synchronize", die)
        with pytest.raises(SystemExit):
            create(backend, flow(trigger={"type": "telegram.message"}))
    assert not ready.webhooks
    (row,) = [row for row in backend.aws.rows("ConnectionsTable") if row["provider"] == "telegram"]
    assert row["dueAt"] <= time.time() + 60
    minute_later(backend)
    assert check(backend) == {"connected": 1}
    assert ready.webhooks[ready.token]["allowed_updates"] == ["message"]


def test_hostile_names_are_kept_as_they_are(backend: Backend, ready: TelegramServer) -> None:
    name = "</script> ' \" {{ 7 * 7 }} 👩\u200d🌾"
    made = backend.create_workflow(flow(name=name))
    assert backend.call("GET", f"/api/workflows/{made['workflowId']}").json["name"] == name


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2Ja", "a\u202eb", "a\u2028b", " "])
def test_a_name_that_steers_what_is_shown_beside_it_is_refused(backend: Backend, name: str) -> None:
    assert "name" in mistakes(create(backend, flow(name=name)))


def test_a_bots_webhook_is_listened_to_by_its_own_triggers(
    backend: Backend, ready: TelegramServer
) -> None:
    shown = backend.call("GET", "/api/integrations/telegram/credentials").json
    trigger = {"type": "webhook", "webhookId": shown["webhook"]["id"]}
    found = mistakes(create(backend, flow(trigger=trigger)))
    assert "telegram" in found["trigger.webhookId"]


# -- What may be bound -----------------------------------------------------------------------


def test_a_trigger_has_its_fill_of_workflows(
    backend: Backend, ready: TelegramServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflows, "MAX_PER_TRIGGER", 2)
    made = [backend.create_workflow(flow())["workflowId"] for _ in range(2)]
    answer = backend.call("POST", "/api/workflows", flow())
    assert (answer.status, answer.code) == (422, "invalid_workflow")
    assert "2 enabled workflows" in answer.fields["trigger"]
    backend.create_workflow(flow(enabled=False))
    path = f"/api/workflows/{made[0]}"
    assert backend.call("PUT", path, flow(name="Changed")).status == 200


def test_what_needs_somebody_first_is_not_bound(backend: Backend, ready: TelegramServer) -> None:
    connections = wiring.connections()
    bot = connections.get("acme", "telegram", "default")
    connections.record_error(bot, "needs_reauth", "Revoked", status="needs_reauth")
    definition = flow(trigger={"type": "telegram.message"}, steps=[])
    definition["steps"] = [
        {"id": "out", "action": "webhook.send", "params": {"url": "https://example.com/x"}}
    ]
    answer = backend.call("POST", "/api/workflows", definition)
    assert answer.status == 422
    assert "needs_reauth" in answer.fields["trigger.connection"]
    assert backend.call("POST", "/api/workflows", definition | {"enabled": False}).status == 200
