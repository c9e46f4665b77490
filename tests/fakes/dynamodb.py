"""DynamoDB in memory: conditional writes, indexes that lag behind, pages, limits, write units.

It takes and gives the JSON of the protocol and knows what the storage uses; anything else it
refuses loudly. ``tests/integration/test_fake_dynamodb.py`` holds it against moto, which looks at
less and takes ten times as long.
"""

import base64
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.fakes import dynamodb_expressions as expressions
from tests.fakes.dynamodb_expressions import Item, NotUnderstood, Refused
from tests.fakes.write_units import item_size, write_units

ITEM_BYTES = 400 * 1024
PAGE_BYTES = 1024 * 1024
BATCH = 100
RESTORE_LOOKS = 2
"""How often who looks sees that a table is still being restored."""
HASH_BYTES, RANGE_BYTES = 2048, 1024

type Key = tuple[Any, ...]


class ConditionFailed(Exception):
    """The condition of a write did not hold."""

    def __init__(self, item: Item | None) -> None:
        super().__init__("The conditional request failed")
        self.item = item


class MissingTable(Exception):
    """There is no such table."""


class TableExists(Exception):
    """A table of this name is there already."""


class TableInUse(Exception):
    """A table of this name is being made."""


@dataclass(slots=True)
class View:
    """What readers see of a table some moments after it was written: an index, or the table itself.

    Attributes:
        key: The names of its own key.
        names: What it holds of an item; ``None`` for all of it.
    """

    key: tuple[str, ...]
    table_key: tuple[str, ...]
    names: frozenset[str] | None
    items: dict[Key, Item] = field(default_factory=dict)
    _pending: list[tuple[float, int, Key, Item | None]] = field(default_factory=list)
    _latest: dict[Key, float] = field(default_factory=dict)
    _count: int = 0

    def projected(self, item: Item | None) -> Item | None:
        """An item as it stands here; ``None`` where it does not."""
        if item is None or any(name not in item for name in self.key):
            return None
        if self.names is None:
            return item
        projection = {*self.key, *self.table_key, *self.names}
        return {name: typed for name, typed in item.items() if name in projection}

    def write(self, key: Key, item: Item | None, seen_at: float) -> None:
        """Let a change be seen from a moment on, after the earlier ones of the same item."""
        seen_at = max(seen_at, self._latest.get(key, 0.0))
        self._latest[key] = seen_at
        self._count += 1
        heapq.heappush(self._pending, (seen_at, self._count, key, self.projected(item)))

    def settle(self, now: float) -> None:
        """Show what is to be seen by now."""
        while self._pending and self._pending[0][0] <= now:
            _, _, key, item = heapq.heappop(self._pending)
            if item is None:
                self.items.pop(key, None)
            else:
                self.items[key] = item


class Table:
    """One table.

    Args:
        name: Its physical name.
        properties: As the template declares it, resolved.
        looks: How often who looks sees that it is still being made.
    """

    def __init__(self, name: str, properties: Mapping[str, Any], looks: int = 0) -> None:
        self.name = name
        self.looks = looks
        self.key = _key_names(properties["KeySchema"])
        self.items: dict[Key, Item] = {}
        self.late = View((), self.key, None)
        self.indexes: dict[str, View] = {}
        self.units = 0
        self.expires: str = (properties.get("TimeToLiveSpecification") or {}).get(
            "AttributeName", ""
        )
        self.properties = properties
        for each in properties.get("GlobalSecondaryIndexes", ()):
            projection = each["Projection"]
            whole = projection["ProjectionType"] == "ALL"
            names = None if whole else frozenset(projection.get("NonKeyAttributes", ()))
            self.indexes[each["IndexName"]] = View(_key_names(each["KeySchema"]), self.key, names)

    def key_of(self, item: Item) -> Key:
        """The key of an item, or of a key.

        Raises:
            Refused: It lacks a part, or a part is empty or too long.
        """
        found = []
        for limit, name in zip((HASH_BYTES, RANGE_BYTES), self.key, strict=False):
            typed = item.get(name)
            if typed is None:
                raise Refused("The provided key element does not match the schema")
            value = expressions.plain(typed)
            if value == "":
                raise Refused(
                    "The AttributeValue for a key attribute cannot contain an empty string value"
                )
            if isinstance(value, str) and len(value.encode()) > limit:
                raise Refused(f"Size of {name} has exceeded the maximum size limit")
            found.append(value)
        return tuple(found)

    def fill(self, items: Mapping[Key, Item]) -> None:
        """Have these items and no others, all to be seen; for nothing."""
        self.items = dict(items)
        self.late = View((), self.key, None, dict(items))
        for name, view in self.indexes.items():
            shown = {key: view.projected(item) for key, item in items.items()}
            seen = {key: item for key, item in shown.items() if item is not None}
            self.indexes[name] = View(view.key, view.table_key, view.names, seen)
        self.units = 0

    def write(self, key: Key, item: Item | None, seen_at: Callable[[], float]) -> int:
        """Put or delete an item; tells the write units."""
        before = self.items.get(key)
        if item is None:
            self.items.pop(key, None)
        else:
            if item_size(item) > ITEM_BYTES:
                raise Refused("Item size has exceeded the maximum allowed size")
            self.items[key] = item
        units = self.cost(before, item)
        self.units += units
        self.late.write(key, item, seen_at())
        for view in self.indexes.values():
            if view.projected(before) != view.projected(item):
                view.write(key, item, seen_at())
        return units

    def cost(self, before: Item | None, after: Item | None) -> int:
        """The units of one write."""
        indexes = [(view.key, view.names) for view in self.indexes.values()]
        return write_units(self.key, indexes, before, after)


def _key_names(schema: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    return tuple(
        each["AttributeName"] for each in sorted(schema, key=lambda each: each["KeyType"] != "HASH")
    )


@dataclass(frozen=True, slots=True)
class Write:
    """One write that happened.

    Attributes:
        units: What it cost, with every index.
    """

    table: str
    key: Key
    before: Item | None
    after: Item | None
    units: int


class Tables:
    """All tables.

    Args:
        clock: The present moment.
        lag: How many seconds later a reader may see a write.
        written: Is told of every write.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        lag: Callable[[], float] = lambda: 0.0,
        written: Callable[[Write], None] = lambda _: None,
    ) -> None:
        self.tables: dict[str, Table] = {}
        self._clock = clock
        self._lag = lag
        self._written = written

    def call(self, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Serve one call.

        Raises:
            ConditionFailed, Refused, MissingTable, TableExists, TableInUse: As DynamoDB would.
            NotUnderstood: This stand-in does not know it.
        """
        known = _OPERATIONS.get(operation)
        if known is None:
            raise NotUnderstood(f"DynamoDB's {operation}")
        serve, parameters = known
        if unknown := asked.keys() - parameters:
            raise NotUnderstood(f"{operation} with {sorted(unknown)}")
        return serve(self, asked)

    def answer(self, operation: str, asked: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """Serve one call as it goes over the wire: the status and the body."""
        try:
            return 200, self.call(operation, asked)
        except ConditionFailed as failed:
            more = {"Item": failed.item} if failed.item is not None else {}
            return 400, _error("ConditionalCheckFailedException", str(failed)) | more
        except Refused as refusal:
            return 400, _error("ValidationException", str(refusal))
        except MissingTable:
            return 400, _error("ResourceNotFoundException", "Requested resource not found")
        except TableExists:
            return 400, _error("TableAlreadyExistsException", "The table is there already")
        except TableInUse:
            return 400, _error("TableInUseException", "The table is being made")

    def rows(self, table: str) -> list[Item]:
        """What stands in a table."""
        return list(self.tables[table].items.values())

    def forget_expired(self, chosen: Callable[[str, Key], bool]) -> None:
        """Delete what has expired, as far as it is chosen: DynamoDB takes its time."""
        for table in self.tables.values():
            if not table.expires:
                continue
            for key, item in list(table.items.items()):
                ends = item.get(table.expires)
                if ends and float(ends["N"]) < self._clock() and chosen(table.name, key):
                    self._write(table, key, None)

    # -- operations --------------------------------------------------------------------------

    def _table(self, asked: Mapping[str, Any]) -> Table:
        table = self.tables.get(asked["TableName"])
        if table is None or table.looks:
            raise MissingTable
        return table

    def _write(self, table: Table, key: Key, item: Item | None) -> None:
        before = table.items.get(key)
        units = table.write(key, item, lambda: self._clock() + self._lag())
        self._written(Write(table.name, key, before, item, units))

    def _check(self, table: Table, asked: Mapping[str, Any], item: Item | None) -> None:
        text = asked.get("ConditionExpression")
        _check_used(asked)
        if text is None:
            return
        holds = expressions.condition(text)
        names = asked.get("ExpressionAttributeNames") or {}
        values = asked.get("ExpressionAttributeValues") or {}
        if not holds(item or {}, names, values):
            table.units += table.cost(item, item)  # what fails is paid for, too
            returns_item = asked.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
            raise ConditionFailed(item if returns_item else None)

    def _put(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        table = self._table(asked)
        key = table.key_of(asked["Item"])
        self._check(table, asked, table.items.get(key))
        for view in table.indexes.values():
            _check_index_key(view, asked["Item"])
        self._write(table, key, asked["Item"])
        return {}

    def _update(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        table = self._table(asked)
        key = table.key_of(asked["Key"])
        there = table.items.get(key)
        self._check(table, asked, there)
        names = asked.get("ExpressionAttributeNames") or {}
        values = asked.get("ExpressionAttributeValues") or {}
        after, touched = expressions.changed(
            asked["UpdateExpression"], there or asked["Key"], names, values
        )
        if touched & set(table.key):
            raise Refused("Cannot update attribute: it is part of the key")
        for view in table.indexes.values():
            _check_index_key(view, after)
        self._write(table, key, after)
        match asked.get("ReturnValues", "NONE"):
            case "NONE":
                return {}
            case "ALL_NEW":
                return {"Attributes": after}
            case "UPDATED_NEW":
                return {"Attributes": {name: after[name] for name in touched if name in after}}
            case other:
                raise NotUnderstood(f"ReturnValues {other}")

    def _delete(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        table = self._table(asked)
        key = table.key_of(asked["Key"])
        self._check(table, asked, table.items.get(key))
        if key in table.items:
            self._write(table, key, None)
        return {}

    def _seen(self, table: Table, asked: Mapping[str, Any]) -> Mapping[Key, Item]:
        """The items as a reader sees them: at once, or a moment late."""
        if asked.get("ConsistentRead"):
            return table.items
        table.late.settle(self._clock())
        return table.late.items

    def _get(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        table = self._table(asked)
        found = self._seen(table, asked).get(table.key_of(asked["Key"]))
        if found is None:
            return {}
        return {"Item": _shown(found, asked)}

    def _batch_get(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        answer: dict[str, list[Item]] = {}
        for name, request in asked["RequestItems"].items():
            if unknown := request.keys() - {
                "Keys", "ConsistentRead", "ProjectionExpression", "ExpressionAttributeNames",
            }:  # fmt: skip
                raise NotUnderstood(f"BatchGetItem with {sorted(unknown)}")
            table = self._table({"TableName": name})
            keys = [table.key_of(each) for each in request["Keys"]]
            if len(set(keys)) < len(keys):
                raise Refused("Provided list of item keys contains duplicates")
            if not 0 < len(keys) <= BATCH:
                raise Refused("Too many items requested for the BatchGetItem call")
            seen = self._seen(table, request)
            answer[name] = [_shown(seen[key], request) for key in keys if key in seen]
        return {"Responses": answer, "UnprocessedKeys": {}}

    def _query(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        table = self._table(asked)
        names = asked.get("ExpressionAttributeNames") or {}
        values = asked.get("ExpressionAttributeValues") or {}
        _check_used(asked)
        own, seen = self._view(table, asked)
        hash_token, hash_value, bounds = expressions.key_condition(asked["KeyConditionExpression"])
        if expressions.attribute(hash_token, names) != own[0]:
            raise Refused("Query condition missed key schema element")
        wanted = values[hash_value]
        chosen = [each for each in seen if each[own[0]] == wanted]
        if bounds:
            sign, token, *arguments = bounds
            if len(own) < 2 or expressions.attribute(token, names) != own[1]:
                raise Refused("Query key condition not supported")
            low_high = [values[each] for each in arguments]
            _check_bounds(sign, low_high)
            chosen = [each for each in chosen if _within(sign, each[own[1]], low_high)]
        start = asked.get("ExclusiveStartKey")
        if start:
            _check_start(start, own, wanted, bounds, values)
        order = [*own[1:], *table.key]
        chosen.sort(key=lambda each: _place(each, order))
        if not asked.get("ScanIndexForward", True):
            chosen.reverse()
        if start:
            place = _place(start, order)
            forward = asked.get("ScanIndexForward", True)
            chosen = [
                each
                for each in chosen
                if (_place(each, order) > place if forward else _place(each, order) < place)
            ]
        return self._page(chosen, [*own, *table.key], asked)

    def _scan(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        table = self._table(asked)
        _check_used(asked)
        own, seen = self._view(table, asked)
        order = list(dict.fromkeys([*own, *table.key]))
        found = sorted(seen, key=lambda each: _place(each, order))
        if start := asked.get("ExclusiveStartKey"):
            found = [each for each in found if _place(each, order) > _place(start, order)]
        return self._page(found, order, asked)

    # -- tables themselves, for who restores them ---------------------------------------------

    def _describe(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        table = self.tables.get(asked["TableName"])
        if table is None:
            raise MissingTable
        status = "CREATING" if table.looks else "ACTIVE"
        table.looks = max(table.looks - 1, 0)
        return {"Table": {"TableStatus": status, "KeySchema": table.properties["KeySchema"]}}

    def _restore(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        source = self._table({"TableName": asked["SourceTableName"]})
        target = asked["TargetTableName"]
        if there := self.tables.get(target):
            raise TableInUse if there.looks else TableExists
        schema = source.properties["KeySchema"]
        self.tables[target] = Table(target, {"KeySchema": schema}, RESTORE_LOOKS)
        self.tables[target].fill(source.items)
        return {}

    def _view(
        self, table: Table, asked: Mapping[str, Any]
    ) -> tuple[tuple[str, ...], Iterable[Item]]:
        name = asked.get("IndexName")
        if name is None:
            return table.key, self._seen(table, asked).values()
        if asked.get("ConsistentRead"):
            raise Refused("Consistent reads are not supported on global secondary indexes")
        try:
            view = table.indexes[name]
        except KeyError:
            raise Refused(f"The table does not have the specified index: {name}") from None
        view.settle(self._clock())
        return view.key, view.items.values()

    def _page(
        self, found: Sequence[Item], key: Sequence[str], asked: Mapping[str, Any]
    ) -> dict[str, Any]:
        names = asked.get("ExpressionAttributeNames") or {}
        values = asked.get("ExpressionAttributeValues") or {}
        text = asked.get("FilterExpression")
        holds = expressions.condition(text) if text else None
        limit = asked.get("Limit") or len(found)
        page: list[Item] = []
        size = looked_at = 0
        for each in found:
            if looked_at == limit or size > PAGE_BYTES:
                break
            looked_at += 1
            size += item_size(each)
            if holds is None or holds(each, names, values):
                page.append(each)
        answer: dict[str, Any] = {"Count": len(page), "ScannedCount": looked_at}
        # As AWS does it: a page that is full names its end, even where nothing follows.
        if looked_at and (looked_at < len(found) or looked_at == asked.get("Limit")):
            last = found[looked_at - 1]
            answer["LastEvaluatedKey"] = {name: last[name] for name in dict.fromkeys(key)}
        if asked.get("Select") != "COUNT":
            answer["Items"] = [_shown(each, asked) for each in page]
        return answer


def _error(code: str, message: str) -> dict[str, Any]:
    return {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}


def _shown(item: Item, asked: Mapping[str, Any]) -> Item:
    text = asked.get("ProjectionExpression")
    if text is None:
        return item
    names = asked.get("ExpressionAttributeNames") or {}
    wanted = [expressions.attribute(each.strip(), names) for each in text.split(",")]
    return {name: item[name] for name in wanted if name in item}


def _place(item: Item, names: Sequence[str]) -> tuple[Any, ...]:
    return tuple(expressions.plain(item[name]) for name in names)


def _within(sign: str, typed: Mapping[str, Any], arguments: Sequence[Mapping[str, Any]]) -> bool:
    if sign == "BETWEEN":
        low, high = arguments
        return expressions.compare(">=", typed, low) and expressions.compare("<=", typed, high)
    if sign == "begins_with":
        return expressions.begins_with(typed, arguments[0])
    return expressions.compare(sign, typed, arguments[0])


def _check_bounds(sign: str, arguments: Sequence[Mapping[str, Any]]) -> None:
    if sign == "BETWEEN" and expressions.compare(">", *arguments):
        raise Refused(
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound"
        )


def _check_start(
    start: Item, own: Sequence[str], wanted: Any, bounds: tuple[Any, ...] | None, values: Item
) -> None:
    outside = start.get(own[0]) != wanted
    if bounds and not outside:
        sign, _, *arguments = bounds
        outside = not _within(sign, start[own[1]], [values[each] for each in arguments])
    if outside:
        raise Refused("The provided starting key is outside query boundaries based on the input")


def _check_index_key(view: View, item: Item) -> None:
    for name in view.key:
        typed = item.get(name)
        if typed is not None and expressions.plain(typed) == "":
            raise Refused("An index key attribute cannot be an empty string")


_USED = (
    "ConditionExpression", "KeyConditionExpression", "FilterExpression", "UpdateExpression",
    "ProjectionExpression",
)  # fmt: skip


def _check_used(asked: Mapping[str, Any]) -> None:
    """Refuse what is too long, and names and values that nothing uses, as DynamoDB does."""
    expressions.check_length(asked)
    texts = " ".join(asked[each] for each in _USED if each in asked)
    words = set(expressions._TOKEN.findall(texts))
    for kind in ("ExpressionAttributeNames", "ExpressionAttributeValues"):
        unused = [name for name in asked.get(kind) or {} if name not in words]
        if unused:
            raise Refused(f"Value unused in expressions: {unused}")


_WRITE = {
    "TableName", "ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues",
    "ReturnValuesOnConditionCheckFailure",
}  # fmt: skip
_READ = {"TableName", "ConsistentRead", "ProjectionExpression", "ExpressionAttributeNames"}
_MANY = _READ | {
    "FilterExpression", "ExpressionAttributeValues", "Limit", "ExclusiveStartKey", "Select",
}  # fmt: skip

_OPERATIONS: dict[str, tuple[Callable[[Tables, Mapping[str, Any]], dict[str, Any]], set[str]]] = {
    "PutItem": (Tables._put, _WRITE | {"Item"}),
    "UpdateItem": (Tables._update, _WRITE | {"Key", "UpdateExpression", "ReturnValues"}),
    "DeleteItem": (Tables._delete, _WRITE | {"Key"}),
    "GetItem": (Tables._get, _READ | {"Key"}),
    "BatchGetItem": (Tables._batch_get, {"RequestItems"}),
    "Query": (
        Tables._query,
        _MANY | {"IndexName", "KeyConditionExpression", "ScanIndexForward"},
    ),
    "Scan": (Tables._scan, _MANY | {"IndexName"}),
    "DescribeTable": (Tables._describe, {"TableName"}),
    "RestoreTableToPointInTime": (
        Tables._restore,
        {
            "SourceTableName",
            "TargetTableName",
            "RestoreDateTime",
            "BillingModeOverride",
            "GlobalSecondaryIndexOverride",
        },
    ),
}


def unpacked(typed: Mapping[str, Any]) -> bytes:
    """A binary attribute's bytes."""
    return base64.b64decode(typed["B"])


def texts(item: Item) -> Iterator[tuple[str, str]]:
    """The attributes of an item that are text, by name."""
    for name, typed in item.items():
        if "S" in typed:
            yield name, typed["S"]
        elif "SS" in typed:
            yield name, " ".join(typed["SS"])
