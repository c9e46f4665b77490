"""POST /api/workflows/check."""

from typing import Any

import pytest

from integrations.workflows import definition
from tests.backend import Backend, body_of
from tests.fakes.telegram import TelegramServer


def checked(backend: Backend, given: Any) -> Any:
    answer = backend.call("POST", "/api/workflows/check", given)
    assert answer.status == 200, answer
    return answer.json


def places(found: Any) -> dict[str, Any]:
    return {each["field"]: each for each in found["errors"]}


def manual(*steps: Any) -> Any:
    return {"name": "Flow", "trigger": {"type": "manual"}, "steps": list(steps)}


def test_a_definition_without_a_mistake_is_valid_and_not_saved(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    step = {"id": "say", "action": "telegram.sendMessage", "params": {"chatId": 1, "text": "hi"}}
    assert checked(backend, manual(step)) == {"valid": True, "errors": []}
    assert backend.call("GET", "/api/workflows").json["items"] == []


def test_all_mistakes_are_told_at_once_with_what_may_be_meant(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token}, "support")
    found = checked(
        backend,
        {
            "name": "",
            "trigger": {"type": "webhook", "webhookId": "ordrs"},
            "steps": [
                {"id": "a", "action": "telegram.sendMesage", "params": {}},
                {
                    "id": "b",
                    "action": "telegram.sendMessage",
                    "connection": "suport",
                    "params": {"chatid": 1, "text": "{{ trigger.x"},
                },
            ],
        },
    )
    assert found["valid"] is False
    mistakes = places(found)
    assert mistakes["name"]["message"] == "must not be empty"
    assert mistakes["trigger.webhookId"]["code"] == "unknown"
    assert mistakes["steps[0].action"]["suggestions"][0] == "telegram.sendMessage"
    assert mistakes["steps[1].connection"]["suggestions"] == ["support"]
    assert mistakes["steps[1].params.chatid"]["suggestions"] == ["chatId"]
    assert mistakes["steps[1].params.chatId"]["code"] == "required"
    assert "bad syntax" in mistakes["steps[1].params.text"]["message"]


def test_a_webhook_that_is_almost_one_s_own_is_named(backend: Backend) -> None:
    url = "https://shop.example.com/hooks/orders"
    backend.save("webhook", {"url": url, "secret": "s3cret-of-orders"})
    definition = body_of("check_workflow", "order") | {
        "trigger": {"type": "webhook", "webhookId": "ordres"}
    }
    mistake = places(checked(backend, definition))["trigger.webhookId"]
    assert mistake["suggestions"] == ["orders"]
    # Another tenant's webhook is none.
    answer = backend.call("POST", "/api/workflows/check", definition, tenant="other")
    assert places(answer.json)["trigger.webhookId"]["suggestions"] == []


def test_what_get_answers_can_be_checked(backend: Backend, telegram: TelegramServer) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    step = {"id": "say", "action": "telegram.sendMessage", "params": {"chatId": 1, "text": "hi"}}
    saved = backend.create_workflow(manual(step))
    assert checked(backend, saved)["valid"] is True


def test_nonsense_is_told_of_and_nothing_breaks(backend: Backend) -> None:
    for nonsense in (
        {}, {"trigger": 1}, {"steps": {}}, {"trigger": {"type": []}}, {"steps": [1, None, {}]},
        {"trigger": {"type": "webhook", "webhookId": 7}, "steps": [{"action": 1}]},
        {"trigger": {"type": "facebook.comment", "connection": {}, "pageId": []}},
        {"trigger": {"type": "telegram.message", "provider": 3}, "steps": [{"connection": 1}]},
    ):  # fmt: skip
        found = checked(backend, nonsense)
        assert found["valid"] is False
        assert found["errors"]


def test_a_secret_that_there_is_not_is_told_with_the_nearest_names(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    backend.call("PUT", "/api/secrets/SHOP_KEY", {"value": "a-key-of-the-shop"})
    text = ["{{ secrets.SHOP_KEY }}", {"a": "{{ secrets.SHOP_KYE }} and {{ secrets.OTHER }}"}]
    step = {
        "id": "say",
        "action": "telegram.call",
        "params": {"method": "x", "params": {"t": text}},
    }
    found = checked(backend, manual(step))["errors"]
    assert [(each["field"], each["code"], each["suggestions"]) for each in found] == [
        ("steps[0].params.params.t[1].a", "unknown", []),
        ("steps[0].params.params.t[1].a", "unknown", ["SHOP_KEY"]),
    ]
    assert "there is no secret 'SHOP_KYE'; did you mean 'SHOP_KEY'?" in found[1]["message"]
    assert backend.call("POST", "/api/workflows", manual(step)).status == 422


def test_another_tenants_secret_is_none(backend: Backend, telegram: TelegramServer) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    backend.call("PUT", "/api/secrets/SHOP_KEY", {"value": "a-key-of-theirs"}, tenant="other")
    params = {"chatId": 1, "text": "{{ secrets.SHOP_KEY }}"}
    step = {"id": "say", "action": "telegram.sendMessage", "params": params}
    assert list(places(checked(backend, manual(step)))) == ["steps[0].params.text"]


def test_what_is_too_large_is_not_looked_through(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definition, "MAX_DEFINITION_BYTES", 1000)
    found = checked(backend, manual(*[{"id": "a", "action": "telegram.getMe"}] * 100))
    (mistake,) = found["errors"]
    assert mistake["field"] == ""
    assert "at most 1000 are allowed" in mistake["message"]
