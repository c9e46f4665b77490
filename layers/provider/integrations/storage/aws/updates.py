"""DynamoDB's update expressions: every ``UpdateItem`` of this backend is built here.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from integrations.storage.aws.attributes import Attribute, attributes, item

_NAME = re.compile(r"#(\w+)")
_SET = re.compile(r"(#\w+) = (:\w+)")


def update(
    table: str,
    key: Mapping[str, Attribute],
    sets: Mapping[str, Attribute] | None = None,
    *,
    add: Mapping[str, Attribute] | None = None,
    remove: Iterable[str] = (),
    condition: str = "",
    values: Mapping[str, Attribute] | None = None,
) -> dict[str, Any]:
    """The request of one ``UpdateItem``.

    Args:
        table: The table's name.
        key: The item's key.
        sets: Attributes to write; one that is ``None`` is removed.
        add: Numbers to count up, sets to grow.
        remove: Attributes to take away.
        condition: What must hold; it names attributes as ``#name`` and values as ``:name``. Those
            of ``sets`` and ``add`` are there already.
        values: More values for the condition, by name, without the colon.

    Raises:
        ValueError: Nothing changes, which DynamoDB would take for a new, empty item.
    """
    given = dict(sets or {})
    present = {name: each for name, each in given.items() if each is not None}
    counted = dict(add or {})
    absent = [*remove, *(name for name, each in given.items() if each is None)]
    parts = []
    if present:
        parts.append("SET " + ", ".join(f"#{name} = :{name}" for name in present))
    if absent:
        parts.append("REMOVE " + ", ".join(f"#{name}" for name in dict.fromkeys(absent)))
    if counted:
        parts.append("ADD " + ", ".join(f"#{name} :{name}" for name in counted))
    if not parts:
        raise ValueError("an update must change something")
    all_values = {
        f":{name}": each for name, each in {**present, **counted, **(values or {})}.items()
    }
    request: dict[str, Any] = {
        "TableName": table,
        "Key": item(key),
        "UpdateExpression": " ".join(parts),
        "ExpressionAttributeNames": {
            f"#{name}": name for name in (*present, *absent, *counted, *_NAME.findall(condition))
        },
    }
    if condition:
        request["ConditionExpression"] = condition
    if all_values:
        request["ExpressionAttributeValues"] = item(all_values)
    return request


def stands(request: Mapping[str, Any], found: Mapping[str, Any] | None) -> bool:
    """Whether an item says all that a write would have it say.

    A conditional write whose answer was lost is sent again, and then its condition fails for what
    it has written itself: that is no conflict.

    Args:
        request: A ``PutItem``, an ``UpdateItem`` of ``update``, or a ``DeleteItem``, as JSON.
        found: What stands there; ``None`` for nothing.
    """
    if "Item" in request:
        return found is not None and attributes(request["Item"]) == attributes(found)
    if "UpdateExpression" not in request:
        return found is None
    changes, *counted = request["UpdateExpression"].split("ADD ")
    if counted or found is None:
        return False  # of a sum nobody can tell what it was before
    sets, _, removed = changes.partition("REMOVE ")
    names, values = (
        request["ExpressionAttributeNames"],
        request.get("ExpressionAttributeValues", {}),
    )
    written = attributes({names[name]: values[each] for name, each in _SET.findall(sets)})
    standing = attributes(found)
    gone = {names[f"#{name}"] for name in _NAME.findall(removed)}
    return written.items() <= standing.items() and not gone & standing.keys()
