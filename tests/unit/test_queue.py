"""The consumers' side of a queue: what fails comes back soon, then ever later."""

from typing import TYPE_CHECKING, Any, cast

import pytest

from integrations.entry import queue
from integrations.storage.aws import AwsError, AwsUnavailable

if TYPE_CHECKING:
    from integrations.storage.queues import Queue


class Postponing:
    """A queue that keeps how long a message is hidden."""

    def __init__(self, **failures: AwsError) -> None:
        self.hidden: dict[str, float] = {}
        self.failures = failures

    def postpone(self, receipt_handle: str, seconds: float) -> None:
        if receipt_handle in self.failures:
            raise self.failures[receipt_handle]
        self.hidden[receipt_handle] = seconds


GONE = AwsError("ChangeMessageVisibility", "ReceiptHandleIsInvalid", "gone")
BUSY = AwsUnavailable("ChangeMessageVisibility", "ServiceUnavailable", "busy")


def event(*receives: int) -> dict[str, Any]:
    return {
        "Records": [
            {
                "messageId": f"m{number}",
                "receiptHandle": f"r{number}",
                "attributes": {"ApproximateReceiveCount": str(received)},
            }
            for number, received in enumerate(receives)
        ]
    }


@pytest.mark.parametrize(
    ("receives", "least", "most"), [(1, 1, 2), (4, 8, 16), (9, 150, 300), (1000, 150, 300)]
)
def test_what_fails_comes_back_later_each_time(receives: int, least: int, most: int) -> None:
    postponing = Postponing()
    queue._back_off(cast("Queue", postponing), event(receives), ["m0"])
    assert least <= postponing.hidden["r0"] <= most


def test_only_what_failed_is_postponed() -> None:
    postponing = Postponing()
    queue._back_off(cast("Queue", postponing), event(1, 1, 1), ["m1"])
    assert list(postponing.hidden) == ["r1"]


def test_a_message_that_cannot_be_postponed_takes_no_other_along() -> None:
    postponing = Postponing(r0=GONE)
    queue._back_off(cast("Queue", postponing), event(1, 1), ["m0", "m1"])
    assert list(postponing.hidden) == ["r1"]


def test_a_queue_that_does_not_answer_is_not_asked_for_each_message() -> None:
    postponing = Postponing(r0=BUSY)
    queue._back_off(cast("Queue", postponing), event(1, 1), ["m0", "m1"])
    assert postponing.hidden == {}
