"""GET /api/workflows."""

from typing import Any

import pytest

from tests.backend import Backend
from tests.fakes.telegram import TelegramServer
from tests.integration.flows import manual_flow


def test_pages_hold_each_workflow_once(backend: Backend, telegram: TelegramServer) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    made = {backend.create_workflow(manual_flow())["workflowId"] for _ in range(5)}
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    for _ in range(4):
        answer = backend.call("GET", "/api/workflows", query=query).json
        seen += [each["workflowId"] for each in answer["items"]]
        if not answer["nextToken"]:
            break
        query["nextToken"] = answer["nextToken"]
    assert sorted(seen) == sorted(made)


def test_a_tenant_without_workflows_has_an_empty_page(
    backend: Backend, telegram: TelegramServer
) -> None:
    backend.save("telegram", {"botToken": telegram.token}, tenant="other")
    backend.create_workflow(manual_flow(), tenant="other")
    answer = backend.call("GET", "/api/workflows")
    assert (answer.status, answer.json) == (200, {"items": [], "nextToken": None})


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": "1e1"}, "limit"),
        ({"limit": ""}, "limit"),
        ({"nextToken": "x" * 3000}, "nextToken"),
    ],
)
def test_a_query_of_the_wrong_form_is_told(
    backend: Backend, query: dict[str, Any], field: str
) -> None:
    answer = backend.call("GET", "/api/workflows", query=query)
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert field in answer.fields


@pytest.mark.parametrize("token", ["nonsense", "e30", "bnVsbA", "%00", "eyJ3b3JrZmxvd0lkIjoxfQ"])
def test_a_token_that_we_never_gave_is_refused(backend: Backend, token: str) -> None:
    answer = backend.call("GET", "/api/workflows", query={"nextToken": token})
    assert (answer.status, answer.code) == (422, "invalid_input")
