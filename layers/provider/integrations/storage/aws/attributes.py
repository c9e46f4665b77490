"""DynamoDB's typed attribute values, and Python's own.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
"""

import base64
from collections.abc import Mapping
from typing import Any

type Attribute = bool | int | float | str | bytes | set[str] | None


def item(attributes: Mapping[str, Attribute]) -> dict[str, Any]:
    """Attributes as DynamoDB writes them; ``None`` is left out, as an absent attribute.

    Structured values are stored as JSON text by their modules: exact, and one attribute to project.
    """
    return {name: value(plain) for name, plain in attributes.items() if plain is not None}


def value(plain: Attribute) -> dict[str, Any]:
    """One attribute value in DynamoDB's typed form."""
    match plain:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": plain}
        case int() | float():
            return {"N": repr(plain)}
        case str():
            return {"S": plain}
        case bytes():
            return {"B": plain}
        case set():
            return {"SS": sorted(plain)}


def attributes(plain: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """An item as DynamoDB answers it, in Python's own values."""
    return {name: _python(typed) for name, typed in plain.items()}


def _python(typed: Mapping[str, Any]) -> Attribute:
    ((kind, plain),) = typed.items()
    match kind:
        case "S" | "BOOL":
            return plain  # type: ignore[no-any-return]
        case "N":
            return float(plain) if "." in plain or "e" in plain.lower() else int(plain)
        case "B":
            return base64.b64decode(plain)
        case "SS":
            return set(plain)
        case _:
            return None
