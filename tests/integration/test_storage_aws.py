"""The sender of AWS calls: what it tries again, what it tells, what it does not."""

import json

import pytest

from integrations.storage.aws import ATTEMPTS, AwsError, ConditionFailed, attributes, item
from tests.fakes.aws import SECRET_KEY, FakeAws

KEY = item({"tokenHash": "x"})


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("InternalServerError", 500),
        ("ServiceUnavailable", 503),
        ("ProvisionedThroughputExceededException", 400),
        ("ThrottlingException", 400),
    ],
)
def test_what_may_pass_is_tried_again(aws: FakeAws, code: str, status: int) -> None:
    aws.fail("GetItem", code, status=status, times=ATTEMPTS - 1)
    answer = aws.client.dynamodb("GetItem", {"TableName": aws.names["TokensTable"], "Key": KEY})
    assert answer == {}
    assert aws.calls["GetItem"] == ATTEMPTS


def test_after_so_many_attempts_the_last_error_is_told(aws: FakeAws) -> None:
    aws.fail("GetItem", "InternalServerError", status=500)
    with pytest.raises(AwsError, match="GetItem: InternalServerError") as raised:
        aws.client.dynamodb("GetItem", {"TableName": aws.names["TokensTable"], "Key": KEY})
    assert raised.value.aws_code == "InternalServerError"
    assert aws.calls["GetItem"] == ATTEMPTS


def test_what_is_refused_for_good_is_asked_once(aws: FakeAws) -> None:
    with pytest.raises(AwsError) as raised:
        aws.client.dynamodb("GetItem", {"TableName": "no-such-table", "Key": KEY})
    assert raised.value.aws_code == "ResourceNotFoundException"
    assert aws.calls["GetItem"] == 1
    assert SECRET_KEY not in str(raised.value)


def test_a_condition_that_fails_brings_what_stands_there(aws: FakeAws) -> None:
    put = {"TableName": aws.names["TokensTable"], "Item": item({"tokenHash": "x", "name": "n"})}
    aws.client.dynamodb("PutItem", put)
    with pytest.raises(ConditionFailed) as raised:
        aws.client.dynamodb(
            "PutItem",
            {
                **put,
                "ConditionExpression": "attribute_not_exists(tokenHash)",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            },
        )
    assert attributes(raised.value.item or {}) == {"tokenHash": "x", "name": "n"}


def test_values_come_back_as_they_went(aws: FakeAws) -> None:
    row = {
        "tokenHash": "häßlich \u2028 🙂",
        "yes": True,
        "no": False,
        "zero": 0,
        "count": 2**60,
        "time": 1795348800.123,
        "small": 1e-9,
        "bytes": bytes(range(256)),
        "empty": "",
        "names": {"b", "a"},
    }
    table = aws.names["TokensTable"]
    aws.client.dynamodb("PutItem", {"TableName": table, "Item": item({**row, "none": None})})
    key = item({"tokenHash": row["tokenHash"]})
    answer = aws.client.dynamodb("GetItem", {"TableName": table, "Key": key})
    assert attributes(answer["Item"]) == row


def test_what_is_no_json_is_a_mistake_of_the_caller(aws: FakeAws) -> None:
    with pytest.raises(TypeError, match="object is not JSON"):
        aws.client.dynamodb("GetItem", {"Key": object()})
    assert json.dumps(dict(aws.calls)) == "{}"
