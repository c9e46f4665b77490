"""GET /api/tenant/export."""

from typing import Any

import pytest

from tests.backend import Backend, noise
from tests.fakes.telegram import TelegramServer
from tests.integration.test_erase_tenant import fill


def export(backend: Backend, tenant: str = "acme") -> list[Any]:
    """All pages."""
    found: list[Any] = []
    token = ""
    for _ in range(100):
        query = {"nextToken": token} if token else {}
        page = backend.call("GET", "/api/tenant/export", tenant=tenant, scopes="admin", query=query)
        assert page.status == 200, page
        assert len(page.body) < 5_000_000
        found += page.json["items"]
        token = page.json["nextToken"]
        if not token:
            return found
    raise AssertionError("the export does not end")


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


def test_a_tenant_with_nothing_has_an_empty_one(backend: Backend) -> None:
    assert export(backend, "nobody") == []


@pytest.mark.parametrize("token", ["made up", "eyJraW5kIjoieCIsInRva2VuIjoiIn0"])
def test_a_token_of_another_list_is_refused(backend: Backend, token: str) -> None:
    answer = backend.call("GET", "/api/tenant/export", scopes="admin", query={"nextToken": token})
    assert answer.status == 422


def test_it_needs_an_admin(backend: Backend) -> None:
    assert backend.call("GET", "/api/tenant/export", scopes="read write").status == 403
