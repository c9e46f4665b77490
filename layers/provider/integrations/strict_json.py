"""The one reader of JSON that others wrote: requests, deliveries, answers, texts in templates.

What is read here can be written again, stored, shown and read by any other program. That is less
than ``json.loads`` takes; it is what I-JSON names, with a bound on the nesting:

==========================  ====================================================================
``NaN``, ``Infinity``       refused: they are not JSON
a number beyond a double    refused, with or without a fraction: ``1e999``, a thousand digits
a name twice in one object  refused: two programs would read two different things
nesting over ``MAX_DEPTH``  refused: whoever walks the value later would fall
half a surrogate pair       replaced by U+FFFD, as a browser does: senders cut texts in the middle
                            of an emoji, and the rest of the message is still meant. With
                            ``whole_characters`` refused: whoever can fix it is asked to
a byte order mark, UTF-16   read where bytes are given: RFC 8259 allows it
==========================  ====================================================================

https://www.rfc-editor.org/rfc/rfc7493 (I-JSON)
https://www.rfc-editor.org/rfc/rfc8259
"""

import json
import re
from math import isfinite
from typing import Any, Final

from integrations.models import Json

MAX_DEPTH: Final = 64
"""How many lists and objects may stand inside each other."""

_MAX_DIGITS: Final = 309
"""The digits of the largest whole number that a double holds."""

_HALF: Final = re.compile(
    r"\\(?:u[dD][89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|.)",
    re.DOTALL,
)
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


class NotJson(ValueError):
    """What was given is not JSON as this project takes it; the text says why, without quoting."""


def read(source: bytes | str, *, whole_characters: bool = False) -> Json:
    """Read one JSON value.

    Args:
        source: The text, or its bytes in UTF-8, UTF-16 or UTF-32.
        whole_characters: Refuse half a surrogate pair; otherwise it becomes U+FFFD.

    Returns:
        The value: finite numbers, text that UTF-8 can hold, at most ``MAX_DEPTH`` levels.

    Raises:
        NotJson: It is none, by the table above.
    """
    text = _decoded(source) if isinstance(source, bytes) else source
    repaired = _repaired(text)
    if whole_characters and repaired != text:
        raise NotJson("a text holds half a character (an unpaired surrogate)")
    try:
        value: Json = json.loads(
            repaired,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_object,
        )
    except NotJson:
        raise
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as broken:
        raise NotJson(f"{broken.msg} at line {broken.lineno}, column {broken.colno}") from None
    except ValueError as broken:
        raise NotJson(str(broken)[:100]) from None
    if repaired.count("[") + repaired.count("{") > MAX_DEPTH:
        check_depth(value)
    return value


def check_depth(value: Json) -> None:
    """Refuse a value that is nested deeper than anybody would read.

    Args:
        value: A JSON value.

    Raises:
        NotJson: It is nested deeper than ``MAX_DEPTH``.
    """
    # In place of a function for each value: there may be millions.
    level, depth = [value] if isinstance(value, (dict, list)) else [], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _too_deep()
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, (dict, list))
        ]


def _too_deep() -> NotJson:
    return NotJson(f"it is nested deeper than {MAX_DEPTH} levels")


def _decoded(source: bytes) -> str:
    try:
        text = source.decode(json.detect_encoding(source))
    except UnicodeError:
        raise NotJson("it is not text in UTF-8, UTF-16 or UTF-32") from None
    return text.removeprefix("\ufeff")


def _repaired(text: str) -> str:
    """The text with U+FFFD in the place of half characters, written out or escaped."""
    if not text.isascii():
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if "\\ud" in text or "\\uD" in text:
        text = _HALF.sub(lambda found: _REPLACEMENT if found[1] else found[0], text)
    return text


def _no_constant(name: str) -> None:
    raise NotJson(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not isfinite(number):
        raise NotJson("a number is too large")
    return number


def _whole(digits: str) -> int:
    if len(digits) >= _MAX_DIGITS and (len(digits) > _MAX_DIGITS + 1 or not _is_double(digits)):
        raise NotJson("a number is too large")
    return int(digits)


def _is_double(digits: str) -> bool:
    return isfinite(float(digits))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise NotJson("an object holds a name twice")
    return members
