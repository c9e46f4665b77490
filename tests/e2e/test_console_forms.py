"""What a person types or asks for in the console comes as it is: forms, numbers, lists."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e import console
from tests.e2e.conftest import Client
from tests.e2e.console import Console

pytestmark = pytest.mark.e2e

LARGE = 12345678901234567891
"""No double keeps it."""


@pytest.fixture
def desk(chromium: Browser, client: Client) -> Iterator[Console]:
    with console.of(chromium, client) as opened:
        yield opened


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def sent_by(page: Page, action: str) -> list[str]:
    """The bodies that the playground sends for an action, as they are; each is answered."""
    sent: list[str] = []

    def answer(route: Route) -> None:
        sent.append(route.request.post_data or "")
        route.fulfill(body=f'{{"result": {{"id": {LARGE}}}}}', content_type="application/json")

    page.route(f"**/actions/{action}", answer)
    return sent


def params_of(sent: list[str]) -> dict[str, Any]:
    (body,) = sent
    params: dict[str, Any] = json.loads(body)["params"]
    return params


# -- large numbers --


def text_of(**shown: Any) -> dict[str, Any]:
    """An answer in which Python's numbers stay as they are."""
    return {"body": json.dumps(shown), "content_type": "application/json"}


# -- dialogs --


def test_an_expired_token_in_a_press_leaves_the_log_in_usable(desk: Console) -> None:
    """The dialog of the failure is hidden with the page: open, it would let nothing be used."""
    desk.client.save("webhook", {"url": f"https://example.com/hooks/{desk.client.tenant}"})
    gone = {"status": 401, "json": {"message": "Unauthorized"}}
    page = desk.open("/console/connections/webhook")
    page.route("**/webhook/test", lambda route: route.fulfill(**gone))
    press(page, "Test")
    expect(page.get_by_text("Log in again.")).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_label("API token").fill(desk.client.token)
    press(page, "Use this token")
    told = page.get_by_role("dialog", name="That did not work")
    expect(told).to_contain_text("Unauthorized")
    told.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Test", exact=True)).to_be_enabled()
