"""What a workflow would do for an event: conditions, rounds and parameters, and nothing is done."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from integrations.errors import ExpressionError, FieldError
from integrations.models import DEFAULT_CONNECTION, Json, rfc3339
from integrations.workflows import evaluation
from integrations.workflows.expressions.budget import Budget
from integrations.workflows.records import StepDefinition, WorkflowDefinition

MAX_SHOWN_ROUNDS: Final = 20
"""Rounds of one step that are shown; how many there are is said beside them."""

MAX_PREVIEW_STEPS: Final = 10_000_000
MAX_PREVIEW_SECONDS: Final = 15.0
"""What the expressions of a whole preview may spend."""


class Outcome(NamedTuple):
    """How a step ended, as the templates of later steps see it."""

    status: str
    output: Json = None
    error: Json = None

    def json(self) -> dict[str, Json]:
        """Its value in ``steps``."""
        return {"status": self.status, "output": self.output, "error": self.error}


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a ``forEach``."""

    index: int
    item: Json
    params: dict[str, Json] | None


@dataclass(slots=True)
class StepPreview:
    """What one step would do.

    Attributes:
        runs: Whether it would run, as far as that can be known.
        reason: Why not.
        params: What it would be given, with names in the place of secrets.
        rounds: The first rounds of a ``forEach``, in the place of ``params``.
        round_count: How many rounds there are.
        errors: What does not evaluate, or what its action refuses.
    """

    id: str
    action: str
    connection: str
    runs: bool = True
    reason: str | None = None
    params: dict[str, Json] | None = None
    rounds: list[Round] | None = None
    round_count: int | None = None
    errors: list[FieldError] = field(default_factory=list)


type Validate = Callable[[StepDefinition, dict[str, Json]], list[FieldError]]


def preview(
    workflow: WorkflowDefinition,
    data: Json,
    *,
    outcomes: Mapping[str, Outcome],
    example: Callable[[str], Json],
    validate: Validate,
    names: Mapping[str, Json],
    moment: datetime,
) -> Iterator[StepPreview]:
    """Evaluate every step in order.

    Args:
        workflow: A definition in the grammar.
        data: What templates see as ``trigger``.
        outcomes: How steps ended in a real execution; those that are missing get an example.
        example: What an action (``provider.action``) gives.
        validate: What an action refuses of its parameters.
        names: What templates see beside trigger and steps: ``execution`` and ``workflow``.
        moment: What ``now()`` gives.
    """
    budget = Budget(steps=MAX_PREVIEW_STEPS, seconds=MAX_PREVIEW_SECONDS)
    seen: dict[str, Json] = {}
    for step in workflow["steps"]:
        context: dict[str, Json] = {**names, "trigger": data, "steps": dict(seen)}
        shown = _step(step, context, validate, moment, budget)
        output = example(step["action"])
        if shown.round_count is not None:
            output = [output] * shown.round_count
        outcome = Outcome("succeeded", output) if shown.runs else Outcome("skipped")
        seen[step["id"]] = outcomes.get(step["id"], outcome).json()
        yield shown


def sample_names(
    execution_id: str, workflow_id: str, name: str, moment: datetime
) -> Mapping[str, Json]:
    """What templates see as ``execution`` and ``workflow``."""
    return {
        "execution": {"id": execution_id, "startedAt": rfc3339(moment)},
        "workflow": {"id": workflow_id, "name": name},
    }


def _step(
    step: StepDefinition,
    context: dict[str, Json],
    validate: Validate,
    moment: datetime,
    budget: Budget,
) -> StepPreview:
    shown = StepPreview(step["id"], step["action"], step.get("connection", DEFAULT_CONNECTION))
    try:
        if not evaluation.condition(step, context, moment, within=budget):
            shown.runs, shown.reason = False, "Its condition does not hold"
            return shown
        if "forEach" not in step:
            shown.params, shown.errors = _params(step, context, validate, moment, budget)
            return shown
        items = evaluation.items(step["forEach"], context, moment, within=budget)
    except ExpressionError as error:
        shown.runs, shown.reason = False, "It would fail"
        shown.errors = [_placed(error)]
        return shown
    shown.rounds, shown.round_count = [], len(items)
    if not items:
        shown.runs, shown.reason = False, "Its list is empty"
    for index, item in enumerate(items[:MAX_SHOWN_ROUNDS]):
        own = {**context, "item": item, "index": index}
        params, errors = _params(step, own, validate, moment, budget)
        shown.rounds.append(Round(index, item, params))
        shown.errors += [
            FieldError(f"rounds[{index}].{each.field}", each.message, each.code) for each in errors
        ]
    return shown


def _params(
    step: StepDefinition,
    context: Mapping[str, Json],
    validate: Validate,
    moment: datetime,
    budget: Budget,
) -> tuple[dict[str, Json] | None, list[FieldError]]:
    try:
        params = evaluation.parameters(step, context, moment, within=budget)
    except ExpressionError as error:
        return None, [_placed(error)]
    return params, validate(step, params)


def _placed(error: ExpressionError) -> FieldError:
    """An error of an expression, whose detail begins with its place."""
    place, _, message = error.detail.partition(": ")
    return FieldError(place, message)
