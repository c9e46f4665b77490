"""DynamoDB's update expressions: every ``UpdateItem`` of this backend is built here.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from integrations.storage.aws.attributes import Attribute, item

_NAME = re.compile(r"#(\w+)")


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
            of ``sets`` and ``add`` are there already. With ``add``, alternatives stand in
            parentheses: more is joined by ``AND`` (``writes.py``).
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
