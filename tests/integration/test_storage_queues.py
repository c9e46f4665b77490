"""Queues: durable when sent, large payloads by S3, batches within SQS's bounds."""

import json
from typing import Any

import pytest

from integrations.storage.aws import AwsError
from integrations.storage.queues import BATCH, INLINE_BYTES, Message, Queue
from tests.fakes.aws import FakeAws


@pytest.fixture
def queue(aws: FakeAws) -> Queue:
    return Queue(aws.client, aws.names["EventsQueue"], aws.names["PayloadsBucket"])


def message(number: int = 1, **changes: Any) -> Message:
    return Message(
        **{
            "body": {"number": number},
            "group": "acme",
            "key": f"events/orders/{number}",
            **changes,
        }
    )


def test_a_message_is_sent_with_its_group_and_delay(aws: FakeAws, queue: Queue) -> None:
    queue.send(message(delay=5))
    (sent,) = aws.sent("EventsQueue")
    assert (sent.json(), sent.group, sent.delay) == ({"number": 1}, "acme", 5)
    assert queue.load(sent.body) == {"number": 1}
    assert aws.objects() == {}


def test_a_large_message_travels_by_s3(aws: FakeAws, queue: Queue) -> None:
    body = {"text": "ß🙂" * INLINE_BYTES}
    queue.send(message(body=body))
    (sent,) = aws.sent("EventsQueue")
    assert sent.json() == {"payload": "events/orders/1"}
    assert list(aws.objects()) == ["events/orders/1"]
    assert queue.load(sent.body) == body


def test_the_bound_is_that_of_the_message_as_it_is_sent(aws: FakeAws, queue: Queue) -> None:
    frame = len(json.dumps({"text": ""}, separators=(",", ":")))
    queue.send(message(body={"text": "x" * (INLINE_BYTES - frame)}))
    assert aws.objects() == {}
    queue.send(message(body={"text": "x" * (INLINE_BYTES - frame + 1)}))
    assert len(aws.objects()) == 1


def test_many_messages_go_ten_to_a_call(aws: FakeAws, queue: Queue) -> None:
    queue.send_all([message(number) for number in range(2 * BATCH + 1)])
    assert [each.json()["number"] for each in aws.sent("EventsQueue")] == list(range(21))
    assert aws.calls["SendMessageBatch"] == 3
    queue.send_all([])
    assert aws.calls["SendMessageBatch"] == 3


def test_a_batch_stays_below_what_sqs_takes_together(aws: FakeAws, queue: Queue) -> None:
    body = {"text": "x" * (INLINE_BYTES - 100)}
    queue.send_all([message(number, body=body) for number in range(10)])
    assert len(aws.sent("EventsQueue")) == 10
    assert aws.calls["SendMessageBatch"] == 2
    assert aws.objects() == {}


def test_what_sqs_did_not_take_is_told(aws: FakeAws, queue: Queue) -> None:
    with pytest.raises(AwsError):
        queue.send_all([message(1), message(2, delay=901)])


def test_a_queue_that_does_not_answer_is_told(aws: FakeAws, queue: Queue) -> None:
    aws.fail("SendMessage", status=503, code="ServiceUnavailable")
    with pytest.raises(AwsError):
        queue.send(message())
    assert aws.sent("EventsQueue") == []


def test_a_bucket_that_does_not_answer_is_told_in_the_same_way(aws: FakeAws, queue: Queue) -> None:
    aws.fail("PUT /test-payloadsbucket/events/orders/1", "AccessDenied", status=403)
    with pytest.raises(AwsError):
        queue.send(message(body={"text": "x" * INLINE_BYTES}))
    assert aws.sent("EventsQueue") == []


def test_a_payload_that_is_gone_is_told_in_the_same_way(queue: Queue) -> None:
    with pytest.raises(AwsError, match="NoSuchKey"):
        queue.load('{"payload": "events/gone"}')


@pytest.mark.parametrize("text", ["", "nonsense", "[]", "1", "null", '"text"', "{"])
def test_what_is_no_message_of_ours_is_refused(queue: Queue, text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        queue.load(text)
