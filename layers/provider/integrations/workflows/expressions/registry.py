"""What expressions can call: filters (``value|name``), tests (``value is name``) and functions.

Each takes the evaluation first: its budget and its ``now``. None takes a regular expression, none
formats with a template of its own, and each pays before it makes something larger than its input.
"""

from collections.abc import Callable, Mapping
from typing import Final

from integrations.errors import ExpressionError
from integrations.models import rfc3339
from integrations.workflows.expressions import comparisons, conversions, dates, lists, text
from integrations.workflows.expressions.access import Evaluation
from integrations.workflows.expressions.values import Value, as_integer

MAX_RANGE: Final = 10_000
_BOUNDS: Final = (1, 2, 3)  # stop; start and stop; start, stop and step


def _now(evaluation: Evaluation) -> Value:
    return rfc3339(evaluation.now)


def _range(evaluation: Evaluation, *bounds: Value) -> Value:
    if len(bounds) not in _BOUNDS:
        raise ExpressionError("range needs one to three numbers")
    numbers = range(*(as_integer(bound) for bound in bounds))
    if len(numbers) > MAX_RANGE:
        raise ExpressionError(f"range gives {len(numbers)} numbers; {MAX_RANGE} are allowed")
    evaluation.budget.step(len(numbers))
    evaluation.budget.allocate(len(numbers))
    return list(numbers)


FILTERS: Final[Mapping[str, Callable[..., Value]]] = dict(
    sorted({**conversions.FILTERS, **text.FILTERS, **lists.FILTERS, **dates.FILTERS}.items())
)
TESTS: Final[Mapping[str, Callable[..., bool]]] = comparisons.TESTS
FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = {"now": _now, "range": _range}
