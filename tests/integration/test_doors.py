"""One set of limits at every door: what is nested too deeply comes in nowhere, and what came in can
always be read again."""

from typing import Any

import pytest

from integrations import strict_json
from tests.backend import Answer, Backend
from tests.fakes.receiver import Receiver, Reply
from tests.integration.flows import flow
from tests.integration.guarded_routes import GUARDED, named, path_of
from tools.template import Route


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def send(url: str, body: Any) -> dict[str, Any]:
    params = {"url": url, "json": body}
    return {"id": "a", "action": "webhook.send", "params": params, "onError": "continue"}


def readable(backend: Backend) -> None:
    """Whatever is in the lists can be shown, whole and in parts."""
    for each in backend.call("GET", "/api/executions").json["items"]:
        path = f"/api/executions/{each['executionId']}"
        shown = backend.call("GET", path)
        assert shown.status == 200
        for run in shown.json["steps"]:
            assert backend.call("GET", f"{path}/steps/{run['id']}/output").status == 200
    for each in backend.call("GET", "/api/events").json["items"]:
        assert backend.call("GET", f"/api/events/{each['eventId']}").status == 200


@pytest.mark.parametrize("depth", [strict_json.MAX_DEPTH - 34, strict_json.MAX_DEPTH + 40])
def test_every_door_has_the_same_depth(backend: Backend, depth: int) -> None:
    backend.save("webhook", {"url": "https://example.com/hooks/orders"})
    fits = depth <= strict_json.MAX_DEPTH

    def check(answer: Answer) -> None:
        assert answer.status == 200 if fits else answer.status in {400, 422}, answer

    with Receiver() as receiver:
        receiver.default = Reply(body=b"[" * depth + b"1" + b"]" * depth)
        text = "{{ " + "[" * depth + "1" + "]" * depth + " }}"
        trigger = {"type": "webhook", "webhookId": "orders"}
        steps = [send(receiver.url(), body) for body in (text, nested(depth), "{{ trigger.body }}")]
        for step in steps:
            saved = backend.call("POST", "/api/workflows", flow(trigger=trigger, steps=[step]))
            assert saved.status in {200, 400, 422}, saved
            if saved.status == 200:
                path = f"/api/workflows/{saved.json['workflowId']}/run"
                check(backend.call("POST", path, {"input": {"body": nested(depth)}}))
        action = {"params": {"url": receiver.url(), "json": nested(depth)}}
        check(backend.call("POST", "/api/integrations/webhook/actions/send", action))
        assert backend.deliver("orders", nested(depth)).status in {200, 400}
        backend.drain()
    readable(backend)


@pytest.mark.parametrize(
    "route", [each for each in GUARDED if each.function != "get_connect_session"], ids=named
)
def test_a_parameter_that_there_is_not_is_refused_by_its_name(
    backend: Backend, route: Route
) -> None:
    query = {"webhokId": "orders", "x" * 500: "1"}
    answer = backend.call(route.method, path_of(route), scopes="read write admin", query=query)
    assert answer.status == 422, answer
    assert [each["field"] for each in answer.json["errors"]] == ["webhokId", "x" * 64]


def test_a_mistyped_filter_is_told_what_it_may_have_meant(backend: Backend) -> None:
    answer = backend.call("GET", "/api/events", query={"webhokId": "orders"})
    (error,) = answer.json["errors"]
    assert error["message"] == "There is no such parameter; did you mean 'webhookId'?"
