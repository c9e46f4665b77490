"""A log-in as a browser goes through it: our start, the provider's page, our callback."""

import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, override
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.backend import Answer, Backend


class _Stay(urllib.request.HTTPRedirectHandler):
    @override
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Redirects are for the test to follow."""


_BROWSER = urllib.request.build_opener(_Stay)


@dataclass(frozen=True, slots=True)
class Login:
    """A log-in that was begun.

    Attributes:
        provider: At which provider.
        handshake_id: Its handshake.
        auth_url: Where the person goes.
    """

    provider: str
    handshake_id: str
    auth_url: str

    @property
    def query(self) -> dict[str, str]:
        """What the provider is asked."""
        return dict(parse_qsl(urlsplit(self.auth_url).query))


def start(backend: Backend, provider: str, body: Any = None, **more: Any) -> Login:
    """Begin a log-in that must be good."""
    answer = backend.call("POST", f"/api/integrations/oauth/start/{provider}", body, **more)
    assert answer.status == 200, answer
    return Login(provider, answer.json["handshakeId"], answer.json["authUrl"])


def visit(login: Login) -> str:
    """Let the person decide at the provider; returns the query that comes to our callback."""
    with pytest.raises(urllib.error.HTTPError, match=r"30[23]") as answer:
        _BROWSER.open(login.auth_url, timeout=10)
    back = urlsplit(answer.value.headers["Location"])
    expected = f"https://api.example.com/api/integrations/oauth/callback/{login.provider}"
    assert f"{back.scheme}://{back.netloc}{back.path}" == expected
    return back.query


def come_back(backend: Backend, provider: str, query: Any) -> Answer:
    """Send the browser to our callback."""
    return backend.call("GET", f"/api/integrations/oauth/callback/{provider}", query=query)


def status(backend: Backend, login: Login, **more: Any) -> Any:
    """How far the log-in is."""
    answer = backend.call("GET", f"/api/integrations/oauth/status/{login.handshake_id}", **more)
    assert answer.status == 200, answer
    return answer.json


def connect(backend: Backend, provider: str, connection: str = "default", **more: Any) -> Any:
    """The whole of it; returns the connection's metadata."""
    login = start(backend, provider, {"connection": connection}, **more)
    assert come_back(backend, provider, visit(login)).status == 200
    answer = status(backend, login, **more)
    assert answer["status"] == "completed", answer
    return answer["credentials"]
