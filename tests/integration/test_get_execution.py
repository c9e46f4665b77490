"""GET /api/executions/{executionId}."""

from typing import Any

import pytest

from tests.backend import Backend
from tests.fakes.telegram import TelegramServer
from tests.integration.flows import say, started


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer) -> None:
    backend.begin_with(("telegram", {"botToken": telegram.token}, "default"))


def test_an_execution_is_shown_whole(backend: Backend) -> None:
    execution_id = started(backend, say("Hi {{ trigger.name }}"), given={"name": "Ann"})
    before = backend.execution(execution_id)
    assert (before["status"], before["startedAt"], before["finishedAt"]) == ("queued", None, None)
    backend.drain()
    shown = backend.execution(execution_id)
    assert shown["executionId"] == execution_id
    assert shown["trigger"]["data"] == {"name": "Ann"}
    (only,) = shown["steps"]
    assert {"id", "action", "status", "attempts", "input", "output", "error", "durationMs"} <= set(
        only
    )
    assert shown["createdAt"] <= shown["startedAt"] <= shown["finishedAt"]


def test_what_only_the_engine_needs_is_not_shown(backend: Backend) -> None:
    shown = backend.execution(started(backend, say("x")))
    assert not {"hops", "resumeCount"} & shown.keys()


def test_another_tenants_execution_is_not_found(backend: Backend) -> None:
    execution_id = started(backend, say("x"))
    answer = backend.call("GET", f"/api/executions/{execution_id}", tenant="other")
    assert (answer.status, answer.code) == (404, "unknown_execution")
    answer = backend.call("GET", "/api/executions/exe_unknown")
    assert (answer.status, answer.code) == (404, "unknown_execution")


@pytest.mark.parametrize(
    "given",
    [
        {"text": "\u2028 </script> \x00 🙂"},
        {"deep": [[[[[[[[[[1]]]]]]]]]]},
        {"numbers": [0, -1, 1.5, 1e300, 2**60, True, None]},
        {"__proto__": {"x": 1}, "constructor": 1, "": ""},
    ],
    ids=range(4),
)
def test_an_input_of_any_kind_is_shown_as_it_was(backend: Backend, given: Any) -> None:
    execution_id = started(backend, say("x"), given=given)
    backend.drain()
    assert backend.execution(execution_id)["trigger"]["data"] == given
