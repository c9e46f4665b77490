"""Ours: the three functions that a delivery passes, each invoked with one message."""

from collections.abc import Iterator
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from benchmarks import calls
from benchmarks.artifacts import Artifacts
from benchmarks.peers.receiver import Receiver
from benchmarks.runtime import Lambda
from benchmarks.wire import Wire
from benchmarks.world import TENANT, WEBHOOK_SECRET, Case, World, records, webhook
from tests.backend import Backend
from tests.fakes.certificates import Authority


@dataclass(slots=True)
class OneStep(World):
    """A webhook whose deliveries start a workflow of one step, an HTTP request.

    Attributes:
        target: Where the request goes.
    """

    target: str = ""

    def _fill(self, backend: Backend) -> None:
        credentials = {
            "url": "https://example.com/hooks/orders",
            "secret": WEBHOOK_SECRET,
            "verifySecret": True,
        }
        backend.save("webhook", credentials, "orders", tenant=TENANT)
        send = {
            "id": "send",
            "action": "webhook.send",
            "connection": "orders",
            "params": {"url": self.target, "json": {"order": "{{ trigger.body.order.id }}"}},
        }
        workflow = {
            "name": "Orders",
            "trigger": {"type": "webhook", "webhookId": "orders"},
            "steps": [send],
        }
        backend.create_workflow(workflow, tenant=TENANT)

    def each(self) -> Iterator[Case]:
        """The functions in the order of a delivery: what one left in a queue is the next one's."""
        yield Case("receive_webhook", webhook("order", WEBHOOK_SECRET))
        for function, queue in (
            ("dispatch_event", "EventsQueue"),
            ("run_workflow", "ExecutionsQueue"),
        ):
            yield Case(function, records(function, self.aws.take(queue)[0].json()))


class Ours:
    """Warm instances of the receiver, the dispatcher and the runner, and a stand-in of AWS.

    Args:
        artifacts: What was built.
        receiver: What the workflow calls.
    """

    name = "Integrations Backend"

    def __init__(self, artifacts: Artifacts, receiver: Receiver) -> None:
        self._artifacts = artifacts
        self._receiver = receiver
        self._running = ExitStack()
        self._instances: list[tuple[Case, Lambda]] = []

    def __enter__(self) -> Self:
        with ExitStack() as running:
            with redirect_stdout(StringIO()):
                world = running.enter_context(OneStep(target=self._receiver.url))
            folder = running.enter_context(TemporaryDirectory())
            self._wire = running.enter_context(Wire(world.aws.url, Authority(Path(folder))))
            for case in world.each():
                calls.count(case, self._artifacts, world, self._wire)
                instance = Lambda(
                    self._artifacts,
                    self._artifacts.path(case.function),
                    world.environment | self._wire.environment,
                    "app.handler",
                )
                self._instances.append((case, running.enter_context(instance)))
            self._running = running.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def send(self) -> None:
        """One delivery, to its execution's end."""
        for case, instance in self._instances:
            self._wire.replay(case.name)
            calls.check(case, instance.invoke(case.event))

    def cpu(self) -> float:
        """The CPU seconds that all of it has used."""
        return sum(instance.cpu() for _, instance in self._instances)
