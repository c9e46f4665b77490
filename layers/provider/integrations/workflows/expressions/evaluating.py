"""Templates and expressions evaluated: what the rest of the backend calls."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from integrations.errors import ExpressionError
from integrations.models import Json
from integrations.workflows.expressions.access import Evaluation
from integrations.workflows.expressions.budget import MAX_CHARACTERS, MAX_DEPTH, Budget
from integrations.workflows.expressions.compiler import Frame, Template
from integrations.workflows.expressions.parser import expression, is_template, template
from integrations.workflows.expressions.values import Value, detached, present


def render(
    value: Json,
    context: Mapping[str, Json],
    *,
    now: datetime,
    place: str,
    budget: Budget | None = None,
    secrets_by_name: bool = False,
    derived: list[Value] | None = None,
) -> Json:
    """Evaluate every template in a JSON value, however deep; the names of fields are left alone.

    Args:
        value: The value, e.g. a step's parameters.
        context: The names that templates see. ``secrets`` (name → value) is for what is sent
            alone: what is recorded is rendered with names in the place of values.
        now: What ``now()`` gives.
        place: Where the value stands, for the errors' sake, e.g. ``params``.
        budget: What it may spend; one of its own by default.
        secrets_by_name: To record or show it: ``{{ secrets.NAME }}`` stands in the place of each
            secret. A template that makes something of a secret stays as it is: of the name it
            would make something else.
        derived: Takes every value that was made of a secret on the way.

    Returns:
        A value of its own, which shares nothing with the context.

    Raises:
        ExpressionError: A template does not evaluate; the detail begins with its place.
    """
    evaluation = Evaluation(now, budget or Budget(), derived)
    rendering = _Rendering(context, evaluation, named=secrets_by_name)
    return rendering.value(value, place, 0)


def evaluate(
    source: str,
    context: Mapping[str, Json],
    *,
    now: datetime,
    place: str,
    budget: Budget | None = None,
) -> Json:
    """Evaluate one expression, with its ``{{ }}`` or without; its value keeps its type.

    Raises:
        ExpressionError: It does not evaluate; the detail begins with ``place``.
    """
    return _evaluated(source, context, Evaluation(now, budget or Budget()), place, detached)


def truth(
    source: str,
    context: Mapping[str, Json],
    *,
    now: datetime,
    place: str,
    budget: Budget | None = None,
) -> bool:
    """Whether a condition holds: false are ``false``, ``null``, 0 and what is empty.

    Raises:
        ExpressionError: It does not evaluate; the detail begins with ``place``.
    """
    evaluation = Evaluation(now, budget or Budget())
    return _evaluated(source, context, evaluation, place, lambda _, value: bool(present(value)))


def _evaluated[T](
    source: str,
    context: Mapping[str, Json],
    evaluation: Evaluation,
    place: str,
    finish: Callable[[Budget, Value], T],
) -> T:
    with _at(place):
        understood = expression(source, evaluation.budget)
        return finish(evaluation.budget, _run(understood, Frame(dict(context), evaluation)))


def references(value: Json) -> set[str]:
    """The ids of the steps that the templates in a JSON value name.

    Raises:
        ExpressionError: A template in it is not in the grammar.
    """
    return {step for each in templates_in(value) for step, _ in each.steps}


def secret_names(value: Json) -> set[str]:
    """The names of the secrets that the templates in a JSON value name.

    Raises:
        ExpressionError: A template in it is not in the grammar.
    """
    return {name for each in templates_in(value) for name in each.secrets}


def templates_in(value: Json) -> Iterator[Template]:
    """Every template in a JSON value, understood."""
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, str):
            if is_template(node):
                yield template(node)
        elif isinstance(node, dict):
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


class _Rendering:
    """The evaluation of all the templates in one value, on one budget."""

    def __init__(
        self, context: Mapping[str, Json], evaluation: Evaluation, *, named: bool = False
    ) -> None:
        self.frame = Frame(dict(context), evaluation)
        self.named = named
        self.size = 0

    def value(self, value: Json, place: str, depth: int) -> Json:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"{place}: nested more than {MAX_DEPTH} levels deep")
        if isinstance(value, dict):
            return {
                key: self.value(each, f"{place}.{key}", depth + 1) for key, each in value.items()
            }
        if isinstance(value, list):
            return [self.value(each, f"{place}[{i}]", depth + 1) for i, each in enumerate(value)]
        if not isinstance(value, str) or not is_template(value):
            return value
        with _at(place):
            budget = self.frame.budget
            result = self._result(value)
            self.size += budget.weigh(result)
            if self.size > MAX_CHARACTERS:
                raise ExpressionError(f"makes it more than {MAX_CHARACTERS} characters in all")
            return detached(budget, result)

    def _result(self, source: str) -> Value:
        understood = template(source, self.frame.budget)
        if not (self.named and understood.secrets):
            return _run(understood, self.frame)
        if understood.alters_secrets:
            return source
        names = {name: f"{{{{ secrets.{name} }}}}" for name in understood.secrets}
        return understood.run(self.frame._replace(names={**self.frame.names, "secrets": names}))


def _run(understood: Template, frame: Frame) -> Value:
    """Run a template; where it sees secrets, no reason for a failure may show a value."""
    if not understood.secrets:
        return understood.run(frame)
    known = frame.names.get("secrets")
    for name in sorted(understood.secrets):
        if not isinstance(known, Mapping) or name not in known:
            raise ExpressionError(f"there is no secret {name[:64]!r}")
    try:
        return present(understood.run(frame))
    except (ExpressionError, ArithmeticError, TypeError, ValueError, LookupError, AttributeError):
        detail = "cannot be evaluated; the reason is not shown, for it may show a secret"
        raise ExpressionError(detail) from None


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Give every failure its place, and make an ``ExpressionError`` of whatever it is."""
    try:
        yield
    except ExpressionError as error:
        raise ExpressionError(f"{place}: {error.detail}") from None
    except RecursionError:
        raise ExpressionError(f"{place}: is nested too deeply") from None
    except (ArithmeticError, TypeError, ValueError, LookupError, AttributeError) as error:
        # Two values that do not go together, in a way that no function above has words for.
        raise ExpressionError(f"{place}: cannot be evaluated ({error})"[:300]) from None
