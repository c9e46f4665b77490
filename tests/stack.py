"""The functions where a deployed stack would be, for the tools that talk HTTP to one."""

from collections.abc import Mapping
from typing import Any, override
from urllib.parse import urlsplit

from tests.backend import Backend
from tests.fakes.receiver import Receiver
from tools.api import Answer, Api


class Stack(Api):
    """The functions where the stack would be: a reader finds the queues empty.

    What a workflow sends to the stack's own address reaches a server, and is delivered from there.
    """

    def __init__(self, backend: Backend, public: Receiver) -> None:
        super().__init__(public.url("").rstrip("/"), "ib_test")
        self._backend = backend
        self._public = public

    @override
    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: bool = True,
    ) -> Answer:
        self._work()
        split = urlsplit(path)
        answer = self._backend.call(
            method, split.path, body, raw=raw, headers=headers, query=split.query
        )
        return Answer(answer.status, answer.json)

    def _work(self) -> None:
        self._backend.drain()
        while self._public.received:
            sent = self._public.received.pop(0)
            self._backend.call("POST", sent.path, raw=sent.body, headers=sent.headers)
            self._backend.drain()
