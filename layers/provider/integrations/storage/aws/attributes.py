"""DynamoDB's typed attribute values, and Python's own.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
"""

import base64
from collections.abc import Mapping
from typing import Any

type Attribute = bool | int | float | str | bytes | set[str] | None


def item(attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    """Attributes as DynamoDB writes them; ``None`` is left out, as an absent attribute.

    Structured values are kept as JSON text by their modules: exact, and one attribute to project.
    """
    return {name: value(held) for name, held in attributes.items() if held is not None}


def value(held: Attribute) -> dict[str, Any]:
    """One attribute value in DynamoDB's typed form."""
    match held:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": held}
        case int() | float():
            return {"N": repr(held)}
        case str():
            return {"S": held}
        case bytes():
            return {"B": held}
        case set():
            return {"SS": sorted(held)}


def attributes(held: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """An item as DynamoDB answers it, in Python's own values."""
    return {name: _python(typed) for name, typed in held.items()}


def _python(typed: Mapping[str, Any]) -> Attribute:
    ((kind, held),) = typed.items()
    match kind:
        case "S" | "BOOL":
            return held  # type: ignore[no-any-return]
        case "N":
            return float(held) if "." in held or "e" in held.lower() else int(held)
        case "B":
            return base64.b64decode(held)
        case "SS":
            return set(held)
        case _:
            return None
