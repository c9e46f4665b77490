"""The console in a real browser, as the tests see it: places, faults, what must never happen."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.conftest import Client
from tools.template import ROOT

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
SECONDS = 150_000
"""Milliseconds that a page may wait for a busy machine."""


@dataclass
class Console:
    """The console of one tenant, in a browser profile of its own.

    Attributes:
        page: Its page.
        faults: What the browser complained of: errors, warnings, uncaught errors, refused policies.
        requests: Every URL that was asked for.
    """

    client: Client
    page: Page
    faults: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Page:
        """Go to a place by its address."""
        self.page.goto(f"{self.client.platform.url}{path}")
        return self.page

    def seen_elsewhere(self) -> list[str]:
        """The requests that left this machine."""
        hosts = {"localhost", "127.0.0.1"}
        return [
            url
            for url in self.requests
            if urlsplit(url).scheme in {"http", "https"} and urlsplit(url).hostname not in hosts
        ]

    def everywhere(self) -> str:
        """All that a page holds: its elements, what is typed in them, storage and address."""
        text: str = self.page.evaluate(
            """() => JSON.stringify([
                document.documentElement.outerHTML,
                [...document.querySelectorAll("input, textarea, select")].map((each) => each.value),
                {...localStorage}, {...sessionStorage}, location.href, document.cookie,
                history.state, name,
            ])"""
        )
        return text

    def picture(self, name: str) -> None:
        """Take a picture of the page for somebody to look at, where PICTURES names a folder."""
        if folder := os.environ.get("PICTURES"):
            self.page.screenshot(path=f"{folder}/{name}.png", full_page=True)

    def check_accessible(self) -> None:
        """Fail where axe finds something serious: https://github.com/dequelabs/axe-core."""
        self.page.evaluate(AXE.read_text(encoding="utf-8"))
        found: list[dict[str, Any]] = self.page.evaluate(
            "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
        )
        serious = [
            (each["id"], [node["html"][:200] for node in each["nodes"]][:3])
            for each in found
            if each["impact"] in {"serious", "critical"}
        ]
        assert not serious, (self.page.url, serious)

    def check_fits(self) -> None:
        """Fail where a page is wider than the window."""
        wider = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wider <= 0, (self.page.url, wider)


def until(page: Page, look: Callable[[], bool]) -> None:
    """Let the page go on until this is so: what its requests and events have written down."""
    end = time.monotonic() + SECONDS / 1000
    while not look():
        assert time.monotonic() < end, "it did not become so"
        page.wait_for_timeout(50)


def press(page: Page, name: str) -> None:
    """Press the button of this name."""
    page.get_by_role("button", name=name, exact=True).click()


def dialog(page: Page, word: str) -> None:
    """Press the button of this name in the dialog that is open."""
    page.get_by_role("dialog").get_by_role("button", name=word, exact=True).click()


@contextmanager
def of(
    chromium: Browser, client: Client, *, token: str | None = None, **options: Any
) -> Iterator[Console]:
    """Open a profile in which this tab already has the client's token."""
    with chromium.new_context(locale="en-GB", **options) as context:
        context.set_default_timeout(SECONDS)
        expect.set_options(timeout=SECONDS)
        _with_token(context, client, client.token if token is None else token)
        console = Console(client, context.new_page())
        watch(console, console.page)
        context.on("page", lambda page: watch(console, page))
        yield console


def _with_token(context: BrowserContext, client: Client, token: str) -> None:
    origin = client.platform.url
    context.add_init_script(
        f"if (location.origin === {origin!r} && !sessionStorage.getItem('test.begun')) {{"
        f" sessionStorage.setItem('test.begun', '1');"
        f" sessionStorage.setItem('integrations.token', {token!r}); }}"
    )


def watch(console: Console, page: Page) -> None:
    """Write down what a page asks for and what goes wrong in it."""
    page.on("request", lambda request: console.requests.append(request.url))
    page.on("pageerror", lambda error: console.faults.append(str(error)))
    page.on(
        "console",
        lambda message: (
            console.faults.append(message.text) if message.type in {"error", "warning"} else None
        ),
    )
