"""The Workflows table: versions, the trigger index, pages."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from integrations.errors import InvalidInput, UnknownWorkflow, VersionConflict
from integrations.storage.aws import Aws, item
from integrations.storage.paging import encode_token
from integrations.storage.workflows import StoredWorkflow, Workflows
from tests.fakes.aws import FakeAws

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def workflows(aws: FakeAws) -> Workflows:
    return Workflows(aws.client, aws.names["WorkflowsTable"], clock=lambda: NOW)


def workflow(workflow_id: str = "wf_1", **changes: Any) -> StoredWorkflow:
    made = StoredWorkflow(
        tenant="acme",
        workflow_id=workflow_id,
        name="Orders",
        enabled=True,
        definition={"name": "Orders", "trigger": {"type": "webhook"}, "steps": []},
        version=1,
        created_at=NOW,
        updated_at=NOW,
        trigger_key="orders#webhook",
        uses=frozenset({"webhook#default", "telegram#default"}),
    )
    return made._replace(**changes)


def test_a_saved_workflow_is_read_as_it_was(workflows: Workflows) -> None:
    workflows.save(workflow(), replaces=None)
    assert workflows.get("acme", "wf_1") == workflow()


def test_another_tenant_does_not_see_it(workflows: Workflows) -> None:
    workflows.save(workflow(), replaces=None)
    with pytest.raises(UnknownWorkflow):
        workflows.get("other", "wf_1")
    assert workflows.page("other", limit=10, next_token=None) == ([], None)


def test_of_two_that_replace_the_same_version_one_is_refused(workflows: Workflows) -> None:
    workflows.save(workflow(), replaces=None)
    workflows.save(workflow(version=2, name="Two"), replaces=1)
    with pytest.raises(VersionConflict):
        workflows.save(workflow(version=2, name="Three"), replaces=1)
    assert workflows.get("acme", "wf_1").name == "Two"


def test_what_was_deleted_meanwhile_is_not_brought_back(workflows: Workflows) -> None:
    workflows.save(workflow(), replaces=None)
    workflows.delete(workflow())
    with pytest.raises(VersionConflict):
        workflows.save(workflow(version=2), replaces=1)


def test_an_id_is_given_out_once(workflows: Workflows) -> None:
    workflows.save(workflow(), replaces=None)
    with pytest.raises(VersionConflict):
        workflows.save(workflow(), replaces=None)


def test_an_event_finds_the_enabled_workflows_of_its_key(workflows: Workflows) -> None:
    workflows.save(workflow("wf_1"), replaces=None)
    workflows.save(workflow("wf_2", tenant="other"), replaces=None)
    workflows.save(workflow("wf_3", enabled=False), replaces=None)
    workflows.save(workflow("wf_4", trigger_key="others#webhook"), replaces=None)
    workflows.save(workflow("wf_5", trigger_key=None), replaces=None)
    found = workflows.triggered_by("orders#webhook")
    assert [each.workflow_id for each in found] == ["wf_1", "wf_2"]
    assert found[0].trigger == workflow().definition["trigger"]


def test_a_disabled_workflow_is_found_again_once_it_is_enabled(workflows: Workflows) -> None:
    workflows.save(workflow(enabled=False), replaces=None)
    assert workflows.triggered_by("orders#webhook") == []
    workflows.save(workflow(version=2), replaces=1)
    assert [each.workflow_id for each in workflows.triggered_by("orders#webhook")] == ["wf_1"]


def test_more_matches_than_a_page_holds_are_all_found(workflows: Workflows) -> None:
    for number in range(8):
        fat = {"trigger": {"type": "webhook", "filter": "x" * 200_000}, "steps": []}
        workflows.save(workflow(f"wf_{number}", definition=fat), replaces=None)
    assert len(workflows.triggered_by("orders#webhook")) == 8


def test_pages_go_through_all_workflows_once(workflows: Workflows) -> None:
    for number in range(7):
        workflows.save(workflow(f"wf_{number}"), replaces=None)
    seen: list[str] = []
    token = None
    pages = 0
    while True:
        found, token = workflows.page("acme", limit=3, next_token=token)
        seen += [each.workflow_id for each in found]
        pages += 1
        if token is None:
            break
    assert seen == [f"wf_{number}" for number in range(7)]
    assert pages == 3
    assert len(list(workflows.of_tenant("acme"))) == 7


def _encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


HOSTILE = {
    "no base64": "%%%",
    "not ASCII": "häßlich",
    "base64 of no JSON": base64.urlsafe_b64encode(b"\xff\xfe{").decode(),
    "one character": "A",
    "a number": _encoded(1),
    "a list": _encoded(["workflowId"]),
    "an empty object": _encoded({}),
    "another list's token": encode_token({"id": "exe_1", "key": "2026"}),
    "no text": _encoded({"workflowId": 1}),
    "an empty text": _encoded({"workflowId": ""}),
    "half a surrogate pair": _encoded({"workflowId": "\ud800"}),
    "a long text": _encoded({"workflowId": "x" * 1500}),
    "deep": base64.urlsafe_b64encode(b"[" * 1500).decode(),
}


@pytest.mark.parametrize("token", HOSTILE.values(), ids=HOSTILE)
def test_a_token_that_this_api_never_gave_is_refused(workflows: Workflows, token: str) -> None:
    with pytest.raises(InvalidInput, match="nextToken"):
        workflows.page("acme", limit=3, next_token=token)


def test_a_token_of_another_tenant_leads_to_ones_own_workflows(workflows: Workflows) -> None:
    for number in range(3):
        workflows.save(workflow(f"wf_{number}", tenant="other"), replaces=None)
    _, token = workflows.page("other", limit=1, next_token=None)
    workflows.save(workflow("wf_9"), replaces=None)
    found, _ = workflows.page("acme", limit=10, next_token=token)
    assert [(each.tenant, each.workflow_id) for each in found] == [("acme", "wf_9")]


def test_what_a_tenants_workflows_use_is_read_without_their_definitions(
    workflows: Workflows, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = {"type": "webhook", "webhookId": "orders"}
    steps = [{"id": "a", "action": "telegram.sendMessage", "params": {"text": "x" * 50_000}}]
    whole = {"name": "Orders", "trigger": trigger, "steps": steps}
    workflows.save(workflow(definition=whole, filters={"webhookId": "orders"}), replaces=None)
    workflows.save(workflow("wf_2", enabled=False, uses=frozenset()), replaces=None)
    answers: list[Any] = []
    ask = Aws.dynamodb

    def kept(aws: Aws, operation: str, payload: Any) -> Any:
        answers.append(ask(aws, operation, payload))
        return answers[-1]

    monkeypatch.setattr(Aws, "dynamodb", kept)
    first, second = workflows.of_tenant("acme")
    assert len(json.dumps(answers)) < 2000
    assert (first.workflow_id, first.name, first.enabled) == ("wf_1", "Orders", True)
    assert (first.trigger, first.trigger_key) == (trigger, "orders#webhook")
    assert first.uses == {"webhook#default", "telegram#default"}
    assert (second.enabled, second.uses, second.trigger_key) == (False, frozenset(), None)


def saved_long_ago(aws: FakeAws, workflows: Workflows, saved: StoredWorkflow) -> None:
    """A row as it was before the index had triggers."""
    workflows.save(saved, replaces=None)
    (row,) = aws.rows("WorkflowsTable")
    del row["trigger"]
    row.pop("triggerConnection", None)
    aws.put("WorkflowsTable", item(row))


@pytest.mark.parametrize(
    ("trigger", "uses", "connection"),
    [
        ({"type": "webhook", "webhookId": "orders"}, {"webhook#default"}, "webhook#default"),
        (
            {"type": "facebook.comment", "connection": "shop"},
            {"facebook_oauth#shop", "facebook_oauth#other", "telegram#shop"},
            "facebook_oauth#shop",
        ),
        (
            {"type": "facebook.comment", "connection": "shop", "provider": "facebook_oauth"},
            {"facebook_oauth#shop", "facebook#shop"},
            "facebook_oauth#shop",
        ),
        ({"type": "facebook.comment"}, {"facebook_oauth#default", "facebook#default"}, None),
    ],
)
def test_what_was_saved_before_the_index_had_triggers_is_found(
    aws: FakeAws,
    workflows: Workflows,
    trigger: dict[str, Any],
    uses: set[str],
    connection: str | None,
) -> None:
    definition = {"name": "Old", "trigger": trigger, "steps": []}
    made = workflow(definition=definition, uses=frozenset(uses), trigger_connection=None)
    saved_long_ago(aws, workflows, made)
    (found,) = workflows.triggered_by("orders#webhook")
    assert (found.trigger, found.trigger_connection) == (trigger, connection)
    assert workflows.find("acme", "wf_1") == found
    (using,) = workflows.of_tenant("acme")
    assert (using.trigger, using.uses) == (trigger, uses)
    again = workflows.get("acme", "wf_1")
    workflows.save(again, replaces=again.version)
    assert workflows.triggered_by("orders#webhook") == [found]
    (row,) = aws.rows("WorkflowsTable")
    assert row.get("triggerConnection") == connection
