"""What is typed in the console is what is sent, and what others do meanwhile is seen."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, expect

from tests.e2e import console
from tests.e2e.conftest import Client
from tests.e2e.console import Console, until

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
    """That one of the requests that the test is to answer, once it is there."""
    until(page, lambda: len(held) >= count)
    return held[count - 1]


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
    # It stands still between: a minute later all pages are loaded again.
    desk.page.clock.install(time=0)
    page = desk.open("/console/executions")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    page.clock.pause_at(3_600)
    page.get_by_role("button", name="Load more").click()
    expect(rows).to_have_count(100)
    newest = 103
    page.clock.run_for(5_000)
    expect(rows).to_contain_text([f"Run {number}" for number in range(103, 0, -1)])
    # More than a page: what is between is in neither, so the list begins anew.
    newest = 200
    page.clock.run_for(5_000)
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Load more").click()
    expect(rows.nth(50)).to_contain_text("Run 150")


def test_rows_on_a_later_page_are_looked_at_again_once_a_minute(desk: Console) -> None:
    status = "running"

    def answer(route: Route) -> None:
        later = "nextToken" in route.request.url
        numbers = range(50, 0, -1) if later else range(100, 50, -1)
        items = [execution(number) | {"status": status} for number in numbers]
        route.fulfill(json={"items": items, "nextToken": None if later else "later"})

    desk.page.route("**/api/executions?*", answer)
    desk.page.clock.install()
    page = desk.open("/console/executions")
    page.get_by_role("button", name="Load more").click()
    expect(page.locator("tbody [data-state=running]")).to_have_count(100)
    status = "succeeded"
    page.clock.run_for(65_000)
    expect(page.locator("tbody [data-state=succeeded]")).to_have_count(100)


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
    page.clock.run_for(15_000)
    first = wait_for(page, polled)
    body = {"status": 429, "title": "Busy", "detail": "Too many requests", "code": "rate_limited"}
    # The clock goes on by itself while a slow machine works: so the times are far apart.
    first.fulfill(status=429, headers={"Retry-After": "3600"}, json=body)
    expect(page.get_by_text("Not updated since")).to_contain_text("Too many requests")
    expect(page.get_by_label("Hello is on")).to_be_visible()
    page.clock.fast_forward(1_800_000)
    page.wait_for_timeout(500)
    assert len(polled) == 1
    page.clock.fast_forward(1_800_000)
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
    # What is refused first hides the editor: the last runs are asked for every few seconds.
    editor.fill(text)
    expiry(True)  # noqa: FBT003
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
    until(page, lambda: asked == ["confirm"])
    expect(editor).to_have_value(text)
    page.go_back()
    until(page, lambda: asked == ["confirm", "confirm"])
    page.wait_for_url(f"**/workflows/{made['workflowId']}")
    expect(editor).to_have_value(text)
    page.close(run_before_unload=True)
    until(page, lambda: asked == ["confirm", "confirm", "beforeunload"])
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


# -- a workflow --


@pytest.fixture
def stored(desk: Console) -> str:
    """The path of a workflow in the API; its page is open."""
    made = desk.client.create_workflow(flow("Hello"))
    desk.open(f"/console/workflows/{made['workflowId']}")
    expect(desk.page.get_by_label(EDITOR)).to_be_visible()
    return f"/api/workflows/{made['workflowId']}"


def typed(page: Page, old: str, new: str) -> str:
    """Change something in the editor; its text then."""
    editor = page.get_by_label(EDITOR)
    text = editor.input_value().replace(old, new)
    editor.fill(text)
    return text


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()


def test_a_save_does_not_overwrite_what_somebody_else_has_saved(desk: Console, stored: str) -> None:
    page = desk.page
    mine = typed(page, "Hello", "Mine")
    desk.client.put(stored, flow("Theirs"))
    save(page)
    expect(page.get_by_text("Somebody has changed it meanwhile.")).to_be_visible()
    expect(page.get_by_label(EDITOR)).to_have_value(mine)
    assert desk.client.get(stored).json()["name"] == "Theirs"
    page.get_by_role("button", name="Load what is stored").click()
    expect(page.get_by_label(EDITOR)).to_have_value(re.compile("Theirs"))
    typed(page, "Theirs", "Ours")
    save(page)
    expect(page.get_by_role("heading", name="Ours")).to_be_visible()


def test_a_switch_does_not_overwrite_what_somebody_else_has_saved(
    desk: Console, stored: str, polled: list[Route]
) -> None:
    assert not polled  # and from now on the list is not loaded again: it would have their name
    page = desk.open("/console/workflows")
    switch = page.get_by_label("Hello is on")
    expect(switch).to_be_checked()
    desk.client.put(stored, flow("Theirs"))
    switch.click()
    expect(page.get_by_role("alert")).to_contain_text("Somebody has changed it meanwhile")
    expect(page.get_by_label("Theirs is on")).to_be_checked()
    now = desk.client.get(stored).json()
    assert (now["name"], now["enabled"]) == ("Theirs", True)
    page.get_by_label("Theirs is on").click()
    expect(page.get_by_label("Theirs is on")).not_to_be_checked()


def test_a_refused_switch_lets_no_old_text_take_the_place_of_a_new_one(
    desk: Console, stored: str
) -> None:
    page = desk.page
    mine = typed(page, "Hello", "Mine")
    desk.client.put(stored, flow("Theirs"))
    page.get_by_label("Hello is on").click()
    expect(page.get_by_role("heading", name="Theirs")).to_be_visible()
    page.get_by_label("Theirs is on").click()
    expect(page.get_by_label("Theirs is on")).not_to_be_checked()
    expect(page.get_by_label(EDITOR)).to_have_value(mine)
    with page.expect_response(f"**{stored}") as saved:
        save(page)
    assert saved.value.status == 409
    expect(page.get_by_text("Your text is still here")).to_be_visible()
    assert desk.client.get(stored).json()["name"] == "Theirs"


def test_the_switch_beside_the_editor_leaves_what_is_typed(desk: Console, stored: str) -> None:
    page = desk.page
    typed(page, "Hello", "Mine")
    page.get_by_label("Hello is on").click()
    expect(page.get_by_label("Hello is on")).not_to_be_checked()
    editor = page.get_by_label(EDITOR)
    expect(editor).to_have_value(re.compile('"Mine"'))
    expect(editor).to_have_value(re.compile('"enabled": false'))
    save(page)
    expect(page.get_by_role("heading", name="Mine")).to_be_visible()
    now = desk.client.get(stored).json()
    assert (now["name"], now["enabled"]) == ("Mine", False)


def test_what_is_typed_while_a_save_is_on_its_way_stays(desk: Console, stored: str) -> None:
    page = desk.page
    held: list[Route] = []
    page.route(
        f"**{stored}",
        lambda route: held.append(route) if route.request.method == "PUT" else route.continue_(),
    )
    typed(page, "Hello", "First")
    save(page)
    first = wait_for(page, held)
    second = typed(page, "First", "Second")
    first.continue_()
    expect(page.get_by_role("heading", name="First")).to_be_visible()
    expect(page.get_by_label(EDITOR)).to_have_value(second)
    save(page)
    wait_for(page, held, 2).continue_()
    expect(page.get_by_role("heading", name="Second")).to_be_visible()


def test_a_workflow_on_a_later_page_is_switched_and_shows_it(desk: Console) -> None:
    made = desk.client.create_workflow(flow("Late"))
    path = f"/api/workflows/{made['workflowId']}"
    first = [made | {"workflowId": f"wf_{n}", "name": f"Early {n}"} for n in range(50)]

    def answer(route: Route) -> None:
        later = "nextToken" in route.request.url
        route.fulfill(
            json={"items": [desk.client.get(path).json()], "nextToken": None}
            if later
            else {"items": first, "nextToken": "later"}
        )

    desk.page.route("**/api/workflows?*", answer)
    page = desk.open("/console/workflows")
    page.get_by_role("button", name="Load more").click()
    switch = page.get_by_label("Late is on")
    for on in (False, True):
        switch.click()
        expect(switch).to_be_checked(checked=on)
    assert desk.client.get(path).json()["version"] == 3


def test_what_the_api_warns_of_is_shown_after_each_save(desk: Console, stored: str) -> None:
    page = desk.page

    def warn(route: Route) -> None:
        if route.request.method == "GET" or route.request.url.endswith("/check"):
            route.continue_()
        else:
            answer = route.fetch()
            route.fulfill(response=answer, json=answer.json() | {"warning": "It is not yet heard"})

    page.route("**/api/workflows**", warn)
    page.route("**/api/workflows/*", warn)
    typed(page, "Hello", "Mine")
    save(page)
    expect(page.get_by_text("It is not yet heard")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Mine is on")).to_be_visible()
    expect(page.get_by_text("It is not yet heard")).to_have_count(0)
    page.get_by_label("Mine is on").click()
    expect(page.get_by_text("It is not yet heard")).to_be_visible()
    desk.open("/console/workflows")
    page.get_by_label("Mine is on").click()
    expect(page.get_by_text("It is not yet heard")).to_be_visible()
    desk.open("/console/workflows/new")
    page.get_by_label(EDITOR).fill(json.dumps(flow("New")))
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="New", exact=True)).to_be_visible()
    expect(page.get_by_text("It is not yet heard")).to_be_visible()


LARGE = 12345678901234567891


def with_large_number() -> dict[str, Any]:
    (step,) = flow("Hello")["steps"]
    params = {"url": "https://example.com/", "json": {"id": LARGE}}
    return flow("Hello") | {"steps": [step | {"params": params}]}


def test_a_number_that_no_double_keeps_is_saved_as_it_is(desk: Console) -> None:
    made = desk.client.create_workflow(with_large_number())
    path = f"/api/workflows/{made['workflowId']}"
    page = desk.open("/console/workflows")
    page.get_by_label("Hello is on").click()
    expect(page.get_by_label("Hello is on")).not_to_be_checked()
    page.get_by_role("link", name="Hello").click()
    expect(page.get_by_label(EDITOR)).to_have_value(re.compile(str(LARGE)))
    typed(page, "Hello", "Mine")
    save(page)
    expect(page.get_by_role("heading", name="Mine")).to_be_visible()
    now = desk.client.get(path).json()
    assert now["steps"][0]["params"]["json"] == {"id": LARGE}
    assert now["version"] == 3


def test_a_browser_that_would_alter_a_number_saves_nothing(desk: Console) -> None:
    made = desk.client.create_workflow(with_large_number())
    desk.page.add_init_script("delete JSON.rawJSON")
    page = desk.open("/console/workflows")
    page.get_by_label("Hello is on").click()
    expect(page.get_by_role("alert")).to_contain_text("too large for this browser")
    expect(page.get_by_label("Hello is on")).to_be_checked()
    page.get_by_role("link", name="Hello").click()
    typed(page, "Hello", "Mine")
    save(page)
    expect(page.get_by_role("alert")).to_contain_text("too large for this browser")
    assert desk.client.get(f"/api/workflows/{made['workflowId']}").json() == made


def test_a_second_press_after_no_answer_starts_no_second_run(desk: Console, stored: str) -> None:
    page = desk.page
    keys: list[str] = []

    def lose(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) < 3:
            route.abort()
        else:
            route.continue_()

    page.route(f"**{stored}/run", lose)
    page.get_by_role("tab", name="Run").click()
    run = page.get_by_role("button", name="Run “Hello” now")
    for _ in range(2):
        run.click()
        expect(page.get_by_text("The API does not answer")).to_be_visible()
        expect(run).to_be_enabled()
    page.get_by_label("Sample data").fill('{"who": "Ann"}')
    run.click()
    page.wait_for_url("**/executions/*")
    assert keys[0] == keys[1] != keys[2]


def test_sample_data_stays_while_another_panel_is_looked_at(desk: Console, stored: str) -> None:
    assert stored
    page = desk.page
    page.get_by_role("tab", name="Preview").click()
    page.get_by_label("Sample data").fill('{"who": "Bob"}')
    page.get_by_role("tab", name="Catalogue").click()
    page.get_by_role("tab", name="Preview").click()
    expect(page.get_by_label("Sample data")).to_have_value('{"who": "Bob"}')


def test_where_the_last_runs_cannot_be_read_they_are_not_said_to_be_none(
    desk: Console, stored: str
) -> None:
    assert stored
    page = desk.open("/console/workflows")
    expect(page.get_by_text("none lately")).to_be_visible()
    page.route("**/api/executions?*", lambda route: route.abort())
    page.reload()
    expect(page.get_by_text("not known")).to_be_visible()
    expect(page.get_by_role("alert")).to_contain_text("The API does not answer")


def test_what_was_asked_before_a_switch_does_not_undo_it(
    desk: Console, polled: list[Route]
) -> None:
    made = desk.client.create_workflow(flow("Hello"))
    desk.page.clock.install()
    page = desk.open("/console/workflows")
    switch = page.get_by_label("Hello is on")
    expect(switch).to_be_checked()
    page.clock.run_for(15_000)
    asked = wait_for(page, polled)
    switch.click()
    expect(switch).not_to_be_checked()
    with page.expect_response("**/api/workflows?*"):
        asked.fulfill(json={"items": [made], "nextToken": None})
    page.wait_for_timeout(300)
    expect(switch).not_to_be_checked()
