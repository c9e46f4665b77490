"""POST /api/workflows/{workflowId}/run."""

from typing import Any

import pytest

from integrations.entry import wiring
from integrations.services.lineage import MAX_HOPS
from tests.backend import Answer, Backend, noise
from tests.fakes.receiver import Receiver
from tests.fakes.telegram import TelegramServer
from tests.integration.flows import flow, step


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    backend.begin_with(("telegram", {"botToken": telegram.token}, "default"))


@pytest.fixture
def workflow_id(backend: Backend, _ready: None) -> str:
    made = backend.create_workflow(flow(trigger={"type": "manual"}))
    return str(made["workflowId"])


def start(backend: Backend, workflow_id: str, body: Any = None, **more: Any) -> Answer:
    return backend.call("POST", f"/api/workflows/{workflow_id}/run", body, **more)


def test_a_run_is_queued_and_shown_with_its_input(
    backend: Backend, telegram: TelegramServer, workflow_id: str
) -> None:
    answer = start(backend, workflow_id, {"input": {"body": {"id": 42}}})
    assert answer.status == 200
    assert answer.json["status"] == "queued"
    assert answer.json["trigger"]["data"] == {"body": {"id": 42}}
    (message,) = backend.aws.sent("ExecutionsQueue")
    body = message.json()
    assert (body["tenant"], body["executionId"]) == ("acme", answer.json["executionId"])
    assert message.group == "acme"
    backend.drain()
    assert backend.execution(answer.json["executionId"])["status"] == "succeeded"
    assert telegram.last.params["text"] == "Order 42"


def test_a_run_without_a_body_has_an_empty_input(backend: Backend, workflow_id: str) -> None:
    assert start(backend, workflow_id).json["trigger"]["data"] == {}
    assert start(backend, workflow_id, {}).json["trigger"]["data"] == {}


def test_each_run_is_its_own(backend: Backend, workflow_id: str) -> None:
    ids = {start(backend, workflow_id).json["executionId"] for _ in range(3)}
    assert len(ids) == 3


def test_the_same_key_starts_once(backend: Backend, workflow_id: str) -> None:
    key = {"Idempotency-Key": "order-42"}
    ids = {
        start(backend, workflow_id, headers=key, written=written).json["executionId"]
        for written in (str.lower, str.title, str.upper)
    }
    assert len(ids) == 1
    backend.drain()
    assert len(backend.executions()) == 1
    again = start(backend, workflow_id, headers=key)
    assert again.json["executionId"] in ids
    assert again.json["status"] in {"succeeded", "failed"}
    assert backend.aws.sent("ExecutionsQueue") == []


def test_the_same_key_of_another_workflow_is_another_run(
    backend: Backend, workflow_id: str
) -> None:
    other = backend.create_workflow(flow(trigger={"type": "manual"}))["workflowId"]
    key = {"Idempotency-Key": "order-42"}
    ids = {start(backend, each, headers=key).json["executionId"] for each in (workflow_id, other)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("first", "second"), [({"paid": 1}, {"paid": True}), ({"n": [0]}, {"n": [False]})]
)
def test_true_is_another_input_than_1(
    backend: Backend, workflow_id: str, first: Any, second: Any
) -> None:
    key = {"Idempotency-Key": "order-42"}
    assert start(backend, workflow_id, {"input": first}, headers=key).status == 200
    answer = start(backend, workflow_id, {"input": second}, headers=key)
    assert (answer.status, answer.code) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    "first", [{"id": 1}, {"id": 1, "note": "n" * 50_000}], ids=["small", "large"]
)
def test_the_same_key_with_another_input_is_refused_and_starts_nothing(
    backend: Backend, workflow_id: str, first: Any
) -> None:
    key = {"Idempotency-Key": "order-42"}
    assert start(backend, workflow_id, {"input": first}, headers=key).status == 200
    backend.drain()
    answer = start(backend, workflow_id, {"input": first | {"id": 2}}, headers=key)
    assert (answer.status, answer.code) == (422, "idempotency_key_reused")
    assert backend.aws.sent("ExecutionsQueue") == []
    again = start(backend, workflow_id, {"input": first}, headers=key)
    assert again.status == 200
    assert len(backend.executions()) == 1


def test_a_switched_off_workflow_can_be_run_by_hand(backend: Backend) -> None:
    made = backend.create_workflow(flow(trigger={"type": "manual"}, enabled=False))
    assert start(backend, made["workflowId"]).status == 200


def test_a_large_file_in_the_input_is_a_file_of_the_run(
    backend: Backend, telegram: TelegramServer
) -> None:
    send: Any = {"id": "send", "action": "telegram.sendDocument"}
    send["params"] = {"chatId": 1, "document": "{{ trigger.file }}"}
    made = backend.create_workflow(flow(trigger={"type": "manual"}, steps=[send]))
    given = {"fileName": "a.bin", "contentType": "a/b", "contentBase64": "AAAA" * 50_000}
    answer = start(backend, made["workflowId"], {"input": {"file": given}})
    assert answer.status == 200, answer
    assert answer.json["trigger"]["data"]["file"]["size"] == 150_000
    backend.drain()
    assert backend.execution(answer.json["executionId"])["status"] == "succeeded"
    assert telegram.last.files["document"].content == bytes(150_000)


def test_the_same_key_with_the_same_large_file_starts_once(
    backend: Backend, workflow_id: str
) -> None:
    key = {"Idempotency-Key": "order-42"}
    given = {"fileName": "a.bin", "contentType": "a/b", "contentBase64": "AAAA" * 50_000}
    first = start(backend, workflow_id, {"input": {"file": given}}, headers=key)
    assert first.status == 200, first
    again = start(backend, workflow_id, {"input": {"file": given}}, headers=key)
    assert again.json["executionId"] == first.json["executionId"]
    other = {"file": given | {"contentBase64": "BBBB" * 50_000}}
    assert start(backend, workflow_id, {"input": other}, headers=key).status == 422


def test_a_large_input_is_kept_in_s3_and_shown_whole(
    backend: Backend, telegram: TelegramServer, workflow_id: str
) -> None:
    given = {"body": {"id": 42, "note": noise(50_000)}}
    answer = start(backend, workflow_id, {"input": given})
    assert answer.json["trigger"]["data"] == given
    (key,) = backend.aws.objects()
    assert key.startswith("payloads/")
    assert "acme" not in key
    assert all(len(repr(row)) < 10_000 for row in backend.aws.rows("ExecutionsTable"))
    backend.drain()
    execution = backend.execution(answer.json["executionId"])
    assert execution["status"] == "succeeded"
    assert execution["trigger"]["data"] == given
    assert telegram.last.params["text"] == "Order 42"


def test_another_tenants_workflow_is_not_run(backend: Backend, workflow_id: str) -> None:
    answer = start(backend, workflow_id, tenant="other")
    assert (answer.status, answer.code) == (404, "unknown_workflow")
    assert backend.aws.rows("ExecutionsTable") == []


@pytest.mark.parametrize(
    ("body", "field"),
    [({"input": []}, "input"), ({"input": "x"}, "input"), ({"inputs": {}}, "inputs")],
)
def test_a_body_of_the_wrong_form_is_told_by_its_field(
    backend: Backend, workflow_id: str, body: Any, field: str
) -> None:
    answer = start(backend, workflow_id, body)
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert field in answer.fields


def test_an_endless_key_is_refused(backend: Backend, workflow_id: str) -> None:
    answer = start(backend, workflow_id, headers={"Idempotency-Key": "x" * 257})
    assert (answer.status, answer.code) == (422, "invalid_input")


def test_a_queue_that_does_not_answer_loses_no_run(backend: Backend, workflow_id: str) -> None:
    backend.aws.fail("SendMessage", "ServiceUnavailable", status=503)
    key = {"Idempotency-Key": "order-42"}
    assert start(backend, workflow_id, headers=key).status == 503
    backend.aws.recover()
    assert start(backend, workflow_id, headers=key).status == 200
    backend.drain()
    assert len(backend.executions()) == 1


def test_a_template_on_what_was_not_given_fails_visibly(backend: Backend, workflow_id: str) -> None:
    answer = start(backend, workflow_id, {"input": {}})
    backend.drain()
    execution = backend.execution(answer.json["executionId"])
    assert execution["status"] == "failed"
    assert execution["error"]["code"] == "expression_error"
    assert execution["error"]["step"] == step()["id"]


# -- What leads to what ----------------------------------------------------------------------


def test_a_start_by_a_step_of_ours_is_counted_and_ends(backend: Backend) -> None:
    made = backend.create_workflow(flow(trigger={"type": "manual"}))
    path = f"/api/workflows/{made['workflowId']}/run"
    for hops, status in ((MAX_HOPS, "queued"), (MAX_HOPS + 1, "failed")):
        header = {"Integrations-Hops": wiring.lineage().header(hops, "step_1")}
        answer = backend.call("POST", path, {"input": {}}, headers=header)
        assert (answer.status, answer.json["status"]) == (200, status)
    assert answer.json["error"]["code"] == "cycle_detected"
    forged = {"Integrations-Hops": "999"}
    answer = backend.call("POST", path, {"input": {}}, headers=forged)
    assert answer.json["status"] == "queued"


def test_what_a_step_sends_proves_how_many_led_to_it(backend: Backend, receiver: Receiver) -> None:
    backend.save("webhook", {"url": "https://example.com/hooks/out", "outboundUrl": receiver.url()})
    steps = [{"id": "out", "action": "webhook.send", "params": {"json": {"a": 1}}}]
    made = backend.create_workflow(flow(trigger={"type": "manual"}, steps=steps))
    path = f"/api/workflows/{made['workflowId']}/run"
    header = {"Integrations-Hops": wiring.lineage().header(2, "step_1")}
    assert backend.call("POST", path, {"input": {}}, headers=header).status == 200
    backend.drain()
    assert wiring.lineage().hops_of(receiver.last.headers["integrations-hops"]) == 3


def test_a_start_is_in_the_log_and_can_be_replayed(backend: Backend, workflow_id: str) -> None:
    key = {"Idempotency-Key": "order-42"}
    given = {"input": {"body": {"id": 42}}}
    for _ in range(2):
        started = start(backend, workflow_id, given, headers=key).json["executionId"]
    (logged,) = backend.call("GET", "/api/events").json["items"]
    assert (logged["provider"], logged["outcome"], logged["executions"]) == (
        "manual", "dispatched", 1,
    )  # fmt: skip
    whole = backend.call("GET", f"/api/events/{logged['eventId']}").json
    assert whole["events"][0]["data"] == given["input"]
    assert [each["executionId"] for each in whole["workflows"]] == [started]
    answer = backend.call("POST", f"/api/events/{logged['eventId']}/replay", {})
    assert answer.status == 200
    backend.drain()
    assert [each["status"] for each in backend.executions()] == ["succeeded"] * 2
    assert {each["trigger"]["data"]["body"]["id"] for each in backend.executions()} == {42}
