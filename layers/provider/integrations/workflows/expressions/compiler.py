"""Syntax trees become closures here, node by node; what is in no table is refused.

Jinja2 parses; it does not run. Its sandbox guards attributes but neither time nor memory. Here
every operation pays from a ``Budget``, and values are plain JSON, without attributes or methods.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, cast

from integrations.errors import ExpressionError
from integrations.workflows.expressions.access import ACCEPT_MISSING, Evaluation, look_up, nearest
from integrations.workflows.expressions.budget import Budget
from integrations.workflows.expressions.operators import BINARY, COMPARISONS
from integrations.workflows.expressions.registry import FILTERS, FUNCTIONS, TESTS
from integrations.workflows.expressions.values import (
    Missing,
    Value,
    as_integer,
    as_list,
    as_number,
    checked_number,
    describe,
    present,
    to_text,
)

if TYPE_CHECKING:
    # Imported on first use: a workflow without a template runs without Jinja2.
    from jinja2 import nodes

MAX_SYNTAX_DEPTH: Final = 80


class Frame(NamedTuple):
    """Where an expression is evaluated: the names it sees, and what it may spend."""

    names: dict[str, Value]
    evaluation: Evaluation

    @property
    def budget(self) -> Budget:
        """What the evaluation may spend."""
        return self.evaluation.budget

    def child(self) -> "Frame":
        """A frame for one round of a loop, whose names end with it."""
        self.budget.step(1 + len(self.names) // 8)
        return Frame(dict(self.names), self.evaluation)


type Evaluate = Callable[[Frame], Value]
type Write = Callable[[Frame, list[str]], None]


class Template(NamedTuple):
    """A template or expression that was understood.

    Attributes:
        names: The names that it needs from outside (``trigger``, ``steps``, ``item`` …).
        steps: The steps that it names, each with the field it wants of them, where it says.
        secrets: The secrets that it names.
        alters_secrets: Whether it makes something of one, and does not only put it somewhere.
        run: Evaluates it.
    """

    names: frozenset[str]
    steps: frozenset[tuple[str, str | None]]
    secrets: frozenset[str]
    alters_secrets: bool
    run: Evaluate


class Compiler:
    """Turns a syntax tree into closures; what is in no table is refused."""

    def __init__(self) -> None:
        self._depth = 0
        self._own: set[str] = set()
        self._names: set[str] = set()
        self._steps: set[tuple[str, str | None]] = set()
        self._secrets: set[str] = set()
        self._of_secrets = 0
        self._alters_secrets = False
        self._secret_names: set[str] = set()

    def finish(self, node: "nodes.Expr") -> Template:
        """The template that is this one expression."""
        return self._template(self._expression(node))

    def finish_text(self, body: "Sequence[nodes.Node]") -> Template:
        """The template that writes a text."""
        write = self._body(body)

        def run(frame: Frame) -> Value:
            out: list[str] = []
            write(Frame(dict(frame.names), frame.evaluation), out)
            frame.budget.allocate(sum(map(len, out)))
            return "".join(out)

        return self._template(run)

    def _template(self, run: Evaluate) -> Template:
        names = frozenset(self._names - self._own)
        steps, secrets = frozenset(self._steps), frozenset(self._secrets)
        return Template(names, steps, secrets, self._alters_secrets, run)

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_SYNTAX_DEPTH:
            raise ExpressionError("is nested too deeply")
        yield
        self._depth -= 1

    # -- Statements --

    def _body(self, body: "Sequence[nodes.Node]") -> Write:
        writes = [self._statement(node) for node in body]

        def write(frame: Frame, out: list[str]) -> None:
            for each in writes:
                each(frame, out)

        return write

    def _statement(self, node: "nodes.Node") -> Write:
        kind = type(node).__name__
        make = self._STATEMENTS.get(kind)
        if make is None:
            raise ExpressionError(f"{_in_words(kind)} is not allowed here")
        with self._deeper():
            return make(self, cast("Any", node))

    def _output(self, node: "nodes.Output") -> Write:
        parts = [self._expression(part) for part in node.nodes]

        def write(frame: Frame, out: list[str]) -> None:
            for part in parts:
                text = to_text(frame.budget, part(frame))
                frame.budget.allocate(len(text))
                out.append(text)

        return write

    def _if(self, node: "nodes.If") -> Write:
        branches = [
            (self._expression(branch.test), self._body(branch.body))
            for branch in (node, *node.elif_)
        ]
        otherwise = self._body(node.else_)

        def write(frame: Frame, out: list[str]) -> None:
            for test, body in branches:
                if present(test(frame)):
                    body(frame, out)
                    return
            otherwise(frame, out)

        return write

    def _assign(self, node: "nodes.Assign") -> Write:
        value = self._source(node.node, node.target)
        store = self._target(node.target)

        def write(frame: Frame, out: list[str]) -> None:  # noqa: ARG001 - it writes nothing
            store(frame.names, present(value(frame)))

        return write

    def _for(self, node: "nodes.For") -> Write:
        if node.recursive:
            raise ExpressionError("a recursive loop is not allowed")
        source = self._source(node.iter, node.target)
        store = self._target(node.target)
        self._own.add("loop")
        test = self._expression(node.test) if node.test else None
        body, otherwise = self._body(node.body), self._body(node.else_)

        def inside(frame: Frame, item: Value) -> Frame:
            inner = frame.child()
            store(inner.names, item)
            return inner

        def write(frame: Frame, out: list[str]) -> None:
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

    def _source(self, node: "nodes.Node", target: "nodes.Node") -> Evaluate:
        """The expression whose value a name gets: made of secrets, the name holds one, too."""
        from jinja2 import nodes

        before = self._of_secrets
        source = self._expression(node)
        if self._of_secrets > before:
            names = [target, *target.find_all(nodes.Name)]
            self._secret_names |= {each.name for each in names if isinstance(each, nodes.Name)}
        return source

    def _target(self, node: "nodes.Node") -> Callable[[dict[str, Value], Value], None]:
        from jinja2 import nodes

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

    def _expression(self, node: "nodes.Node") -> Evaluate:
        kind = type(node).__name__
        make = self._EXPRESSIONS.get(kind)
        if make is None:
            raise ExpressionError(f"{_in_words(kind)} is not allowed")
        before = self._of_secrets
        with self._deeper():
            run = make(self, cast("Any", node))

        def evaluate(frame: Frame) -> Value:
            frame.budget.step()
            return run(frame)

        def derive(frame: Frame) -> Value:
            value = evaluate(frame)
            if frame.evaluation.derived is not None:
                frame.evaluation.derived.append(value)
            return value

        if self._of_secrets == before:
            return evaluate
        is_secret = _keys(node)[:-1] == ["secrets"]
        self._alters_secrets |= kind not in _LEAVES_WHOLE and not is_secret
        return derive

    def _several(self, found: "Sequence[nodes.Node]") -> list[Evaluate]:
        return [self._expression(node) for node in found]

    def _constant(self, node: "nodes.Const") -> Evaluate:
        value = node.value
        if isinstance(value, int | float):
            checked_number(value)
        return lambda _: value

    def _text(self, node: "nodes.TemplateData") -> Evaluate:
        text = node.data
        return lambda _: text

    def _name(self, node: "nodes.Name") -> Evaluate:
        name = _allowed_name(node.name)
        if name == "secrets":
            raise ExpressionError("a secret is named as it is: secrets.NAME")
        self._names.add(name)
        self._of_secrets += name in self._secret_names
        missing = Missing(f"there is no {name!r} here")
        return lambda frame: frame.names.get(name, missing)

    def _field(self, node: "nodes.Getattr") -> Evaluate:
        self._note_step(node)
        return self._look_up(node.node, _allowed_name(node.attr))

    def _item(self, node: "nodes.Getitem") -> Evaluate:
        from jinja2 import nodes

        if isinstance(node.arg, nodes.Slice):
            return self._slice(node.node, node.arg)
        if isinstance(node.arg, nodes.Const):
            self._note_step(node)
            key = node.arg.value
            return self._look_up(node.node, _allowed_name(key) if isinstance(key, str) else key)
        path = _path(node.node)
        container, index = self._expression(node.node), self._expression(node.arg)
        return lambda frame: look_up(container(frame), present(index(frame)), path)

    def _look_up(self, node: "nodes.Expr", key: Value) -> Evaluate:
        if isinstance(key, str) and _keys(node) == ["secrets"]:
            return self._secret(key)
        path = _path(node)
        container = self._expression(node)
        return lambda frame: look_up(container(frame), key, path)

    def _secret(self, name: str) -> Evaluate:
        self._names.add("secrets")
        self._secrets.add(name)
        self._of_secrets += 1
        missing = Missing(f"there is no secret {name[:64]!r}")
        return lambda frame: frame.names.get("secrets", {}).get(name, missing)

    def _note_step(self, node: "nodes.Getattr | nodes.Getitem") -> None:
        """Remember ``steps.<id>`` and ``steps.<id>.<field>``."""
        match _keys(node):
            case ["steps", str(step)]:
                self._steps.add((step, None))
            case ["steps", str(step), str(wanted)]:
                self._steps.add((step, wanted))

    def _slice(self, node: "nodes.Expr", bounds: "nodes.Slice") -> Evaluate:
        container = self._expression(node)
        ends = [
            self._expression(bound) if bound else None
            for bound in (bounds.start, bounds.stop, bounds.step)
        ]

        def run(frame: Frame) -> Value:
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

    def _sequence(self, node: "nodes.List | nodes.Tuple") -> Evaluate:
        items = self._several(node.items)
        return lambda frame: frame.budget.built([present(item(frame)) for item in items])

    def _object(self, node: "nodes.Dict") -> Evaluate:
        pairs = [(self._expression(pair.key), self._expression(pair.value)) for pair in node.items]

        def run(frame: Frame) -> Value:
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

    def _choice(self, node: "nodes.CondExpr") -> Evaluate:
        before = self._of_secrets
        test = self._expression(node.test)
        self._of_secrets = before  # which of two is chosen makes neither of them a secret
        chosen = self._expression(node.expr1)
        if node.expr2 is None:
            raise ExpressionError("'… if …' needs an 'else'")
        other = self._expression(node.expr2)
        return lambda frame: chosen(frame) if present(test(frame)) else other(frame)

    def _and(self, node: "nodes.And") -> Evaluate:
        left, right = self._expression(node.left), self._expression(node.right)
        return lambda frame: present(left(frame)) and present(right(frame))

    def _or(self, node: "nodes.Or") -> Evaluate:
        left, right = self._expression(node.left), self._expression(node.right)
        return lambda frame: present(left(frame)) or present(right(frame))

    def _not(self, node: "nodes.Not") -> Evaluate:
        value = self._expression(node.node)
        return lambda frame: not present(value(frame))

    def _compare(self, node: "nodes.Compare") -> Evaluate:
        first = self._expression(node.expr)
        others = [(COMPARISONS[each.op], self._expression(each.expr)) for each in node.ops]

        def run(frame: Frame) -> Value:
            left = present(first(frame))
            for holds, other in others:
                right = present(other(frame))
                if not holds(frame.evaluation, left, right):
                    return False
                left = right
            return True

        return run

    def _concatenate(self, node: "nodes.Concat") -> Evaluate:
        parts = self._several(node.nodes)

        def run(frame: Frame) -> Value:
            texts = [to_text(frame.budget, part(frame)) for part in parts]
            frame.budget.allocate(sum(map(len, texts)))
            return "".join(texts)

        return run

    def _binary(self, node: "nodes.BinExpr") -> Evaluate:
        left, right = self._expression(node.left), self._expression(node.right)
        compute = BINARY[type(node).__name__]
        return lambda frame: compute(frame.budget, present(left(frame)), present(right(frame)))

    def _negative(self, node: "nodes.Neg") -> Evaluate:
        value = self._expression(node.node)
        return lambda frame: -as_number(value(frame))

    def _positive(self, node: "nodes.Pos") -> Evaluate:
        value = self._expression(node.node)
        return lambda frame: as_number(value(frame))

    def _filter(self, node: "nodes.Filter") -> Evaluate:
        if node.node is None:
            raise ExpressionError("a filter block is not allowed")
        return self._called("filter", FILTERS, node.name, node.node, node)

    def _test(self, node: "nodes.Test") -> Evaluate:
        return self._called("test", TESTS, node.name, node.node, node)

    def _call(self, node: "nodes.Call") -> Evaluate:
        from jinja2 import nodes

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
    ) -> Evaluate:
        """A filter, a test or a function, with its arguments checked for number and name."""
        if name not in registry:
            if kind == "function" and name in FILTERS:
                raise ExpressionError(f"{name!r} is a filter, not a function: write x|{name}")
            raise ExpressionError(
                f"there is no {kind} {name!r}{nearest(name, registry)}; "
                f"there are: {', '.join(registry)}"
            )
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

        def run(frame: Frame) -> Value:
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

    # -- The grammar: what is not here does not exist --

    _STATEMENTS: ClassVar[Mapping[str, Callable[["Compiler", Any], Write]]] = {
        "Assign": _assign,
        "For": _for,
        "If": _if,
        "Output": _output,
    }
    _EXPRESSIONS: ClassVar[Mapping[str, Callable[["Compiler", Any], Evaluate]]] = {
        "And": _and,
        "Call": _call,
        "Compare": _compare,
        "Concat": _concatenate,
        "CondExpr": _choice,
        "Const": _constant,
        "Dict": _object,
        "Filter": _filter,
        "Getattr": _field,
        "Getitem": _item,
        "List": _sequence,
        "Name": _name,
        "Neg": _negative,
        "Not": _not,
        "Or": _or,
        "Pos": _positive,
        "TemplateData": _text,
        "Test": _test,
        "Tuple": _sequence,
        **dict.fromkeys(BINARY, _binary),
    }


_LEAVES_WHOLE: Final = frozenset({
    "Name", "Concat", "List", "Tuple", "Dict", "CondExpr", "And", "Or"
})  # fmt: skip
"""What gives a secret on as it is, or asks no more of it than whether it is there."""

_RESERVED: Final = frozenset({"trigger", "steps", "execution", "workflow", "loop", "secrets"})


def _allowed_name(name: str) -> str:
    if name.startswith("__") and name.endswith("__"):
        raise ExpressionError(f"the name {name[:60]!r} is not allowed")
    return name


def _in_words(kind: str) -> str:
    return _WORDS.get(kind, f"this ({kind})")


def _keys(node: "nodes.Node") -> list[Value]:
    """``steps.lookup['output']`` as ``["steps", "lookup", "output"]``; empty where not constant."""
    from jinja2 import nodes

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
