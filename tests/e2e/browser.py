"""A browser, as far as a login needs one: it follows redirects, and remembers where it has been."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, override
from urllib.parse import parse_qs, parse_qsl, urljoin, urlsplit

import requests

from tests.e2e.conftest import Client

FRONTEND = "http://localhost:5173"
CALLBACK = "/api/integrations/oauth/callback/"

SECRETS: set[str] = set()
"""Every code and state that a browser has carried."""

SHORTEST_SECRET = 12
"""What is shorter, a test has made up."""


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    @override
    def handle_data(self, data: str) -> None:
        if self.tags and data.strip():
            tag = self.tags[-1][0]
            self.texts[tag] = self.texts.get(tag, "") + data


@dataclass
class Visit:
    """Where a browser came to.

    Attributes:
        places: The URLs it went through, the last included.
        answer: The last page; ``None`` where it is one of the frontend's.
    """

    places: list[str]
    answer: requests.Response | None

    @property
    def query(self) -> dict[str, str]:
        """The last URL's query."""
        return dict(parse_qsl(urlsplit(self.places[-1]).query, keep_blank_values=True))

    @property
    def page(self) -> requests.Response:
        """The last page."""
        assert self.answer is not None, self.places
        return self.answer

    @property
    def tags(self) -> list[tuple[str, dict[str, str | None]]]:
        """The last page's elements."""
        return self._parsed().tags

    @property
    def title(self) -> str:
        """The last page's title."""
        return self._parsed().texts["title"]

    @property
    def text(self) -> str:
        """The last page's words."""
        return self._parsed().texts["p"]

    @property
    def outcome(self) -> dict[str, Any]:
        """What the page's script tells the opener: ``message`` and ``origin``."""
        found = re.search(r"const outcome = (.*);\n", self.page.text)
        assert found, self.page.text
        outcome: dict[str, Any] = json.loads(found[1])
        return outcome

    def _parsed(self) -> _Page:
        parsed = _Page()
        parsed.feed(self.page.text)
        return parsed


@dataclass
class Browser:
    """It goes where it is sent, until a page comes or the frontend is reached.

    Attributes:
        hosts: Origins that live elsewhere, as a hosts file would say it.
        cookies: What the backend has given it; no other host gets them.
    """

    hosts: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)

    def open(self, url: str, *, stop: str = FRONTEND) -> Visit:
        """Go to a URL and follow where it leads; not to what begins with ``stop``."""
        places = [url]
        while not places[-1].startswith(stop):
            answer = self._get(places[-1])
            location = answer.headers.get("Location")
            if answer.status_code not in {302, 303} or not location:
                return Visit(places, answer)
            onward = urljoin(places[-1], location)
            if "#" not in onward and "#" in places[-1]:
                onward += "#" + places[-1].partition("#")[2]
            places.append(onward)
            assert len(places) < 10, places
        return Visit(places, None)

    def _get(self, url: str) -> requests.Response:
        parameters = parse_qs(urlsplit(url).query)
        values = (value for name in ("code", "state") for value in parameters.get(name, ()))
        SECRETS.update(value for value in values if len(value) >= SHORTEST_SECRET)
        cookies = self.cookies
        for origin, place in self.hosts.items():
            if url.startswith(f"{origin}/"):
                url, cookies = place + url.removeprefix(origin), {}
        plain = url.partition("#")[0]
        return requests.get(plain, allow_redirects=False, cookies=dict(cookies), timeout=60)


def start(client: Client, provider: str, **options: str) -> dict[str, Any]:
    """Begin a login."""
    answer = client.post(f"/api/integrations/oauth/start/{provider}", options)
    assert answer.status_code == 200, answer.text
    started: dict[str, Any] = answer.json()
    assert started.keys() == {"authUrl", "handshakeId", "expiresAt"}
    SECRETS.update(parse_qs(urlsplit(started["authUrl"]).query)["state"])
    return started


def handshake(client: Client, handshake_id: str) -> dict[str, Any]:
    """How far a login is."""
    answer = client.get(f"/api/integrations/oauth/status/{handshake_id}")
    assert answer.status_code == 200, answer.text
    state: dict[str, Any] = answer.json()
    return state


def log_in(client: Client, browser: Browser, provider: str, **options: str) -> dict[str, Any]:
    """The whole way; the handshake as it ended."""
    started = start(client, provider, **options)
    browser.open(started["authUrl"])
    return handshake(client, started["handshakeId"])


def state_of(started: Mapping[str, Any]) -> str:
    """The state that a login's URL carries."""
    return parse_qs(urlsplit(started["authUrl"]).query)["state"][0]
