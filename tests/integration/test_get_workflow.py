"""GET /api/workflows/{workflowId}."""

from tests.backend import Backend
from tests.fakes.telegram import TelegramServer
from tests.integration.flows import manual_flow


def test_a_workflow_is_shown_whole(backend: Backend, telegram: TelegramServer) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    made = backend.create_workflow(manual_flow())
    answer = backend.call("GET", f"/api/workflows/{made['workflowId']}")
    assert (answer.status, answer.json) == (200, made)
    assert answer.json["trigger"] == {"type": "manual"}
    assert answer.json["webhookUrl"] is None


def test_another_tenants_workflow_is_not_found(backend: Backend, telegram: TelegramServer) -> None:
    backend.save("telegram", {"botToken": telegram.token}, tenant="other")
    made = backend.create_workflow(manual_flow(), tenant="other")
    answer = backend.call("GET", f"/api/workflows/{made['workflowId']}")
    assert (answer.status, answer.code) == (404, "unknown_workflow")


def test_an_unknown_workflow_is_not_found(backend: Backend) -> None:
    answer = backend.call("GET", "/api/workflows/wf_unknown")
    assert (answer.status, answer.code) == (404, "unknown_workflow")
