"""What a write costs in DynamoDB: the units of the item and of every index that it changes.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations
"""

import base64
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

UNIT = 1024

type Item = Mapping[str, Mapping[str, Any]]


def write_units(
    key: Sequence[str],
    indexes: Iterable[tuple[Sequence[str], Collection[str] | None]],
    before: Item | None,
    after: Item | None,
) -> int:
    """The units of one write.

    Args:
        key: The names of the table's key.
        indexes: Of each the names of its key, and which others it holds; ``None`` for all.
        before, after: The item in DynamoDB's typed form; ``None`` where there is none.
    """
    units = max(_units(before), _units(after), 1)
    for own, held in indexes:
        names = None if held is None else {*own, *key, *held}
        old, new = (_projected(each, own, names) for each in (before, after))
        if old == new:
            continue
        if old is not None and new is not None and _same(old, new, [*own, *key]):
            units += max(_units(old), _units(new))
        else:  # an entry moves by being deleted and put
            units += _units(old) + _units(new)
    return units


def _projected(item: Item | None, own: Sequence[str], names: Collection[str] | None) -> Item | None:
    if item is None or any(name not in item for name in own):
        return None
    if names is None:
        return item
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
