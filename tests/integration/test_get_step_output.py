"""GET /api/executions/{executionId}/steps/{stepId}/output."""

import json
from typing import Any, cast

import pytest

from integrations.entry import wiring
from integrations.entry.problem import MAX_EVENT_BYTES
from integrations.storage.paging import encode_token
from tests.backend import Answer, Backend, noise
from tests.fakes.receiver import Receiver, Reply
from tests.integration.flows import expire_leases, started


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


def stored_as(backend: Backend, execution_id: str, value: Any, **more: Any) -> None:
    """Put a value in the place of the step's output (or of a round's), stored apart."""
    executions = wiring.executions()
    stored = executions.get("acme", execution_id)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    key = wiring.execution_service().values(stored).put(text)
    state = cast("Any", stored.state)
    place = str(more.get("round", ""))
    apart = {**(state["steps"][0]["stored"] or {}), place: {"key": key, "bytes": len(text)}}
    state["steps"][0] |= {"stored": apart}
    executions.replace(stored, due_at=None)


def parts(backend: Backend, execution_id: str) -> list[Any]:
    """Every page of an output, each of which Lambda must be able to answer."""
    found: list[Any] = []
    token = None
    while True:
        answer = output(backend, execution_id, query={"nextToken": token} if token else "")
        # As the runtime writes it: JSON in JSON.
        assert len(json.dumps(answer.body, ensure_ascii=False).encode()) < MAX_EVENT_BYTES
        found.append(answer.json)
        token = found[-1]["nextToken"]
        if not token:
            return found


@pytest.mark.parametrize("unit", ["ж", "😀", '"', "\\", "\x01", "\n", "x"])
@pytest.mark.parametrize("length", [160_000, 999_000, 2_500_000])
def test_whatever_an_output_holds_lambda_can_answer_with_it(
    backend: Backend, unit: str, length: int
) -> None:
    execution_id = started(backend, sent())
    backend.drain()
    stored_as(backend, execution_id, unit * length)
    found = parts(backend, execution_id)
    whole = found[0]["output"] or json.loads("".join(each["text"] for each in found))
    assert whole == unit * length


def test_a_very_long_round_comes_alone_in_parts_of_its_text(backend: Backend) -> None:
    execution_id = started(backend, sent(forEach="range(3)", params={"json": "{{ item }}"}))
    backend.drain()
    stored_as(backend, execution_id, '"' * 1_500_000, round=1)
    items = [item for page in parts(backend, execution_id) for item in page["items"]]
    assert [each["index"] for each in items] == [0, 1, 1, 1, 1, 2]
    assert [each["text"] is None for each in items] == [True, *[False] * 4, True]
    assert json.loads("".join(each["text"] or "" for each in items)) == '"' * 1_500_000
    assert items[0]["output"]["status"] == items[-1]["output"]["status"] == 200


@pytest.mark.parametrize("at", ["x", "-1", "1.x", ".5", "1.-2"])
def test_a_token_that_was_never_given_is_refused(backend: Backend, at: str) -> None:
    execution_id = started(backend, sent())
    backend.drain()
    token = encode_token({"at": at})
    assert output(backend, execution_id, query={"nextToken": token}).code == "invalid_input"


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
