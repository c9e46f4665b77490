"""The tokens of lists: where a page ended, opaque to the caller and checked when it comes back."""

import base64
import json
from collections.abc import Mapping

from integrations.errors import InvalidInput

MAX_KEY = 256
"""Characters of one part of a key; no id or moment of ours is as long."""


def encode_token(key: Mapping[str, str]) -> str:
    """A page's last key as an opaque token."""
    return base64.urlsafe_b64encode(json.dumps(dict(key)).encode()).decode().rstrip("=")


def decode_token(token: str, *names: str) -> dict[str, str]:
    """The key that a token holds, with just these names.

    Raises:
        InvalidInput: It is not one of ours.
    """
    try:
        key = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        if isinstance(key, dict) and set(key) == set(names) and all(map(_fits, key.values())):
            return key
    except (ValueError, UnicodeError, RecursionError):
        pass
    raise InvalidInput("nextToken is not one that this API gave")


def _fits(part: object) -> bool:
    # Our own ids and moments are ASCII; half a surrogate pair would not even reach the table.
    return isinstance(part, str) and 0 < len(part) <= MAX_KEY and part.isascii()
