"""Google's answers, read: one that is not what was asked for is no success, and no crash.

https://developers.google.com/workspace/sheets/api/reference/rest
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

from integrations.errors import ProviderUnavailable
from integrations.models import Json

type Cell = bool | int | float | str | None

_KINDS: Mapping[str, type] = {
    "clearedRanges": list,
    "sheets": list,
    "updates": dict,
    "valueRanges": list,
}
"""What a field of an answer is; all others that are asked for are text."""


def has(reply: Mapping[str, Json], name: str) -> bool:
    """Whether an answer has a field that was asked for, and in it what belongs there."""
    found = reply.get(name)
    return bool(found) and isinstance(found, _KINDS.get(name, str))


def nonsense(*, writes: bool = False) -> ProviderUnavailable:
    """What a success without what was asked for means: of a write, that its outcome is unknown."""
    detail = "Google Sheets answered with success, but not with what was asked for"
    return ProviderUnavailable(detail, outcome_unknown=writes, status=HTTPStatus.OK)


def objects(value: Json, *, writes: bool = False) -> list[dict[str, Any]]:
    """A list of objects of an answer's; Google leaves an empty one out.

    Raises:
        ProviderUnavailable: It is something else.
    """
    found = [] if value is None else value
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise nonsense(writes=writes)
    return cast("list[dict[str, Any]]", found)


def properties_of(holder: Mapping[str, Any], *, writes: bool = False) -> dict[str, Any]:
    """The properties of a tab or a spreadsheet.

    Raises:
        ProviderUnavailable: It has none.
    """
    found = holder.get("properties")
    if not isinstance(found, dict):
        raise nonsense(writes=writes)
    return found


def lines(reply: Mapping[str, Any]) -> list[list[Cell]]:
    """A value range's values; an empty one has none.

    Raises:
        ProviderUnavailable: They are no rows of cells.
    """
    found = reply.get("values") or []
    if not isinstance(found, list) or not all(isinstance(line, list) for line in found):
        raise nonsense()
    return cast("list[list[Cell]]", found)
