"""Secrets that a vendor or a receiver repeats, taken out of what it says."""

import json
import math
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final
from urllib.parse import quote

from integrations.errors import ExpressionError
from integrations.models import Json
from integrations.secret_headers import MASK

_PLAIN: Final = re.compile(r"[A-Za-z0-9]+")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
_ESCAPED: Final = re.compile(r"%(?:25){0,2}(?:3\d|[46][1-9A-Fa-f]|[57][\dAa])|\\u00|&#")

_ESCAPED_PLAIN: Final = re.compile(
    r"%(?:25){0,2}(3\d|[46][1-9a-f]|[57][\da])|\\u00([\da-f]{2})|&#x0{0,4}([\da-f]{2});"
    r"|&#0{0,4}(\d{2,3});"
)
"""A letter or a digit that is escaped, in lower case: its code in hex, or at last in decimal."""

_ESCAPED_LENGTH: Final = 12
"""How many bytes at most one byte of a secret takes, in whatever form: ``\\ud83d\\ude00``."""

SHORTEST: Final = 6
"""Characters. What is shorter would stand in too many words that are none of it."""

SHORTEST_NUMBER: Final = 4
"""Digits. A number of JSON that is a secret is hidden where it is that very number."""

MOST_DERIVED: Final = 100
"""How many values are looked for in an answer: secrets, and what was made of them."""

_SCHEMES: Final = frozenset({"apikey", "basic", "bearer", "digest", "key", "token"})


class Masking:
    """Takes secrets out of texts, bytes and JSON, in each form that a program writes them.

    Args:
        secrets: The secrets; of one such as ``Bearer abc…`` what follows the scheme counts as well.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        found: set[str] = set()
        for secret in secrets:
            scheme, _, rest = secret.partition(" ")
            found |= {secret, rest.strip()} if scheme.lower() in _SCHEMES else {secret}
        # The longest first: one may be part of another.
        long = sorted((each for each in found if len(each) >= SHORTEST), key=len, reverse=True)
        self._secrets = [_Secret(each) for each in long]
        self._numbers = {each for each in found if _is_number(each)}
        self._longest = _ESCAPED_LENGTH * len(long[0].encode("utf-8", "replace")) if long else 0

    def text(self, text: str) -> str:
        """A text without the secrets."""
        lower = text.lower()
        forms = (lower, _unescaped(lower)) if _holds_escapes(text) else (lower,)
        for secret in self._secrets:
            # What finds it in all its forms is slow to make, and a connection may have hundreds.
            if any(map(secret.may_be_in, forms)):
                text = secret.pattern.sub(MASK, text)
        return text

    def content(self, content: bytes) -> bytes:
        """Bytes without the secrets, as UTF-8 writes them."""
        if not self._secrets:
            return content
        text = content.decode("utf-8", "surrogateescape")
        return self.text(text).encode("utf-8", "surrogateescape")

    def pieces(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Bytes that come piece by piece without the secrets, wherever a piece ends."""
        if not self._secrets:
            yield from pieces
            return
        begun = b""
        for piece in pieces:
            begun = self.content(begun + piece)
            # What may be the beginning of a secret waits for what follows.
            ready, begun = begun[: -self._longest], begun[-self._longest :]
            yield ready
        yield begun

    def json(self, value: Json) -> Json:
        """A JSON value without the secrets, in names as in texts."""
        if isinstance(value, dict | list):
            whole = json.dumps(value, ensure_ascii=False)
            # As nearly always: one look at it all is quicker than many.
            if not _holds_escapes(whole) and not self._may_be_in(whole):
                return value
        return self._masked(value)

    def _may_be_in(self, text: str) -> bool:
        lower = text.lower()
        return any(each.may_be_in(lower) for each in self._secrets) or any(
            number in text for number in self._numbers
        )

    def _number(self, value: float) -> Json:
        """A number, where it is none of the secrets and has none in its digits."""
        forms = {json.dumps(value), str(int(value)) if math.isfinite(value) else ""}
        hidden = forms & self._numbers or any(self.text(form) != form for form in forms)
        return MASK if hidden else value

    def _masked(self, value: Json) -> Json:
        match value:
            case str():
                return self.text(value)
            case list():
                return [self._masked(item) for item in value]
            case int() | float() if not isinstance(value, bool):
                return self._number(value)
            case dict():
                return {self.text(name): self._masked(item) for name, item in value.items()}
            case _:
                return value


def with_derived(secrets: Iterable[str], derived: Iterable[Json]) -> list[str]:
    """Secrets and what was made of them, as far as it must be looked for beside them.

    Args:
        secrets: The secrets.
        derived: Values that were made of them: texts, numbers, lists of them.

    Raises:
        ExpressionError: They are too many for an answer to be searched for each.
    """
    known = list(secrets)
    found = {text for value in derived for text in _texts(value)}
    for text in sorted(found, key=len):
        lower = text.lower()
        if len(text) < SHORTEST and not _is_number(text):
            continue
        # Where a known one stands in it as it is, the known one is found.
        if not any(len(each) >= SHORTEST and each.lower() in lower for each in known):
            known.append(text)
        if len(known) > MOST_DERIVED:
            detail = f"params: more than {MOST_DERIVED} values are secrets or made of them"
            raise ExpressionError(detail)
    return known


def _texts(value: Json) -> Iterator[str]:
    match value:
        case bool() | None:
            return
        case str():
            yield value
        case int() | float():
            yield json.dumps(value)
        case list():
            for each in value:
                yield from _texts(each)
        case dict():
            for name, each in value.items():
                yield name
                yield from _texts(each)


def _is_number(text: str) -> bool:
    return len(text) >= SHORTEST_NUMBER and _NUMBER.fullmatch(text) is not None


class _Secret:
    """One secret: a quick look whether it may be in a text, and what finds it in all its forms."""

    def __init__(self, secret: str) -> None:
        self._text = secret
        content = secret.encode("utf-8", "replace")
        packed = b64encode(content).decode().rstrip("=")
        self._packed = [packed, *_within_base64(content), content.hex()]
        # Its letters and digits, as they stand alone once nothing is escaped: see `_unescaped`.
        probes = {_longest_plain(secret), *map(_longest_plain, self._packed)}
        self._probes = [each.lower() for each in probes]

    def may_be_in(self, lower: str) -> bool:
        """Whether it is worth it to look closely at a text, given in lower case."""
        return any(probe in lower for probe in self._probes)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """As it is in whatever case, or escaped as JSON, a URL or HTML does; in base64 or hex."""
        # Its own backslashes stand alone throughout or are escaped throughout: if each could be
        # either, a row of them could be read in so many ways that the search would never end.
        ways = [True, False] if "\\" in self._text else [True]
        loose = ["".join(_character(each, slashes=way) for each in self._text) for way in ways]
        packed = (re.escape(each) for each in self._packed)
        # Base64 for URLs has other signs for two of the characters.
        forms = [each.replace(r"\+", "[+-]").replace("/", "[/_]") for each in packed]
        return re.compile("|".join([*loose, *forms]), re.IGNORECASE)


def _longest_plain(text: str) -> str:
    return max(_PLAIN.findall(text), key=len, default="")


def _within_base64(content: bytes) -> Iterator[str]:
    """What is sure to stand in the base64 of a longer text, wherever the secret is in it."""
    for before in range(3):
        packed = b64encode(bytes(before) + content).decode()
        first, last = math.ceil(before * 8 / 6), (before + len(content)) * 8 // 6
        yield packed[first:last]


def _holds_escapes(text: str) -> bool:
    """Whether letters or digits are escaped in a text, which only hides what they say."""
    return ("%" in text or "\\u" in text or "&#" in text) and _ESCAPED.search(text) is not None


def _unescaped(lower: str) -> str:
    """A text, given in lower case, with its letters and digits as they are, however escaped."""
    return _ESCAPED_PLAIN.sub(_unescaped_character, lower)


def _unescaped_character(found: re.Match[str]) -> str:
    in_decimal = found[4]
    return chr(int(in_decimal) if in_decimal else int(found[found.lastindex or 0], 16)).lower()


def _character(character: str, *, slashes: bool) -> str:
    """A character of a secret in each of its forms.

    Args:
        character: The character.
        slashes: Whether a backslash may stand before it; a backslash has one before it then.
    """
    from html import escape  # with a large table, for who has a secret to hide

    forms = {character, escape(character)}
    if slashes:
        escaped = {f"\\{character}", json.dumps(character, ensure_ascii=False)[1:-1]}
        forms = escaped if character == "\\" else forms | escaped
    units = character.encode("utf-16-be", "surrogatepass").hex()
    in_json = "".join(rf"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    # A URL within a URL escapes its percent signs once more.
    in_url = "".join(f"%(?:25){{0,2}}{byte:02x}" for byte in character.encode("utf-8", "replace"))
    in_html = f"&#0{{0,4}}{ord(character)};|&#x0{{0,4}}{ord(character):x};"
    loose = "|".join(f"(?i:{form})" for form in (in_json, in_url, in_html))
    plus = r"|\+" if quote(character, safe="") == "%20" else ""
    return f"(?:{'|'.join(map(re.escape, sorted(forms)))}|{loose}{plus})"
