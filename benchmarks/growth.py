"""What a delivery writes, calls and logs, by its size and the steps that it starts."""

import contextlib
import io
import random
import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

from benchmarks.calls import CaseFailed
from benchmarks.reads import Reads
from benchmarks.wire import Wire
from benchmarks.world import World, variables
from integrations import memory
from tests.backend import Backend, LambdaContext
from tests.fakes.aws import FakeAws
from tests.fakes.telegram import TOKEN
from tools.template import resources

BYTES = (200, 2_000, 20_000)
STEPS = (0, 1, 3, 10)
"""0 is a delivery that matches no workflow."""
CASES = tuple((steps, length) for steps in STEPS for length in BYTES)
SECRET = "secret-of-the-sender"

BUSY = 10
"""How many events a busy dispatcher takes at once: the template's BatchSize."""
MANY = 20
"""After so many executions in a minute a tenant's runs hold slots: more than a quarter of
MaxRunnersPerTenant, see `services/shares.py`."""

type Units = dict[str, dict[str, dict[str, Any]]]


class Watched(Backend):  # type: ignore[misc]  # what it is, is checked with the tests
    """The functions, with what each does counted.

    Args:
        aws: The stand-in.
        wire: Knows what is called.

    Attributes:
        done: Function → how `times` it was called, what it `calls` of AWS, its `log_bytes`.
    """

    def __init__(self, aws: FakeAws, wire: Wire) -> None:
        super().__init__(aws)
        self._wire = wire
        self.done: dict[str, dict[str, Any]] = {}

    def invoke(
        self, function: str, event: Mapping[str, Any], context: LambdaContext | None = None
    ) -> Any:
        """Call a function's handler, and count."""
        before = len(self._wire.calls)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            answer = super().invoke(function, event, context)
        done = self.done.setdefault(function, {"times": 0, "calls": Counter(), "log_bytes": 0})
        done["times"] += 1
        done["calls"].update(self._wire.calls[before:])
        done["log_bytes"] += len(printed.getvalue().encode())
        return answer


def measure(
    world: World,
    tick: Callable[[], None],
    cases: Iterable[tuple[int, int]] = CASES,
    *,
    at_once: int = 1,
    before: int = 1,
) -> Units:
    """Deliver each case to a webhook in use, of a tenant of its own, and run it to its end.

    Args:
        world: The stand-ins.
        tick: Called after each case.
        cases: Steps and bytes.
        at_once: How many deliveries the dispatcher finds when it looks.
        before: How many came just before: the first one tells the webhook that it is in use, for a
            minute and a process.

    Returns:
        Of one delivery, `writes` and `reads`: steps → bytes → units, all tables and indexes
        together; likewise `functions`: what each function did, see `Watched.done`.

    Raises:
        CaseFailed: An execution did not succeed.
    """
    reads = Reads()
    found: Units = {"writes": {}, "reads": {}, "functions": {}}
    wire = Wire(world.aws.url, reads=reads)
    with wire, variables(world.environment | wire.environment):
        memory.forget()
        backend = Watched(world.aws, wire)
        wire.record("growth")
        for steps, length in cases:
            tenant = f"growth-{steps}-{length}-{at_once}-{before}"
            webhook = _prepare(backend, tenant, steps)
            _deliver(backend, webhook, length, before)
            written, reads.units, backend.done = _written(world), 0.0, {}
            _deliver(backend, webhook, length, at_once)
            counted = {
                "writes": (_written(world) - written) / at_once,
                "reads": reads.units / at_once,
                "functions": _shares(backend.done, at_once),
            }
            for kind, spent in counted.items():
                found[kind].setdefault(str(steps), {})[str(length)] = spent
            _check(backend, tenant, (before + at_once) if steps else 0)
            tick()
    memory.forget()
    return found


def _written(world: World) -> float:
    return float(sum(map(world.aws.units, resources("AWS::DynamoDB::Table"))))


def _shares(done: Mapping[str, Mapping[str, Any]], at_once: int) -> dict[str, dict[str, Any]]:
    """One delivery's share of what the functions did."""
    return {
        function: {
            "times": each["times"] / at_once,
            "calls": {name: times / at_once for name, times in each["calls"].items()},
            "log_bytes": each["log_bytes"] / at_once,
        }
        for function, each in done.items()
    }


def _prepare(backend: Backend, tenant: str, steps: int) -> str:
    """Give a tenant a webhook, and a workflow where there are steps; returns the webhook's id."""
    credentials = {
        "url": "https://example.com/hooks/growth",
        "secret": SECRET,
        "verifySecret": True,
    }
    webhook: str = backend.save("webhook", credentials, tenant=tenant)["webhook"]["id"]
    if steps:
        backend.save("telegram", {"botToken": TOKEN}, tenant=tenant)
        tell = {"action": "telegram.sendMessage"}
        params = {"chatId": 987654321, "text": "Order {{ trigger.body.id }}"}
        definition = {
            "name": tenant,
            "trigger": {"type": "webhook", "webhookId": webhook},
            "steps": [{"id": f"s{number}", **tell, "params": params} for number in range(steps)],
        }
        backend.create_workflow(definition, tenant=tenant)
    return webhook


def _deliver(backend: Backend, webhook: str, length: int, count: int) -> None:
    # Letters at random: what people send is compressed less well than one letter many times.
    letters = random.Random(length * count)
    for _ in range(count):
        text = "".join(letters.choices(string.ascii_letters + string.digits, k=length - 24))
        body = {"id": 42, "text": text}
        answer = backend.deliver(webhook, body, {"X-Webhook-Secret": SECRET})
        if answer.status != HTTPStatus.OK:
            raise CaseFailed(f"{webhook}: {answer}")
    backend.drain()


def _check(backend: Backend, tenant: str, count: int) -> None:
    found = backend.call("GET", "/api/executions", query={"limit": "100"}, tenant=tenant)
    states = [each["status"] for each in found.json["items"]]
    if states != ["succeeded"] * count:
        raise CaseFailed(f"{tenant}: {states}")
