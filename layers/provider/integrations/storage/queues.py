"""Queues: messages of JSON, large ones by way of S3 with a pointer in the queue."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from integrations.models import Json
from integrations.storage.aws import Aws, AwsUnavailable, boto3_failures

INLINE_BYTES = 128 * 1024
"""A message over this travels by S3; SQS takes 1 MiB in all, and charges by 64 KiB."""

BATCH = 10
"""How many messages SQS takes in one call, of 1 MiB together."""

BATCH_BYTES = 900 * 1024

AGAIN = "again"
"""In a message that was put back: which it was at first, and how often it was put back."""

MAX_GROUP = 128


class Message(NamedTuple):
    """One message.

    Attributes:
        body: The JSON document.
        group: Whose it is: SQS's fair queues keep one group from starving the others.
        key: Names the payload in S3 where it is large; unique to the message.
        delay: Seconds until it can be seen, at most 900.
    """

    body: Mapping[str, Json]
    group: str
    key: str
    delay: int = 0


class Queue:
    """One standard SQS queue and the bucket for its large payloads.

    Args:
        aws: The way to SQS and S3.
        url: The queue's URL.
        bucket: The bucket's name.
        trace: X-Ray's header of the work that sends; empty where it is not traced. Lambda reads it
            from the message and links the traces.
            https://docs.aws.amazon.com/xray/latest/devguide/xray-services-sqs.html
    """

    def __init__(
        self, aws: Aws, url: str, bucket: str, *, trace: Callable[[], str] = lambda: ""
    ) -> None:
        self._aws = aws
        self._url = url
        self._bucket = bucket
        self._trace = trace

    def send(self, message: Message) -> None:
        """Send one message. When this returns it is durable."""
        self._aws.sqs("SendMessage", {"QueueUrl": self._url, **self._entry(message)})

    def send_all(self, messages: Sequence[Message]) -> None:
        """Send messages, ten to a call.

        Raises:
            AwsUnavailable: Some were not taken; those that were may be sent again.
        """
        batch: list[dict[str, Any]] = []
        size = 0
        for message in messages:
            entry = self._entry(message)
            length = len(entry["MessageBody"])
            if batch and (len(batch) == BATCH or size + length > BATCH_BYTES):
                self._send_batch(batch)
                batch, size = [], 0
            batch.append({"Id": str(len(batch)), **entry})
            size += length
        if batch:
            self._send_batch(batch)

    def _send_batch(self, entries: Sequence[Mapping[str, Any]]) -> None:
        answer = self._aws.sqs("SendMessageBatch", {"QueueUrl": self._url, "Entries": entries})
        failed = answer.get("Failed") or []
        if failed:
            raise AwsUnavailable(
                "SendMessageBatch", failed[0]["Code"], failed[0].get("Message", "")
            )

    def _entry(self, message: Message) -> dict[str, Any]:
        text = json.dumps(dict(message.body), separators=(",", ":"))
        if len(text) > INLINE_BYTES:
            self.put(message.key, text.encode())
            text = json.dumps({"payload": message.key})
        entry: dict[str, Any] = {"MessageBody": text, "MessageGroupId": _group(message.group)}
        if message.delay:
            entry["DelaySeconds"] = message.delay
        if trace := self._trace():
            header = {"DataType": "String", "StringValue": trace}
            entry["MessageSystemAttributes"] = {"AWSTraceHeader": header}
        return entry

    def load(self, text: str) -> dict[str, Json]:
        """The document of a received message, fetched from S3 where only the pointer came.

        Raises:
            ValueError: It is not a message of ours.
        """
        body = json.loads(text)
        if isinstance(body, dict) and body.keys() - {AGAIN} == {"payload"}:
            again = {AGAIN: body[AGAIN]} if AGAIN in body else {}
            body = json.loads(self.get(str(body["payload"])))
            if isinstance(body, dict):
                body |= again
        if not isinstance(body, dict):
            raise ValueError("a message must be a JSON object")
        return body

    def put(self, key: str, payload: bytes) -> None:
        """Keep a payload in S3 under ``key``."""
        with boto3_failures("PutObject"):
            self._aws.s3.put_object(
                Bucket=self._bucket, Key=key, Body=payload, ContentType="application/json"
            )

    def get(self, key: str) -> bytes:
        """A payload from S3."""
        with boto3_failures("GetObject"):
            content: bytes = self._aws.s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return content

    def postpone(self, receipt_handle: str, seconds: float) -> None:
        """Hide a received message for so long, at most 12 hours, until it is delivered again."""
        self._aws.sqs(
            "ChangeMessageVisibility",
            {
                "QueueUrl": self._url,
                "ReceiptHandle": receipt_handle,
                "VisibilityTimeout": min(max(0, round(seconds)), 43_000),
            },
        )


def _group(name: str) -> str:
    """A tenant's name as SQS takes it for a group: a JWT's may be longer, or not ASCII."""
    if len(name) <= MAX_GROUP and name.isascii() and name.isprintable() and " " not in name:
        return name
    return hashlib.sha256(name.encode()).hexdigest()
