"""Many keys of a table at once, where DynamoDB answers for some of them."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from integrations.storage.aws import Aws, AwsUnavailable, batch, item
from integrations.storage.aws.client import PAUSE_SECONDS
from integrations.storage.aws.pages import BATCH_ATTEMPTS

KEYS = [{"id": str(number)} for number in range(3)]


class Busy:
    """A table that answers for so many of the keys that it is asked for, each time."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.asked: list[int] = []

    def dynamodb(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        assert operation == "BatchGetItem"
        keys = request["RequestItems"]["T"]["Keys"]
        self.asked.append(len(keys))
        most = self.answers.pop(0) if self.answers else 0
        left = {"T": {"Keys": keys[most:]}} if keys[most:] else {}
        return {"Responses": {"T": keys[:most]}, "UnprocessedKeys": left}


@pytest.fixture(name="pauses")
def _pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    return pauses


def read(table: Busy) -> list[dict[str, Any]]:
    return list(batch(cast("Aws", table), "T", KEYS))


def test_the_keys_that_are_left_are_asked_for_again(pauses: list[float]) -> None:
    table = Busy(1, 1, 1)
    assert [item(each) for each in read(table)] == [item(each) for each in KEYS]
    assert table.asked == [3, 2, 1]
    assert len(pauses) == 2  # a busy table is given time


def test_a_table_that_stays_busy_is_told_in_the_end(pauses: list[float]) -> None:
    with pytest.raises(AwsUnavailable):
        read(Busy())
    assert len(pauses) == BATCH_ATTEMPTS - 1
    assert max(pauses) <= PAUSE_SECONDS * 2**BATCH_ATTEMPTS
