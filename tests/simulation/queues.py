"""SQS in memory: at least once, in any order, delayed, hidden while worked on, dead letters.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import md5
from typing import Any

from tests.fakes.dynamodb_expressions import NotUnderstood, Refused

MESSAGE_BYTES = 1024 * 1024
MAX_DELAY = 900


@dataclass(slots=True)
class Message:
    """A message in a queue.

    Attributes:
        name: What the simulation calls it: by who sent it.
        visible_at: Nobody is given it before.
        receives: How often somebody was given it.
        receipt: What the last who was given it answers for it with.
    """

    name: str
    id: str
    body: str
    group: str
    sent_at: float
    visible_at: float
    receives: int = 0
    receipt: str = ""


@dataclass(slots=True)
class Queue:
    """One standard queue.

    Attributes:
        dead_letters: Where a message goes that came too often.
    """

    name: str
    visibility: float = 30.0
    retention: float = 345_600.0
    most_receives: int = 0
    dead_letters: "Queue | None" = None
    messages: dict[str, Message] = field(default_factory=dict)
    sent: int = 0
    on_message: Callable[[Message], None] = lambda _: None

    def put(self, message: Message) -> None:
        """Take a message."""
        self.messages[message.name] = message
        self.sent += 1
        self.on_message(message)

    def visible(self, now: float) -> list[Message]:
        """What somebody could be given now."""
        return [each for each in self.messages.values() if each.visible_at <= now]

    def receive(self, message: Message, now: float) -> bool:
        """Give a message out; ``False`` where it came too often: then it is a dead letter."""
        if self.most_receives and message.receives >= self.most_receives:
            del self.messages[message.name]
            if self.dead_letters is not None:
                self.dead_letters.put(message)
            return False
        message.receives += 1
        message.visible_at = now + self.visibility
        message.receipt = f"{message.name}/{message.receives}"
        return True

    def delete(self, receipt: str) -> None:
        """Take out what was worked on; an old receipt deletes all the same, as at SQS."""
        name = receipt.rpartition("/")[0]
        self.messages.pop(name, None)


class Queues:
    """All queues, by URL.

    Args:
        clock: The present moment.
        namer: Names a message that is sent now.
        twice: Whether a message that is sent now exists twice from now on.
        seen: Is told of every body.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        namer: Callable[[], str],
        twice: Callable[[str], bool],
        seen: Callable[[str, Message], None],
    ) -> None:
        self.of_url: dict[str, Queue] = {}
        self._clock = clock
        self._namer = namer
        self._twice = twice
        self._seen = seen

    def call(self, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Serve one call."""
        queue = self.of_url[asked["QueueUrl"]]
        match operation:
            case "SendMessage":
                return {"MessageId": self.send(queue, asked).id}
            case "SendMessageBatch":
                return self._send_batch(queue, asked["Entries"])
            case "ChangeMessageVisibility":
                return self._hide(queue, asked)
        raise NotUnderstood(f"SQS's {operation}")

    def send(self, queue: Queue, entry: Mapping[str, Any]) -> Message:
        """Put a message into a queue."""
        known = {"QueueUrl", "Id", "MessageBody", "MessageGroupId", "DelaySeconds"}
        if unknown := entry.keys() - known:
            raise NotUnderstood(f"SendMessage with {sorted(unknown)}")
        body, delay = entry["MessageBody"], entry.get("DelaySeconds", 0)
        if not body or len(body.encode()) > MESSAGE_BYTES:
            raise Refused("One or more parameters are invalid: the message's length")
        if not isinstance(delay, int) or not 0 <= delay <= MAX_DELAY:
            raise Refused(f"Value {delay} for parameter DelaySeconds is invalid")
        now = self._clock()
        name = self._namer()
        message = Message(
            name,
            md5(name.encode(), usedforsecurity=False).hexdigest(),
            body,
            entry.get("MessageGroupId", ""),
            now,
            now + delay,
        )
        self._seen(queue.name, message)
        queue.put(message)
        if self._twice(name):
            queue.put(Message(f"{name}+", message.id, body, message.group, now, now + delay))
        return message

    def _send_batch(self, queue: Queue, entries: list[Mapping[str, Any]]) -> dict[str, Any]:
        if not 0 < len(entries) <= 10 or len({each["Id"] for each in entries}) < len(entries):
            raise Refused("Maximum number of entries per request are 10, each with its own Id")
        if sum(len(each["MessageBody"].encode()) for each in entries) > MESSAGE_BYTES:
            raise Refused("Batch requests cannot be longer than 1048576 bytes")
        sent = [(each["Id"], self.send(queue, each)) for each in entries]
        return {"Successful": [{"Id": name, "MessageId": each.id} for name, each in sent]}

    def _hide(self, queue: Queue, asked: Mapping[str, Any]) -> dict[str, Any]:
        name = asked["ReceiptHandle"].rpartition("/")[0]
        message = queue.messages.get(name)
        if message is None or message.receipt != asked["ReceiptHandle"]:
            raise Refused("The receipt handle is not valid any more")
        message.visible_at = self._clock() + asked["VisibilityTimeout"]
        queue.on_message(message)
        return {}
