"""What executions cost in write units, counted at the table with every index."""

from random import Random
from typing import Any

import pytest

from tests.backend import Backend
from tests.fakes.receiver import Receiver
from tests.integration.test_run_workflow import started

EVENT_UNITS = 4
"""What the event's own record takes of the budget of one delivery."""


@pytest.fixture(autouse=True)
def _ready(backend: Backend, receiver: Receiver) -> None:
    url = "https://example.com/hooks/orders"
    backend.save("webhook", {"url": url, "outboundUrl": receiver.url("/in")})


def event(size: int) -> dict[str, Any]:
    """Data that packs as an order does: names and numbers."""
    chance = Random(7)  # noqa: S311 - the same each time
    rows = []
    while sum(map(len, map(str, rows))) < size:
        rows.append({"sku": f"sku-{chance.randrange(10**6)}", "quantity": chance.randrange(20)})
    return {"order": {"id": chance.randrange(10**9), "rows": rows}}


def units(backend: Backend, steps: int, size: int = 2000) -> int:
    """The units of an execution from its creation to its end."""
    send = {"action": "webhook.send", "params": {"json": {"id": "{{ trigger.order.id }}"}}}
    before = backend.aws.units("ExecutionsTable")
    execution_id = started(
        backend, *(send | {"id": f"step{n}"} for n in range(steps)), given=event(size)
    )
    backend.drain()
    assert backend.execution(execution_id)["status"] == "succeeded"
    return backend.aws.units("ExecutionsTable") - before


def test_one_step_of_a_small_event_takes_eight_units(backend: Backend) -> None:
    assert units(backend, 1, size=200) <= 12 - EVENT_UNITS


def test_a_step_more_takes_three_units_at_most(backend: Backend) -> None:
    assert units(backend, 2) - units(backend, 1) <= 3


def test_units_grow_with_the_steps_and_not_with_their_square(backend: Backend) -> None:
    assert units(backend, 20) <= 65 - EVENT_UNITS
    assert units(backend, 100) <= 350 - EVENT_UNITS


def test_a_round_takes_two_units_however_many_there_were(backend: Backend) -> None:
    before = backend.aws.units("ExecutionsTable")
    send = {"id": "each", "action": "webhook.send", "params": {"json": "{{ item }}"}}
    execution_id = started(backend, send | {"forEach": "range(300)"})
    backend.drain()
    assert backend.execution(execution_id)["status"] == "succeeded"
    assert backend.aws.units("ExecutionsTable") - before <= 2 * 300
