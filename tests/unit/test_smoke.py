"""`make smoke` against servers that are no working stack."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from tests.fakes.serving import Server
from tools import smoke
from tools.api import Api
from tools.smoke import Smoke


class Broken(BaseHTTPRequestHandler):
    """Answers every request alike, and remembers it."""

    status, content = 500, b'{"message": "Internal Server Error"}'
    requests: list[str]

    def _answer(self) -> None:
        self.requests.append(f"{self.command} {self.path}")
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the parent's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Say nothing."""


@pytest.fixture(params=[(500, b'{"message": "no"}'), (200, b"{}"), (200, b"<html>"), (204, b"")])
def broken(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[str]]]:
    status, content = request.param
    handler = type("Handler", (Broken,), {"status": status, "content": content, "requests": []})
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", handler.requests
        server.shutdown()


def test_what_is_no_stack_fails_in_one_line_a_check(broken: tuple[str, list[str]]) -> None:
    url, requests = broken
    lines: list[str] = []
    assert not Smoke(Api(url, "ib_test"), say=lines.append, wait_for_tick=False).run()
    assert len(lines) == 11
    assert lines[0].startswith("FAILED   catalogue")
    assert requests[-1].split("?")[0].startswith(("GET /api/workflows", "DELETE /api/"))


def test_what_is_known_is_removed_though_the_list_of_workflows_does_not_answer(
    broken: tuple[str, list[str]],
) -> None:
    url, requests = broken
    lines: list[str] = []
    checks = Smoke(Api(url, "ib_test"), say=lines.append)
    checks._workflow = "wf_1"
    checks.checks = {}
    assert not checks.run()
    assert lines[0].startswith("FAILED   clean up")
    assert requests[0].startswith("GET /api/workflows?")
    assert requests[1] == "DELETE /api/workflows/wf_1"
    assert [each.rsplit("-", 1)[1] for each in requests[2:]] == ["in", "out"]


def test_each_is_tried_to_be_removed_though_nobody_answers() -> None:
    lines: list[str] = []
    checks = Smoke(Api("http://127.0.0.1:1", "ib_test"), say=lines.append)
    checks.checks = {}
    assert not checks.run()
    assert lines[0].count("DELETE /api/integrations/webhook/credentials") == 2


def test_nobody_there_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("URL", "http://127.0.0.1:1")
    monkeypatch.setenv("TOKEN", "ib_test")
    with pytest.raises(SystemExit) as ended:
        smoke.main()
    assert ended.value.code == 1


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "example.com"])
def test_what_is_no_address_is_asked_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("URL", url)
    monkeypatch.setenv("TOKEN", "ib_test")
    with pytest.raises(SystemExit, match="which stack"):
        smoke.main()
