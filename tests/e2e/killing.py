"""Functions whose processes are killed at random, and how one sees that nothing was lost."""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import SystemRandom
from typing import Any

from local.platform import Platform
from tests.e2e.conftest import Client, eventually
from tests.e2e.lambdas import kill_one, workers

SECONDS_BETWEEN_KILLS = 2.0
RANDOM = SystemRandom()
VICTIMS = ("ReceiveWebhookFunction", "DispatchEventFunction", "RunWorkflowFunction")


@contextmanager
def killing(platform: Platform, victims: Sequence[str] = VICTIMS) -> Iterator[Counter[str]]:
    """Kill processes of the functions at random, all the time; counts them by function."""
    killed: Counter[str] = Counter()
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(RANDOM.uniform(0.5, 1.5) * SECONDS_BETWEEN_KILLS):
            function = RANDOM.choice(victims)
            pids = workers(platform, function)
            if pids:
                kill_one(RANDOM.choice(pids))
                killed[function] += 1

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


def finished(client: Client, count: int) -> list[dict[str, Any]]:
    """All executions of a tenant, when they are finished."""

    def look() -> list[dict[str, Any]] | None:
        found = client.executions()
        return found if all(each["finishedAt"] for each in found) else None

    found: list[dict[str, Any]] = eventually(look, seconds=300, every=2)
    assert len(found) == count
    return found


def depth(platform: Platform, queue: str) -> int:
    """How many messages are in a queue."""
    attributes = platform.client("sqs").get_queue_attributes(
        QueueUrl=platform.name(queue), AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"])
