"""The documentation's pages in a real Chromium."""

from threading import Event

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.e2e import console
from tests.e2e.conftest import Client

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_documentation_is_found_searched_and_read(
    chromium: Browser, client: Client, scheme: str
) -> None:
    with console.of(chromium, client, color_scheme=scheme) as opened:
        page = opened.open("/")
        page.get_by_role("link", name="Documentation").click()
        expect(page.get_by_role("heading", name="Documentation", level=1)).to_be_visible()
        opened.check_accessible()
        opened.picture(f"docs-{scheme}")
        page.wait_for_load_state("domcontentloaded")  # the script is there then
        page.keyboard.press("/")
        page.keyboard.type("Retry-After")
        found = page.get_by_role("region", name="Found").get_by_role("link")
        expect(found.first).to_contain_text("Retry-After")
        opened.check_accessible()
        opened.picture(f"docs-found-{scheme}")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        page.wait_for_url("**/docs/*#*")
        expect(page.get_by_text("Retry-After").first).to_be_attached()
        page.goto(f"{client.platform.url}/docs/providers/telegram")
        page.get_by_role("link", name="sendMessage", exact=True).click()
        expect(page.locator("#sendmessage")).to_be_in_viewport()
        opened.check_accessible()
        assert not opened.faults
        assert not opened.seen_elsewhere()


def test_what_is_typed_before_the_script_is_there_is_searched(
    chromium: Browser, client: Client
) -> None:
    typed = Event()
    held: list[Route] = []

    def hold(route: Route) -> None:
        if typed.is_set():
            route.continue_()
        else:
            held.append(route)

    with console.of(chromium, client) as opened:
        page = opened.page
        page.route("**/*.js", hold)
        page.goto(f"{client.platform.url}/docs", wait_until="commit")
        page.get_by_label("Search the documentation").press_sequentially("Retry-After")
        typed.set()
        for each in held:
            each.continue_()
        found = page.get_by_role("region", name="Found").get_by_role("link")
        expect(found.first).to_contain_text("Retry-After")


def test_the_documentation_fits_a_phone_and_says_what_it_cannot_find(
    chromium: Browser, client: Client
) -> None:
    size = {"width": 375, "height": 812}
    with console.of(chromium, client, viewport=size) as opened:
        for place in ("/docs", "/docs/api", "/docs/providers/telegram-data-message"):
            opened.open(place)
            opened.check_fits()
        opened.picture("docs-phone")
        opened.page.get_by_label("Search the documentation").fill("no such words anywhere")
        expect(opened.page.get_by_text("Nothing is found")).to_be_visible()
        opened.check_fits()
        opened.page.keyboard.press("Escape")
        expect(opened.page.get_by_text("Nothing is found")).to_be_hidden()
        opened.page.get_by_text("Pages", exact=True).click()
        opened.page.get_by_role("link", name="Workflows", exact=True).click()
        expect(opened.page.get_by_role("heading", name="Workflows", level=1)).to_be_visible()
