"""What a write costs in DynamoDB: the units of the item and of every index that it changes.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations
"""

import base64
from collections.abc import Mapping
from typing import Any

UNIT = 1024

type Item = Mapping[str, Mapping[str, Any]]


def write_units(table: Any, before: Item | None, after: Item | None) -> int:
    """The units of one write.

    Args:
        table: moto's table: its keys and its indexes.
        before, after: The item in DynamoDB's typed form; ``None`` where there is none.
    """
    units = max(_units(before), _units(after), 1)
    keys = [name for name in (table.hash_key_attr, table.range_key_attr) if name]
    for index in table.global_indexes:
        own = [each["AttributeName"] for each in index.schema]
        old, new = (_projected(each, own, keys, index.projection) for each in (before, after))
        if old == new:
            continue
        if old is not None and new is not None and _same(old, new, [*own, *keys]):
            units += max(_units(old), _units(new))
        else:  # an entry moves by being deleted and put
            units += _units(old) + _units(new)
    return units


def _projected(
    item: Item | None, own: list[str], keys: list[str], projection: Mapping[str, Any]
) -> Item | None:
    if item is None or any(name not in item for name in own):
        return None
    if projection["ProjectionType"] == "ALL":
        return item
    names = {*own, *keys, *projection.get("NonKeyAttributes", ())}
    return {name: typed for name, typed in item.items() if name in names}


def _same(one: Item, other: Item, names: list[str]) -> bool:
    return all(one.get(name) == other.get(name) for name in names)


def _units(item: Item | None) -> int:
    return 0 if item is None else -(-item_size(item) // UNIT)


def item_size(item: Item) -> int:
    """The bytes of an item: names and values."""
    return sum(len(name.encode()) + _size(typed) for name, typed in item.items())


def _size(typed: Mapping[str, Any]) -> int:
    ((kind, value),) = typed.items()
    match kind:
        case "S":
            return len(value.encode())
        case "N":
            return (len(value.strip("-").replace(".", "")) + 1) // 2 + 1 + value.startswith("-")
        case "B":
            return len(value if isinstance(value, bytes) else base64.b64decode(value))
        case "SS":
            return sum(len(each.encode()) for each in value)
        case "BOOL" | "NULL":
            return 1
        case _:
            raise NotImplementedError(f"nothing here writes {kind}")
