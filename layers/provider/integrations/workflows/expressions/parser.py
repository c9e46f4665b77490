"""Text becomes a ``Template``: Jinja2's lexer and parser, and a memory of what was understood."""

import re
import time
from functools import lru_cache
from typing import Any, Final

from integrations import memory
from integrations.errors import ExpressionError
from integrations.workflows.expressions.budget import Budget
from integrations.workflows.expressions.compiler import Compiler, Template

MAX_TEMPLATE: Final = 16 * 1024
MAX_CACHED: Final = 128 * 1024
"""How many characters of templates a process remembers having understood."""

_HOLE: Final = "\0"
"""Stands for an expression while the text around it is split."""

_PIECES = re.compile(r"""("(?:[^"\\]|\\.)*+")|".*|[^"]+""", re.DOTALL)
"""A quoted name; or what is none: all that follows a quote that nothing closes, or has no quote."""


def is_template(text: str) -> bool:
    """Whether a text has anything to evaluate in it; ``{#`` alone, as CSS has it, is text."""
    return "{{" in text or "{%" in text or ("{#" in text and "#}" in text)


def split_by_commas(text: str) -> list[str]:
    """A template's text at the commas that its author wrote: outside of braces and of quotes.

    A text with statements (``{% … %}``) stays whole: what belongs together is not told from it.
    """
    from jinja2 import TemplateSyntaxError

    if "{%" in text or "{#" in text or _HOLE in text:
        return [text.strip()]
    plain, holes = "", [""]
    try:
        for _, kind, value in _environment().lexer.tokeniter(text, None):
            if kind == "data":
                plain += value
            elif kind == "variable_begin":
                plain += _HOLE
                holes.append(value)
            else:
                holes[-1] += value
    except TemplateSyntaxError:
        return [text.strip()]  # who parses it says what is wrong
    parts = [""]
    for found in _PIECES.finditer(plain):
        first, *more = [found[0]] if found[1] else found[0].split(",")
        parts[-1] += first
        parts += more
    filled = iter(holes[1:])
    return [re.sub(_HOLE, lambda _: next(filled), part).strip() for part in parts]


def template(source: str, budget: Budget | None = None) -> Template:
    """Understand a text with ``{{ … }}`` and ``{% … %}`` in it.

    Args:
        source: The text.
        budget: What understanding it is paid from.

    Raises:
        ExpressionError: It is not in the grammar, names what there is not, or is too long.
    """
    return _understand(source, budget or Budget(), bare=False)


def expression(source: str, budget: Budget | None = None) -> Template:
    """Understand one expression, with its ``{{ }}`` or without.

    Args:
        source: The expression.
        budget: What understanding it is paid from.

    Raises:
        ExpressionError: It is not in the grammar, names what there is not, or is too long.
    """
    return _understand(source, budget or Budget(), bare=True)


_understood: dict[tuple[str, bool], tuple[Template, int]] = memory.mapping()
"""Each with the characters of all that were understood until then, itself included."""


def _understand(source: str, budget: Budget, *, bare: bool) -> Template:
    if len(source) > MAX_TEMPLATE:
        raise ExpressionError(f"has {len(source)} characters; at most {MAX_TEMPLATE} are allowed")
    found, _ = _understood.get((source, bare), (None, 0))
    if found is None:
        began = time.monotonic()
        _environment()
        budget.excuse(time.monotonic() - began)
        budget.parse(source)
        found = _parse(source, bare=bare)
        budget.look_at_the_clock()
        # By their length, because a template takes some two hundred times its length in memory.
        _, before = next(reversed(_understood.values()), (None, 0))
        if before + len(source) > MAX_CACHED:
            _understood.clear()
            before = 0
        _understood[source, bare] = found, before + len(source)
    return found


def _parse(source: str, *, bare: bool) -> Template:
    from jinja2 import TemplateSyntaxError

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
    from jinja2 import nodes

    stripped = source.strip()
    if not stripped:
        raise ExpressionError("is empty; it needs an expression")
    if stripped.startswith("{{") and stripped.endswith("}}"):
        body = _parser(stripped).parse().body
        output = body[0] if len(body) == 1 else None
        if not isinstance(output, nodes.Output) or len(output.nodes) != 1:
            raise ExpressionError("needs to be one expression, not a text with several")
        return Compiler().finish(output.nodes[0])
    if stripped.startswith("{%"):
        raise ExpressionError("needs to be an expression, not a statement")
    parser = _parser(stripped, state="variable")
    node = parser.parse_expression()
    if not parser.stream.eos:
        raise ExpressionError(f"bad syntax: unexpected {str(parser.stream.current)[:60]!r}")
    return Compiler().finish(node)


def _parse_template(source: str) -> Template:
    from jinja2 import nodes

    body = _parser(_with_open_comments_as_text(source)).parse().body
    first = body[0] if len(body) == 1 else None
    if isinstance(first, nodes.Output) and len(first.nodes) == 1:
        return Compiler().finish(first.nodes[0])
    return Compiler().finish_text(body)


_ENDS: Final = {"{{": "}}", "{%": "%}", "{#": "#}"}
_OPENING: Final = re.compile(r"\{[{%#]")
_RAW: Final = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}", re.DOTALL)
_QUOTED_OR_END: Final = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|}}|%}""", re.DOTALL)


def _with_open_comments_as_text(source: str) -> str:
    """``{#`` that no ``#}`` follows is text (``@media print{#a{…}}``); Jinja2 refuses it."""
    if "{#" not in source:
        return source
    parts: list[str] = []
    at = 0
    while opening := _OPENING.search(source, at):
        start, sign = opening.start(), opening[0]
        raw = _RAW.match(source, start)
        end = raw.end() if raw else _end_of(source, sign, start + len(sign))
        if end is None and sign == "{#":
            parts += [source[at:start], "{{ '{#' }}"]
            end = start + len(sign)
        elif end is None:  # the parser says what is wrong with it
            break
        else:
            parts.append(source[at:end])
        at = end
    return "".join([*parts, source[at:]])


def _end_of(source: str, sign: str, start: int) -> int | None:
    if sign == "{#":
        found = source.find("#}", start)
        return None if found < 0 else found + 2
    for match in _QUOTED_OR_END.finditer(source, start):
        if match[0] == _ENDS[sign]:
            return match.end()
    return None


def _parser(source: str, state: str | None = None) -> Any:
    from jinja2.parser import Parser

    return Parser(_environment(), source, state=state)


@lru_cache(maxsize=1)
def _environment() -> Any:
    from jinja2 import Environment

    # It only parses: whatever it could run, load or escape is never asked for.
    return Environment(keep_trailing_newline=True, autoescape=False)  # noqa: S701 - no HTML here
