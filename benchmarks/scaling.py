"""How CPU, calls and writes grow with what there is: workflows, connections, bytes, steps, items.

Each row is one warm invocation under AWS's runtime interface client; what has to be there before it
is made in this process. A row that took more than its share of the row before is superlinear.
"""

import contextlib
import io
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from benchmarks.artifacts import Artifacts
from benchmarks.calls import CaseFailed
from benchmarks.runtime import Lambda
from benchmarks.wire import Wire
from benchmarks.world import World, variables
from integrations import memory
from tests.backend import Backend, LambdaContext
from tests.fakes.telegram import TOKEN
from tools.template import resources

type Row = dict[str, float]
type Table = dict[str, dict[str, Row]]

SECRET = "secret-of-the-sender"
CHAT = 987654321
NO_QUOTAS = dict.fromkeys(
    (
        "MAX_CONNECTIONS",
        "MAX_WORKFLOWS",
        "MAX_EXECUTIONS_PER_MINUTE",
        "MAX_WORKFLOW_EXECUTIONS_PER_MINUTE",
    ),
    "1000000",
)
STEEP = 1.15
"""The exponent from which a row counts as superlinear; what is left is noise."""
NOISE_MS = 5.0
"""Rows of less CPU tell nothing."""


class Watched(Backend):  # type: ignore[misc]  # what it is, is checked with the tests
    """The functions in this process, but for the one that is watched: it runs as on Lambda.

    Args:
        world: The stand-ins.
        artifacts: What was built.
        wire: Knows what is called.
    """

    def __init__(self, world: World, artifacts: Artifacts, wire: Wire) -> None:
        super().__init__(world.aws)
        self._environment = world.environment | wire.environment | NO_QUOTAS
        self._artifacts = artifacts
        self._wire = wire
        self._watched: tuple[str, Lambda] | None = None
        self.last: Row = {}

    @contextlib.contextmanager
    def watching(self, function: str) -> Iterator[None]:
        """Run one function's invocations in one instance; `last` is what the last one took."""
        path = self._artifacts.path(function)
        with Lambda(self._artifacts, path, self._environment, "app.handler") as instance:
            self._watched = (function, instance)
            try:
                yield
            finally:
                self._watched = None

    def invoke(
        self, function: str, event: Mapping[str, Any], context: LambdaContext | None = None
    ) -> Any:
        """Call a function's handler."""
        if self._watched is None or self._watched[0] != function:
            with contextlib.redirect_stdout(io.StringIO()):
                return super().invoke(function, event, context)
        instance = self._watched[1]
        self._wire.record(function)
        written, cpu = self._written(), instance.cpu()
        answer = instance.invoke(dict(event))
        self.last = {
            "ms": (instance.cpu() - cpu) * 1000,
            "calls": len(self._wire.calls),
            "writes": self._written() - written,
        }
        return answer

    def _written(self) -> float:
        return float(sum(map(self.aws.units, resources("AWS::DynamoDB::Table"))))


@dataclass(frozen=True, slots=True)
class Series:
    """One thing that grows.

    Attributes:
        title: What is measured, over what.
        sizes: Of what there is.
        measure: Takes a tenant of its own and a size; `Watched.last` is then the row.
        largest: A size that takes half a minute: for `make bench ARGS=--full`.
    """

    title: str
    sizes: tuple[int, ...]
    measure: Callable[[Watched, str, int], None] = field(repr=False)
    largest: int | None = None


def measure(
    world: World,
    artifacts: Artifacts,
    wire: Wire,
    tick: Callable[[], None] = lambda: None,
    *,
    full: bool = False,
) -> Table:
    """Measure every series; returns title → size → its row.

    Args:
        world: The stand-ins.
        artifacts: What was built.
        wire: Knows what is called.
        tick: Hears of each row.
        full: Whether the largest sizes are measured, too.

    Raises:
        CaseFailed: Something did not do what it was to be measured at.
    """
    found: Table = {}
    with variables(world.environment | {"AWS_ENDPOINT_URL": world.aws.url} | NO_QUOTAS):
        memory.forget()
        backend = Watched(world, artifacts, wire)
        for number, series in enumerate(SERIES):
            more = (series.largest,) if full and series.largest else ()
            for size in (*series.sizes, *more):
                series.measure(backend, f"scaling-{number}-{size}", size)
                found.setdefault(series.title, {})[str(size)] = dict(backend.last)
                for queue in ("EventsQueue", "ExecutionsQueue"):
                    world.aws.take(queue, 1_000_000)
                tick()
    memory.forget()
    return found


def exponents(rows: Mapping[str, Row]) -> dict[str, float | None]:
    """Of each size, the power of it by which CPU grew since the size before."""
    found: dict[str, float | None] = {}
    before: tuple[int, float] | None = None
    for size, row in rows.items():
        n, ms = int(size), max(row["ms"], 0.01)
        grew = math.log(ms / before[1]) / math.log(n / before[0]) if before else None
        found[size] = grew
        before = (n, ms)
    return found


def is_superlinear(row: Row, exponent: float | None) -> bool:
    """Whether a row took more than its share."""
    return exponent is not None and exponent > STEEP and row["ms"] > NOISE_MS


# -- the series ------------------------------------------------------------------------------


def _dispatch(condition: str | None) -> Callable[[Watched, str, int], None]:
    def listening(backend: Watched, tenant: str) -> str:
        webhook = _webhook(backend, tenant, "orders")
        backend.save("telegram", {"botToken": TOKEN}, tenant=tenant)
        trigger = {"type": "webhook", "webhookId": webhook}
        trigger |= {"filter": condition} if condition else {}
        _workflow(backend, tenant, 1, trigger=trigger)
        return webhook

    def measure(backend: Watched, tenant: str, size: int) -> None:
        # Another tenant's is first: this one's would have had its time of the process.
        first, webhook = listening(backend, f"{tenant}-first"), listening(backend, tenant)
        _multiply(backend, "WorkflowsTable", tenant, size, workflowId=lambda n: f"wf_{n:020x}")
        with backend.watching("dispatch_event"):
            for each in (first, webhook):
                _deliver(backend, each, 200)
                _expect(backend.dispatch() == [], tenant)

    return measure


def _connections(function: str) -> Callable[[Watched, str, int], None]:
    def measure(backend: Watched, tenant: str, size: int) -> None:
        backend.save("telegram", {"botToken": TOKEN}, tenant=tenant)
        _multiply(
            backend,
            "ConnectionsTable",
            tenant,
            size,
            connection=lambda n: f"telegram#c{n}",
            name=lambda n: f"c{n}",
        )
        with backend.watching(function):
            for _ in range(2):
                if function == "get_status":
                    answer = backend.call("GET", "/api/integrations/status", tenant=tenant)
                    _expect(answer.status == HTTPStatus.OK, answer)
                elif function == "save_credentials":
                    _webhook(backend, tenant, "orders")
                else:
                    _workflow(backend, tenant, 1)

    return measure


def _payload(function: str) -> Callable[[Watched, str, int], None]:
    def measure(backend: Watched, tenant: str, size: int) -> None:
        webhook = _webhook(backend, tenant, "orders")
        backend.save("telegram", {"botToken": TOKEN}, tenant=tenant)
        _workflow(backend, tenant, 1, trigger={"type": "webhook", "webhookId": webhook})
        with backend.watching(function):
            for _ in range(2):  # the first one imports what its size needs
                _deliver(backend, webhook, size)
                _expect(backend.dispatch() == [], tenant)
                _expect(backend.run() == [], tenant)

    return measure


def _run(backend: Watched, tenant: str, steps: int, items: int) -> None:
    backend.save("telegram", {"botToken": TOKEN}, tenant=tenant)
    small = _workflow(backend, tenant, 1)
    large = _workflow(backend, tenant, steps, items=items)
    with backend.watching("run_workflow"):
        for workflow in (small, large):
            path = f"/api/workflows/{workflow}/run"
            answer = backend.call("POST", path, {"input": {"body": {"id": 42}}}, tenant=tenant)
            _expect(answer.status == HTTPStatus.OK, answer)
            _expect(backend.run() == [], tenant)
            state = backend.execution(answer.json["executionId"], tenant=tenant)
            _expect(state["status"] == "succeeded", state)


def _steps(backend: Watched, tenant: str, size: int) -> None:
    _run(backend, tenant, size, 0)


def _items(backend: Watched, tenant: str, size: int) -> None:
    _run(backend, tenant, 1, size)


FEW = (1, 10, 100)
MANY = (*FEW, 1_000)
BYTES = (200, 2_000, 20_000, 200_000, 2_000_000)
SERIES = (
    Series("dispatch_event by workflows that all start", FEW, _dispatch(None), largest=1_000),
    Series(
        "dispatch_event by workflows whose filter is false",
        MANY,
        _dispatch("{{ trigger.body.id == 7 }}"),
    ),
    Series("get_status by connections", MANY, _connections("get_status")),
    Series("save_credentials by connections", MANY, _connections("save_credentials")),
    Series("create_workflow by connections", MANY, _connections("create_workflow")),
    Series("receive_webhook by bytes", BYTES, _payload("receive_webhook")),
    Series("dispatch_event by bytes", BYTES, _payload("dispatch_event")),
    Series("run_workflow by bytes", BYTES, _payload("run_workflow")),
    Series("run_workflow by steps", (1, 10, 50, 200), _steps),
    Series("run_workflow by items of a forEach", (10, 100, 300), _items, largest=1_000),
)


# -- what has to be there --------------------------------------------------------------------


def _webhook(backend: Watched, tenant: str, name: str) -> str:
    credentials = {
        "url": f"https://example.com/hooks/{name}",
        "secret": SECRET,
        "verifySecret": True,
    }
    made = backend.save("webhook", credentials, name, tenant=tenant)
    return str(made["webhook"]["id"])


def _workflow(
    backend: Watched,
    tenant: str,
    steps: int,
    *,
    trigger: Mapping[str, Any] | None = None,
    items: int = 0,
) -> str:
    tell: dict[str, Any] = {"action": "telegram.sendMessage"}
    tell["params"] = {"chatId": CHAT, "text": "Order {{ trigger.body.id }}"}
    tell |= {"forEach": list(range(items))} if items else {}
    definition = {
        "name": tenant,
        "trigger": trigger or {"type": "manual"},
        "steps": [tell | {"id": f"s{number}"} for number in range(steps)],
    }
    return str(backend.create_workflow(definition, tenant=tenant)["workflowId"])


def _deliver(backend: Watched, webhook: str, length: int) -> None:
    # Values of many kinds, as of an order: one long text would cost next to nothing to read.
    row = {"sku": "A-1001", "name": "Cake", "price": 24.5, "count": 3}
    body = {"id": 42, "rows": [row] * (length // 60)}
    answer = backend.deliver(webhook, body, {"X-Webhook-Secret": SECRET})
    _expect(answer.status == HTTPStatus.OK, answer)


def _multiply(
    backend: Watched, table: str, tenant: str, size: int, **changed: Callable[[int], str]
) -> None:
    """Make so many of a tenant's one row, with these texts of their own."""
    request = {
        "TableName": backend.aws.names[table],
        "KeyConditionExpression": "tenant = :tenant",
        "ExpressionAttributeValues": {":tenant": {"S": tenant}},
    }
    (row,) = backend.aws.client.dynamodb("Query", request)["Items"]
    for number in range(1, size):
        backend.aws.put(table, row | {name: {"S": of(number)} for name, of in changed.items()})


def _expect(is_so: bool, told: object) -> None:  # noqa: FBT001 - as assert has it
    if not is_so:
        raise CaseFailed(str(told)[:500])
