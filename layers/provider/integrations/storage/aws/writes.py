"""A write that is sent again because its answer was lost, told from one that came too late.

Whoever repeats a conditional write that was carried out finds its condition broken by itself. So
each conditional write, and each that counts, leaves a mark of its own on the row; where the
repetition is refused, the row that stands there says whether it was our write that is in the way.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/WorkingWithItems.html
"""

import base64
import os
from collections.abc import Mapping
from typing import Any, Final

MARK: Final = "writeId"
"""The attribute that holds the mark of a row's last conditional write."""

_MARK_BYTES: Final = 8
_MARKED = "#writeId = :writeId"


def marked(operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """A write as it is sent, with a new mark where it would not bear a repetition."""
    adds = "ADD " in payload.get("UpdateExpression", "")
    mark = {"B": base64.b64encode(os.urandom(_MARK_BYTES)).decode()}
    if operation == "PutItem" and "ConditionExpression" in payload:
        return {**payload, "Item": {**payload["Item"], MARK: mark}}
    if operation == "UpdateItem" and (adds or "ConditionExpression" in payload):
        return _updating(payload, mark, once=adds)
    return dict(payload)


def _updating(payload: Mapping[str, Any], mark: Mapping[str, str], *, once: bool) -> dict[str, Any]:
    expression: str = payload["UpdateExpression"]
    verb, _, rest = expression.partition(" ")
    changes = f"SET {_MARKED}, {rest}" if verb == "SET" else f"SET {_MARKED} {expression}"
    condition = payload.get("ConditionExpression", "")
    if once:  # what is counted twice is wrong even where the condition still holds
        condition = " AND ".join(filter(None, [f"NOT {_MARKED}", condition]))
    return {
        **payload,
        "UpdateExpression": changes,
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {
            **payload.get("ExpressionAttributeNames", {}),
            f"#{MARK}": MARK,
        },
        "ExpressionAttributeValues": {
            **payload.get("ExpressionAttributeValues", {}),
            f":{MARK}": mark,
        },
    }


def repeated(operation: str, sent: Mapping[str, Any]) -> dict[str, Any]:
    """A write that may have been carried out, as it is sent again: a refusal brings the row."""
    if operation.startswith(("Put", "Update", "Delete")) and "ConditionExpression" in sent:
        return {**sent, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    return dict(sent)


def done_before(
    operation: str, sent: Mapping[str, Any], found: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """The answer of a repeated write whose condition failed; ``None`` where it was another's doing.

    Args:
        operation: The write's.
        sent: As ``marked`` made it.
        found: What stands in the table now, with its mark; ``None`` where nothing does.
    """
    if operation == "DeleteItem":
        return None if found else {}
    values = sent.get("ExpressionAttributeValues", {})
    mark = sent.get("Item", {}).get(MARK) or values.get(f":{MARK}")
    if not found or found.get(MARK) != mark:
        return None
    match sent.get("ReturnValues"):
        case "ALL_NEW":
            return {"Attributes": dict(found)}
        case "UPDATED_NEW":
            names = set(sent["ExpressionAttributeNames"].values())
            return {"Attributes": {name: value for name, value in found.items() if name in names}}
    return {}
