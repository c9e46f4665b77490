"""The consumers' side of a queue: what fails comes back soon, then ever later."""

from typing import TYPE_CHECKING, Any, cast

import pytest

from integrations.entry import queue
from integrations.storage.aws import AwsError

if TYPE_CHECKING:
    from integrations.storage.queues import Queue


class Postponing:
    """A queue that keeps how long a message is hidden."""

    def __init__(self, *, broken: bool = False) -> None:
        self.hidden: dict[str, float] = {}
        self.broken = broken

    def postpone(self, receipt_handle: str, seconds: float) -> None:
        if self.broken:
            raise AwsError("ChangeMessageVisibility", "ReceiptHandleIsInvalid", "gone")
        self.hidden[receipt_handle] = seconds


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


def test_a_message_that_cannot_be_postponed_comes_back_after_its_visibility() -> None:
    queue._back_off(cast("Queue", Postponing(broken=True)), event(1), ["m0"])
