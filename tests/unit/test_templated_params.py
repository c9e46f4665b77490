"""Every action's parameters in a workflow that is saved: a template may stand for each of them."""

from collections.abc import Mapping
from typing import Any

import pytest

from integrations.errors import InvalidWorkflow
from integrations.providers import registry
from integrations.providers.base import Action, Provider
from integrations.services.checking import ProviderCatalogue
from integrations.workflows.definition import check

PROVIDERS = [registry.get(provider_id) for provider_id in registry.PROVIDER_IDS]
ACTIONS = [(provider, action) for provider in PROVIDERS for action in provider.actions]
TEMPLATE = "{{ trigger.value }}"


def saved(provider: Provider, action: Action, params: Mapping[str, Any]) -> None:
    """Check a workflow of one step, as saving it does.

    Raises:
        InvalidWorkflow: With the place of every mistake.
    """
    step = {"id": "one", "action": f"{provider.id}.{action.name}", "params": dict(params)}
    definition = {"name": "Flow", "trigger": {"type": "manual"}, "steps": [step]}
    check(definition, ProviderCatalogue())


@pytest.mark.parametrize(
    ("provider", "action"), ACTIONS, ids=[f"{p.id}.{a.name}" for p, a in ACTIONS]
)
def test_any_of_an_action_s_parameters_may_be_a_template(
    provider: Provider, action: Action
) -> None:
    saved(provider, action, action.example)
    for name in action.example:
        saved(provider, action, {**action.example, name: TEMPLATE})
        others = dict.fromkeys(action.example, TEMPLATE)
        saved(provider, action, {**others, name: action.example[name]})


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("telegram.editMessageText", {"chatId": 5, "messageId": TEMPLATE, "text": "y"}),
        ("telegram.editMessageText", {"chatId": 5, "messageId": 6, "richMessage": TEMPLATE}),
        ("telegram.editMessageText", {"inlineMessageId": TEMPLATE, "text": "y"}),
        (
            "facebook.sendMessage",
            {"recipientId": "1", "text": "y", "messagingType": TEMPLATE, "tag": "HUMAN_AGENT"},
        ),
        ("facebook.sendMessage", {"recipientId": "1", "attachment": TEMPLATE}),
        ("facebook.createPost", {"published": False, "link": TEMPLATE}),
        ("facebook.createPhotoPost", {"caption": "y", "file": TEMPLATE}),
        ("facebook.replyToComment", {"commentId": "1", "attachmentId": TEMPLATE}),
        ("email.sendEmail", {"to": "", "cc": TEMPLATE, "text": "y"}),
        ("email.sendEmail", {"to": "ann@example.com", "subject": "y", "html": TEMPLATE}),
        ("email.sendEmail", {"to": "ann@example.com", "attachments": TEMPLATE}),
        (
            "email.sendEmail",
            {
                "to": "ann@example.com",
                "text": "y",
                "html": TEMPLATE,
                "attachments": [{"fileName": "a.png", "contentBase64": "eA==", "cid": "a"}],
            },
        ),
        ("webhook.send", {"json": {}, "method": TEMPLATE}),
        ("sheets.deleteRows", {"endRow": 5, "startRow": TEMPLATE}),
        ("sheets.deleteRows", {"sheet": "Orders", "rows": TEMPLATE}),
        ("sheets.appendRow", {"values": {"a": 1}, "range": TEMPLATE}),
        ("sheets.upsertRow", {"values": {"a": 1}, "keyColumn": TEMPLATE}),
    ],
)
def test_what_a_template_may_still_make_right_is_no_mistake(
    name: str, params: dict[str, Any]
) -> None:
    provider_id, _, action = name.partition(".")
    provider = registry.get(provider_id)
    saved(provider, provider.action(action), params)


@pytest.mark.parametrize(
    ("name", "params", "field"),
    [
        ("telegram.editMessageText", {"chatId": 5, "text": "y"}, "chatId"),
        ("telegram.editMessageText", {"messageId": 6, "text": "y"}, "chatId"),
        ("telegram.sendMessage", {"chatId": TEMPLATE, "chat_id": 2, "text": "y"}, "chat_id"),
        ("telegram.sendMessage", {"chat_id": 1, "chatId": 2, "text": "y"}, "chatId"),
        ("sheets.deleteRows", {"sheet": "Orders"}, "rows"),
        ("webhook.send", {"url": TEMPLATE, "headers": {"Host": "x"}}, "headers.Host"),
        ("email.sendEmail", {"to": TEMPLATE, "headers": {"Subject": "x"}}, "headers.Subject"),
        ("email.sendEmail", {"to": TEMPLATE, "headers": {"a b": "x"}}, "headers"),
        ("sheets.request", {"spreadsheetId": TEMPLATE, "requests": [{}]}, "requests[0]"),
    ],
)
def test_what_no_template_makes_right_is_a_mistake(
    name: str, params: dict[str, Any], field: str
) -> None:
    provider_id, _, action = name.partition(".")
    provider = registry.get(provider_id)
    with pytest.raises(InvalidWorkflow) as refused:
        saved(provider, provider.action(action), params)
    assert [each.field for each in refused.value.errors] == [f"steps[0].params.{field}"]
