"""Secrets that a vendor or a receiver repeats, taken out of what it says."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from functools import cached_property
from html import escape
from typing import Final
from urllib.parse import quote

from integrations.models import Json
from integrations.secret_headers import MASK

_PLAIN: Final = re.compile(r"[A-Za-z0-9]+")
_ESCAPED: Final = re.compile(r"%(?:3\d|[46][1-9A-Fa-f]|[57][\dAa])|\\u00|&#")

SHORTEST: Final = 6
"""Characters. What is shorter would stand in too many words that are none of it."""

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

    def text(self, text: str) -> str:
        """A text without the secrets."""
        escaped = _holds_escapes(text)
        for secret in self._secrets:
            if escaped or secret.may_be_in(text):
                text = secret.pattern.sub(MASK, text)
        return text

    def content(self, content: bytes) -> bytes:
        """Bytes without the secrets, as UTF-8 writes them."""
        if not self._secrets:
            return content
        text = content.decode("utf-8", "surrogateescape")
        return self.text(text).encode("utf-8", "surrogateescape")

    def json(self, value: Json) -> Json:
        """A JSON value without the secrets, in names as in texts."""
        if isinstance(value, dict | list):
            whole = json.dumps(value, ensure_ascii=False)
            escaped = _holds_escapes(whole)
            if not escaped and not any(each.may_be_in(whole) for each in self._secrets):
                return value  # as nearly always: one look at it all is quicker than many
        return self._masked(value)

    def _masked(self, value: Json) -> Json:
        match value:
            case str():
                return self.text(value)
            case list():
                return [self._masked(item) for item in value]
            case dict():
                return {self.text(name): self._masked(item) for name, item in value.items()}
            case _:
                return value


class _Secret:
    """One secret: a quick look whether it may be in a text, and what finds it in all its forms."""

    def __init__(self, secret: str) -> None:
        self._text = secret
        # Nobody escapes letters and digits unless they escape everything: see `_holds_escapes`.
        self._probe = max(_PLAIN.findall(secret), key=len, default="")
        self._packed = b64encode(secret.encode("utf-8", "replace")).decode().rstrip("=")

    def may_be_in(self, text: str) -> bool:
        """Whether it is worth it to look closely."""
        return self._probe in text or self._packed in text

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """As it is, or each character escaped as JSON, a URL or HTML does; or in base64."""
        plain = "".join(map(_character, self._text))
        return re.compile(f"{plain}|{re.escape(self._packed)}")


def _holds_escapes(text: str) -> bool:
    """Whether letters or digits are escaped in a text, which only hides what they say."""
    return ("%" in text or "\\u" in text or "&#" in text) and _ESCAPED.search(text) is not None


def _character(character: str) -> str:
    forms = {character, f"\\{character}", escape(character), f"&#{ord(character)};"}
    units = character.encode("utf-16-be", "surrogatepass").hex()
    in_json = "".join(rf"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    in_url = "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "replace"))
    loose = "|".join(f"(?i:{form})" for form in (in_json, in_url))
    plus = r"|\+" if quote(character, safe="") == "%20" else ""
    return f"(?:{'|'.join(map(re.escape, sorted(forms)))}|{loose}{plus})"
