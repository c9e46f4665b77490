"""What pydantic says of what was sent, said to a person: one translator for every model.

A ``FieldError``'s field is the path in what was sent (``params.rows[0].name``), never a name of a
type; its message is a sentence for a person, without a library's words and without a regular
expression. https://docs.pydantic.dev/latest/errors/validation_errors/
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from integrations.errors import FieldError

if TYPE_CHECKING:
    from pydantic_core import PydanticCustomError

MAX_NAME: Final = 64
"""Characters of a name that are repeated: whatever was sent as one may be anything."""

_CLOSE: Final = 3
_LISTED: Final = 12

type Details = Mapping[str, Any]


def at(*mistakes: tuple[str, str]) -> "PydanticCustomError":
    """What a model's own check raises: mistakes with the fields that they are in.

    Args:
        mistakes: Pairs of a field, as the sender names it and below the model
            (``verification.type``), and a sentence. An empty field stands for the whole.
    """
    from pydantic_core import PydanticCustomError

    messages = "; ".join(f"{field} {message}".strip() for field, message in mistakes)
    context = {"mistakes": [list(mistake) for mistake in mistakes], "messages": messages}
    return PydanticCustomError("mistakes", "{messages}", context)


def field_errors(
    errors: Iterable[Details], given: object, *, root: str = "", known: Iterable[str] = ()
) -> list[FieldError]:
    """Pydantic's errors as our own, each once.

    Args:
        errors: What ``ValidationError.errors()`` gives.
        given: What was validated: the paths are paths in it.
        root: What it is called in what was sent, e.g. ``params``.
        known: The fields that there are at its top, for who mistypes one.
    """
    found: dict[str, list[str]] = {}
    codes: dict[str, str] = {}
    for error in errors:
        way = path(error, given)
        place = _written([root, *way] if root else way)
        for field, message in _mistakes_in(error, way, list(known)):
            beyond = f"{place}.{field}".strip(".") if field else place
            found.setdefault(beyond, []).append(message)
            codes.setdefault(beyond, _CODES.get(error["type"], "invalid"))
    return [
        FieldError(place, message, codes[place])
        for place, messages in found.items()
        for message in _merged(messages)
    ]


_CODES: Final[Mapping[str, str]] = {"missing": "required", "extra_forbidden": "unknown"}


def unknown(field: str, message: str, name: str, known: Iterable[str]) -> FieldError:
    """A name that there is not, with the nearest ones that there are."""
    names = sorted(known)
    return FieldError(field, message + nearest(name, names), "unknown", tuple(close(name, names)))


def close(name: str, known: Iterable[str]) -> list[str]:
    """The names that are like one that there is not."""
    from difflib import get_close_matches

    by_case = {each.casefold(): each for each in known}
    found = get_close_matches(name[:MAX_NAME].casefold(), by_case, n=_CLOSE)
    return [by_case[each] for each in found]


def _mistakes_in(
    error: Details, path: Sequence[str | int], known: list[str]
) -> list[tuple[str, str]]:
    context = error.get("ctx") or {}
    if error["type"] == "mistakes":
        return [(str(field), str(message)) for field, message in context["mistakes"]]
    if error["type"] == "extra_forbidden" and len(path) == 1:
        return [("", "is not a known field" + nearest(str(path[0]), known))]
    return [("", _message(str(error["type"]), context, str(error.get("msg", ""))))]


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'chatId'?``, or which there are where they are few; else nothing."""
    names = sorted(known)
    found = close(name, names)
    if found:
        return f"; did you mean {' or '.join(map(repr, found))}?"
    return f"; there are: {', '.join(names)}" if 0 < len(names) <= _LISTED else ""


# -- Where -----------------------------------------------------------------------------------


def path(error: Details, given: object) -> list[str | int]:
    """The way to a mistake in what was given; the names of a union's members are left out."""
    loc, kind = error["loc"], error["type"]
    way: list[str | int] = []
    here = given
    for depth, part in enumerate(loc):
        last = depth == len(loc) - 1
        if isinstance(here, Mapping):
            name = next((each for each in _spellings(str(part)) if each in here), None)
            if name is not None:
                here = here[name]
                way.append(name)
            elif last and kind == "missing":
                way.append(str(part))
        elif isinstance(here, list | tuple) and isinstance(part, int) and 0 <= part < len(here):
            here = here[part]
            way.append(part)
        elif last and kind == "missing" and isinstance(part, str):
            way.append(part)  # in a text that was read as JSON, or where nothing is
    return way


def _spellings(name: str) -> tuple[str, str, str]:
    """A field may be sent as ``chatId`` or as ``chat_id``; pydantic names the one it knows."""
    snake = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()
    head, *rest = name.split("_")
    return name, snake, head + "".join(word.capitalize() for word in rest)


_SIGNS: Final = frozenset(".[]")


def _written(path: Sequence[str | int]) -> str:
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part and not _SIGNS.intersection(part):
            text += f".{part[:MAX_NAME]}"
        else:  # a name that would be taken for a path
            text += f"[{json.dumps(part[:MAX_NAME], ensure_ascii=False)}]"
    return text.removeprefix(".")


# -- What ------------------------------------------------------------------------------------

_KINDS: Final[Mapping[str, str]] = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "dict": "an object",
    "mapping": "an object",
    "model": "an object",
    "dataclass": "an object",
    "typed_dict": "an object",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "iterable": "a list",
    "bytes": "text",
    "none": "null",
    "date": "a date such as 2026-11-22",
    "datetime": "a time such as 2026-11-22T12:00:00Z",
    "time": "a time of day such as 12:00",
    "timezone": "a time with its offset, such as 2026-11-22T12:00:00Z",
    "url": "an address such as https://example.com/",
    "uuid": "an id such as 0f0e9e0a-6f64-4f6e-9a3e-2f6f1d6a1b0c",
}


def _count(context: Details, name: str, noun: str) -> str:
    number = context.get(name)
    return f"{number} {noun}" + ("" if number == 1 else "s")


_MESSAGES: Final[Mapping[str, Callable[[Details], str]]] = {
    "missing": lambda _: "is required",
    "extra_forbidden": lambda _: "is not a known field",
    "string_too_short": lambda it: (
        "must not be empty"
        if it.get("min_length") == 1
        else f"must have at least {_count(it, 'min_length', 'character')}"
    ),
    "string_too_long": lambda it: f"takes at most {_count(it, 'max_length', 'character')}",
    "string_pattern_mismatch": lambda _: "has characters or a form that are not allowed here",
    "too_short": lambda it: (
        "must not be empty"
        if it.get("min_length") == 1
        else f"must have at least {_count(it, 'min_length', 'item')}"
    ),
    "too_long": lambda it: f"takes at most {_count(it, 'max_length', 'item')}",
    "bytes_too_short": lambda it: (
        "must not be empty"
        if it.get("min_length") == 1
        else f"must have at least {_count(it, 'min_length', 'byte')}"
    ),
    "bytes_too_long": lambda it: f"takes at most {_count(it, 'max_length', 'byte')}",
    "greater_than": lambda it: f"must be more than {it.get('gt')}",
    "greater_than_equal": lambda it: f"must be at least {it.get('ge')}",
    "less_than": lambda it: f"must be less than {it.get('lt')}",
    "less_than_equal": lambda it: f"must be at most {it.get('le')}",
    "multiple_of": lambda it: f"must be a multiple of {it.get('multiple_of')}",
    "literal_error": lambda it: f"must be {it.get('expected')}",
    "enum": lambda it: f"must be {it.get('expected')}",
    "union_tag_invalid": lambda it: f"must be one of {it.get('expected_tags')}",
    "union_tag_not_found": lambda _: "needs a type",
    "finite_number": lambda _: "must be a number that JSON can hold",
    "int_from_float": lambda _: "must be a whole number",
    "int_parsing_size": lambda _: "has too many digits",
    "recursion_loop": lambda _: "is nested too deeply",
    "string_unicode": lambda _: "must be text that can be written as UTF-8",
    "string_not_ascii": lambda _: "must be plain ASCII text",
    "date_from_datetime_inexact": lambda _: "must be a date without a time of day",
    "timezone_naive": lambda _: "must be a time without an offset",
    "timezone_aware": lambda _: f"must be {_KINDS['timezone']}",
    "datetime_past": lambda _: "must lie in the past",
    "datetime_future": lambda _: "must lie in the future",
    "date_past": lambda _: "must lie in the past",
    "date_future": lambda _: "must lie in the future",
    "json_invalid": lambda _: "must be JSON",
    "json_type": lambda _: "must be JSON",
}


def _message(kind: str, context: Details, message: str) -> str:
    """A sentence for one of pydantic's kinds of error."""
    if kind in {"value_error", "assertion_error"}:
        own = context.get("error")
        return str(own) if own else re.sub(r"^(?:Value|Assertion) error, ", "", message)
    if kind in _MESSAGES:
        return _MESSAGES[kind](context)
    stem = re.sub(r"_(?:type|parsing|attributes_type|exact_type|from_\w+|parsing_\w+)$", "", kind)
    if stem in _KINDS:
        return f"must be {_KINDS[stem]}"
    wanted = next((words for name, words in _KINDS.items() if kind.startswith(f"{name}_")), None)
    return f"must be {wanted}" if wanted else "is not what is expected here"


def _merged(messages: Sequence[str]) -> list[str]:
    """What a union's members each say of one value: ``must be text or a whole number``."""
    unique = list(dict.fromkeys(messages))
    kinds = [each.removeprefix("must be ") for each in unique if _is_of_kind(each)]
    others = [each for each in unique if not _is_of_kind(each)]
    if others:
        # One member was of the right kind, and said what else is wrong.
        return others
    if len(kinds) > 1:
        return [f"must be {', '.join(kinds[:-1])} or {kinds[-1]}"]
    return unique


def _is_of_kind(message: str) -> bool:
    return message.removeprefix("must be ") in _KINDS.values()
