"""Events that tests deliver, list and replay, and the jobs that do so."""

from typing import Any

from tests.backend import Backend


def listed(backend: Backend, **query: Any) -> list[Any]:
    """The events on all pages."""
    found: list[Any] = []
    while True:
        answer = backend.call("GET", "/api/events", query=query)
        assert answer.status == 200, answer
        found += answer.json["items"]
        if not answer.json["nextToken"]:
            return found
        query["nextToken"] = answer.json["nextToken"]


def post(backend: Backend, body: Any = None, webhook: str = "orders") -> str:
    """Deliver and dispatch; returns the event's id."""
    answer = backend.deliver(webhook, body if body is not None else {"id": 1})
    assert answer.status == 200, answer
    assert backend.dispatch() == []
    return str(answer.json["eventId"])


def shown(backend: Backend, event_id: str) -> Any:
    answer = backend.call("GET", f"/api/events/{event_id}")
    assert answer.status == 200, answer
    return answer.json


def begin(backend: Backend, **body: Any) -> Any:
    answer = backend.call("POST", "/api/events/replay", {"filter": {}} | body)
    assert answer.status == 200, answer
    return answer.json


def job(backend: Backend, job_id: str) -> Any:
    answer = backend.call("GET", f"/api/jobs/{job_id}")
    assert answer.status == 200, answer
    return answer.json


def receive(backend: Backend, count: int) -> None:
    for number in range(count):
        assert backend.deliver("orders", {"id": number}).status == 200
    while backend.aws.sent("EventsQueue"):
        assert backend.dispatch() == []
