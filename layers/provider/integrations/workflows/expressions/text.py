"""Filters that make text of text.

https://jinja.palletsprojects.com/en/stable/templates/#builtin-filters
"""

import html
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, urlencode

from integrations.comparison import comparable
from integrations.errors import ExpressionError
from integrations.workflows.expressions.access import Evaluation, column, plain_text
from integrations.workflows.expressions.values import Value, as_integer, to_text

_MARKDOWN_SPECIAL: Final = frozenset("\\_*[]()~`>#+-=|{}.!")
_BEFORE_WORDS: Final = re.compile(r"([-\s({\[<]+)")
"""What stands before a word: Jinja2's own idea of one, so that "it's" stays one."""


def _upper(evaluation: Evaluation, value: Value) -> Value:
    return evaluation.budget.text(plain_text(evaluation, value).upper())


def _lower(evaluation: Evaluation, value: Value) -> Value:
    return evaluation.budget.text(plain_text(evaluation, value).lower())


def _comparable(evaluation: Evaluation, value: Value) -> Value:
    """A text in the form in which what people take for the same is equal: ``comparison``."""
    text = plain_text(evaluation, value)
    evaluation.budget.step(1 + len(text) // 64)
    return evaluation.budget.text(comparable(text))


def _title(evaluation: Evaluation, value: Value) -> Value:
    """Each word begins in upper case; a word ends at a space, a hyphen or an opening bracket."""
    parts = _BEFORE_WORDS.split(plain_text(evaluation, value))
    evaluation.budget.step(len(parts))
    made = "".join(part[:1].upper() + part[1:].lower() for part in parts)
    return evaluation.budget.text(made)


def _capitalize(evaluation: Evaluation, value: Value) -> Value:
    return evaluation.budget.text(plain_text(evaluation, value).capitalize())


def _trim(evaluation: Evaluation, value: Value, chars: Value = None) -> Value:
    stripped = None if chars is None else plain_text(evaluation, chars)
    text = plain_text(evaluation, value)
    evaluation.budget.step(1 + len(text) * len(stripped or "") // 1024)
    return evaluation.budget.text(text.strip(stripped))


def _replace(
    evaluation: Evaluation, value: Value, old: Value, new: Value, count: Value = None
) -> Value:
    text, before = plain_text(evaluation, value), plain_text(evaluation, old)
    after = plain_text(evaluation, new)
    limit = -1 if count is None else as_integer(count)
    found = text.count(before) if limit < 0 else min(text.count(before), limit)
    evaluation.budget.allocate(max(0, len(text) + found * (len(after) - len(before))))
    return text.replace(before, after, limit)


def _truncate(
    evaluation: Evaluation,
    value: Value,
    length: Value = 255,
    killwords: Value = False,
    end: Value = "...",
    leeway: Value = 0,
) -> Value:
    text, tail = plain_text(evaluation, value), plain_text(evaluation, end)
    limit = as_integer(length)
    if limit < len(tail):
        raise ExpressionError(f"needs a length of at least {len(tail)}")
    if len(text) <= limit + max(0, as_integer(leeway)):
        return text
    shortened = text[: limit - len(tail)]
    if not killwords:
        shortened = shortened.rsplit(" ", 1)[0]
    return evaluation.budget.text(shortened + tail)


def _split(
    evaluation: Evaluation, value: Value, separator: Value = None, maxsplit: Value = -1
) -> Value:
    text = plain_text(evaluation, value)
    by = None if separator is None else plain_text(evaluation, separator)
    if by == "":
        raise ExpressionError("needs a separator that is not empty")
    limit = as_integer(maxsplit)
    evaluation.budget.step(1 + (len(text) // 8 if by is None else text.count(by)))
    evaluation.budget.allocate(len(text))
    return evaluation.budget.built(list(text.split(by, limit)))


def _join(evaluation: Evaluation, value: Value, d: Value = "", attribute: Value = None) -> Value:
    between = plain_text(evaluation, d)
    parts = [to_text(evaluation.budget, x) for x in column(evaluation, value, attribute)]
    evaluation.budget.allocate(sum(map(len, parts)) + len(between) * max(0, len(parts) - 1))
    return between.join(parts)


def _urlencode(evaluation: Evaluation, value: Value) -> Value:
    if isinstance(value, dict):
        pairs = [(key, plain_text(evaluation, item)) for key, item in value.items()]
        evaluation.budget.allocate(sum(len(key) + len(item) for key, item in pairs))
        return evaluation.budget.text(urlencode(pairs, quote_via=quote, errors="replace"))
    text = plain_text(evaluation, value)
    evaluation.budget.allocate(len(text))
    return evaluation.budget.text(quote(text, safe="", errors="replace"))


def _escape_html(evaluation: Evaluation, value: Value) -> Value:
    text = plain_text(evaluation, value)
    evaluation.budget.allocate(len(text))
    return evaluation.budget.text(html.escape(text))


def _escape_markdown(evaluation: Evaluation, value: Value) -> Value:
    text = plain_text(evaluation, value)
    evaluation.budget.allocate(len(text))
    escaped = "".join(f"\\{char}" if char in _MARKDOWN_SPECIAL else char for char in text)
    return evaluation.budget.text(escaped)


FILTERS: Final[Mapping[str, Callable[..., Value]]] = {
    "capitalize": _capitalize,
    "comparable": _comparable,
    "e": _escape_html,
    "escape": _escape_html,
    "escapeHtml": _escape_html,
    "escapeMarkdown": _escape_markdown,
    "join": _join,
    "lower": _lower,
    "replace": _replace,
    "split": _split,
    "title": _title,
    "trim": _trim,
    "truncate": _truncate,
    "upper": _upper,
    "urlencode": _urlencode,
}
