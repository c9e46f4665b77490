"""What is typed in the console is what is sent, and what others do meanwhile is seen."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, expect

from tests.e2e import console
from tests.e2e.conftest import Client
from tests.e2e.console import Console

pytestmark = pytest.mark.e2e

EDITOR = "The workflow's definition, as JSON"


@pytest.fixture
def desk(chromium: Browser, client: Client) -> Iterator[Console]:
    """A console whose tenant has a webhook to send to, with a token for everything."""
    client.save("webhook", {"url": f"https://example.com/hooks/{client.tenant}"})
    token = client.platform.tokens.create(
        tenant=client.tenant, name="desk", scopes=("read", "write", "admin")
    )
    with console.of(chromium, client, token=token) as opened:
        yield opened


def flow(name: str, **more: Any) -> dict[str, Any]:
    step = {"id": "a", "action": "webhook.send", "params": {"url": "https://example.com/"}}
    return {"name": name, "trigger": {"type": "manual"}, "steps": [step], **more}


def wait_for(page: Page, held: list[Route], count: int = 1) -> Route:
    """The last of so many requests that the test is to answer, once they are there."""
    for _ in range(600):
        if len(held) >= count:
            break
        page.wait_for_timeout(50)
    assert len(held) == count
    return held[-1]


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


# -- lists and polls --


def execution(number: int) -> dict[str, Any]:
    return {
        "executionId": f"ex_{number}",
        "workflowId": "wf_1",
        "workflowName": f"Run {number}",
        "status": "succeeded",
        "triggerType": "manual",
        "createdAt": "2026-01-01T00:00:00Z",
    }


def test_rows_that_new_ones_push_out_of_the_first_page_stay(desk: Console) -> None:
    newest = 100

    def answer(route: Route) -> None:
        token = parse_qs(urlsplit(route.request.url).query).get("nextToken")
        begin = int(token[0]) if token else newest
        items = [execution(number) for number in range(begin, max(begin - 50, 0), -1)]
        route.fulfill(json={"items": items, "nextToken": str(begin - 50) if begin > 50 else None})

    desk.page.route("**/api/executions?*", answer)
    desk.page.clock.install()
    page = desk.open("/console/executions")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Load more").click()
    expect(rows).to_have_count(100)
    newest = 103
    page.clock.run_for(5_000)
    expect(rows).to_have_count(103)
    for number, row in zip(range(103, 50, -1), rows.all(), strict=False):
        expect(row).to_contain_text(f"Run {number}")
    # More than a page: what is between is in neither, so the list begins anew.
    newest = 200
    page.clock.run_for(5_000)
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Load more").click()
    expect(rows.nth(50)).to_contain_text("Run 150")


@pytest.fixture
def polled(desk: Console) -> list[Route]:
    """What the list of workflows asks for after it was shown; the test answers."""
    held: list[Route] = []
    shown = False

    def answer(route: Route) -> None:
        nonlocal shown
        if shown:
            held.append(route)
        else:
            shown = True
            route.continue_()

    desk.page.route("**/api/workflows?*", answer)
    return held


def test_a_list_that_fails_says_since_when_it_is_old_and_waits_as_it_is_told(
    desk: Console, polled: list[Route]
) -> None:
    desk.client.create_workflow(flow("Hello"))
    desk.page.clock.install()
    page = desk.open("/console/workflows")
    expect(page.get_by_label("Hello is on")).to_be_visible()
    page.clock.run_for(45_000)
    first = wait_for(page, polled)
    body = {"status": 429, "title": "Busy", "detail": "Too many requests", "code": "rate_limited"}
    first.fulfill(status=429, headers={"Retry-After": "60"}, json=body)
    expect(page.get_by_text("Not updated since")).to_contain_text("Too many requests")
    expect(page.get_by_label("Hello is on")).to_be_visible()
    page.clock.run_for(45_000)
    assert len(polled) == 1
    page.clock.run_for(30_000)
    wait_for(page, polled, 2).continue_()
    expect(page.get_by_text("Not updated since")).to_have_count(0)


# -- leaving, and logging in again --


@pytest.fixture
def expiry(desk: Console) -> Callable[[bool], None]:
    """Lets the API refuse the token that the page has, or take it again."""

    def refuse(route: Route) -> None:
        route.fulfill(status=401, json={"message": "Unauthorized"})

    def expire(over: bool) -> None:  # noqa: FBT001 - it says which
        if over:
            desk.page.route("**/api/**", refuse)
        else:
            desk.page.unroute("**/api/**", refuse)

    return expire


def log_in(desk: Console) -> None:
    expect(desk.page.get_by_text("Log in again.")).to_be_visible()
    desk.page.get_by_role("textbox", name="API token").fill(desk.client.token)
    desk.page.get_by_role("button", name="Use this token").click()


def test_an_expired_token_costs_no_text_of_a_workflow(
    desk: Console, expiry: Callable[[bool], None]
) -> None:
    made = desk.client.create_workflow(flow("Hello"))
    page = desk.open(f"/console/workflows/{made['workflowId']}")
    editor = page.get_by_label(EDITOR)
    text = editor.input_value().replace("Hello", "Much work")
    expiry(True)  # noqa: FBT003
    editor.fill(text)
    expect(page.get_by_text("Log in again.")).to_be_visible()
    expect(editor).to_be_hidden()
    assert "Much work" not in page.evaluate("JSON.stringify([{...sessionStorage}, history.state])")
    expiry(False)  # noqa: FBT003
    log_in(desk)
    expect(editor).to_have_value(text)
    expect(page).to_have_title(re.compile("^Hello"))
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="Much work")).to_be_visible()


def test_an_expired_token_costs_nothing_that_is_typed_in_a_dialog(
    desk: Console, expiry: Callable[[bool], None]
) -> None:
    page = desk.open("/console/settings/tokens")
    page.get_by_role("button", name="New token").click()
    page.get_by_label("Name").fill("shop")
    expiry(True)  # noqa: FBT003
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_text("Log in again.")).to_be_visible()
    expiry(False)  # noqa: FBT003
    log_in(desk)
    expect(page.get_by_label("Name")).to_have_value("shop")


def test_whoever_leaves_what_is_not_saved_is_asked(desk: Console) -> None:
    made = desk.client.create_workflow(flow("Hello"))
    page = desk.open("/console/workflows")
    asked: list[str] = []
    stay = True

    def decide(dialog: Dialog) -> None:
        asked.append(dialog.type)
        if stay:
            dialog.dismiss()
        else:
            dialog.accept()

    page.on("dialog", decide)
    page.get_by_role("link", name="Hello").click()
    editor = page.get_by_label(EDITOR)
    text = editor.input_value().replace("Hello", "Much work")
    editor.fill(text)
    page.get_by_role("link", name="Events", exact=True).click()
    assert asked == ["confirm"]
    expect(editor).to_have_value(text)
    page.go_back()
    page.wait_for_url(f"**/workflows/{made['workflowId']}")
    assert asked == ["confirm", "confirm"]
    expect(editor).to_have_value(text)
    page.close(run_before_unload=True)
    page.wait_for_timeout(500)
    assert asked == ["confirm", "confirm", "beforeunload"]
    expect(editor).to_have_value(text)
    stay = False
    page.get_by_role("link", name="Workflows", exact=True).click()
    expect(page.get_by_role("heading", name="Workflows")).to_be_visible()
    page.get_by_role("link", name="Events", exact=True).click()
    assert asked == ["confirm", "confirm", "beforeunload", "confirm"]


def test_the_tabs_of_the_settings_are_walked_with_the_arrows(desk: Console) -> None:
    page = desk.open("/console/settings/tokens")
    page.get_by_role("tab", name="API tokens").focus()
    for name in ("Secrets", "Origins", "Audit"):
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name=name)).to_be_focused()


def test_an_address_that_is_none_says_so(desk: Console) -> None:
    page = desk.open("/console/workflows")
    page.evaluate("history.replaceState(null, '', '/console/workflows/%E0%A4%A')")
    page.evaluate("dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.get_by_text("There is no such page")).to_be_visible()
