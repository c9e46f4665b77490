"""The API as the tools call it: `make smoke`, `make import`."""

import socket
import threading
from typing import Any

import pytest

from local import tokens
from local.state import State
from tools.api import Api, Unexpected
from tools.importing import __main__ as importing


@pytest.mark.parametrize("answer", [b"HTTP/9.9 what?\r\n\r\n", b"HTTP/1.1 two\r\n\r\n", b"\0\n",
                                    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
                                    b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\n{"])  # fmt: skip
def test_what_is_no_whole_answer_of_http_is_none(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                connection.recv(65_536)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        api = Api(f"http://127.0.0.1:{listener.getsockname()[1]}", "ib_x")
        with pytest.raises(Unexpected, match="GET /api/integrations: no answer"):
            api.send("GET", "/api/integrations")


def test_an_address_that_is_none_is_no_answer() -> None:
    with pytest.raises(Unexpected, match="nonnumeric port"):
        Api("http://localhost:http", "ib_x").send("GET", "/")


class Made:
    """A stack's tokens; remembers what was made and what is gone again."""

    def __init__(self) -> None:
        self.there: list[str] = []

    def create(self, *, name: str, **_: object) -> str:
        self.there.append(name)
        return "ib_made"

    def revoke(self, *, name: str, **_: object) -> None:
        self.there.remove(name)


def test_the_local_stack_is_imported_into_where_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made()
    found: Any = State(port=4321)
    monkeypatch.setattr(importing.ministack, "running", lambda: (found, None))
    monkeypatch.setattr(tokens, "of_stack", lambda *_: made)
    with importing.api_of("", "", "acme") as api:
        assert api.url == "http://localhost:4321"
        assert len(made.there) == 1
    assert made.there == []
