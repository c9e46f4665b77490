"""GET /api/executions/{executionId}/steps/{stepId}/output."""

import json
from typing import Any, cast

import pytest

from integrations.entry import wiring
from tests.backend import Answer, Backend, noise
from tests.fakes.receiver import Receiver, Reply
from tests.integration.test_run_workflow import expire_leases, started


@pytest.fixture(autouse=True)
def _ready(backend: Backend, receiver: Receiver) -> None:
    url = "https://example.com/hooks/orders"
    backend.save("webhook", {"url": url, "outboundUrl": receiver.url("/in")})


def output(backend: Backend, execution_id: str, step: str = "a", **more: Any) -> Answer:
    return backend.call("GET", f"/api/executions/{execution_id}/steps/{step}/output", **more)


def sent(**fields: Any) -> dict[str, Any]:
    return {"id": "a", "action": "webhook.send", "params": {"json": 1}, **fields}


@pytest.mark.parametrize("length", [10, 40_000, 60_000])
def test_an_output_is_there_whole(backend: Backend, receiver: Receiver, length: int) -> None:
    text = noise(length // 2)
    receiver.default = Reply(200, json.dumps({"x": text}).encode())
    execution_id = started(backend, sent())
    backend.drain()
    step = backend.execution(execution_id)["steps"][0]
    answer = output(backend, execution_id)
    assert answer.json["output"]["body"] == {"x": text}
    if length > 32 * 1024:
        assert step["output"]["truncated"] is True
        path = f"/api/executions/{execution_id}/steps/a/output"
        assert step["outputUrl"] == path
    else:
        assert step["output"] == answer.json["output"]
        assert step["outputUrl"] is None


def test_a_later_step_sees_a_large_output_whole(backend: Backend, receiver: Receiver) -> None:
    text = noise(30_000)
    receiver.reply(Reply(200, json.dumps({"x": text}).encode()))
    later = sent(id="b", params={"json": {"end": "{{ steps.a.output.body.x[-10:] }}"}})
    started(backend, sent(), later)
    backend.drain()
    assert receiver.received[1].json() == {"end": text[-10:]}


def test_a_bucket_that_is_down_between_two_writes_leaves_no_half_record(
    backend: Backend, receiver: Receiver
) -> None:
    text = noise(30_000)
    receiver.default = Reply(200, json.dumps({"x": text}).encode())
    later = sent(id="b", params={"json": {"end": "{{ steps.a.output.body.x[-10:] }}"}})
    execution_id = started(backend, sent(), later)
    message = backend.aws.take("ExecutionsQueue")
    backend.aws.fail_payloads()
    assert backend.consume("run_workflow", message) == [message[0].id]
    halted = backend.execution(execution_id)
    assert [step["status"] for step in halted["steps"]] == ["running", "pending"]
    assert halted["steps"][0]["output"] is None
    assert output(backend, execution_id).json["output"] is None
    backend.aws.recover()
    expire_leases(backend)
    assert backend.consume("run_workflow", message, receives=2) == []
    assert backend.execution(execution_id)["status"] == "succeeded"
    assert output(backend, execution_id).json["output"]["body"] == {"x": text}
    assert list(receiver.deliveries().values()) == [2, 1], "it may be repeated, with the same id"
    assert receiver.received[-1].json() == {"end": text[-10:]}


def test_the_results_of_a_loop_come_in_pages(backend: Backend) -> None:
    execution_id = started(backend, sent(forEach="range(120)", params={"json": "{{ item }}"}))
    backend.drain()
    step = backend.execution(execution_id)["steps"][0]
    assert len(step["output"]) == 100
    assert step["outputUrl"]
    first = output(backend, execution_id, query={"limit": 70}).json
    assert [each["index"] for each in first["items"]] == list(range(70))
    second = output(
        backend, execution_id, query={"limit": 70, "nextToken": first["nextToken"]}
    ).json
    assert [each["index"] for each in second["items"]] == list(range(70, 120))
    assert second["nextToken"] is None
    assert second["items"][-1]["output"]["status"] == 200


def test_a_very_long_output_comes_in_parts_of_its_text(backend: Backend) -> None:
    execution_id = started(backend, sent())
    backend.drain()
    executions = wiring.executions()
    stored = executions.get("acme", execution_id)
    text = json.dumps({"x": "ß" * 1_100_000}, ensure_ascii=False).encode()
    key = wiring.execution_service().values(stored).put(text)
    state = cast("Any", stored.state)
    state["steps"][0] |= {"stored": {"": {"key": key, "bytes": len(text)}}}
    executions.replace(stored, due_at=None)
    first = output(backend, execution_id).json
    second = output(backend, execution_id, query={"nextToken": first["nextToken"]}).json
    assert json.loads(first["text"] + second["text"]) == {"x": "ß" * 1_100_000}
    assert second["nextToken"] is None


def test_what_is_not_there_is_not_shown(backend: Backend) -> None:
    execution_id = started(backend, sent())
    backend.drain()
    assert output(backend, execution_id, tenant="other").code == "unknown_execution"
    assert output(backend, execution_id, step="nope").code == "unknown_step"
    assert output(backend, execution_id, query={"nextToken": "x"}).code == "invalid_input"


def test_an_output_that_is_no_longer_stored_is_said_to_be_gone(
    backend: Backend, receiver: Receiver
) -> None:
    text = noise(30_000)
    receiver.default = Reply(200, json.dumps({"x": text}).encode())
    execution_id = started(backend, sent())
    backend.drain()
    (key,) = backend.aws.objects()
    backend.aws.client.s3.delete_object(Bucket=backend.aws.names["PayloadsBucket"], Key=key)
    answer = output(backend, execution_id)
    assert (answer.status, answer.code) == (404, "value_gone")
    assert backend.execution(execution_id)["steps"][0]["output"]["truncated"] is True
