"""What is small as text and large as values, well within the 512 MB that a function has."""

from typing import Any

import pytest

from tests.backend import Backend
from tests.fakes.receiver import Receiver, Reply
from tests.fakes.telegram import TelegramServer
from tests.integration import processes
from tests.integration.flows import flow, started

OBJECTS, TEXTS = '{"a":1}', '"ab"'
"""What takes twenty-four times its text as a value, and what takes ten and is read quickly."""


def many(item: str, length: int) -> bytes:
    """A list of as many as fit in so many bytes of JSON."""
    return f"[{','.join([item] * (length // (len(item) + 1)))}]".encode()


@pytest.fixture(autouse=True)
def _ready(backend: Backend, telegram: TelegramServer, receiver: Receiver) -> None:
    backend.save("telegram", {"botToken": telegram.token})
    url = "https://example.com/hooks/orders"
    backend.save("webhook", {"url": url, "outboundUrl": receiver.url("/in")}, "orders")


def test_there_is_one_copy_of_an_answer(backend: Backend, receiver: Receiver) -> None:
    body = many(OBJECTS, 7_900_000)
    receiver.reply(Reply(200, body, {"content-type": "application/json"}))
    get: Any = {"action": "webhook.send", "connection": "orders", "params": {"method": "GET"}}
    counts = "{{ steps.a.output.body | length }} {{ steps.b.output.body | length }}"
    tell = {"action": "telegram.sendMessage", "params": {"chatId": 42, "text": counts}}
    steps = [get | {"id": "a"}, get | {"id": "b"}, tell | {"id": "tell"}]
    assert processes.run(backend, started(backend, *steps)) < 350  # 437 with two


@pytest.mark.parametrize("item", [OBJECTS, TEXTS])
def test_large_deliveries_are_started_one_after_the_other(backend: Backend, item: str) -> None:
    condition = "{{ trigger.body | length > 1 }}"
    trigger = {"type": "webhook", "webhookId": "orders", "filter": condition}
    backend.create_workflow(flow(trigger=trigger))
    for _ in range(5):
        assert backend.deliver("orders", many(item, 4_500_000)).status == 200
    peak = processes.consume(backend, "dispatch_event", backend.aws.take("EventsQueue"))
    assert len(backend.aws.sent("ExecutionsQueue")) == 5
    assert peak < 250  # 1,190 and 598 where ten were read before one was started
