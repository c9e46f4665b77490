"""DynamoDB in memory says what moto says, for the expressions that the storage uses."""

import json
import re
from http import HTTPStatus
from random import Random
from typing import Any

import pytest
from werkzeug.test import Client

from integrations.storage.aws import Attribute, item, update
from integrations.storage.aws.client import _body
from integrations.storage.aws.writes import marked
from tests.fakes import dynamodb_expressions as expressions
from tests.fakes.aws import REGION, FakeAws
from tests.fakes.dynamodb import ConditionFailed, Table, Tables
from tools.template import Resolver, resources

TABLE = "ExecutionsTable"
CALLS = 600


class Moto:
    """Moto's DynamoDB, with one table of the template."""

    def __init__(self, aws: FakeAws) -> None:
        self._client = Client(aws._app)
        properties = Resolver(dict(aws.names))(resources("AWS::DynamoDB::Table")[TABLE])
        copied = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")
        self("DeleteTable", {"TableName": TABLE})
        code, _ = self(
            "CreateTable", {"TableName": TABLE, **{each: properties[each] for each in copied}}
        )
        assert code == ""

    def __call__(self, operation: str, asked: dict[str, Any]) -> tuple[str, Any]:
        """The error's code, or none, and the answer."""
        headers = {
            "x-amz-target": f"DynamoDB_20120810.{operation}",
            "authorization": f"AWS4-HMAC-SHA256 Credential=AKIA/20261122/{REGION}/dynamodb/x",
        }
        kind = "application/x-amz-json-1.0"
        answer = self._client.post("/", data=_body(asked), headers=headers, content_type=kind)
        body = json.loads(answer.data)
        if answer.status_code == HTTPStatus.OK:
            return "", shape(body)
        return body["__type"].rpartition("#")[2], body.get("Item")


@pytest.fixture
def moto(aws: FakeAws) -> Moto:
    return Moto(aws)


@pytest.fixture
def tables(aws: FakeAws) -> Tables:
    made = Tables(lambda: 0.0)
    properties = resources("AWS::DynamoDB::Table")[TABLE]
    made.tables[TABLE] = Table(TABLE, Resolver(dict(aws.names))(properties))
    return made


def shape(answer: dict[str, Any]) -> dict[str, Any]:
    """What of an answer both must agree on: sets have no order, and the last page's end is free."""
    parts = {
        name: answer[name] for name in ("Item", "Items", "Attributes", "Count") if name in answer
    }
    for name, responses in answer.get("Responses", {}).items():
        parts[name] = sorted(responses, key=repr)
    return parts


def in_memory(tables: Tables, operation: str, asked: dict[str, Any]) -> tuple[str, Any]:
    try:
        return "", shape(tables.call(operation, json.loads(_body(asked))))
    except ConditionFailed as failed:
        return "ConditionalCheckFailedException", failed.item
    except expressions.Refused:
        return "ValidationException", None


# -- What is asked ---------------------------------------------------------------------------


def key(chance: Random) -> dict[str, Attribute]:
    return {"tenant": chance.choice("ab"), "executionId": f"exe_{chance.randrange(6)}"}


def row(chance: Random) -> dict[str, Attribute]:
    status = chance.choice(["queued", "running", "failed", "succeeded"])
    made: dict[str, Attribute] = {
        **key(chance),
        "status": status,
        "revision": chance.randrange(3),
        "createdKey": f"2026-0{chance.randrange(1, 9)}",
        "workflowKey": chance.choice(["a#w", "b#w"]),
        "journal": chance.randbytes(4),
        "leaseUntil": chance.choice([None, 1795348800.25, 12]),
        "names": chance.choice([None, {"x"}, {"x", "y"}]),
        "endedKey": f"a#{status}" if status == "failed" else None,
    }
    if status in {"queued", "running"}:
        made |= {"dueShard": chance.choice("01"), "dueAt": chance.randrange(100)}
    return made


CONDITIONS: list[tuple[str, dict[str, Attribute]]] = [
    ("#revision = :was", {"was": 1}),
    ("attribute_exists(#dueShard) AND #dueAt < :before", {"before": 50}),
    ("attribute_not_exists(#tenant)", {}),
    ("(attribute_not_exists(#revision) OR #revision <= :was)", {"was": 1}),
    (
        "attribute_not_exists(#tenant) OR (#status = :status AND #revision <> :was)",
        {"status": "queued", "was": 0},
    ),
    ("NOT #status = :status AND begins_with(#createdKey, :start)",
     {"status": "failed", "start": "2026-0"}),
]  # fmt: skip


def named(text: str) -> dict[str, str]:
    return {f"#{name}": name for name in re.findall(r"#(\w+)", text)}


def put(chance: Random) -> tuple[str, dict[str, Any]]:
    asked: dict[str, Any] = {"TableName": TABLE, "Item": item(row(chance))}
    if chance.random() < 0.7:
        text, values = chance.choice(CONDITIONS)
        asked |= {"ConditionExpression": text, "ExpressionAttributeNames": named(text)}
        asked |= {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        if values:
            asked["ExpressionAttributeValues"] = item({f":{k}": v for k, v in values.items()})
    return "PutItem", asked


def change(chance: Random) -> tuple[str, dict[str, Any]]:
    text, values = chance.choice([*CONDITIONS, ("", {})])
    at = key(chance)
    sets = {name: each for name, each in row(chance).items() if name not in at}
    removed = chance.sample(["leaseUntil", "error", "endedKey"], 1)
    sets.pop(removed[0], None)
    changed = {name: sets[name] for name in chance.sample(sorted(sets), 3)}
    if any(f":{name}" in text for name in changed):
        text, values = "", {}
    more: dict[str, Attribute] = {"count": 2} if chance.random() < 0.5 else {}
    asked = update(TABLE, at, changed, add=more, remove=removed, condition=text, values=values)
    asked["ReturnValues"] = chance.choice(["NONE", "ALL_NEW"])
    return "UpdateItem", asked


def delete(chance: Random) -> tuple[str, dict[str, Any]]:
    asked = {
        "TableName": TABLE,
        "Key": item(key(chance)),
        "ConditionExpression": "revision = :was",
        "ExpressionAttributeValues": item({":was": chance.randrange(3)}),
    }
    return "DeleteItem", asked


def get(chance: Random) -> tuple[str, dict[str, Any]]:
    asked: dict[str, Any] = {"TableName": TABLE, "Key": item(key(chance)), "ConsistentRead": True}
    if chance.random() < 0.5:
        asked |= {"ProjectionExpression": "revision, #s, nothing"}
        asked |= {"ExpressionAttributeNames": {"#s": "status"}}
    return "GetItem", asked


def batch(chance: Random) -> tuple[str, dict[str, Any]]:
    keys = {repr(each): each for each in (key(chance) for _ in range(4))}
    request = {"Keys": [item(each) for each in keys.values()], "ConsistentRead": True}
    return "BatchGetItem", {"RequestItems": {TABLE: request}}


def query(chance: Random) -> tuple[str, dict[str, Any]]:
    index, text, values = chance.choice([
        (None, "tenant = :h", {":h": "a"}),
        (None, "tenant = :h AND begins_with(executionId, :b)", {":h": "a", ":b": "exe_1"}),
        ("newest", "tenant = :h AND createdKey BETWEEN :l AND :u",
         {":h": "b", ":l": "2026-02", ":u": "2026-06"}),
        ("workflow", "workflowKey = :h AND createdKey > :l", {":h": "a#w", ":l": "2026-03"}),
        ("due", "dueShard = :h AND dueAt <= :l", {":h": "0", ":l": 60}),
        ("ended", "endedKey = :h", {":h": "a#failed"}),
    ])  # fmt: skip
    asked: dict[str, Any] = {
        "TableName": TABLE,
        "KeyConditionExpression": text,
        "ExpressionAttributeValues": item(values),
        "ScanIndexForward": chance.random() < 0.5,
    }
    if index:
        asked["IndexName"] = index
    elif chance.random() < 0.5:
        asked |= {"FilterExpression": "#s <> :s", "ExpressionAttributeNames": {"#s": "status"}}
        asked["ExpressionAttributeValues"] |= item({":s": "queued"})
    return "Query", asked


def scan(chance: Random) -> tuple[str, dict[str, Any]]:
    asked = {
        "TableName": TABLE,
        "FilterExpression": "#s = :s",
        "ExpressionAttributeNames": {"#s": "status"},
        "ExpressionAttributeValues": item({":s": chance.choice(["queued", "failed"])}),
        "ConsistentRead": True,
    }
    return "Scan", asked


@pytest.mark.parametrize("seed", range(3))
def test_the_tables_say_what_moto_says(moto: Moto, tables: Tables, seed: int) -> None:
    chance = Random(seed)
    compared = 0
    for _ in range(CALLS // 3):
        make = chance.choice([put, put, change, change, change, delete, get, batch, query, scan])
        operation, asked = make(chance)
        asked = marked(operation, asked)
        theirs, ours = moto(operation, asked), in_memory(tables, operation, asked)
        if operation == "Scan":  # in no order
            theirs, ours = _sorted(theirs), _sorted(ours)
        assert _settled(ours) == _settled(theirs), (operation, asked)
        compared += not ours[0]
    assert compared > CALLS // 6


def _sorted(answer: tuple[str, Any]) -> tuple[str, Any]:
    code, result = answer
    return code, {**result, "Items": sorted(result["Items"], key=repr)}


def _settled(value: Any) -> Any:
    """Sets in one order, numbers as numbers."""
    match value:
        case {"SS": list(names)} if len(value) == 1:
            return {"SS": sorted(names)}
        case {"N": str(number)} if len(value) == 1:
            return {"N": float(number)}
        case dict():
            return {name: _settled(each) for name, each in value.items()}
        case list() | tuple():
            return [_settled(each) for each in value]
        case _:
            return value


@pytest.mark.parametrize(
    ("operation", "asked"),
    [
        ("TransactWriteItems", {}),
        ("GetItem", {"TableName": TABLE, "Key": {}, "AttributesToGet": []}),
        ("UpdateItem", {"TableName": TABLE, "Key": item({"tenant": "a", "executionId": "b"}),
                        "UpdateExpression": "SET #a.b = :c"}),
        ("Scan", {"TableName": TABLE, "FilterExpression": "size(a) > :b"}),
    ],
)  # fmt: skip
def test_what_it_does_not_know_ends_the_test(
    tables: Tables, operation: str, asked: dict[str, Any]
) -> None:
    tables.call("PutItem", {"TableName": TABLE, "Item": item({"tenant": "a", "executionId": "b"})})
    with pytest.raises(expressions.NotUnderstood):
        tables.call(operation, asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"Item": item({"tenant": "", "executionId": "x"})},
        {"Item": item({"tenant": "a"})},
        {"Item": item({"tenant": "a", "executionId": "x" * 1025})},
        {"Item": item({"tenant": "a", "executionId": "x", "big": "x" * 400 * 1024})},
        {"Item": item({"tenant": "a", "executionId": "x", "createdKey": ""})},
        {"Item": item({"tenant": "a", "executionId": "x"}), "ConditionExpression": "status = :s",
         "ExpressionAttributeValues": item({":s": "x"})},
        {"Item": item({"tenant": "a", "executionId": "x"}),
         "ExpressionAttributeNames": {"#unused": "x"}},
    ],
)  # fmt: skip
def test_it_is_as_strict_as_aws(tables: Tables, asked: dict[str, Any]) -> None:
    with pytest.raises(expressions.Refused):
        tables.call("PutItem", {"TableName": TABLE, **asked})


def test_what_an_update_names_is_told_be_it_new_or_not(tables: Tables) -> None:
    # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html: moto tells
    # what has changed alone.
    at: dict[str, Attribute] = {"tenant": "a", "executionId": "x"}
    asked = update(TABLE, at, {"status": "queued"}, add={"count": 2}, remove=["error"])
    for count in ("2", "4"):
        answer = tables.call("UpdateItem", asked | {"ReturnValues": "UPDATED_NEW"})
        assert answer == {"Attributes": {"status": {"S": "queued"}, "count": {"N": count}}}
