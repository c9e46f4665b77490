"""The JavaScript of docs/clients.md, as it stands there, at the front end's own origin."""

import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.e2e import console
from tests.e2e.conftest import Client, StandIns
from tests.fakes.google import ISSUER, Consent
from tools.template import ROOT

pytestmark = pytest.mark.e2e

APPLICATION = "http://localhost:5173"
DOCUMENTED = "http://localhost:3000"
"""Where the page says that the API is; here it is the tests' platform."""


def examples() -> list[str]:
    text = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    return re.findall(r"^```js\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def front(chromium: Browser, client: Client, stand_ins: StandIns) -> Iterator[Page]:
    """A page of the application, in whose browser Google's log-in is the stand-in's."""
    google = stand_ins.google
    google.consent = Consent()

    def go(route: Route) -> None:
        url = google.url + route.request.url.removeprefix(ISSUER)
        route.fulfill(status=302, headers={"Location": url})

    with console.of(chromium, client, token="") as opened:
        opened.page.context.route(f"{ISSUER}/**", go)
        opened.page.context.route(
            f"{APPLICATION}/**",
            lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"),
        )
        opened.page.goto(APPLICATION)
        yield opened.page


def test_the_documented_calls_do_in_a_browser_what_the_page_says(
    front: Page, client: Client, stand_ins: StandIns
) -> None:
    facebook = stand_ins.facebook
    user = facebook.add_user("Ann", pages=[facebook.add_page("Bakery")])
    unique = uuid.uuid4()
    bot = f"{unique.int % 10**9 + 10**9}:AA{unique.hex}"
    stand_ins.telegram.add_bot(bot)
    given: Mapping[str, Any] = {
        "TOKEN": client.token,
        "BOT_TOKEN": bot,
        "APP_ID": facebook.app_id,
        "APP_SECRET": facebook.app_secret,
        "ACCESS_TOKEN": facebook.user_token(user),
        "HOOK_URL": f"https://example.com/hooks/orders-{unique.hex[:12]}",
        "SECRET": f"s3cret-{unique.hex}",
    }
    logged: list[str] = []
    front.on(
        "console", lambda message: logged.append(message.text) if message.type == "log" else None
    )
    whole = "\n".join(examples()).replace(DOCUMENTED, client.platform.url)
    front.evaluate(f"async (given) => {{ Object.assign(window, given);\n{whole}\n}}", given)
    console.until(front, lambda: len(logged) == 4)
    telegram, google, page, hook = logged
    assert telegram.startswith("connected @")
    assert google == "completed"
    assert page.startswith("connected ")
    assert hook.startswith(f"{client.platform.url}/api/webhooks/orders-{unique.hex[:12]}")
    states = client.get("/api/integrations/status").json()
    connected = {name for name, state in states.items() if state["status"] == "connected"}
    assert connected == {"telegram", "sheets_oauth", "facebook", "webhook"}
