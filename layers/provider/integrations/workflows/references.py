"""Which values the expressions of a step may touch, so that only those are fetched.

Told from the text alone, and rather one value too many than one too few: a name in a plain text
counts as well, and where ``steps`` stands without a step's name behind it, all of them do.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from integrations.models import Json

_STEPS: Final = re.compile(r"""\bsteps\b(?:\s*\.\s*(\w+)|\s*\[\s*(?:"(\w+)"|'(\w+)')\s*\])?""")
_TRIGGER: Final = re.compile(r"\btrigger\b")
_NOW: Final = re.compile(r"\bnow\b")
_TELLING: Final = re.compile(r"\b(?:steps|trigger|now)\b")
_PATH: Final = re.compile(r"(?:\{\{\s*)?(\w+(?:\.[A-Za-z_]\w*)*)(?:\s*\}\})?")


def telling_texts(value: Json) -> list[Json]:
    """The texts in a JSON value of which something is told here: all is told of them alike."""
    return [text for text in _texts(value) if _TELLING.search(text)]


def touches_trigger(value: Json) -> bool:
    """Whether an expression in a JSON value may touch ``trigger``."""
    return any(_TRIGGER.search(text) for text in _texts(value))


def touches_time(value: Json) -> bool:
    """Whether an expression in a JSON value may touch ``now``."""
    return any(_NOW.search(text) for text in _texts(value))


def touched_steps(value: Json, earlier: Sequence[str]) -> set[str]:
    """Which of the steps that ran earlier the expressions in a JSON value may touch."""
    touched: set[str] = set()
    for text in _texts(value):
        for found in _STEPS.finditer(text):
            name = found[1] or found[2] or found[3]
            if name is None:
                return set(earlier)
            touched.add(name)
    return touched & set(earlier)


def plain_path(source: str) -> list[str] | None:
    """``steps.rows.output`` as its parts; ``None`` where an expression is more than a path."""
    found = _PATH.fullmatch(source.strip())
    return found[1].split(".") if found else None


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
