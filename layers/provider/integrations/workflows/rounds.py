"""The rounds of a ``forEach``: what it goes over."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from integrations.errors import ExpressionError
from integrations.models import Json
from integrations.workflows import expressions
from integrations.workflows.expressions.budget import Budget
from integrations.workflows.limits import MAX_OUTPUT_BYTES
from integrations.workflows.records import MAX_ROUNDS
from integrations.workflows.references import plain_path

ITEMS_STEPS: Final = 5_000_000
ITEMS_SECONDS: Final = 15.0
"""What a ``forEach`` may spend on its list: once per step, and the list may be a whole sheet."""


def items_of(source: str | list[Json], context: Mapping[str, Json], moment: datetime) -> list[Json]:
    """The list of a ``forEach``.

    Args:
        source: An expression, or a list with templates in it.
        context: What they may see.
        moment: What ``now()`` is.

    Raises:
        ExpressionError: It gives no list, or one with too many items.
    """
    place = "forEach"
    path = plain_path(source) if isinstance(source, str) else None
    items: Json
    if path:
        # Nothing is made of a list that is only looked up, so nothing limits its size.
        items = _looked_up(path, context)
    if not path or not isinstance(items, list):
        if isinstance(source, str):
            budget = Budget(
                steps=ITEMS_STEPS,
                seconds=ITEMS_SECONDS,
                characters=4 * MAX_OUTPUT_BYTES,
                largest=MAX_OUTPUT_BYTES,
            )
            items = expressions.evaluate(source, context, now=moment, place=place, budget=budget)
        else:
            items = expressions.render(source, context, now=moment, place=place)
    if not isinstance(items, list):
        raise ExpressionError(f"{place}: needs a list, not {expressions.describe(items)}")
    if len(items) > MAX_ROUNDS:
        raise ExpressionError(f"{place}: has {len(items)} items; at most {MAX_ROUNDS} are allowed")
    return items


def _looked_up(path: list[str], context: Mapping[str, Json]) -> Json:
    """What stands at a path; ``None`` where nothing does, or where it is more than a look-up."""
    found: Json = dict(context)
    for name in path:
        if not isinstance(found, dict) or name not in found:
            return None
        found = found[name]
    return found
