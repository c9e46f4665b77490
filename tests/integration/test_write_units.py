"""What deliveries and executions cost in write units, counted at the tables with every index."""

from random import Random
from string import ascii_letters, digits
from typing import Any

import pytest

from tests.backend import Backend
from tests.fakes.receiver import Receiver
from tests.fakes.telegram import TelegramServer
from tests.integration.flows import flow, started

BUDGET = 12
"""Of one delivery of 2 KB and its execution of one step, all tables and indexes together."""

TABLES = ("EventsTable", "ExecutionsTable", "WebhooksTable", "ConnectionsTable", "QuotasTable")

ONCE = {"action": "telegram.sendMessage", "params": {"chatId": 42, "text": "{{ trigger.body.id }}"}}
"""A step that is not to be repeated."""

AGAIN = {"action": "webhook.send", "params": {"json": {"id": "{{ trigger.body.id }}"}}}
"""A step that may be."""


@pytest.fixture(autouse=True)
def _ready(backend: Backend, receiver: Receiver, telegram: TelegramServer) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    url = "https://example.com/hooks/orders"
    backend.save("webhook", {"url": url, "outboundUrl": receiver.url("/in")})


def event(size: int) -> dict[str, Any]:
    """What packs badly: letters at random."""
    letters = Random(size).choices(ascii_letters + digits, k=size - 24)
    return {"id": 42, "text": "".join(letters)}


def delivered(backend: Backend, *steps: dict[str, Any], size: int = 2000) -> int:
    """The units of a delivery, from its arrival to its execution's end; no steps, no workflow."""
    webhook = f"orders-{len(steps)}-{size}-{len(backend.executions())}"
    backend.save("webhook", {"url": f"https://example.com/hooks/{webhook}"}, webhook)
    backend.deliver(webhook, {"id": 0})  # since when the webhook is known to be in use
    backend.drain()
    if steps:
        trigger = {"type": "webhook", "webhookId": webhook}
        named = [each | {"id": f"step{n}"} for n, each in enumerate(steps)]
        backend.create_workflow(flow(trigger=trigger, steps=named))
    before = sum(map(backend.aws.units, TABLES))
    assert backend.deliver(webhook, event(size)).status == 200
    backend.drain()
    assert {each["status"] for each in backend.executions()} <= {"succeeded"}
    return sum(map(backend.aws.units, TABLES)) - before


@pytest.mark.parametrize("size", [200, 2000])
def test_a_delivery_that_matches_nothing_takes_three_units(backend: Backend, size: int) -> None:
    assert delivered(backend, size=size) <= 3


@pytest.mark.parametrize("step", [ONCE, AGAIN])
def test_a_delivery_with_one_step_keeps_to_its_budget(
    backend: Backend, step: dict[str, Any]
) -> None:
    assert delivered(backend, step) <= BUDGET


@pytest.mark.parametrize("size", [200, 2000, 20_000])
def test_a_step_more_takes_three_units_whatever_the_trigger_s_size(
    backend: Backend, size: int
) -> None:
    spent = [delivered(backend, *[ONCE] * steps, size=size) for steps in (1, 2, 3)]
    assert spent[1] - spent[0] <= 3
    assert spent[2] - spent[1] <= 3


@pytest.mark.parametrize("step", [ONCE, AGAIN])
def test_units_grow_with_the_steps_and_not_with_their_square(
    backend: Backend, step: dict[str, Any]
) -> None:
    twenty, hundred = (delivered(backend, *[step] * steps) for steps in (20, 100))
    assert twenty <= 65
    assert hundred <= 350
    assert hundred <= 5 * twenty


def test_a_run_of_idempotent_steps_is_written_when_it_begins_and_when_it_ends(
    backend: Backend,
) -> None:
    few, many = delivered(backend, AGAIN), delivered(backend, *[AGAIN] * 10)
    assert many - few <= 2, "its length packs into the same two writes"


@pytest.mark.parametrize(
    ("step", "most"),
    [({"action": "telegram.sendMessage", "params": {"chatId": 42, "text": "{{ item }}"}}, 2),
     ({"action": "webhook.send", "params": {"json": "{{ item }}"}}, 0.2)],
)  # fmt: skip
def test_a_round_takes_the_same_however_many_there_were(
    backend: Backend, step: dict[str, Any], most: float
) -> None:
    before = backend.aws.units("ExecutionsTable")
    execution_id = started(backend, step | {"id": "each", "forEach": "range(300)"})
    backend.drain()
    assert backend.execution(execution_id)["status"] == "succeeded"
    assert backend.aws.units("ExecutionsTable") - before <= 300 * most
