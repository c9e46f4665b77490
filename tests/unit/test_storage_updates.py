"""The one builder of update expressions."""

import pytest

from integrations.storage.aws import update


def test_what_is_none_is_removed_and_every_name_is_escaped() -> None:
    request = update("T", {"id": "1"}, {"status": "ok", "error": None, "n": 2}, remove=("lease",))
    assert request["UpdateExpression"] == "SET #status = :status, #n = :n REMOVE #lease, #error"
    assert request["ExpressionAttributeNames"] == {
        "#status": "status",
        "#n": "n",
        "#lease": "lease",
        "#error": "error",
    }
    assert request["ExpressionAttributeValues"] == {":status": {"S": "ok"}, ":n": {"N": "2"}}
    assert request["Key"] == {"id": {"S": "1"}}
    assert "ConditionExpression" not in request


def test_a_name_of_the_condition_is_declared() -> None:
    request = update(
        "T", {"id": "1"}, {"a": 1}, condition="#version = :was AND #a < :a", values={"was": 7}
    )
    assert request["ExpressionAttributeNames"] == {"#a": "a", "#version": "version"}
    assert request["ExpressionAttributeValues"] == {":a": {"N": "1"}, ":was": {"N": "7"}}


def test_an_attribute_that_is_removed_twice_is_named_once() -> None:
    request = update("T", {"id": "1"}, {"error": None}, remove=("error",))
    assert request["UpdateExpression"] == "REMOVE #error"
    assert "ExpressionAttributeValues" not in request


def test_a_counter_is_added_to() -> None:
    request = update("T", {"id": "1"}, add={"rejected": 1})
    assert request["UpdateExpression"] == "ADD #rejected :rejected"


def test_an_update_of_nothing_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="must change something"):
        update("T", {"id": "1"}, {})
