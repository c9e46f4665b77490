"""GET /api/executions."""

from typing import Any

import pytest

from tests.backend import Backend
from tests.fakes.telegram import TelegramServer
from tests.integration.flows import say, started


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    backend.begin_with(("telegram", {"botToken": telegram.token}, "default"))


def listed(backend: Backend, **query: Any) -> list[str]:
    """The ids on all pages."""
    found: list[str] = []
    while True:
        answer = backend.call("GET", "/api/executions", query=query)
        assert answer.status == 200, answer
        found += [each["executionId"] for each in answer.json["items"]]
        if not answer.json["nextToken"]:
            return found
        query["nextToken"] = answer.json["nextToken"]


def test_the_newest_come_first_page_by_page(backend: Backend) -> None:
    ids = [started(backend, say("x")) for _ in range(5)]
    assert listed(backend) == ids[::-1]
    assert listed(backend, limit=2) == ids[::-1]


def test_the_filters_go_together(backend: Backend) -> None:
    good = started(backend, say("x"))
    backend.drain()
    bad = started(backend, say("{{ trigger.no.such }}"))
    backend.drain()
    waiting = started(backend, say("x"))
    workflow_id = backend.execution(bad)["workflowId"]
    moment = backend.execution(bad)["createdAt"]
    assert listed(backend, status="succeeded") == [good]
    assert listed(backend, status="failed") == [bad]
    assert listed(backend, status="queued") == [waiting]
    assert listed(backend, workflowId=workflow_id) == [bad]
    assert listed(backend, workflowId=workflow_id, status="succeeded") == []
    assert listed(backend, since=moment) == [waiting, bad]
    assert listed(backend, until=moment) == [bad, good]
    assert listed(backend, since=moment, until=moment, status="failed", limit=1) == [bad]


def test_a_summary_tells_why_it_failed_and_holds_no_data(backend: Backend) -> None:
    started(backend, say("{{ trigger.no.such }}"), given={"private": "words of a customer"})
    backend.drain()
    answer = backend.call("GET", "/api/executions")
    (summary,) = answer.json["items"]
    assert summary["error"]["code"] == "expression_error"
    assert "words of a customer" not in answer.body


def test_another_tenants_executions_do_not_show(backend: Backend) -> None:
    started(backend, say("x"))
    assert backend.executions(tenant="other") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"status": "done"}, "status"),
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-13-01"}, "until"),
        ({"workflowId": "a b"}, "workflowId"),
        ({"workflowId": "x" * 100}, "workflowId"),
    ],
)
def test_a_query_of_the_wrong_form_is_told(
    backend: Backend, query: dict[str, Any], field: str
) -> None:
    answer = backend.call("GET", "/api/executions", query=query)
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert field in answer.fields


@pytest.mark.parametrize(
    "query",
    [
        {"since": "0001-01-01T00:00:00+14:00"},
        {"until": "9999-12-31T23:59:59-14:00"},
        {"since": "9999-12-31T23:59:59Z", "until": "0001-01-01T00:00:00Z"},
        {"since": "2026-11-22T12:00:00"},
        {"since": "2026-11-22"},
        {"since": "1795348800"},
        {"until": "2026-11-22T12:00:00+00:00"},
    ],
    ids=repr,
)
def test_moments_at_the_ends_of_time_are_no_failure(
    backend: Backend, query: dict[str, str]
) -> None:
    answer = backend.call("GET", "/api/executions", query=query)
    assert answer.status == (422 if "14:00" in str(query) else 200)


@pytest.mark.parametrize("token", ["nonsense", "e30", "bnVsbA", "eyJpZCI6IngiLCJrZXkiOiIifQ"])
def test_a_token_that_we_never_gave_is_refused(backend: Backend, token: str) -> None:
    answer = backend.call("GET", "/api/executions", query={"nextToken": token})
    assert (answer.status, answer.code) == (422, "invalid_input")


def test_a_token_of_other_filters_is_refused(backend: Backend) -> None:
    for _ in range(3):
        started(backend, say("x"))
    token = backend.call("GET", "/api/executions", query={"limit": 1}).json["nextToken"]
    answer = backend.call(
        "GET", "/api/executions", query={"until": "2020-01-01T00:00:00Z", "nextToken": token}
    )
    assert (answer.status, answer.code) == (422, "invalid_input")
