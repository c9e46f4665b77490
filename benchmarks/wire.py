"""AWS on loopback: it records what the stand-in answers, and gives it again without delay."""

import json
from collections import Counter, defaultdict
from http.client import HTTPConnection
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from benchmarks.loopback import Handler, Server
from benchmarks.reads import Reads
from tests.fakes.certificates import Authority

HOSTS = ("*.us-east-1.amazonaws.com", "*.s3.us-east-1.amazonaws.com", "*.s3.amazonaws.com")


class Recorded(NamedTuple):
    """One answer of AWS."""

    status: int
    content_type: str
    body: bytes


class Wire:
    """What the functions under measurement take for AWS, and where their calls are counted.

    While it records, it passes each call on; afterwards the n-th call of an operation gets what the
    n-th got then. Which recording is told by `case`, so one process is measured at a time.

    Args:
        upstream: The stand-in's address.
        authority: Who issues its certificate: it speaks TLS then, and each service has a host of
            its own, as on AWS.
        reads: Counts what is read.

    Attributes:
        environment: What leads a measured process here.
    """

    def __init__(
        self, upstream: str, authority: Authority | None = None, reads: Reads | None = None
    ) -> None:
        self._upstream = urlsplit(upstream).netloc
        self._reads = reads
        context = authority.server_context(*HOSTS) if authority else None
        self._server = Server(_handler_of(self), context)
        self._recordings: dict[str, dict[str, list[tuple[str, Recorded]]]] = {}
        self._recording: dict[str, list[tuple[str, Recorded]]] = {}
        self._records = False
        self._seen: Counter[str] = Counter()
        self.calls: list[str] = []
        port = self._server.server_port
        self.environment = (
            {"MEASURED_AWS": str(port), "AWS_CA_BUNDLE": str(authority.bundle)}
            if authority
            else {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        )

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def record(self, case: str) -> None:
        """Pass on the calls from now on, and keep the answers under this name."""
        self._recording = self._recordings[case] = defaultdict(list)
        self._records = True
        self.calls = []

    def replay(self, case: str) -> None:
        """Give the answers of this recording, from its beginning."""
        self._recording = self._recordings[case]
        self._records = False
        self._seen.clear()
        self.calls = []

    def answer(self, request: Handler, body: bytes) -> Recorded:
        """Answer a call."""
        operation = request.headers.get("X-Amz-Target", "").rpartition(".")[2]
        name = operation or f"{request.command} {urlsplit(request.path).path}"
        self.calls.append(operation or request.command)
        if self._records:
            answer = self._passed_on(operation, request, body)
            self._recording[name].append((_object_of(body), answer))
            return answer
        answers = self._recording.get(name)
        if not answers:
            # An object's or a schedule's name may be new each time.
            like = [
                recorded
                for key, recorded in self._recording.items()
                if key.split()[0] == name.split()[0]
            ]
            answers = like[0] if like else [("", _unknown(name))]
        # Calls go on beside each other: those of one object are in order, and no others.
        wanted = _object_of(body)
        same = [answer for about, answer in answers if about == wanted]
        found = same or [answer for _, answer in answers]
        place = f"{name} {wanted}" if same else name
        position = min(self._seen[place], len(found) - 1)
        self._seen[place] += 1
        return found[position]

    def _passed_on(self, operation: str, request: Handler, body: bytes) -> Recorded:
        answer = self._ask(request, body)
        if self._reads is not None:
            self._reads.count(operation, body, answer.body)
        return answer

    def _ask(self, request: Handler, body: bytes) -> Recorded:
        connection = HTTPConnection(self._upstream, timeout=30)
        # What came in chunks is passed on in one piece.
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in {"transfer-encoding", "expect", "content-length"}
        }
        try:
            connection.request(request.command, request.path, body, headers)
            response = connection.getresponse()
            return Recorded(
                response.status, response.getheader("Content-Type", ""), response.read()
            )
        finally:
            connection.close()


def _object_of(body: bytes) -> str:
    """What a call is about: a table's row, or a query's values."""
    try:
        asked = json.loads(body)
    except ValueError:
        return ""
    parts = ("TableName", "IndexName", "Key", "KeyConditionExpression")
    return json.dumps([asked.get(part) for part in parts]) if isinstance(asked, dict) else ""


def _unknown(name: str) -> Recorded:
    reply = {"__type": "com.amazonaws#ValidationException", "message": f"not recorded: {name}"}
    return Recorded(400, "application/x-amz-json-1.0", json.dumps(reply).encode())


def _handler_of(wire: Wire) -> type[Handler]:
    class Amazon(Handler):
        def _serve(self) -> None:
            recorded = wire.answer(self, self.body())
            self.answer(recorded.status, {"Content-Type": recorded.content_type}, recorded.body)

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the base class's names

    return Amazon
