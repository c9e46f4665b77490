"""How many AWS calls an operation makes, counted at the wire; what AWS answers is recorded."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from benchmarks.artifacts import Artifacts
from benchmarks.runtime import Lambda
from benchmarks.wire import Wire
from benchmarks.world import Case, World


@dataclass(frozen=True, slots=True)
class Calls:
    """The operations that one case's first and second invocation called."""

    case: Case
    cold: list[str]
    warm: list[str]


class CaseFailed(Exception):
    """A function did not do what it was to be measured at."""


def count(case: Case, artifacts: Artifacts, world: World, wire: Wire) -> Calls:
    """Invoke a case twice in one instance, on the stand-in of AWS, and record its answers."""
    environment = world.environment | wire.environment
    wire.record(case.name)
    with Lambda(artifacts, artifacts.path(case.function), environment, "app.handler") as instance:
        answer = instance.invoke(case.event)
        check(case, answer)
        cold = wire.calls
        wire.record(f"{case.name} again")
        instance.invoke(case.again or case.event)
        return Calls(case, cold, wire.calls)


def check(case: Case, answer: Any) -> None:
    """Raise CaseFailed where an answer tells of a failure."""
    failed = not isinstance(answer, dict)
    if not failed:
        failed = (
            answer.get("statusCode", 200) >= HTTPStatus.BAD_REQUEST
            or bool(answer.get("batchItemFailures"))
            or answer.get("isAuthorized") is False
        )
    if failed:
        raise CaseFailed(f"{case.name}: {answer}")
