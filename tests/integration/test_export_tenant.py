"""GET /api/tenant/export."""

import json
from typing import Any

import pytest

from integrations.entry.problem import MAX_EVENT_BYTES
from integrations.errors import UnknownExecution
from integrations.services import tenants
from integrations.storage.aws import item
from integrations.storage.executions import Executions, StoredExecution
from tests.backend import Backend, noise
from tests.fakes.telegram import TelegramServer
from tests.integration.flows import flow, step
from tests.integration.tenants import fill


def export(backend: Backend, tenant: str = "acme") -> list[Any]:
    """All pages."""
    found: list[Any] = []
    token = ""
    for _ in range(100):
        query = {"nextToken": token} if token else {}
        page = backend.call("GET", "/api/tenant/export", tenant=tenant, scopes="admin", query=query)
        assert page.status == 200, page
        # As the runtime writes it: JSON in JSON.
        assert len(json.dumps(page.body, ensure_ascii=False).encode()) < MAX_EVENT_BYTES
        found += page.json["items"]
        token = page.json["nextToken"]
        if not token:
            return found
    raise AssertionError("the export does not end")


@pytest.mark.parametrize("unit", ["😀", "\x01"])
def test_each_page_is_one_that_lambda_can_answer_with_whatever_is_stored(
    backend: Backend, unit: str
) -> None:
    backend.save("webhook", {"url": "https://example.com/hooks/large", "verifySecret": False})
    step = {"id": "a", "action": "webhook.send", "params": {"url": "https://x.example", "json": 1}}
    trigger = {"type": "webhook", "webhookId": "large"}
    text = unit * (200_000 // len(json.dumps(unit, ensure_ascii=False).encode()))
    for number in range(6):
        note = {
            **step,
            "id": "note",
            "when": False,
            "params": {"url": "https://x.example", "json": text},
        }
        flow = {"name": f"{number}", "trigger": trigger, "steps": [step, note]}
        backend.create_workflow({**flow, "trigger": {"type": "manual"}})
    for number in range(6):
        backend.deliver("large", {"n": number, "text": text})
    backend.drain()
    kinds = [each["kind"] for each in export(backend)]
    assert (kinds.count("workflow"), kinds.count("event")) == (6, 6)
    for path in ("/api/workflows", "/api/events", "/api/executions"):
        answer = backend.call("GET", path, query={"limit": 100})
        assert len(json.dumps(answer.body, ensure_ascii=False).encode()) < MAX_EVENT_BYTES


def test_all_of_a_tenant_is_in_it_and_no_secret(backend: Backend, telegram: TelegramServer) -> None:
    backend.secrets |= {"secret of acme"}
    fill(backend, telegram, "acme")
    fill(backend, None, "globex")
    found = export(backend)
    kinds = [each["kind"] for each in found]
    assert list(dict.fromkeys(kinds)) == [
        "token",
        "connection",
        "workflow",
        "secret",
        "job",
        "execution",
        "event",
    ]
    for kind, path in (
        ("workflow", "/api/workflows"),
        ("execution", "/api/executions"),
        ("event", "/api/events"),
    ):
        assert kinds.count(kind) == len(backend.call("GET", path).json["items"]), kind
    names = {each["data"]["name"] for each in found if each["kind"] == "token"}
    assert names == {"another", "caller"}
    (hook,) = (
        each["data"]
        for each in found
        if each["kind"] == "connection" and each["data"]["provider"] == "webhook"
    )
    assert hook["webhook"]["id"] == "acme-orders"
    assert "globex" not in {each["data"].get("tenant") for each in found}
    execution = next(each["data"] for each in found if each["kind"] == "execution")
    assert execution == backend.execution(execution["executionId"])


def test_many_large_events_come_in_pages(backend: Backend) -> None:
    backend.save("webhook", {"url": "https://example.com/hooks/orders"})
    for number in range(30):
        backend.deliver("orders", {"n": number, "text": noise(30_000)})
    backend.drain()
    events = [each["data"] for each in export(backend) if each["kind"] == "event"]
    assert sorted(each["body"]["n"] for each in events) == list(range(30))


def test_it_ends_although_some_of_what_is_listed_cannot_be_read_any_more(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is past its time, DynamoDB deletes days later, an execution's parts in any order."""
    monkeypatch.setattr(tenants, "LOOKED", 4)
    backend.save("webhook", {"url": "https://example.com/hooks/orders"})
    send = step(action="webhook.send", params={"url": "http://127.0.0.1:1/", "json": 1})
    backend.create_workflow(flow(steps=[send]))
    for number in range(9):
        backend.deliver("orders", {"n": number})
    backend.drain()
    for number, row in enumerate(backend.aws.rows("EventsTable")):
        if number % 3:
            backend.aws.put("EventsTable", item(row | {"expiresAt": 1}))
    get, seen = Executions.get, []

    def gone(table: Executions, tenant: str, execution_id: str) -> StoredExecution:
        seen.append(execution_id)
        if len(seen) % 3:
            raise UnknownExecution("A page of it is there no more")
        return get(table, tenant, execution_id)

    monkeypatch.setattr(Executions, "get", gone)
    kinds = [each["kind"] for each in export(backend)]
    assert (kinds.count("execution"), kinds.count("event")) == (3, 3)


def test_a_tenant_with_nothing_has_an_empty_one(backend: Backend) -> None:
    assert export(backend, "nobody") == []


@pytest.mark.parametrize("token", ["made up", "eyJraW5kIjoieCIsInRva2VuIjoiIn0"])
def test_a_token_of_another_list_is_refused(backend: Backend, token: str) -> None:
    answer = backend.call("GET", "/api/tenant/export", scopes="admin", query={"nextToken": token})
    assert answer.status == 422


def test_it_needs_an_admin(backend: Backend) -> None:
    assert backend.call("GET", "/api/tenant/export", scopes="read write").status == 403
