"""Names, times and collections in the shapes that the old backend's files may have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MILLISECONDS_FROM = 10**11
"""A number of seconds since 1970 that is as large as this would be in the year 5138."""

WRAPPERS = ("data", "items", "records", "results", "entries")

BOOKKEEPING = frozenset(
    {
        *("id", "_id", "uuid", "_rev", "__v", "version", "schema", "schemaversion", "revision"),
        *("createdat", "created", "updatedat", "updated", "modifiedat", "lastmodified", "savedat"),
        *("createdby", "updatedby", "owner", "ownerid", "userid", "user_id", "exportedat", "tags"),
        *("count", "total", "metadata", "meta", "description", "notes", "comment", "position"),
        *("ui", "color", "icon", "order", "connectedat", "lasttested", "lasttestedat", "lastused"),
        *("lastusedat", "lasterror", "lastrun", "lastrunat", "runcount", "executioncount", "stats"),
        *("webhookurl", "account", "accountid", "accountname", "displayname", "connected", "valid"),
        *("isvalid", "verified", "tested", "testedat", "lastverified", "lastverifiedat", "expiry"),
    }
)
"""What the old backend wrote for itself or for its pages: left aside wherever it stands."""


class NotTaken(Exception):
    """This record cannot be taken; the message says why, without anything of its secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a file.

    Attributes:
        place: Where it stands in the file, for people.
        key: Its key where the file is a map; ``""`` in a list.
        value: What stands there.
    """

    place: str
    key: str
    value: Any


class Fields:
    """A record's fields by any spelling of their names: ``bot_token``, ``botToken``, ``BotToken``.

    Args:
        record: The record; it stays as it is.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._left = dict(record)

    def take(self, *names: str) -> Any:
        """The first of these that is there and not null; none of them is left afterwards."""
        found = None
        for name in names:
            for own in [own for own in self._left if plain(own) == plain(name)]:
                value = self._left.pop(own)
                found = value if found is None else found
        return found

    def take_text(self, *names: str) -> str:
        """As ``take``, where it is a text or a number; ``""`` otherwise."""
        found = self.take(*names)
        return str(found).strip() if isinstance(found, str | int) else ""

    @property
    def left(self) -> dict[str, Any]:
        """What was not taken, is no bookkeeping and says something."""
        return {
            name: value
            for name, value in self._left.items()
            if plain(name) not in BOOKKEEPING and value not in (None, "", [], {})
        }


def plain(name: str) -> str:
    """A name's letters and digits in lower case, for all spellings are one name."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def unwrapped(document: Any, *names: str) -> Any:
    """What a file holds, without the object around it: ``{"version": 1, "workflows": […]}``."""
    while isinstance(document, dict):
        inside = [
            value
            for name, value in document.items()
            if plain(name) in {*names, *WRAPPERS} and isinstance(value, dict | list)
        ]
        others = [name for name in document if plain(name) not in {*names, *WRAPPERS, *BOOKKEEPING}]
        if len(inside) != 1 or others:
            break
        (document,) = inside
    return document


def records(document: Any, *names: str) -> Iterator[Record]:
    """The records of a list, or of a map by their ids.

    Raises:
        NotTaken: It is neither.
    """
    document = unwrapped(document, *names)
    if isinstance(document, list):
        for index, value in enumerate(document):
            yield Record(place=f"[{index}]", key="", value=value)
    elif isinstance(document, dict):
        for key, value in document.items():
            yield Record(place=key[:100], key=key, value=value)
    else:
        raise NotTaken("is neither a list nor an object")


def moment(value: Any) -> datetime | None:
    """A time as the old backend may have written it; ``None`` where it is none.

    ISO 8601 with or without a zone (then UTC), seconds or milliseconds since 1970, as a number or
    as its digits.
    """
    if isinstance(value, str):
        text = value.strip()
        if not re.fullmatch(r"\d{9,16}(\.\d+)?", text):
            try:
                found = datetime.fromisoformat(text)
            except ValueError:
                return None
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        value = float(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return datetime.fromtimestamp(value / (1000 if value >= MILLISECONDS_FROM else 1), UTC)
    except (OverflowError, ValueError, OSError):
        return None


def rfc3339(value: datetime) -> str:
    """A time as the API takes it."""
    return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
