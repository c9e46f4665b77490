"""The tokens of lists: where a page ended, opaque to the caller and checked when it comes back."""

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, Self

from integrations.errors import InvalidInput
from integrations.models import rfc3339

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


class Span(NamedTuple):
    """What a list by time looks at: sort keys that begin with a moment, both ends included."""

    first: str
    last: str

    @classmethod
    def between(cls, since: datetime | None, until: datetime | None) -> Self:
        """The keys from ``since`` to ``until``; open where there is none."""
        return cls(rfc3339(since) if since else "0", rfc3339(until) + "~" if until else "~")

    @property
    def is_empty(self) -> bool:
        """Whether nothing can lie in it: a query for it is a mistake to DynamoDB."""
        return self.first > self.last

    def start(self, token: str, *names: str) -> dict[str, str]:
        """The key, with its ``key`` and these other ``names``, after which a page begins.

        Raises:
            InvalidInput: The token is not one of ours, or of a list with other filters.
        """
        key = decode_token(token, "key", *names)
        if not self.first <= key["key"] <= self.last:
            raise InvalidInput("nextToken is of a list with other filters")
        return key


def _fits(part: object) -> bool:
    # Our own ids and moments are ASCII; half a surrogate pair would not even reach the table.
    return isinstance(part, str) and 0 < len(part) <= MAX_KEY and part.isascii()
