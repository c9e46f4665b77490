"""A function that starts from a snapshot: no credentials in the environment, a local endpoint."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from integrations import memory
from integrations.entry import settings, wiring
from integrations.storage.aws import item
from tests.fakes.aws import ACCESS_KEY, SECRET_KEY, FakeAws


class Endpoint(BaseHTTPRequestHandler):
    asked: list[str | None]

    def do_GET(self) -> None:
        self.asked.append(self.headers["Authorization"])
        body = {
            "AccessKeyId": ACCESS_KEY,
            "SecretAccessKey": SECRET_KEY,
            "Token": "session-token",
            "Expiration": "2099-01-01T00:00:00Z",
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Tests are quiet."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str | None]]:
    Endpoint.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        url = f"http://127.0.0.1:{server.server_port}/2021-04-23/credentials"
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of-the-instance")
        memory.forget()
        yield Endpoint.asked
        server.shutdown()


def test_credentials_come_from_the_instances_own_endpoint(
    aws: FakeAws, asked: list[str | None]
) -> None:
    key = {"TableName": aws.names["TokensTable"], "Key": item({"tokenHash": "x"})}
    for _ in range(3):
        assert wiring.aws().dynamodb("GetItem", key) == {}
    assert asked == ["of-the-instance"]
    assert settings.credentials() == (ACCESS_KEY, SECRET_KEY, "session-token")
