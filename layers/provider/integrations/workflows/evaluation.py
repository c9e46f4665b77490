"""Conditions, rounds and parameters of a step, evaluated: for the engine and the preview alike."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, cast

from integrations.errors import ExpressionError
from integrations.models import Json
from integrations.workflows import expressions
from integrations.workflows.expressions.budget import Budget
from integrations.workflows.limits import MAX_OUTPUT_BYTES
from integrations.workflows.outcomes import Sent
from integrations.workflows.records import MAX_ROUNDS, StepDefinition
from integrations.workflows.references import plain_path

ITEMS_STEPS: Final = 5_000_000
ITEMS_SECONDS: Final = 15.0
"""What a ``forEach`` may spend on its list: once per step, and the list may be a whole sheet."""


def parameters(
    step: StepDefinition,
    context: Mapping[str, Json],
    moment: datetime,
    *,
    within: Budget | None = None,
) -> dict[str, Json]:
    """A step's parameters, templates evaluated, as they are recorded and shown.

    Args:
        step: The step.
        context: What its templates see.
        moment: What ``now()`` gives.
        within: What it is paid from as well.

    Raises:
        ExpressionError: A template does not evaluate.
    """
    given: Json = step.get("params", {})
    budget = Budget(within=within)
    made = expressions.render(
        given, context, now=moment, place="params", budget=budget, secrets_by_name=True
    )
    return cast("dict[str, Json]", made)


def sent(
    step: StepDefinition,
    context: Mapping[str, Json],
    moment: datetime,
    secrets: Mapping[str, str],
) -> Sent:
    """A step's parameters as they are sent, with the values of the secrets that they name.

    Raises:
        ExpressionError: A template does not evaluate.
    """
    given: Json = step.get("params", {})
    named = {**context, "secrets": cast("Json", dict(secrets))}
    derived: list[Json] = []
    made = expressions.render(given, named, now=moment, place="params", derived=derived)
    return Sent(cast("dict[str, Json]", made), derived)


def condition(
    step: StepDefinition,
    context: Mapping[str, Json],
    moment: datetime,
    *,
    within: Budget | None = None,
) -> bool:
    """Whether a step is to run, by its ``when``.

    Raises:
        ExpressionError: It does not evaluate.
    """
    condition = step.get("when", True)
    if isinstance(condition, bool):
        return condition
    return expressions.truth(
        condition, context, now=moment, place="when", budget=Budget(within=within)
    )


def sources(step: StepDefinition) -> list[Json]:
    """Everything in a step that may hold an expression."""
    return [step.get("when"), step.get("forEach"), step.get("params", {})]


def items(
    source: str | list[Json],
    context: Mapping[str, Json],
    moment: datetime,
    *,
    within: Budget | None = None,
) -> list[Json]:
    """The items of a step's ``forEach``.

    Raises:
        ExpressionError: It does not evaluate, to no list, or to one that is too long.
    """
    place = "forEach"
    path = plain_path(source) if isinstance(source, str) else None
    found: Json = None
    if path:
        # Nothing is made of a list that is only looked up, so nothing limits its size.
        found = _looked_up(path, context)
    if not path or not isinstance(found, list):
        if isinstance(source, str):
            budget = Budget(
                steps=ITEMS_STEPS,
                seconds=ITEMS_SECONDS,
                characters=4 * MAX_OUTPUT_BYTES,
                largest=MAX_OUTPUT_BYTES,
                within=within,
            )
            found = expressions.evaluate(source, context, now=moment, place=place, budget=budget)
        else:
            found = expressions.render(
                source, context, now=moment, place=place, budget=Budget(within=within)
            )
    if not isinstance(found, list):
        raise ExpressionError(f"{place}: needs a list, not {expressions.describe(found)}")
    if len(found) > MAX_ROUNDS:
        raise ExpressionError(f"{place}: has {len(found)} items; at most {MAX_ROUNDS} are allowed")
    return found


def _looked_up(path: list[str], context: Mapping[str, Json]) -> Json:
    """What stands at a path; ``None`` where nothing does, or where it is more than a look-up."""
    found: Json = dict(context)
    for name in path:
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    return found
