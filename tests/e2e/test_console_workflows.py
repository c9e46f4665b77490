"""What is typed in the console is what is sent, and what others do meanwhile is seen."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.e2e import console
from tests.e2e.conftest import Client
from tests.e2e.console import Console

pytestmark = pytest.mark.e2e

EDITOR = "The workflow's definition, as JSON"


@pytest.fixture
def desk(chromium: Browser, client: Client) -> Iterator[Console]:
    with console.of(chromium, client) as opened:
        yield opened


# -- forms --


@pytest.mark.parametrize(
    ("typed", "sent"),
    [("51.5074", 51.5074), ("-0.1278", -0.1278), ("10.05", 10.05), ("1e-3", 0.001), ("-5", -5)],
)
def test_a_number_is_sent_as_it_was_typed(desk: Console, typed: str, sent: float) -> None:
    asked: list[Any] = []

    def answer(route: Route) -> None:
        asked.append(route.request.post_data_json)
        route.fulfill(json={"result": {}})

    desk.page.route("**/actions/sendLocation", answer)
    page = desk.open("/console/playground?provider=telegram&action=sendLocation")
    latitude = page.get_by_label("Latitude")
    latitude.press_sequentially(typed)
    expect(latitude).to_have_value(typed)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_label("The action's result")).to_be_visible()
    assert [each["params"]["latitude"] for each in asked] == [sent]


def test_a_number_that_is_filled_in_for_somebody_replaces_what_was_typed(desk: Console) -> None:
    page = desk.open("/console/playground?provider=telegram&action=sendLocation")
    latitude = page.get_by_label("Latitude")
    latitude.press_sequentially("1.50")
    page.get_by_role("button", name="Fill in the example").click()
    expect(latitude).not_to_have_value("1.50")
    expect(latitude).to_have_value(re.compile(r"\d"))


def test_emptying_the_only_field_of_a_section_leaves_it_open(desk: Console) -> None:
    page = desk.open("/console/playground?provider=telegram&action=sendMessage")
    page.get_by_text("more fields, all optional").click()
    field = page.locator("details input:not([type=checkbox])").first
    field.fill("1")
    field.fill("")
    expect(field).to_be_visible()
    expect(field).to_be_focused()
