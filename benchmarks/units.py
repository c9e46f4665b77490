"""DynamoDB's write units, counted at the wire: each write with its item's size and every index.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations.Writes
"""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from tools.template import resources

UNIT_BYTES = 1024
READ_BYTES = 4096
TRANSACTION = 2
"""How many times more a write costs within a transaction."""
ENTRY_BYTES = 100
"""What an index adds to each of its entries."""
WRITES = ("PutItem", "UpdateItem", "DeleteItem")

REGION = "us-east-1"

type Item = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Index:
    """A global secondary index: its key, and what else is in it (None is everything)."""

    key: tuple[str, ...]
    projected: frozenset[str] | None

    def entry(self, item: Item, table_key: tuple[str, ...]) -> Item | None:
        """What the index holds of an item; None where it is not in there."""
        if any(name not in item for name in self.key):
            return None
        if self.projected is None:
            return item
        content = {*self.key, *table_key, *self.projected}
        return {name: value for name, value in item.items() if name in content}


@dataclass(frozen=True)
class Table:
    """A table's key and its indexes."""

    key: tuple[str, ...]
    indexes: tuple[Index, ...]

    def units(self, before: Item | None, after: Item | None) -> float:
        """The write units of one change of one item, the indexes' included."""
        spent = float(units(max(size(before), size(after))))
        for index in self.indexes:
            old = index.entry(before, self.key) if before else None
            new = index.entry(after, self.key) if after else None
            if old == new:
                continue
            moved = old and new and any(old[name] != new[name] for name in index.key)
            if moved:  # removed at one place, put at another
                spent += units(size(old) + ENTRY_BYTES) + units(size(new) + ENTRY_BYTES)
            else:
                spent += units(max(size(old), size(new)) + ENTRY_BYTES)
        return spent


@dataclass
class Ledger:
    """Counts what passes a wire.

    Args:
        endpoint_url: The stand-in that holds the tables.
        tables: Physical name → table.

    Attributes:
        writes: Write units so far.
        reads: Read units so far, from the answers' sizes.
    """

    endpoint_url: str
    tables: Mapping[str, Table]
    writes: float = 0.0
    reads: float = 0.0
    _connection: HTTPConnection | None = field(default=None, repr=False)

    @contextmanager
    def around(self, operation: str, body: bytes) -> Iterator[None]:
        """Count one call: the items that it writes are looked at before and after."""
        changes = list(written(operation, json.loads(body))) if operation else []
        keys = [
            (name, {part: item[part] for part in self.tables[name].key}, times)
            for name, item, times in changes
        ]
        before = [self._item(name, key) for name, key, _ in keys]
        yield
        for (name, key, times), old in zip(keys, before, strict=True):
            self.writes += times * self.tables[name].units(old, self._item(name, key))

    def read(self, operation: str, body: bytes, answer: bytes) -> None:
        """Count one call's reads."""
        if operation not in {"GetItem", "Query", "Scan", "BatchGetItem", "TransactGetItems"}:
            return
        reply = json.loads(answer)
        items = reply.get("Items", [reply["Item"]] if "Item" in reply else [])
        consistent = bool(json.loads(body).get("ConsistentRead"))
        half = max(1, math.ceil(sum(map(size, items)) / READ_BYTES))
        self.reads += half if consistent else half / 2

    def _item(self, table: str, key: Item) -> Item | None:
        connection = HTTPConnection(urlsplit(self.endpoint_url).netloc, timeout=30)
        body = json.dumps({"TableName": table, "Key": key, "ConsistentRead": True})
        headers = {
            "X-Amz-Target": "DynamoDB_20120810.GetItem",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": f"AWS4-HMAC-SHA256 Credential=x/1/{REGION}/dynamodb/aws4_request",
        }
        try:
            connection.request("POST", "/", body, headers)
            found: Item | None = json.loads(connection.getresponse().read()).get("Item")
            return found
        finally:
            connection.close()


def written(operation: str, asked: Mapping[str, Any]) -> Iterator[tuple[str, Item, int]]:
    """Give the table and the key (or the whole item) of each write, and how often it counts."""
    if operation in WRITES:
        yield asked["TableName"], asked.get("Key") or asked["Item"], 1
    elif operation == "TransactWriteItems":
        for each in asked["TransactItems"]:
            for part in each.values():
                yield part["TableName"], part.get("Key") or part["Item"], TRANSACTION
    elif operation == "BatchWriteItem":
        for table, requests in asked["RequestItems"].items():
            for each in requests:
                for part in each.values():
                    yield table, part.get("Key") or part["Item"], 1


def tables(names: Mapping[str, str]) -> dict[str, Table]:
    """Return the template's tables by their physical names.

    Args:
        names: Logical id → physical name.
    """
    return {
        names[logical]: Table(
            _key(properties["KeySchema"]),
            tuple(
                Index(_key(each["KeySchema"]), _projected(each["Projection"]))
                for each in properties.get("GlobalSecondaryIndexes", ())
            ),
        )
        for logical, properties in resources("AWS::DynamoDB::Table").items()
    }


def _key(schema: list[Mapping[str, str]]) -> tuple[str, ...]:
    return tuple(each["AttributeName"] for each in schema)


def _projected(projection: Mapping[str, Any]) -> frozenset[str] | None:
    if projection["ProjectionType"] == "ALL":
        return None
    return frozenset(projection.get("NonKeyAttributes", ()))


def units(length: int) -> int:
    """How many units so many bytes are."""
    return max(1, math.ceil(length / UNIT_BYTES))


def size(item: Item | None) -> int:
    """How large DynamoDB takes an item for: its names and its values.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name.encode()) + _value(value) for name, value in (item or {}).items())


def _value(value: Mapping[str, Any]) -> int:  # noqa: PLR0911 - a case for each type
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(str(content).encode())
        case "N":
            digits = content.lstrip("-").replace(".", "")
            return math.ceil(len(digits) / 2) + 1 + int(content.startswith("-"))
        case "B":
            return len(content) * 3 // 4
        case "BOOL" | "NULL":
            return 1
        case "M":
            return 3 + sum(len(name.encode()) + 1 + _value(each) for name, each in content.items())
        case "L":
            return 3 + sum(1 + _value(each) for each in content)
        case _:  # sets
            return sum(_value({kind[0]: each}) for each in content)
