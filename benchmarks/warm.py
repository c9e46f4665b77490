"""CPU per warm invocation under AWS's runtime interface client; a no-op is the measure."""

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from benchmarks.artifacts import Artifacts
from benchmarks.runtime import Lambda
from benchmarks.wire import Wire
from benchmarks.world import Case, World

NOOP = "no-op"
WARM_UP = 30


def measure(
    cases: Sequence[Case],
    artifacts: Artifacts,
    world: World,
    wire: Wire,
    *,
    rounds: int,
    block: int,
    tick: Callable[[], None],
) -> dict[str, list[float]]:
    """Invoke each function in blocks, in random order; the milliseconds of CPU per invocation."""
    environment = world.environment | wire.environment
    event = cases[0].event
    samples: dict[str, list[float]] = {NOOP: [], **{case.name: [] for case in cases}}
    with ExitStack() as running:
        instances = {
            case.name: (
                running.enter_context(
                    Lambda(artifacts, artifacts.path(case.function), environment, "app.handler")
                ),
                case.event,
            )
            for case in cases
        }
        noop = Lambda(artifacts, [], environment, "noop.handler")
        instances[NOOP] = (running.enter_context(noop), event)
        order = list(instances)
        for number in range(rounds + 1):
            random.shuffle(order)
            for name in order:
                instance, event = instances[name]
                before = instance.cpu()
                for _ in range(block if number else WARM_UP):
                    if name != NOOP:
                        wire.replay(name)
                    instance.invoke(event)
                if number:
                    samples[name].append((instance.cpu() - before) * 1000 / block)
            tick()
    return samples
