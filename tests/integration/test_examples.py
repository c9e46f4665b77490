"""The inputs in ``events/``: their functions take them, in an order that does something."""

import json
from typing import Any

import pytest

from local import examples
from tests.backend import EVENTS, Backend, event

pytestmark = pytest.mark.usefixtures("built_console")

HTTP = [
    (path.parent.name, path.stem)
    for path in sorted(EVENTS.glob("*/*.json"))
    if "headers" in json.loads(path.read_text(encoding="utf-8"))
]
# They ask providers that nobody plays here.
ASK_OTHERS = {("save_credentials", "email"), ("save_credentials", "facebook")}


def test_every_input_is_in_the_order() -> None:
    order = [each.name for each in examples.in_order()]
    assert sorted(order) == sorted(
        f"{path.parent.name}/{path.stem}" for path in EVENTS.glob("*/*.json")
    )


@pytest.mark.usefixtures("telegram", "facebook")
def test_in_its_order_every_input_answers_as_it_is_written(backend: Backend) -> None:
    known: dict[str, str] = {}
    written, found = {}, {}
    reasons: list[str] = []
    for example in examples.in_order():
        if example.function == "run_erasure":
            reasons = [each["trigger"]["type"] for each in backend.executions(tenant="dev")]
        result = backend.invoke(example.function, example.event(known))
        # No consumer is faster here than the next input.
        written[example.name] = example.answers[0]
        found[example.name] = examples.answer_of(result)
        if example.function in {"dispatch_event", "run_workflow", "run_job", "run_erasure"}:
            assert result == {"batchItemFailures": []}, example.name
        known |= examples.ids_in(examples.body_of(result))
    assert {
        name: (found[name], written[name]) for name in found if found[name] != written[name]
    } == {}
    # The schedule's tick, the order, the start by hand, and the one that ran again.
    assert sorted(reasons) == ["schedule", "webhook", "webhook", "webhook"]


def test_an_input_takes_the_ids_that_answers_named() -> None:
    answer = {
        "executionId": "exe_1",
        "trigger": {"eventId": "manual:x"},
        "items": [{"workflowId": "wf_2"}],
    }
    assert examples.ids_in(answer) == {"executionId": "exe_1"}
    path = examples.Example("get_execution", "one").event({"executionId": "exe_1"})["rawPath"]
    assert path == "/api/executions/exe_1"


def titled(payload: dict[str, Any]) -> dict[str, Any]:
    headers = payload["headers"].items()
    return payload | {
        "headers": {"-".join(map(str.capitalize, name.split("-"))): each for name, each in headers}
    }


@pytest.mark.parametrize(("function", "case"), [each for each in HTTP if each not in ASK_OTHERS])
@pytest.mark.usefixtures("telegram")
def test_a_header_may_be_written_in_title_case(backend: Backend, function: str, case: str) -> None:
    plain = backend.invoke(function, event(function, case))
    backend.aws.reset()
    written = backend.invoke(function, titled(event(function, case)))
    assert written.get("statusCode") == plain.get("statusCode")
    assert written.get("isAuthorized") == plain.get("isAuthorized")
