"""Pages of the console where the network fails, lists are long, and people press twice."""

import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e import console
from tests.e2e.conftest import Client, StandIns, eventually
from tests.e2e.console import Console, dialog, press, until
from tests.fakes.google import ISSUER

pytestmark = pytest.mark.e2e


@pytest.fixture
def desk(chromium: Browser, client: Client) -> Iterator[Console]:
    """A console whose tenant has a token for everything."""
    token = client.platform.tokens.create(
        tenant=client.tenant, name="desk", scopes=("read", "write", "admin")
    )
    with console.of(chromium, client, token=token) as opened:
        yield opened


@pytest.fixture
def bot(stand_ins: StandIns) -> str:
    """A token that Telegram knows."""
    unique = uuid.uuid4()
    token = f"{unique.int % 10**9 + 10**9}:AA{unique.hex}"
    stand_ins.telegram.add_bot(token)
    return token


class Lost:
    """A network that loses the first answer, when the backend has done its work already."""

    def __init__(self) -> None:
        self.keys: list[str | None] = []

    def __call__(self, route: Route) -> None:
        self.keys.append(route.request.headers.get("idempotency-key"))
        if len(self.keys) > 1:
            route.continue_()
            return
        assert route.fetch().ok
        route.abort()


class Held:
    """A network in which requests wait until a test lets them go on."""

    def __init__(self) -> None:
        self.routes: list[Route] = []

    def __call__(self, route: Route) -> None:
        self.routes.append(route)

    def wait(self, page: Page) -> None:
        """Wait until one has come."""
        until(page, lambda: bool(self.routes))


# -- once is once --


def test_a_replay_whose_answer_was_lost_is_done_once_when_pressed_again(desk: Console) -> None:
    name = f"orders-{uuid.uuid4().hex[:12]}"
    given = {"url": f"https://example.com/hooks/{name}", "secret": "s", "verifySecret": False}
    saved = desk.client.save("webhook", given)
    url = f"{desk.client.platform.url}/api/webhooks/{saved['webhook']['id']}"
    assert requests.post(url, json={"total": 1}, timeout=60).status_code == 200
    (event,) = eventually(lambda: desk.client.listed("/api/events") or None)
    network = Lost()
    desk.page.route("**/replay", network)
    page = desk.open(f"/console/events/{event['eventId']}")
    press(page, "Replay")
    dialog(page, "Replay")
    expect(page.get_by_role("dialog")).to_contain_text("does not answer")
    dialog(page, "Replay")
    page.wait_for_url(lambda url: event["eventId"] not in url)
    expect(page.get_by_text("A replay of")).to_be_visible()
    assert network.keys[0]
    assert len(set(network.keys)) == 1
    assert len(desk.client.listed("/api/events")) == 2

    page.goto(f"{desk.client.platform.url}/console/events/{event['eventId']}")
    press(page, "Replay")
    dialog(page, "Replay")
    page.wait_for_url(lambda url: event["eventId"] not in url)
    eventually(lambda: len(desk.client.listed("/api/events")) == 3)


def test_replays_of_all_whose_answer_was_lost_are_one_job_when_pressed_again(
    desk: Console,
) -> None:
    network = Lost()
    desk.page.clock.install()
    desk.page.route("**/events/replay", network)
    page = desk.open("/console/events?span=hour")
    press(page, "Replay all")
    dialog(page, "Replay them")
    expect(page.get_by_role("dialog")).to_contain_text("does not answer")
    page.clock.fast_forward(120_000)  # the chosen hour is another one by now
    dialog(page, "Replay them")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert network.keys[0]
    assert len(set(network.keys)) == 1
    assert len(desk.client.listed("/api/jobs")) == 1


def test_a_second_run_whose_answer_was_lost_is_one_when_pressed_again(
    desk: Console, bot: str
) -> None:
    desk.client.save("telegram", {"botToken": bot})
    step = {"id": "tell", "action": "telegram.sendMessage", "params": {"chatId": 42, "text": "x"}}
    made = desk.client.create_workflow(
        {"name": "Tell", "trigger": {"type": "manual"}, "steps": [step]}
    )
    desk.client.post(f"/api/workflows/{made['workflowId']}/run", {"input": {}})
    (first,) = desk.client.finished()
    network = Lost()
    desk.page.route("**/rerun", network)
    page = desk.open(f"/console/executions/{first['executionId']}")
    press(page, "Run again from the start")
    expect(page.get_by_role("dialog")).to_contain_text("does not answer")
    dialog(page, "Close")
    press(page, "Run again from the start")
    page.wait_for_url(lambda url: first["executionId"] not in url)
    assert network.keys[0]
    assert len(set(network.keys)) == 1
    assert len(desk.client.finished(2)) == 2


# -- settings --


def test_a_secret_of_several_lines_is_saved_as_it_was_pasted_and_is_not_kept(
    desk: Console,
) -> None:
    lines = ["-----BEGIN PRIVATE KEY-----", uuid.uuid4().hex, "-----END PRIVATE KEY-----", ""]
    key = "\n".join(lines)
    page = desk.open("/console/settings/secrets")
    page.get_by_label("Name").fill("SHOP_KEY")
    value = page.get_by_label("Value")
    value.fill(key)
    assert value.evaluate("(each) => getComputedStyle(each).webkitTextSecurity") == "disc"
    press(page, "Show what is typed")
    assert value.evaluate("(each) => getComputedStyle(each).webkitTextSecurity") == "none"
    with page.expect_request("**/api/secrets/SHOP_KEY") as sent:
        press(page, "Save")
    assert sent.value.post_data_json == {"value": key}
    expect(page.locator("tbody tr").filter(has_text="SHOP_KEY")).to_have_count(1)
    assert lines[1] not in desk.everywhere()
    assert value.evaluate("(each) => getComputedStyle(each).webkitTextSecurity") == "disc"


def test_every_token_is_found_and_revoked_however_many_there_are(desk: Console) -> None:
    client = desk.client
    for number in range(60):
        client.platform.tokens.create(tenant=client.tenant, name=f"shop-{number:02}")
    page = desk.open("/console/settings/tokens")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    press(page, "Load more")
    expect(rows).to_have_count(62)
    expect(page.get_by_role("button", name="Load more")).to_have_count(0)
    last = rows.filter(has_text="shop-").last
    name = last.locator("strong").inner_text()
    last.get_by_role("button", name="Revoke").click()
    dialog(page, "Revoke")
    expect(rows.filter(has_text=name)).to_have_count(0)
    expect(rows).to_have_count(61)


# -- what went wrong is said --


def test_a_job_that_failed_says_why(desk: Console) -> None:
    why = "The filter finds more than 10000 events: replay less of them at once"
    job = {"jobId": "job_1", "kind": "replay_events", "status": "failed", "total": None,
           "done": 0, "failed": 0, "error": why, "createdAt": "2026-11-01T10:00:00Z"}  # fmt: skip
    desk.page.route("**/api/events/replay", lambda route: route.fulfill(json=job))
    desk.page.route("**/api/jobs/job_1", lambda route: route.fulfill(json=job))
    page = desk.open("/console/events")
    press(page, "Replay all")
    dialog(page, "Replay them")
    expect(page.get_by_role("alert")).to_contain_text(why)


def test_who_cannot_learn_where_to_log_in_is_told_why(chromium: Browser, client: Client) -> None:
    with console.of(chromium, client, token=f"ib_{'x' * 43}") as opened:
        opened.page.route("**/console/settings.json", lambda route: route.abort())
        page = opened.open("/")
        expect(page.get_by_role("alert")).to_contain_text("does not answer")
        opened.page.unroute("**/console/settings.json")
        press(page, "Try again")
        expect(page.get_by_role("button", name="Log in", exact=True)).to_be_visible()


# -- the playground --


def test_an_action_is_tried_with_the_only_connection_whatever_its_name(
    desk: Console, bot: str
) -> None:
    desk.client.save("telegram", {"botToken": bot}, "second-shop")
    page = desk.open("/console/playground?provider=telegram&action=sendMessage")
    expect(page.get_by_label("Connection", exact=True)).to_have_value("second-shop")
    page.get_by_label("Chat ID", exact=False).first.fill("42")
    page.get_by_label(re.compile("^Text")).first.fill("From the second shop")
    press(page, "Run")
    expect(page.get_by_label("The action's result")).to_contain_text("From the second shop")
    expect(page.get_by_label("The call in curl")).to_contain_text("second-shop")


def test_the_playground_keeps_what_is_typed_when_the_states_come(desk: Console, bot: str) -> None:
    # A provider that is not the catalogue's first.
    given = {
        "url": f"https://example.com/hooks/orders-{uuid.uuid4().hex[:12]}",
        "secret": "s",
        "verifySecret": False,
    }
    desk.client.save("webhook", given)
    held = Held()
    desk.page.route("**/api/integrations/status", held)
    page = desk.open("/console/playground")
    held.wait(page)
    expect(page.get_by_label("Provider")).to_have_count(0)
    held.routes[0].continue_()
    expect(page.get_by_label("Provider")).to_have_value("webhook")


def test_where_a_page_can_no_longer_be_read_it_says_so_above_what_it_has(desk: Console) -> None:
    answers = [execution(status="running")]

    def answer(route: Route) -> None:
        if answers:
            route.fulfill(json=answers.pop())
        else:
            route.abort()

    desk.page.route("**/api/executions/exe_1", answer)
    page = desk.open("/console/executions/exe_1")
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    expect(page.get_by_role("heading", name="Tell")).to_be_visible()


# -- executions --


def execution(**more: Any) -> dict[str, Any]:
    """An execution as the API shows it."""
    step = {"id": "each", "action": "telegram.sendMessage", "status": "succeeded", "attempts": 1,
            "startedAt": "2026-11-01T10:00:01Z", "finishedAt": "2026-11-01T10:00:02Z",
            "output": [{"a": 1}, "its beginning"], "outputUrl": "/api/executions/exe_1/…",
            "rounds": {"done": 2, "total": 2, "failed": 0}}  # fmt: skip
    return {"executionId": "exe_1", "workflowId": "wf_1", "workflowName": "Tell",
            "workflowVersion": 1, "status": "failed", "triggerType": "manual",
            "trigger": {"type": "manual", "eventId": "evt_1", "data": {}}, "steps": [step],
            "createdAt": "2026-11-01T10:00:00Z", "startedAt": "2026-11-01T10:00:01Z",
            "finishedAt": None, "retryCount": 0, **more}  # fmt: skip


AGAIN = {"Retry", "Run again from the start"}


@pytest.mark.parametrize(
    ("status", "error", "buttons"),
    [
        ("failed", {"code": "invalid_input", "step": "each"}, AGAIN),
        ("failed", {"code": "expression_error", "step": "each"}, AGAIN),
        ("cancelled", None, AGAIN),
        ("succeeded", None, {"Run again from the start"}),
        ("failed", {"code": "expression_error", "step": None}, {"Replay its event"}),
        ("failed", {"code": "cycle_detected", "step": None}, {"Replay its event"}),
    ],
)
def test_what_is_offered_for_an_execution_is_what_can_be_done_with_it(
    desk: Console, status: str, error: dict[str, Any] | None, buttons: set[str]
) -> None:
    failure = error and {**error, "message": "No", "at": "2026-11-01T10:00:02Z"}
    shown = execution(status=status, error=failure)
    desk.page.route("**/api/executions/exe_1", lambda route: route.fulfill(json=shown))
    page = desk.open("/console/executions/exe_1")
    expect(page.get_by_role("heading", name="Tell")).to_be_visible()
    assert set(page.locator("main .head button").all_inner_texts()) == buttons


def test_a_very_long_output_is_put_together_and_is_another_one_after_a_retry(
    desk: Console,
) -> None:
    shown = execution(status="running")
    parts: dict[str, tuple[list[dict[str, Any]], str | None]] = {
        "": ([{"index": 0, "output": {"a": 1}}], "1"),
        "1": ([{"index": 1, "text": '{"big": "x'}], "2"),
        "2": ([{"index": 1, "text": 'y"}'}], "3"),
        "3": ([{"index": 2, "output": None}], None),
    }

    def answer(route: Route) -> None:
        asked = parse_qs(urlsplit(route.request.url).query).get("nextToken", [""])
        items, token = parts[asked[0]]
        route.fulfill(json={"stepId": "each", "items": items, "nextToken": token})

    desk.page.route("**/api/executions/exe_1", lambda route: route.fulfill(json=shown))
    desk.page.route("**/steps/each/output*", answer)
    page = desk.open("/console/executions/exe_1")
    press(page, "Load the whole output")
    output = page.get_by_label("Output of each")
    expect(output).to_contain_text('"xy"')
    assert json.loads(output.inner_text()) == [{"a": 1}, {"big": "xy"}, None]
    shown["retryCount"] = 1
    expect(output).to_contain_text("its beginning")
    expect(page.get_by_role("button", name="Load the whole output")).to_be_visible()


def test_executions_are_filtered_by_any_workflow(desk: Console) -> None:
    pages: dict[str, tuple[str, str | None]] = {"": ("First", "2"), "2": ("Last", None)}

    def answer(route: Route) -> None:
        asked = parse_qs(urlsplit(route.request.url).query).get("nextToken", [""])
        name, token = pages[asked[0]]
        item = {"workflowId": f"wf_{name}", "name": name}
        route.fulfill(json={"items": [item], "nextToken": token})

    desk.page.route("**/api/workflows?*", answer)
    page = desk.open("/console/executions?workflowId=wf_gone")
    chosen = page.get_by_label("Workflow", exact=True)
    expect(chosen.get_by_role("option", name="Last")).to_have_count(1)
    expect(chosen).to_have_value("wf_gone")


# -- a delivery as a command --

BASH = "/bin/bash"
PROGRAM = 'curl() { printf "%s\\0" "$@"; echo; case "$*" in *@-*) od -An -tx1;; esac; }\n'
"""A shell's `curl` that says what it was given, and in hexadecimal what is read."""


@pytest.mark.parametrize(
    ("method", "body", "size", "expected"),
    [
        ("PUT", {"base64": "AP8="}, 2, ["-X", "PUT", "--data-binary", "@-"]),
        ("POST", "@it's text", 10, ["--data-raw", "@it's text"]),
        ("POST", "12", 4, ["--data-raw", '"12"']),
        ("POST", {"total": 1}, 12, ["--data-raw", '{"total":1}']),
        ("DELETE", None, 0, ["-X", "DELETE"]),
    ],
    ids=["bytes", "text", "a text in JSON", "JSON", "no body"],
)
def test_a_delivery_copied_as_curl_is_the_same_request(
    desk: Console, method: str, body: Any, size: int, expected: list[str]
) -> None:
    event = delivery(method=method, body=body, size=size)
    desk.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    desk.page.route("**/api/events/evt_1", lambda route: route.fulfill(json=event))
    page = desk.open("/console/events/evt_1")
    # All pages of the browser have one clipboard.
    page.evaluate("navigator.clipboard.writeText('')")
    press(page, "Copy as curl")
    page.wait_for_function("async () => (await navigator.clipboard.readText()) !== ''")
    command = page.evaluate("navigator.clipboard.readText()")
    ran = subprocess.run(
        [BASH, "-c", PROGRAM + command], capture_output=True, text=True, check=True
    )
    said, _, read = ran.stdout.partition("\n")
    given = said.split("\0")[:-1]
    assert given[0] == f"{desk.client.platform.url}/api/webhooks/wh_1/a%20b/c?x=1&x=2"
    headers = {given[at + 1] for at, each in enumerate(given) if each == "-H"}
    assert headers == {"X-Shop: it's", "Content-Type:"}
    rest = [each for at, each in enumerate(given[1:], 1) if "-H" not in (each, given[at - 1])]
    assert rest == expected
    assert read.split() == (["00", "ff"] if size == 2 else [])


def test_a_delivery_that_is_shown_in_part_is_not_copied(desk: Console) -> None:
    event = delivery(method="POST", body="It begins", size=10**6, bodyTruncated=True)
    desk.page.route("**/api/events/evt_1", lambda route: route.fulfill(json=event))
    page = desk.open("/console/events/evt_1")
    expect(page.get_by_text("a replay sends it")).to_be_visible()
    expect(page.get_by_role("button", name="Copy as curl")).to_have_count(0)


def delivery(**more: Any) -> dict[str, Any]:
    """An event as the API shows it."""
    return {"eventId": "evt_1", "webhookId": "wh_1", "provider": "webhook",
            "receivedAt": "2026-11-01T10:00:00Z", "outcome": "dispatched", "types": ["webhook"],
            "path": "a b/c", "headers": {"X-Shop": "it's", "Host": "elsewhere"},
            "query": {"x": ["1", "2"]}, "events": [], "workflows": [], **more}  # fmt: skip


# -- connections --


def test_a_new_connection_does_not_replace_one_of_its_name(desk: Console, bot: str) -> None:
    before = desk.client.save("telegram", {"botToken": bot})
    page = desk.open("/console/connections/telegram")
    press(page, "Add another connection")
    page.get_by_label("Connection name").fill("default")
    page.get_by_label("Bot token").first.fill(bot)
    press(page, "Save")
    expect(page.get_by_role("alert")).to_contain_text("of this name already")
    expect(page.get_by_text("Choose another name")).to_be_visible()
    (after,) = desk.client.get("/api/integrations/status").json()["telegram"]["connections"]
    assert after["updatedAt"] == before["updatedAt"]
    page.get_by_label("Connection name").fill("second")
    press(page, "Save")
    expect(page.get_by_role("region", name="Connection second")).to_be_visible()
    expect(page.get_by_label("Connection name")).to_have_count(0)


def test_a_log_in_for_a_new_connection_does_not_replace_one_of_its_name(desk: Console) -> None:
    known = {"provider": "sheets_oauth", "connection": "shop", "status": "connected",
             "account": None, "connectedAt": "2026-11-01T10:00:00Z",
             "updatedAt": "2026-11-01T10:00:00Z"}  # fmt: skip
    states = {"sheets_oauth": {"status": "connected", "connections": [known]}}
    desk.page.route("**/api/integrations/status", lambda route: route.fulfill(json=states))
    desk.page.route("**/credentials?connection=*", lambda route: route.fulfill(json=known))
    page = desk.open("/console/connections/sheets_oauth")
    press(page, "Add another connection")
    page.get_by_label("Connection name").fill("shop")
    page.get_by_role("button", name="Log in with Google Sheets").click()
    expect(page.get_by_role("alert")).to_contain_text("of this name already")
    assert not [url for url in desk.requests if "/oauth/start/" in url]


def test_a_test_leaves_alone_what_is_typed_for_another_connection(desk: Console, bot: str) -> None:
    desk.client.save("telegram", {"botToken": bot})
    page = desk.open("/console/connections/telegram")
    press(page, "Add another connection")
    page.get_by_label("Connection name").fill("second")
    first = page.get_by_role("region", name="Connection default")
    first.get_by_role("button", name="Test").click()
    expect(first.get_by_text("It works.")).to_be_visible()
    expect(first.get_by_role("button", name="Test")).to_be_enabled()
    expect(page.get_by_label("Connection name")).to_have_value("second")


def test_what_is_typed_during_a_test_is_not_called_tested(desk: Console, bot: str) -> None:
    held = Held()
    desk.page.route("**/telegram/test", held)
    page = desk.open("/console/connections/telegram")
    page.get_by_label("Bot token").first.fill(bot)
    press(page, "Test")
    held.wait(page)
    page.get_by_label("Bot token").first.fill("another")
    held.routes[0].continue_()
    expect(page.get_by_role("button", name="Test", exact=True)).to_be_enabled()
    expect(page.get_by_text("It works.")).to_have_count(0)


def test_a_deletion_that_fails_is_told_though_its_dialog_was_closed(
    desk: Console, bot: str
) -> None:
    desk.client.save("telegram", {"botToken": bot})
    held = Held()
    page = desk.open("/console/connections/telegram")
    press(page, "Delete")
    page.route("**/telegram/credentials?*", held)
    dialog(page, "Delete")
    held.wait(page)
    asked = page.get_by_role("dialog")
    expect(asked.get_by_role("button", name="Cancel")).to_be_disabled()
    dialog(page, "Close")
    expect(asked).to_have_count(0)
    for route in held.routes:
        route.abort()
    expect(asked.get_by_role("alert")).to_contain_text("does not answer")
    dialog(page, "Cancel")
    expect(asked).to_have_count(0)


def test_a_failure_at_the_moment_of_the_closing_is_told_too(desk: Console, bot: str) -> None:
    """Browsers tell of a closed dialog a little later, which once took the failure away."""
    desk.client.save("telegram", {"botToken": bot})
    page = desk.open("/console/connections/telegram")
    press(page, "Delete")
    page.evaluate(
        """() => {
          const real = window.fetch;
          window.fetch = (url, given) =>
            given?.method !== "DELETE"
              ? real(url, given)
              : new Promise((_, fail) =>
                  new MutationObserver(
                    () =>
                      document.querySelector("dialog") || fail(new TypeError("Failed to fetch")),
                  ).observe(document.body, { childList: true, subtree: true }),
                );
        }"""
    )
    dialog(page, "Delete")
    asked = page.get_by_role("dialog")
    expect(asked.get_by_role("button", name="Cancel")).to_be_disabled()
    dialog(page, "Close")
    expect(asked.get_by_role("alert")).to_contain_text("does not answer")
    page.wait_for_timeout(500)
    expect(asked.get_by_role("alert")).to_contain_text("does not answer", timeout=1)


def test_a_title_that_looks_like_a_moment_is_a_title(desk: Console, bot: str) -> None:
    desk.client.save("telegram", {"botToken": bot})
    titles = {"title": "2026-11-01T10:00:00 orders", "other": "2026-13-45T99:99:99Z"}

    def answer(route: Route) -> None:
        found = route.fetch().json()
        route.fulfill(json={**found, "account": {**found["account"], "details": titles}})

    desk.page.route("**/telegram/credentials?connection=default", answer)
    page = desk.open("/console/connections/telegram")
    for title in titles.values():
        expect(page.get_by_text(title)).to_be_visible()
    assert not desk.faults


def test_a_page_whose_catalogue_did_not_come_is_there_after_another_try(desk: Console) -> None:
    desk.page.route("**/api/integrations", lambda route: route.abort())
    page = desk.open("/console/connections/telegram")
    expect(page.get_by_role("alert")).to_contain_text("does not answer")
    page.unroute("**/api/integrations")
    press(page, "Try again")
    expect(page.get_by_label("Bot token").first).to_be_visible()


def test_a_log_in_whose_session_is_gone_does_not_wait_for_ever(desk: Console) -> None:
    gone = {"status": 404, "title": "Not found", "detail": "No", "code": "unknown_handshake"}
    desk.page.context.route(f"{ISSUER}/**", lambda route: route.fulfill(body="Who are you?"))
    desk.page.route("**/oauth/status/**", lambda route: route.fulfill(status=404, json=gone))
    page = desk.open("/console/connections/sheets_oauth")
    page.get_by_role("button", name="Log in with Google Sheets").click()
    expect(page.get_by_role("alert")).to_contain_text("The session ended before the log-in did")
    expect(page.get_by_role("button", name="Log in with Google Sheets")).to_be_enabled()
