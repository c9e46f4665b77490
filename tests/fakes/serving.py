"""What every server in the tests is: many callers may knock at once."""

from http.server import ThreadingHTTPServer
from typing import override


class Server(ThreadingHTTPServer):
    """A thread for each connection, none of which holds up the end.

    The standard library lets five wait to be accepted. The sixth is not refused but tries again
    after a second, which is longer than our own code waits for AWS.
    """

    request_queue_size = 128
    daemon_threads = True
    block_on_close = False

    @override
    def serve_forever(self, poll_interval: float = 0.02) -> None:
        """Serve until ``shutdown``, which is noticed soon: a test in hundreds waits for it."""
        super().serve_forever(poll_interval)
