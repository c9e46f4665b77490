"""Workflows that tests make and run, and how to see what became of them."""

import time
from typing import Any

import pytest

from integrations.entry import wiring
from integrations.storage.aws import item
from tests.backend import Backend
from tests.fakes.telegram import TelegramServer


def step(**changes: Any) -> dict[str, Any]:
    made = {
        "id": "tell",
        "action": "telegram.sendMessage",
        "params": {"chatId": 42, "text": "Order {{ trigger.body.id }}"},
    }
    return made | changes


def flow(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Orders",
        "trigger": {"type": "webhook", "webhookId": "orders"},
        "steps": [step()],
    } | changes


def manual_flow() -> dict[str, Any]:
    return {
        "name": "x",
        "trigger": {"type": "manual"},
        "steps": [
            {"id": "a", "action": "telegram.sendMessage", "params": {"chatId": 1, "text": "x"}}
        ],
    }


def say(text: str, **changes: Any) -> dict[str, Any]:
    return step(params={"chatId": 42, "text": text}, **changes)


def started(backend: Backend, *steps: dict[str, Any], given: Any = None, **more: Any) -> str:
    """Create a workflow and run it by hand; returns the execution's id."""
    made = backend.create_workflow(flow(trigger={"type": "manual"}, steps=list(steps), **more))
    path = f"/api/workflows/{made['workflowId']}/run"
    answer = backend.call("POST", path, {"input": given or {}})
    assert answer.status == 200, answer
    return str(answer.json["executionId"])


def texts(telegram: TelegramServer) -> list[str]:
    return [call.params["text"] for call in telegram.called("sendMessage")]


class Killed(BaseException):
    """The process ends here."""


def kill_after_the_effect(monkeypatch: pytest.MonkeyPatch, times: int = 1) -> None:
    """Let the process die after a step's effect, before its checkpoint."""
    executions = wiring.executions()
    checkpoint = executions.checkpoint
    left = [times]

    def dying(stored: Any, until: Any) -> Any:
        if left[0] and stored.revision:  # the first write is the lease
            left[0] -= 1
            raise Killed
        return checkpoint(stored, until)

    monkeypatch.setattr(executions, "checkpoint", dying)


def heads(backend: Backend) -> list[dict[str, Any]]:
    """The executions' rows without their parts."""
    rows = backend.aws.rows("ExecutionsTable")
    return [row for row in rows if "#" not in row["executionId"]]


def expire_leases(backend: Backend) -> None:
    for row in backend.aws.rows("ExecutionsTable"):
        if "leaseUntil" in row:
            backend.aws.put("ExecutionsTable", item(row | {"leaseUntil": time.time() - 1}))
