"""Templates and expressions: Jinja2's grammar over JSON data, with a budget for everything.

``{{ trigger.order.id }}`` alone keeps its type; with text around it, it becomes text. Where an
expression is expected (``when``, ``forEach``, ``filter``, ``oncePer``), the braces may be left out.

Jinja2 parses; it does not run. Its sandbox guards attributes but neither time nor memory. So a
template's syntax tree is turned into closures here, node by node: what has no entry in the tables
below is refused when the workflow is saved, every operation pays from a ``Budget``, and values are
plain JSON, without attributes or methods.

Different from Jinja2, because the data is JSON: in a text ``null`` is empty, booleans are ``true``
and ``false``, lists and objects are JSON; ``a.b`` only ever looks up a field; text is never parsed
back into a number or a list; ``now()`` and dates are RFC 3339 text.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from integrations.errors import ExpressionError
from integrations.models import Json
from integrations.workflows.filters import (
    ACCEPT_MISSING,
    FILTERS,
    FUNCTIONS,
    TESTS,
    Evaluation,
    contains,
    look_up,
    order,
    same,
)
from integrations.workflows.values import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    Budget,
    Missing,
    Value,
    as_integer,
    as_list,
    as_number,
    checked_number,
    describe,
    detached,
    present,
    to_text,
)

if TYPE_CHECKING:
    # Imported on first use: a workflow without a template runs without Jinja2.
    from jinja2 import nodes

__all__ = [
    "MAX_TEMPLATE",
    "Template",
    "describe",
    "evaluate",
    "expression",
    "is_template",
    "references",
    "render",
    "template",
    "truth",
]

MAX_TEMPLATE: Final = 16 * 1024
MAX_SYNTAX_DEPTH: Final = 80
MAX_EXPONENT: Final = 1024
MAX_CACHED: Final = 128 * 1024
"""How many characters of templates a process remembers having understood."""


@dataclass(slots=True)
class _Frame:
    """Where an expression is evaluated: the names it sees, and what it may spend."""

    names: dict[str, Value]
    evaluation: Evaluation

    @property
    def budget(self) -> Budget:
        return self.evaluation.budget

    def child(self) -> "_Frame":
        self.budget.step(1 + len(self.names) // 8)
        return _Frame(dict(self.names), self.evaluation)


type _Evaluate = Callable[[_Frame], Value]
type _Write = Callable[[_Frame, list[str]], None]


@dataclass(frozen=True, slots=True)
class Template:
    """A template or expression that was understood.

    Attributes:
        names: The names that it needs from outside (``trigger``, ``steps``, ``item`` …).
        steps: The steps that it names, each with the field it wants of them, where it says.
        run: Evaluates it.
    """

    names: frozenset[str]
    steps: frozenset[tuple[str, str | None]]
    run: _Evaluate = field(repr=False)


# -- The public side -------------------------------------------------------------------------


def is_template(text: str) -> bool:
    """Whether a text has anything to evaluate in it."""
    return "{{" in text or "{%" in text or "{#" in text


def template(source: str) -> Template:
    """Understand a text with ``{{ … }}`` and ``{% … %}`` in it.

    Raises:
        ExpressionError: It is not in the grammar, names what there is not, or is too long.
    """
    return _understand(source, bare=False)


def expression(source: str) -> Template:
    """Understand one expression, with its ``{{ }}`` or without.

    Raises:
        ExpressionError: It is not in the grammar, names what there is not, or is too long.
    """
    return _understand(source, bare=True)


def render(value: Json, context: Mapping[str, Json], *, now: datetime, place: str) -> Json:
    """Evaluate every template in a JSON value, however deep; the names of fields are left alone.

    Args:
        value: The value, e.g. a step's parameters.
        context: The names that templates see.
        now: What ``now()`` gives.
        place: Where the value stands, for the errors' sake, e.g. ``params``.

    Returns:
        A value of its own, which shares nothing with the context.

    Raises:
        ExpressionError: A template does not evaluate; the detail begins with its place.
    """
    rendering = _Rendering(context, Evaluation(now))
    return rendering.value(value, place, 0)


def evaluate(source: str, context: Mapping[str, Json], *, now: datetime, place: str) -> Json:
    """Evaluate one expression, with its ``{{ }}`` or without; its value keeps its type.

    Raises:
        ExpressionError: It does not evaluate; the detail begins with ``place``.
    """
    evaluation = Evaluation(now)
    with _at(place):
        value = expression(source).run(_Frame(dict(context), evaluation))
        return detached(evaluation.budget, value)


def truth(source: str, context: Mapping[str, Json], *, now: datetime, place: str) -> bool:
    """Whether a condition holds: false are ``false``, ``null``, 0 and what is empty.

    Raises:
        ExpressionError: It does not evaluate; the detail begins with ``place``.
    """
    with _at(place):
        value = expression(source).run(_Frame(dict(context), Evaluation(now)))
        return bool(present(value))


def references(value: Json) -> set[str]:
    """The ids of the steps that the templates in a JSON value name.

    Raises:
        ExpressionError: A template in it is not in the grammar.
    """
    if isinstance(value, str):
        return {step for step, _ in template(value).steps} if is_template(value) else set()
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return set().union(*map(references, value))
    return set()


class _Rendering:
    """The evaluation of all the templates in one value, on one budget."""

    def __init__(self, context: Mapping[str, Json], evaluation: Evaluation) -> None:
        self.frame = _Frame(dict(context), evaluation)
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
            result = template(value).run(self.frame)
            budget = self.frame.budget
            self.size += budget.weigh(result)
            if self.size > MAX_CHARACTERS:
                raise ExpressionError(f"makes it more than {MAX_CHARACTERS} characters in all")
            return detached(budget, result)


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


# -- Understanding ---------------------------------------------------------------------------

_understood: dict[tuple[str, bool], Template] = {}


def _understand(source: str, *, bare: bool) -> Template:
    if len(source) > MAX_TEMPLATE:
        raise ExpressionError(f"has {len(source)} characters; at most {MAX_TEMPLATE} are allowed")
    found = _understood.get((source, bare))
    if found is None:
        found = _parse(source, bare=bare)
        # By their length, because a template takes some two hundred times its length in memory.
        if sum(len(known) for known, _ in _understood) + len(source) > MAX_CACHED:
            _understood.clear()
        _understood[source, bare] = found
    return found


def _parse(source: str, *, bare: bool) -> Template:
    from jinja2 import TemplateSyntaxError  # noqa: PLC0415 - see above

    try:
        return _parse_expression(source) if bare else _parse_template(source)
    except ExpressionError:
        raise
    except TemplateSyntaxError as error:
        line = f" in line {error.lineno}" if "\n" in source else ""
        raise ExpressionError(f"bad syntax{line}: {error.message}") from None
    except RecursionError:
        raise ExpressionError("is nested too deeply") from None
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        # A number of ten thousand digits, an escape that is none: Jinja2's lexer lets them through.
        raise ExpressionError(f"bad syntax: {error}"[:300]) from None


def _parse_expression(source: str) -> Template:
    from jinja2 import nodes  # noqa: PLC0415 - see above

    stripped = source.strip()
    if not stripped:
        raise ExpressionError("is empty; it needs an expression")
    if stripped.startswith("{{") and stripped.endswith("}}"):
        body = _parser(stripped).parse().body
        output = body[0] if len(body) == 1 else None
        if not isinstance(output, nodes.Output) or len(output.nodes) != 1:
            raise ExpressionError("needs to be one expression, not a text with several")
        return _Compiler().finish(output.nodes[0])
    if stripped.startswith("{%"):
        raise ExpressionError("needs to be an expression, not a statement")
    parser = _parser(stripped, state="variable")
    node = parser.parse_expression()
    if not parser.stream.eos:
        raise ExpressionError(f"bad syntax: unexpected {str(parser.stream.current)[:60]!r}")
    return _Compiler().finish(node)


def _parse_template(source: str) -> Template:
    from jinja2 import nodes  # noqa: PLC0415 - see above

    body = _parser(source).parse().body
    first = body[0] if len(body) == 1 else None
    if isinstance(first, nodes.Output) and len(first.nodes) == 1:
        return _Compiler().finish(first.nodes[0])
    return _Compiler().finish_text(body)


def _parser(source: str, state: str | None = None) -> Any:  # noqa: ANN401 - Jinja2's, untyped in part
    from jinja2.parser import Parser  # noqa: PLC0415 - see above

    return Parser(_environment(), source, state=state)


@lru_cache(maxsize=1)
def _environment() -> Any:  # noqa: ANN401 - see above
    from jinja2 import Environment  # noqa: PLC0415 - see above

    # It only parses: whatever it could run, load or escape is never asked for.
    return Environment(keep_trailing_newline=True, autoescape=False)  # noqa: S701 - no HTML here


class _Compiler:
    """Turns a syntax tree into closures; what is in no table is refused."""

    def __init__(self) -> None:
        self._depth = 0
        self._own: set[str] = set()
        self._names: set[str] = set()
        self._steps: set[tuple[str, str | None]] = set()

    def finish(self, node: "nodes.Expr") -> Template:
        """The template that is this one expression."""
        return self._template(self._expression(node))

    def finish_text(self, body: "Sequence[nodes.Node]") -> Template:
        """The template that writes a text."""
        write = self._body(body)

        def run(frame: _Frame) -> Value:
            out: list[str] = []
            write(_Frame(dict(frame.names), frame.evaluation), out)
            frame.budget.allocate(sum(map(len, out)))
            return "".join(out)

        return self._template(run)

    def _template(self, run: _Evaluate) -> Template:
        return Template(frozenset(self._names - self._own), frozenset(self._steps), run)

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_SYNTAX_DEPTH:
            raise ExpressionError("is nested too deeply")
        yield
        self._depth -= 1

    # -- Statements --

    def _body(self, body: "Sequence[nodes.Node]") -> _Write:
        writes = [self._statement(node) for node in body]

        def write(frame: _Frame, out: list[str]) -> None:
            for each in writes:
                each(frame, out)

        return write

    def _statement(self, node: "nodes.Node") -> _Write:
        kind = type(node).__name__
        make = _STATEMENTS.get(kind)
        if make is None:
            raise ExpressionError(f"{_in_words(kind)} is not allowed here")
        with self._deeper():
            return make(self, cast("Any", node))

    def _output(self, node: "nodes.Output") -> _Write:
        parts = [self._expression(part) for part in node.nodes]

        def write(frame: _Frame, out: list[str]) -> None:
            for part in parts:
                text = to_text(frame.budget, part(frame))
                frame.budget.allocate(len(text))
                out.append(text)

        return write

    def _if(self, node: "nodes.If") -> _Write:
        branches = [
            (self._expression(branch.test), self._body(branch.body))
            for branch in (node, *node.elif_)
        ]
        otherwise = self._body(node.else_)

        def write(frame: _Frame, out: list[str]) -> None:
            for test, body in branches:
                if present(test(frame)):
                    body(frame, out)
                    return
            otherwise(frame, out)

        return write

    def _assign(self, node: "nodes.Assign") -> _Write:
        store = self._target(node.target)
        value = self._expression(node.node)

        def write(frame: _Frame, out: list[str]) -> None:  # noqa: ARG001 - as the others
            store(frame.names, present(value(frame)))

        return write

    def _for(self, node: "nodes.For") -> _Write:
        if node.recursive:
            raise ExpressionError("a recursive loop is not allowed")
        source = self._expression(node.iter)
        store = self._target(node.target)
        self._own.add("loop")
        test = self._expression(node.test) if node.test else None
        body, otherwise = self._body(node.body), self._body(node.else_)

        def inside(frame: _Frame, item: Value) -> _Frame:
            inner = frame.child()
            store(inner.names, item)
            return inner

        def write(frame: _Frame, out: list[str]) -> None:
            items = as_list(source(frame))
            if test is not None:
                items = [item for item in items if present(test(inside(frame, item)))]
            for index, item in enumerate(items):
                inner = inside(frame, item)
                inner.names["loop"] = {
                    "index": index + 1,
                    "index0": index,
                    "revindex": len(items) - index,
                    "first": index == 0,
                    "last": index == len(items) - 1,
                    "length": len(items),
                }
                body(inner, out)
            if not items:
                otherwise(frame, out)

        return write

    def _target(self, node: "nodes.Node") -> Callable[[dict[str, Value], Value], None]:
        from jinja2 import nodes  # noqa: PLC0415 - see above

        if isinstance(node, nodes.Name):
            name = self._own_name(node.name)
            return lambda names, value: names.__setitem__(name, value)
        if isinstance(node, nodes.Tuple) and all(isinstance(x, nodes.Name) for x in node.items):
            unpacked = [self._own_name(cast("nodes.Name", each).name) for each in node.items]

            def store(names: dict[str, Value], value: Value) -> None:
                if not isinstance(value, list) or len(value) != len(unpacked):
                    raise ExpressionError(f"needs a list of {len(unpacked)} to take apart")
                names.update(zip(unpacked, value, strict=True))

            return store
        raise ExpressionError("only a name can be given a value")

    def _own_name(self, name: str) -> str:
        if name in _RESERVED:
            raise ExpressionError(f"{name!r} cannot be given a new value")
        self._own.add(_allowed_name(name))
        return name

    # -- Expressions --

    def _expression(self, node: "nodes.Node") -> _Evaluate:
        kind = type(node).__name__
        make = _EXPRESSIONS.get(kind)
        if make is None:
            raise ExpressionError(f"{_in_words(kind)} is not allowed")
        with self._deeper():
            run = make(self, cast("Any", node))

        def evaluate(frame: _Frame) -> Value:
            frame.budget.step()
            return run(frame)

        return evaluate

    def _several(self, found: "Sequence[nodes.Node]") -> list[_Evaluate]:
        return [self._expression(node) for node in found]

    def _constant(self, node: "nodes.Const") -> _Evaluate:
        value = node.value
        if isinstance(value, int | float):
            checked_number(value)
        return lambda _: value

    def _text(self, node: "nodes.TemplateData") -> _Evaluate:
        text = node.data
        return lambda _: text

    def _name(self, node: "nodes.Name") -> _Evaluate:
        name = _allowed_name(node.name)
        self._names.add(name)
        missing = Missing(f"there is no {name!r} here")
        return lambda frame: frame.names.get(name, missing)

    def _field(self, node: "nodes.Getattr") -> _Evaluate:
        self._note_step(node)
        return self._look_up(node.node, _allowed_name(node.attr))

    def _item(self, node: "nodes.Getitem") -> _Evaluate:
        from jinja2 import nodes  # noqa: PLC0415 - see above

        if isinstance(node.arg, nodes.Slice):
            return self._slice(node.node, node.arg)
        if isinstance(node.arg, nodes.Const):
            self._note_step(node)
            key = node.arg.value
            return self._look_up(node.node, _allowed_name(key) if isinstance(key, str) else key)
        path = _path(node.node)
        container, index = self._expression(node.node), self._expression(node.arg)
        return lambda frame: look_up(container(frame), present(index(frame)), path)

    def _look_up(self, node: "nodes.Expr", key: Value) -> _Evaluate:
        path = _path(node)
        container = self._expression(node)
        return lambda frame: look_up(container(frame), key, path)

    def _note_step(self, node: "nodes.Getattr | nodes.Getitem") -> None:
        """Remember ``steps.<id>`` and ``steps.<id>.<field>``."""
        match _keys(node):
            case ["steps", str(step)]:
                self._steps.add((step, None))
            case ["steps", str(step), str(wanted)]:
                self._steps.add((step, wanted))

    def _slice(self, node: "nodes.Expr", bounds: "nodes.Slice") -> _Evaluate:
        container = self._expression(node)
        ends = [
            self._expression(bound) if bound else None
            for bound in (bounds.start, bounds.stop, bounds.step)
        ]

        def run(frame: _Frame) -> Value:
            value = present(container(frame))
            whole = slice(*(None if end is None else as_integer(end(frame)) for end in ends))
            if isinstance(value, str):
                frame.budget.read(value)
                return frame.budget.text(value[whole])
            if isinstance(value, list):
                frame.budget.step(1 + len(value))
                return frame.budget.built(value[whole])
            raise ExpressionError(f"cannot take a part of {describe(value)}")

        return run

    def _sequence(self, node: "nodes.List | nodes.Tuple") -> _Evaluate:
        items = self._several(node.items)
        return lambda frame: frame.budget.built([present(item(frame)) for item in items])

    def _object(self, node: "nodes.Dict") -> _Evaluate:
        pairs = [(self._expression(pair.key), self._expression(pair.value)) for pair in node.items]

        def run(frame: _Frame) -> Value:
            made: dict[str, Value] = {}
            for key, value in pairs:
                name = present(key(frame))
                if not isinstance(name, str):
                    raise ExpressionError(
                        f"needs text as the name of a field, not {describe(name)}"
                    )
                made[name] = present(value(frame))
            return frame.budget.built(made)

        return run

    def _choice(self, node: "nodes.CondExpr") -> _Evaluate:
        test, chosen = self._expression(node.test), self._expression(node.expr1)
        if node.expr2 is None:
            raise ExpressionError("'… if …' needs an 'else'")
        other = self._expression(node.expr2)
        return lambda frame: chosen(frame) if present(test(frame)) else other(frame)

    def _and(self, node: "nodes.And") -> _Evaluate:
        left, right = self._expression(node.left), self._expression(node.right)
        return lambda frame: present(left(frame)) and present(right(frame))

    def _or(self, node: "nodes.Or") -> _Evaluate:
        left, right = self._expression(node.left), self._expression(node.right)
        return lambda frame: present(left(frame)) or present(right(frame))

    def _not(self, node: "nodes.Not") -> _Evaluate:
        value = self._expression(node.node)
        return lambda frame: not present(value(frame))

    def _compare(self, node: "nodes.Compare") -> _Evaluate:
        first = self._expression(node.expr)
        others = [(_COMPARISONS[each.op], self._expression(each.expr)) for each in node.ops]

        def run(frame: _Frame) -> Value:
            left = present(first(frame))
            for holds, other in others:
                right = present(other(frame))
                if not holds(frame.evaluation, left, right):
                    return False
                left = right
            return True

        return run

    def _concatenate(self, node: "nodes.Concat") -> _Evaluate:
        parts = self._several(node.nodes)

        def run(frame: _Frame) -> Value:
            texts = [to_text(frame.budget, part(frame)) for part in parts]
            frame.budget.allocate(sum(map(len, texts)))
            return "".join(texts)

        return run

    def _binary(self, node: "nodes.BinExpr") -> _Evaluate:
        left, right = self._expression(node.left), self._expression(node.right)
        compute = _BINARY[type(node).__name__]
        return lambda frame: compute(frame.budget, present(left(frame)), present(right(frame)))

    def _negative(self, node: "nodes.Neg") -> _Evaluate:
        value = self._expression(node.node)
        return lambda frame: -as_number(value(frame))

    def _positive(self, node: "nodes.Pos") -> _Evaluate:
        value = self._expression(node.node)
        return lambda frame: as_number(value(frame))

    def _filter(self, node: "nodes.Filter") -> _Evaluate:
        if node.node is None:
            raise ExpressionError("a filter block is not allowed")
        return self._called("filter", FILTERS, node.name, node.node, node)

    def _test(self, node: "nodes.Test") -> _Evaluate:
        return self._called("test", TESTS, node.name, node.node, node)

    def _call(self, node: "nodes.Call") -> _Evaluate:
        from jinja2 import nodes  # noqa: PLC0415 - see above

        if not isinstance(node.node, nodes.Name):
            raise ExpressionError(
                f"cannot call {_path(node.node)}(): values have no methods, use a filter"
            )
        return self._called("function", FUNCTIONS, node.node.name, None, node)

    def _called(
        self,
        kind: str,
        registry: Mapping[str, Callable[..., Value]],
        name: str,
        subject: "nodes.Expr | None",
        node: "nodes.Filter | nodes.Test | nodes.Call",
    ) -> _Evaluate:
        """A filter, a test or a function, with its arguments checked for number and name."""
        if name not in registry:
            raise ExpressionError(f"there is no {kind} {name!r}; there are: {', '.join(registry)}")
        if node.dyn_args is not None or node.dyn_kwargs is not None:
            raise ExpressionError("* and ** are not allowed in a call")
        called = registry[name]
        value = None if subject is None else self._expression(subject)
        args = self._several(node.args)
        kwargs = {str(pair.key): self._expression(pair.value) for pair in node.kwargs}
        given: list[Value] = [None] * (1 + (value is not None) + len(args))
        try:
            inspect.signature(called).bind(*given, **dict[str, Value].fromkeys(kwargs))
        except TypeError as error:
            raise ExpressionError(f"the {kind} {name!r} is called wrongly: {error}") from None
        accepts_missing = name in ACCEPT_MISSING

        def run(frame: _Frame) -> Value:
            subjects = [] if value is None else [value(frame)]
            if not accepts_missing:
                subjects = [present(each) for each in subjects]
            arguments = [present(arg(frame)) for arg in args]
            named = {key: present(arg(frame)) for key, arg in kwargs.items()}
            try:
                return called(frame.evaluation, *subjects, *arguments, **named)
            except ExpressionError as error:
                raise ExpressionError(f"{name}: {error.detail}") from None
            except (ArithmeticError, TypeError, ValueError, LookupError):
                raise ExpressionError(f"{name}: does not fit these values") from None

        return run


_RESERVED: Final = frozenset({"trigger", "steps", "execution", "workflow", "loop"})


def _allowed_name(name: str) -> str:
    if name.startswith("__") and name.endswith("__"):
        raise ExpressionError(f"the name {name[:60]!r} is not allowed")
    return name


def _in_words(kind: str) -> str:
    return _WORDS.get(kind, f"this ({kind})")


def _keys(node: "nodes.Node") -> list[Value]:
    """``steps.lookup['output']`` as ``["steps", "lookup", "output"]``; empty where not constant."""
    from jinja2 import nodes  # noqa: PLC0415 - see above

    keys: list[Value] = []
    while not isinstance(node, nodes.Name):
        if isinstance(node, nodes.Getattr):
            keys.append(node.attr)
        elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
            keys.append(node.arg.value)
        else:
            return []
        node = node.node
    keys.append(node.name)
    return keys[::-1]


def _path(node: "nodes.Node") -> str:
    """What an expression is called in an error, e.g. ``trigger.rows[0]``."""
    first, *rest = _keys(node) or ["the value"]
    parts = [f".{key}" if isinstance(key, str) else f"[{key}]" for key in rest]
    return f"{first}{''.join(parts)}"[:200]


# -- Operators -------------------------------------------------------------------------------


def _add(budget: Budget, left: Value, right: Value) -> Value:
    if isinstance(left, str) and isinstance(right, str):
        budget.allocate(len(left) + len(right))
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        budget.step(len(left) + len(right))
        return budget.built(left + right)
    return checked_number(_numbers("add", left, right, lambda a, b: a + b))


def _multiply(budget: Budget, left: Value, right: Value) -> Value:
    if isinstance(left, int) and isinstance(right, str | list):
        left, right = right, left
    if isinstance(left, str | list) and isinstance(right, int):
        times = max(0, as_integer(right))
        budget.allocate(len(left) * times)
        if isinstance(left, str):
            return left * times
        budget.step(len(left) * times)
        return budget.built(left * times)
    return checked_number(_numbers("multiply", left, right, lambda a, b: a * b))


def _power(_: Budget, left: Value, right: Value) -> Value:
    base, exponent = as_number(left), as_number(right)
    if abs(exponent) > MAX_EXPONENT:
        raise ExpressionError(f"cannot raise to more than the power of {MAX_EXPONENT}")
    if isinstance(base, int):
        checked_number(base)
    return checked_number(_numbers("raise", base, exponent, lambda a, b: a**b))


def _arithmetic(word: str, compute: Callable[[Any, Any], Value]) -> Callable[..., Value]:
    return lambda _, left, right: checked_number(_numbers(word, left, right, compute))


def _numbers(word: str, left: Value, right: Value, compute: Callable[[Any, Any], Value]) -> Value:
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        hint = "; '~' joins texts" if isinstance(left, str) or isinstance(right, str) else ""
        raise ExpressionError(f"cannot {word} {describe(left)} and {describe(right)}{hint}")
    try:
        return compute(left, right)
    except ZeroDivisionError:
        raise ExpressionError("cannot divide by zero") from None
    except OverflowError:
        raise ExpressionError("gives a number that is too large") from None


_BINARY: Final[Mapping[str, Callable[[Budget, Value, Value], Value]]] = {
    "Add": _add,
    "Sub": _arithmetic("subtract", lambda a, b: a - b),
    "Mul": _multiply,
    "Div": _arithmetic("divide", lambda a, b: a / b),
    "FloorDiv": _arithmetic("divide", lambda a, b: a // b),
    "Mod": _arithmetic("divide", lambda a, b: a % b),
    "Pow": _power,
}

_COMPARISONS: Final[Mapping[str, Callable[[Evaluation, Value, Value], bool]]] = {
    "eq": same,
    "ne": lambda evaluation, left, right: not same(evaluation, left, right),
    "lt": lambda evaluation, left, right: order(evaluation, left, right) < 0,
    "lteq": lambda evaluation, left, right: order(evaluation, left, right) <= 0,
    "gt": lambda evaluation, left, right: order(evaluation, left, right) > 0,
    "gteq": lambda evaluation, left, right: order(evaluation, left, right) >= 0,
    "in": lambda evaluation, left, right: contains(evaluation, right, left),
    "notin": lambda evaluation, left, right: not contains(evaluation, right, left),
}

# -- The grammar: what is not here does not exist --------------------------------------------

_STATEMENTS: Final[Mapping[str, Callable[[_Compiler, Any], _Write]]] = {
    "Assign": _Compiler._assign,  # noqa: SLF001 - a table of the class above
    "For": _Compiler._for,  # noqa: SLF001
    "If": _Compiler._if,  # noqa: SLF001
    "Output": _Compiler._output,  # noqa: SLF001
}

_EXPRESSIONS: Final[Mapping[str, Callable[[_Compiler, Any], _Evaluate]]] = {
    "And": _Compiler._and,  # noqa: SLF001
    "Call": _Compiler._call,  # noqa: SLF001
    "Compare": _Compiler._compare,  # noqa: SLF001
    "Concat": _Compiler._concatenate,  # noqa: SLF001
    "CondExpr": _Compiler._choice,  # noqa: SLF001
    "Const": _Compiler._constant,  # noqa: SLF001
    "Dict": _Compiler._object,  # noqa: SLF001
    "Filter": _Compiler._filter,  # noqa: SLF001
    "Getattr": _Compiler._field,  # noqa: SLF001
    "Getitem": _Compiler._item,  # noqa: SLF001
    "List": _Compiler._sequence,  # noqa: SLF001
    "Name": _Compiler._name,  # noqa: SLF001
    "Neg": _Compiler._negative,  # noqa: SLF001
    "Not": _Compiler._not,  # noqa: SLF001
    "Or": _Compiler._or,  # noqa: SLF001
    "Pos": _Compiler._positive,  # noqa: SLF001
    "TemplateData": _Compiler._text,  # noqa: SLF001
    "Test": _Compiler._test,  # noqa: SLF001
    "Tuple": _Compiler._sequence,  # noqa: SLF001
    **dict.fromkeys(_BINARY, _Compiler._binary),  # noqa: SLF001
}

_WORDS: Final[Mapping[str, str]] = {
    "AssignBlock": "{% set %} with a body",
    "Block": "{% block %}",
    "CallBlock": "{% call %}",
    "Extends": "{% extends %}",
    "FilterBlock": "{% filter %}",
    "FromImport": "{% from … import %}",
    "Import": "{% import %}",
    "Include": "{% include %}",
    "Macro": "{% macro %}",
    "NSRef": "an attribute as a target",
    "ScopedEvalContextModifier": "{% autoescape %}",
    "With": "{% with %}",
}
