"""What both call: it counts the orders that it was told of, and answers at once."""

import threading

from benchmarks.loopback import Handler, Server

SECONDS = 60


class Receiver(Server):
    """An HTTP endpoint on loopback; its CPU is no part of any measurement."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self._changed = threading.Condition()
        super().__init__(_handler_of(self))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}/orders"

    def take(self, body: bytes) -> None:
        """Count a request."""
        with self._changed:
            self.bodies.append(body)
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Wait until so many requests came in all; raises TimeoutError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.bodies) >= count, SECONDS):
                raise TimeoutError(f"{len(self.bodies)} of {count} requests came")


def _handler_of(receiver: Receiver) -> type[Handler]:
    class Orders(Handler):
        def do_POST(self) -> None:  # noqa: N802 - the base class's name
            receiver.take(self.body())
            self.answer(200, {"Content-Type": "application/json"}, b'{"ok":true}')

    return Orders
