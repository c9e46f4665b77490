"""What a person types or asks for in the console comes as it is: forms, numbers, lists."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Dialog, Page, Route, expect

from tests.e2e import console
from tests.e2e.conftest import Client
from tests.e2e.console import Console, press, until

pytestmark = pytest.mark.e2e

LARGE = 12345678901234567891
"""No double keeps it."""


@pytest.fixture
def desk(chromium: Browser, client: Client) -> Iterator[Console]:
    with console.of(chromium, client) as opened:
        yield opened


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


# -- what is typed --


def test_a_filter_that_is_typed_slowly_stays_while_the_list_is_loaded_again(desk: Console) -> None:
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(parse_qs(urlsplit(route.request.url).query).get("webhookId", [""])[0])
        route.fulfill(json={"items": [], "nextToken": None})

    desk.page.route("**/api/events?*", answer)
    page = desk.open("/console/events")
    field = page.get_by_label("Webhook", exact=True)
    field.press_sequentially("wh_")
    with page.expect_response("**/api/events?*"), page.expect_response("**/api/events?*"):
        pass
    expect(page.get_by_text("No events here")).to_be_visible()
    field.press_sequentially("1")
    expect(field).to_have_value("wh_1")
    assert set(asked) == {""}
    with page.expect_response(re.compile("webhookId=wh_1")):
        field.press("Enter")
    expect(page).to_have_url(re.compile(r"\?webhookId=wh_1$"))


def test_numbers_in_a_list_are_sent_as_numbers(desk: Console) -> None:
    sent = sent_by(desk.page, "sendPoll")
    page = desk.open("/console/playground?provider=telegram&action=sendPoll")
    page.get_by_text("more fields, all optional").click()
    page.get_by_label(re.compile("^Correct option")).fill("0\n2")
    press(page, "Run")
    expect(page.get_by_label("The action's result")).to_be_visible()
    assert params_of(sent)["correctOptionIds"] == [0, 2]


@pytest.mark.parametrize(
    ("place", "label", "shown"),
    [("provider=sheets&action=appendRow", "^Values", '"Customer": "Ann"'),
     ("provider=telegram&action=sendPoll", "^Options", '"text": "Salad"')],
)  # fmt: skip
def test_an_example_that_is_more_than_lines_is_shown_as_json(
    desk: Console, place: str, label: str, shown: str
) -> None:
    page = desk.open(f"/console/playground?{place}")
    press(page, "Fill in the example")
    expect(page.get_by_label(re.compile(label))).to_have_value(re.compile(re.escape(shown)))


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        ('{\n  "name": "A",\n  "enabled": yes,\n  "steps": []\n}', 3),
        ('{\n  "name": "A"\n  "steps": []\n}', 3),
        ('{\n  "name": "A",\n  "steps": [],\n}', 4),
        ('{\n  "name": "A,\n  "steps": []\n}', 2),
        ('{\n  "name": "\u00e9\\u00e9\\n\u0085", "a": [1, -2.5e3, {}, []],\n  name: 1\n}', 3),
        ('{\n  "steps": [\n', 2),
        ("{}\n}\n\n", 2),
    ],
)
def test_what_is_no_json_is_found_at_its_line(desk: Console, broken: str, line: int) -> None:
    page = desk.open("/console/workflows/new")
    page.get_by_label("The workflow's definition, as JSON").fill(broken)
    expect(page.get_by_text(re.compile("^Line "))).to_have_text(f"Line {line}")


# -- large numbers --


def test_a_large_number_is_sent_and_shown_as_it_is(desk: Console) -> None:
    sent = sent_by(desk.page, "send")
    page = desk.open("/console/playground?provider=webhook&action=send")
    page.get_by_text("more fields, all optional").click()
    page.get_by_label(re.compile("^JSON")).first.fill(f'{{"id": {LARGE}}}')
    press(page, "Run")
    expect(page.get_by_label("The action's result")).to_contain_text(f'"id": {LARGE}')
    assert params_of(sent)["json"] == {"id": LARGE}
    for language in ("curl", "typescript", "python"):
        page.get_by_role("tab", name=language).click()
        expect(page.get_by_label(f"The call in {language}")).to_contain_text(f'"id": {LARGE}')


def test_a_large_number_that_a_double_keeps_is_saved(desk: Console) -> None:
    params = {"url": "https://example.com/", "json": {"id": 10**20}}
    step = {"id": "a", "action": "webhook.send", "params": params}
    flow = {"name": "Hello", "trigger": {"type": "manual"}, "steps": [step]}
    desk.client.save("webhook", {"url": f"https://example.com/hooks/{desk.client.tenant}"})
    page = desk.open("/console/workflows/new")
    page.get_by_label("The workflow's definition, as JSON").fill(json.dumps(flow))
    press(page, "Create")
    expect(page.get_by_role("heading", name="Hello", exact=True)).to_be_visible()
    (saved,) = desk.client.get("/api/workflows").json()["items"]
    assert saved["steps"][0]["params"] == params


def text_of(**shown: Any) -> dict[str, Any]:
    """An answer in which Python's numbers stay as they are."""
    return {"body": json.dumps(shown), "content_type": "application/json"}


def test_a_large_number_in_a_delivery_is_shown_and_copied_as_it_is(desk: Console) -> None:
    shown = text_of(
        eventId="evt_1", webhookId="wh_1", provider="webhook", outcome="dispatched",
        receivedAt="2026-11-01T10:00:00Z", types=["webhook"], method="POST", path="",
        headers={}, query={}, size=27, body={"id": LARGE},
        events=[{"type": "webhook", "target": "", "data": {"id": LARGE}, "dataTruncated": True}],
        workflows=[],
    )  # fmt: skip
    desk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.page.route("**/api/events/evt_1", lambda route: route.fulfill(**shown))
    page = desk.open("/console/events/evt_1")
    expect(page.get_by_label("The delivery's body")).to_contain_text(f'"id": {LARGE}')
    expect(page.get_by_label("Data of webhook")).to_contain_text(f'"id": {LARGE}')
    expect(page.get_by_text("Its beginning; templates see all of it")).to_be_visible()
    page.evaluate("navigator.clipboard.writeText('')")
    press(page, "Copy as curl")
    page.wait_for_function(
        f"async () => (await navigator.clipboard.readText()).includes('{{\"id\":{LARGE}}}')"
    )


def test_a_large_number_in_an_execution_is_shown_as_it_is(desk: Console) -> None:
    moment = "2026-11-01T10:00:00Z"
    step = {"id": "tell", "action": "webhook.send", "status": "succeeded", "attempts": 1,
            "startedAt": moment, "finishedAt": moment, "durationMs": 5, "input": {"id": LARGE},
            "output": {"id": LARGE}, "outputUrl": "/api/executions/exe_1/…"}  # fmt: skip
    shown = text_of(
        executionId="exe_1", workflowId="wf_1", workflowName="Tell", workflowVersion=1,
        status="succeeded", triggerType="manual", createdAt=moment, startedAt=moment,
        finishedAt=moment, retryCount=0, steps=[step],
        trigger={"type": "manual", "eventId": "evt_1", "data": {"id": LARGE}},
    )  # fmt: skip
    parts = {"": ('[{"id": 1234567890', "2"), "2": ("1234567891}]", None)}

    def answer(route: Route) -> None:
        asked = parse_qs(urlsplit(route.request.url).query).get("nextToken", [""])[0]
        text, token = parts[asked]
        route.fulfill(json={"stepId": "tell", "items": None, "text": text, "nextToken": token})

    desk.page.route("**/api/executions/exe_1", lambda route: route.fulfill(**shown))
    desk.page.route("**/steps/tell/output*", answer)
    page = desk.open("/console/executions/exe_1")
    output = page.get_by_label("Output of tell")
    expect(output).to_contain_text(f'"id": {LARGE}')
    for name, label in {"Data": "The trigger's data", "Input": "Input of tell"}.items():
        page.get_by_text(name, exact=True).click()
        expect(page.get_by_label(label)).to_contain_text(f'"id": {LARGE}')
    press(page, "Load the whole output")
    expect(output).to_contain_text("[")
    expect(output).to_contain_text(f'"id": {LARGE}')


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


def test_a_failure_beside_the_log_in_is_told_at_once(desk: Console) -> None:
    page = desk.page
    page.add_init_script("delete Navigator.prototype.clipboard")
    desk.open("/console/workflows/new")
    expect(page.get_by_text("Checking…")).to_have_count(0)
    gone = {"status": 401, "json": {"message": "Unauthorized"}}
    page.route("**/api/workflows/check", lambda route: route.fulfill(**gone))
    page.get_by_label("The workflow's definition, as JSON").fill("{}")
    press(page, "Copy what is not saved")
    expect(page.get_by_role("dialog")).to_contain_text("copy it yourself")


# -- pages --


def test_who_came_by_a_press_goes_on_in_the_new_page(desk: Console) -> None:
    desk.client.save("webhook", {"url": f"https://example.com/hooks/{desk.client.tenant}"})
    page = desk.open("/console/workflows/new?eventId=evt_1")
    page.get_by_text("Begin with a ready flow").click()
    page.locator("main details a").first.click()
    expect(page).to_have_url(re.compile(r"flow=.*&eventId=evt_1$"))
    page.get_by_role("tab", name="Preview").click()
    expect(page.get_by_label("Event", exact=True)).to_have_value("evt_1")
    step = {"id": "a", "action": "webhook.send", "params": {"url": "https://example.com/"}}
    flow = {"name": "Hello", "trigger": {"type": "manual"}, "steps": [step]}
    page.get_by_label("The workflow's definition, as JSON").fill(json.dumps(flow))
    press(page, "Create")
    expect(page.get_by_role("heading", name="Hello", exact=True)).to_be_visible()
    expect(page.locator("main")).to_be_focused()


def test_a_preview_says_how_many_rounds_it_does_not_show(desk: Console) -> None:
    step = {"id": "a", "action": "webhook.send", "params": {"url": "https://example.com/"},
            "forEach": "range(30)"}  # fmt: skip
    rounds = [{"index": index, "item": LARGE, "params": {"id": LARGE}} for index in range(2)]
    shown = text_of(
        matches=True, filterResult=None, reason=None,
        steps=[step | {"connection": "default", "runs": True, "reason": None, "params": None,
                       "rounds": rounds, "roundCount": 30, "errors": []}],
    )  # fmt: skip
    desk.page.route("**/api/workflows/preview", lambda route: route.fulfill(**shown))
    page = desk.open("/console/workflows/new")
    page.get_by_role("tab", name="Preview").click()
    press(page, "Show what would be sent")
    expect(page.get_by_text("The first 2 of 30 rounds.")).to_be_visible()
    expect(page.get_by_label("a, round 2")).to_contain_text(f'"id": {LARGE}')


def test_a_token_that_is_shown_once_is_not_left_behind_unasked(desk: Console) -> None:
    made = {"tokenId": "t_1", "name": "shop", "scopes": ["read"], "createdAt": None,
            "token": "ib_once"}  # fmt: skip
    page = desk.page
    page.route("**/api/tokens", lambda route: route.fulfill(json=made))
    page.route("**/api/tokens?*", lambda route: route.fulfill(json={"items": []}))
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", stay)
    desk.open("/console/settings/tokens")
    press(page, "New token")
    page.get_by_label("Name").fill("shop")
    press(page, "Make it")
    expect(page.get_by_label("Token", exact=True)).to_have_value("ib_once")
    page.get_by_role("tab", name="Secrets").click()
    until(page, lambda: len(asked) == 1)
    page.get_by_role("tab", name="API tokens").press("ArrowRight")
    until(page, lambda: len(asked) == 2)
    expect(page.get_by_role("tab", name="API tokens")).to_be_focused()
    press(page, "New token")
    until(page, lambda: len(asked) == 3)
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_label("Token", exact=True)).to_have_value("ib_once")
    press(page, "I have it")
    page.get_by_role("tab", name="Secrets").click()
    expect(page.get_by_text("They are encrypted and never shown")).to_be_visible()
    assert len(asked) == 3


# -- what cannot be had --


def test_what_is_no_answer_of_the_api_is_said_to_be_none(desk: Console) -> None:
    desk.page.route("**/api/workflows?*", lambda route: route.fulfill(body="<p>Log in at the inn"))
    page = desk.open("/console/workflows")
    expect(page.get_by_role("alert")).to_contain_text("does something stand between?")


@pytest.mark.parametrize("place", ["workflows/new", "events"])
def test_a_catalogue_that_did_not_come_is_asked_for_again(desk: Console, place: str) -> None:
    page = desk.page
    page.route("**/api/integrations", lambda route: route.abort())
    desk.open(f"/console/{place}")
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    page.unroute("**/api/integrations")
    press(page, "Try again")
    expect(page.get_by_text("Telegram").first).to_be_attached()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_where_nothing_may_be_copied_it_is_said_what_to_do(desk: Console) -> None:
    desk.page.add_init_script("delete Navigator.prototype.clipboard")
    page = desk.open("/console/playground?provider=telegram&action=sendMessage")
    press(page, "Copy")
    expect(page.get_by_role("dialog")).to_contain_text("mark the text, and copy it yourself")


def test_a_chosen_workflow_is_shown_though_the_workflows_cannot_be_read(desk: Console) -> None:
    desk.page.route("**/api/workflows?*", lambda route: route.abort())
    page = desk.open("/console/executions?workflowId=wf_1")
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    expect(page.get_by_label("Workflow", exact=True)).to_have_value("wf_1")


def test_an_older_answer_does_not_make_what_runs_be_looked_at_seldom(desk: Console) -> None:
    moment = "2026-11-01T10:00:00Z"
    shown = {"executionId": "exe_1", "workflowId": "wf_1", "workflowName": "Tell",
             "workflowVersion": 1, "triggerType": "manual", "createdAt": moment, "retryCount": 0,
             "steps": [], "trigger": {"type": "manual", "data": {}}}  # fmt: skip
    failed, running = ({**shown, "status": each} for each in ("failed", "running"))
    now: dict[str, Any] | None = failed
    late: list[Route] = []

    def answer(route: Route) -> None:
        if now:
            route.fulfill(json=now)
        elif late:
            route.abort()
        else:
            late.append(route)

    page = desk.page
    page.route("**/api/executions/exe_1", answer)
    page.route("**/exe_1/retry", lambda route: route.fulfill(json=running))
    page.clock.install()
    desk.open("/console/executions/exe_1")
    expect(page.locator("main .head [data-state=failed]")).to_be_visible()
    now = None
    page.clock.fast_forward(30_000)
    until(page, lambda: bool(late))
    now = running
    press(page, "Retry")
    expect(page.locator("main .head [data-state=running]")).to_be_visible()
    now = None  # nothing is answered but what was asked before
    late[0].fulfill(json=failed)
    expect(page.get_by_text("Not updated since")).to_be_visible()
    now = {**shown, "status": "succeeded"}
    with page.expect_response("**/api/executions/exe_1", timeout=20_000):
        page.clock.fast_forward(1_500)


# -- a list of the API, and what follows in it --


def execution(number: int) -> dict[str, Any]:
    return {"executionId": f"exe_{number}", "workflowId": "wf_1", "workflowName": f"Run {number}",
            "status": "failed", "triggerType": "manual",
            "createdAt": "2026-01-01T00:00:00Z"}  # fmt: skip


class Executions:
    """A list of executions, newest first, whose later pages wait until a test lets them go on."""

    def __init__(self, newest: int) -> None:
        self.newest = newest
        self.held: list[Route] = []

    def __call__(self, route: Route) -> None:
        if "nextToken" in route.request.url:
            self.held.append(route)
        else:
            self.answer(route)

    def answer(self, route: Route) -> None:
        """The page that was asked for, of 50."""
        token = parse_qs(urlsplit(route.request.url).query).get("nextToken")
        begin = int(token[0]) if token else self.newest
        items = [execution(number) for number in range(begin, begin - 50, -1)]
        route.fulfill(json={"items": items, "nextToken": str(begin - 50)})


def more_is_asked_for(desk: Console) -> tuple[Page, Executions]:
    """The list of executions, whose second page is on its way."""
    executions = Executions(500)
    desk.page.route("**/api/executions?*", executions)
    page = desk.open("/console/executions")
    expect(page.locator("tbody tr")).to_have_count(50)
    press(page, "Load more")
    until(page, lambda: bool(executions.held))
    return page, executions


def test_more_is_loaded_though_new_rows_come_meanwhile(desk: Console) -> None:
    page, executions = more_is_asked_for(desk)
    rows = page.locator("tbody tr")
    executions.newest = 503
    expect(rows.first).to_contain_text("Run 503")
    executions.answer(executions.held[0])
    expect(rows).to_contain_text([f"Run {number}" for number in range(503, 400, -1)])


def test_what_was_asked_of_another_list_is_not_added(desk: Console) -> None:
    page, executions = more_is_asked_for(desk)
    rows = page.locator("tbody tr")
    with page.expect_response(re.compile("status=failed")):
        page.get_by_label("State").select_option("failed")
    expect(rows).to_have_count(50)
    with page.expect_response(re.compile("nextToken")):
        executions.answer(executions.held[0])
    executions.newest = 501  # what is looked at next has this row, and all that was added before
    expect(rows.first).to_contain_text("Run 501")
    expect(rows).to_have_count(50)


def test_many_pages_are_looked_at_again_too(desk: Console) -> None:
    status = "running"

    def answer(route: Route) -> None:
        token = parse_qs(urlsplit(route.request.url).query).get("nextToken")
        begin = int(token[0]) if token else 500
        numbers = range(begin, begin - 50, -1)
        items = [execution(number) | {"status": status} for number in numbers]
        route.fulfill(json={"items": items, "nextToken": str(begin - 50)})

    desk.page.route("**/api/executions?*", answer)
    desk.page.clock.install()
    page = desk.open("/console/executions")
    for pages in range(1, 7):
        expect(page.locator("tbody [data-state=running]")).to_have_count(50 * pages)
        press(page, "Load more")
    expect(page.locator("tbody [data-state=running]")).to_have_count(350)
    status = "succeeded"
    page.clock.fast_forward(120_000)
    expect(page.locator("tbody [data-state=succeeded]")).to_have_count(350)
