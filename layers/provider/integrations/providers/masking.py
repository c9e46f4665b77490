"""Secrets that a vendor or a receiver repeats, taken out of what it says."""

import re
from base64 import b64encode
from collections.abc import Iterable
from html import escape
from typing import Final
from urllib.parse import quote

from integrations.models import Json

MASK: Final = "…"

_SHORTEST: Final = 6
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
        long = sorted((each for each in found if len(each) >= _SHORTEST), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_pattern, long))) if long else None

    def text(self, text: str) -> str:
        """A text without the secrets."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def content(self, content: bytes) -> bytes:
        """Bytes without the secrets, as UTF-8 writes them."""
        if self._pattern is None:
            return content
        text = content.decode("utf-8", "surrogateescape")
        return self.text(text).encode("utf-8", "surrogateescape")

    def json(self, value: Json) -> Json:
        """A JSON value without the secrets, in names as in texts."""
        match value:
            case str():
                return self.text(value)
            case list():
                return [self.json(item) for item in value]
            case dict():
                return {self.text(name): self.json(item) for name, item in value.items()}
            case _:
                return value


def _pattern(secret: str) -> str:
    """The secret as it is, or each character escaped as JSON, a URL or HTML does; or in base64."""
    packed = b64encode(secret.encode("utf-8", "replace")).decode().rstrip("=")
    return "".join(map(_character, secret)) + f"|{re.escape(packed)}"


def _character(character: str) -> str:
    forms = {character, f"\\{character}", escape(character), f"&#{ord(character)};"}
    units = character.encode("utf-16-be", "surrogatepass").hex()
    in_json = "".join(rf"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
    in_url = "".join(f"%{byte:02x}" for byte in character.encode("utf-8", "replace"))
    loose = "|".join(f"(?i:{form})" for form in (in_json, in_url))
    plus = r"|\+" if quote(character, safe="") == "%20" else ""
    return f"(?:{'|'.join(map(re.escape, sorted(forms)))}|{loose}{plus})"
