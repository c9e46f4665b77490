"""The sender of AWS calls: what it tries again, what it tells, what it does not."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from integrations.entry import wiring
from integrations.storage.aws import (
    ATTEMPTS,
    Aws,
    AwsCredentials,
    AwsError,
    AwsUnavailable,
    ConditionFailed,
    attributes,
    boto3_failures,
    client,
    item,
    update,
)
from tests.fakes.aws import ACCESS_KEY, REGION, SECRET_KEY, FakeAws

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


# -- A conditional write whose answer is lost --------------------------------------------------


def change(aws: FakeAws, **more: Any) -> dict[str, Any]:
    """The row's second version, where the first one stands."""
    aws.put("TokensTable", item({"tokenHash": "x", "version": 1, "old": "yes"}))
    return update(
        aws.names["TokensTable"],
        {"tokenHash": "x"},
        {"version": 2, "content": b"new", "time": 1795348800.123456, "none": None},
        remove=["old"],
        condition="#version = :was",
        values={"was": 1},
        **more,
    )


def test_a_write_that_was_done_is_no_conflict_with_itself(aws: FakeAws) -> None:
    request = change(aws)
    aws.fail("UpdateItem", times=1, done=True)
    assert aws.client.dynamodb("UpdateItem", request) == {}
    (row,) = aws.rows("TokensTable")
    assert (row["version"], "old" in row) == (2, False)
    assert aws.calls["UpdateItem"] == 2


def test_who_asks_what_stands_there_is_told_all_the_same(aws: FakeAws) -> None:
    request = change(aws) | {"ReturnValues": "ALL_NEW"}
    aws.fail("UpdateItem", times=1, done=True)
    answer = aws.client.dynamodb("UpdateItem", request)
    assert attributes(answer["Attributes"])["version"] == 2


def test_another_writes_change_is_a_conflict_though_an_answer_was_lost(aws: FakeAws) -> None:
    request = change(aws)
    aws.put("TokensTable", item({"tokenHash": "x", "version": 2, "content": b"another's"}))
    aws.fail("UpdateItem", times=1)
    with pytest.raises(ConditionFailed):
        aws.client.dynamodb("UpdateItem", request)


def test_a_conflict_of_which_no_answer_was_lost_is_one(aws: FakeAws) -> None:
    request = change(aws)
    aws.client.dynamodb("UpdateItem", request)
    with pytest.raises(ConditionFailed):
        aws.client.dynamodb("UpdateItem", request)


def test_what_counts_up_is_counted_once(aws: FakeAws) -> None:
    request = change(aws, add={"count": 1})
    aws.fail("UpdateItem", times=1, done=True)
    assert aws.client.dynamodb("UpdateItem", request) == {}
    more = update(aws.names["TokensTable"], {"tokenHash": "x"}, {}, add={"count": 1})
    aws.fail("UpdateItem", times=1, done=True)
    aws.client.dynamodb("UpdateItem", more)
    (row,) = aws.rows("TokensTable")
    assert row["count"] == 2


def test_a_row_that_was_put_once_is_put(aws: FakeAws) -> None:
    row = {"tokenHash": "y", "names": {"b", "a"}, "content": b"x", "count": 3}
    request = {
        "TableName": aws.names["TokensTable"],
        "Item": item(row),
        "ConditionExpression": "attribute_not_exists(tokenHash)",
    }
    aws.fail("PutItem", times=1, done=True)
    assert aws.client.dynamodb("PutItem", request) == {}
    aws.fail("PutItem", times=1)
    other = request | {"Item": item(row | {"count": 4})}
    with pytest.raises(ConditionFailed):
        aws.client.dynamodb("PutItem", other)


def test_a_row_that_was_deleted_once_is_deleted(aws: FakeAws) -> None:
    aws.put("TokensTable", item({"tokenHash": "x", "version": 1}))
    request = {
        "TableName": aws.names["TokensTable"],
        "Key": KEY,
        "ConditionExpression": "version = :was",
        "ExpressionAttributeValues": item({":was": 1}),
    }
    aws.fail("DeleteItem", times=1, done=True)
    assert aws.client.dynamodb("DeleteItem", request) == {}
    aws.put("TokensTable", item({"tokenHash": "x", "version": 2}))
    aws.fail("DeleteItem", times=1)
    with pytest.raises(ConditionFailed):
        aws.client.dynamodb("DeleteItem", request)


# -- Time -----------------------------------------------------------------------------------


class Clock:
    """Seconds that pass while somebody sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(client.time, "sleep", fake.sleep)
    return fake


def test_the_pauses_are_anything_up_to_a_bound_that_doubles(aws: FakeAws, clock: Clock) -> None:
    aws.fail("GetItem", "ThrottlingException", status=400)
    for _ in range(40):
        with pytest.raises(AwsUnavailable):
            aws.client.dynamodb("GetItem", {"TableName": "x", "Key": KEY})
    pauses_of_a_call = ATTEMPTS - 1
    assert len(clock.slept) == 40 * pauses_of_a_call
    for number in range(pauses_of_a_call):
        pauses = clock.slept[number::pauses_of_a_call]
        bound = client.PAUSE_SECONDS * 2 ** (number + 1)
        assert max(pauses) <= bound
        assert max(pauses) >= bound * 0.8
        assert min(pauses) <= bound * 0.2


@pytest.mark.parametrize("left", [-5.0, 0.0, client.RESERVE_SECONDS])
def test_without_time_nothing_is_sent(aws: FakeAws, left: float) -> None:
    late = aws_with(aws.url, lambda: left)
    with pytest.raises(AwsUnavailable, match="NoTimeLeft"):
        late.dynamodb("GetItem", {"TableName": "x", "Key": KEY})
    assert not aws.calls


def test_all_attempts_end_before_the_time_does(black_hole: str) -> None:
    ends = time.monotonic() + client.RESERVE_SECONDS + 0.5
    hurried = aws_with(black_hole, lambda: ends - time.monotonic())
    with pytest.raises(AwsUnavailable, match="TimeoutError"):
        hurried.dynamodb("GetItem", {"TableName": "x", "Key": KEY})
    assert time.monotonic() < ends


def test_half_an_answer_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = b'{"Item": {"na', b"", b'{"Item": {}}'
    answers = [client.Answer(200, part) for part in parts]
    monkeypatch.setattr(client.Transport, "send", lambda *_, **__: answers.pop(0))
    nobody = aws_with("http://127.0.0.1:1", lambda: 60.0)
    assert nobody.sqs("ReceiveMessage", {}) == {}
    assert nobody.sqs("ReceiveMessage", {}) == {"Item": {}}
    assert answers == []


def test_a_client_of_boto3_sends_nothing_without_time(aws: FakeAws) -> None:
    late = aws_with(aws.url, lambda: 2.0)
    with pytest.raises(AwsUnavailable, match="NoTimeLeft"), boto3_failures("Send"):
        late.s3.put_object(Bucket=aws.names["PayloadsBucket"], Key="x", Body=b"")
    assert not aws.calls


def test_what_a_provider_took_all_its_time_for_is_stored_all_the_same(aws: FakeAws) -> None:
    late = aws_with(aws.url, lambda: wiring.OUTBOUND_RESERVE - 1)
    late.s3.put_object(Bucket=aws.names["PayloadsBucket"], Key="values/x", Body=b"")
    assert list(aws.objects()) == ["values/x"]


def aws_with(url: str, time_left: Callable[[], float]) -> Aws:
    return Aws(
        region=REGION,
        credentials=lambda: AwsCredentials(ACCESS_KEY, SECRET_KEY, None),
        endpoint_url=url,
        time_left=time_left,
    )
