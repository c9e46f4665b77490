"""Workflows, executions, events and settings in the console, in a real Chromium."""

import re
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from playwright.sync_api import Browser, Route, expect

from tests.e2e import console
from tests.e2e.conftest import Client, StandIns, eventually
from tests.e2e.console import Console, dialog

pytestmark = pytest.mark.e2e

SECRET = "the-shop-s-own-secret"
EDITOR = "The workflow's definition, as JSON"


@pytest.fixture
def desk(chromium: Browser, client: Client, stand_ins: StandIns) -> Iterator[Console]:
    """A console whose tenant has a bot and a webhook, with a token for everything."""
    unique = uuid.uuid4()
    bot = f"{unique.int % 10**9 + 10**9}:AA{unique.hex}"
    stand_ins.telegram.add_bot(bot)
    client.save("telegram", {"botToken": bot})
    token = client.platform.tokens.create(
        tenant=client.tenant, name="desk", scopes=("read", "write", "admin")
    )
    with console.of(chromium, client, token=token) as opened:
        yield opened


@pytest.fixture
def orders(desk: Console) -> str:
    """A webhook's id."""
    name = f"orders-{uuid.uuid4().hex[:12]}"
    given = {"url": f"https://example.com/hooks/{name}", "secret": SECRET, "verifySecret": True}
    return str(desk.client.save("webhook", given)["webhook"]["id"])


def deliver(desk: Console, webhook_id: str, body: Any, secret: str = SECRET) -> int:
    url = f"{desk.client.platform.url}/api/webhooks/{webhook_id}"
    answer = requests.post(url, json=body, headers={"X-Webhook-Secret": secret}, timeout=60)
    return answer.status_code


def flow(name: str, trigger: dict[str, Any], text: str) -> dict[str, Any]:
    step = {
        "id": "tell",
        "action": "telegram.sendMessage",
        "params": {"chatId": 42, "text": text},
        "retry": {"maxAttempts": 1},
    }
    return {"name": name, "trigger": trigger, "steps": [step]}


def test_a_workflow_is_written_created_run_and_read(desk: Console) -> None:
    page = desk.open("/console/workflows")
    page.get_by_role("link", name="New workflow").click()
    editor = page.get_by_label(EDITOR)
    broken = editor.input_value().replace('"trigger": {', '"trigger": ')
    editor.fill(broken)
    expect(page.get_by_text(re.compile(r"^Line \d+"))).to_be_visible()
    expect(page.get_by_role("button", name="Create")).to_be_disabled()
    editor.fill(
        """{"name": "Say hello", "trigger": {"type": "manual"}, "steps": [{"id": "tell",
        "action": "telegram.sendMessage", "params":
        {"chatId": 42, "text": "Hi {{ trigger.who }}"}}]}"""
    )
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="Say hello")).to_be_visible()
    desk.picture("workflow")
    page.get_by_role("tab", name="Preview").click()
    page.get_by_label("Sample data").fill('{"who": "Bob"}')
    page.get_by_role("button", name="Show what would be sent").click()
    expect(page.get_by_label("What tell would send")).to_contain_text("Hi Bob")
    assert desk.client.executions() == []
    desk.picture("preview")
    page.get_by_role("tab", name="Run").click()
    page.get_by_label("Sample data").fill('{"who": "Ann"}')
    page.get_by_role("button", name="Run “Say hello” now").click()
    expect(page.locator("main .head [data-state=succeeded]")).to_be_visible()
    expect(page.get_by_label("Output of tell")).to_contain_text("Hi Ann")
    desk.picture("execution")
    page.get_by_role("link", name="Workflows", exact=True).click()
    switch = page.get_by_label("Say hello is on")
    expect(switch).to_be_checked()
    switch.click()
    expect(switch).not_to_be_checked()
    (saved,) = desk.client.get("/api/workflows").json()["items"]
    assert saved["enabled"] is False


def test_a_workflow_is_edited_and_deleted(desk: Console) -> None:
    made = desk.client.create_workflow(flow("Old name", {"type": "manual"}, "x"))
    page = desk.open(f"/console/workflows/{made['workflowId']}")
    editor = page.get_by_label(EDITOR)
    editor.fill(editor.input_value().replace("Old name", "New name"))
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="New name")).to_be_visible()
    expect(page.get_by_text("Version 2")).to_be_visible()
    page.get_by_role("button", name="Delete", exact=True).click()
    dialog(page, "Delete")
    expect(page.get_by_text("No workflows yet")).to_be_visible()
    assert desk.client.get("/api/workflows").json()["items"] == []


def test_a_failed_execution_is_found_and_retried(desk: Console) -> None:
    made = desk.client.create_workflow(flow("Broken", {"type": "manual"}, "{{ trigger.missing }}"))
    desk.client.post(f"/api/workflows/{made['workflowId']}/run", {"input": {}})
    desk.client.finished()
    desk.page.clock.install()
    page = desk.open("/console/executions?status=failed")
    page.get_by_role("link", name="Broken").click()
    expect(page.locator("main .head [data-state=failed]")).to_be_visible()
    expect(page.get_by_role("alert").first).to_contain_text("missing")
    desk.picture("failed")
    # What is said for a few seconds is there until the time goes on.
    page.clock.pause_at(time.time() + 3_600)
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.get_by_text("It goes on at the step that failed")).to_be_visible()
    page.clock.resume()
    desk.client.finished()
    first = page.url
    page.get_by_role("button", name="Run again from the start").click()
    page.wait_for_url(lambda url: url != first)
    page.goto(f"{desk.client.platform.url}/console/executions")
    page.get_by_role("button", name="Retry all failed").click()
    dialog(page, "Retry them")
    expect(page.locator("[data-state=succeeded], [data-state=running]").first).to_be_visible()


def test_a_delivery_is_seen_explained_and_replayed(desk: Console, orders: str) -> None:
    trigger = {"type": "webhook", "webhookId": orders, "filter": "trigger.body.total > 10"}
    desk.client.create_workflow(flow("Large orders", trigger, "{{ trigger.body.total }}"))
    page = desk.open("/console/events")
    expect(page.get_by_text("No events here")).to_be_visible()
    assert deliver(desk, orders, {"total": 50}) == 200
    expect(page.locator("tbody [data-state=dispatched]")).to_have_count(1)
    assert deliver(desk, orders, {"total": 1}) == 200
    expect(page.locator("tbody [data-state=filtered]")).to_have_count(1)
    assert deliver(desk, orders, {"total": 2}, "another secret") == 401
    expect(page.locator("tbody [data-state=refused]")).to_have_count(1)
    desk.picture("events")

    page.locator("tbody tr").first.get_by_role("link").first.click()
    expect(page.get_by_text("shown to no workflow, and cannot be replayed")).to_be_visible()
    expect(page.get_by_role("button", name="Replay", exact=True)).to_have_count(0)
    page.get_by_role("link", name="← Events").click()
    row = page.locator("tbody tr").filter(has=page.locator("[data-state=dispatched]"))
    row.get_by_role("link").first.click()
    expect(page.get_by_role("link", name="Large orders")).to_be_visible()
    expect(page.get_by_label("The delivery's body")).to_contain_text('"total": 50')
    assert SECRET not in desk.everywhere()
    desk.picture("event")
    before = page.url
    page.get_by_role("button", name="Replay", exact=True).click()
    dialog(page, "Replay")
    page.wait_for_url(lambda url: url != before)
    expect(page.locator("main .head [data-state=dispatched]")).to_be_visible()
    assert len(desk.client.finished(2)) == 2
    desk.check_accessible()


def test_where_the_newest_have_nothing_of_a_filter_older_ones_are_looked_for(
    desk: Console, orders: str
) -> None:
    assert deliver(desk, orders, {"total": 1}) == 200
    (event,) = eventually(lambda: desk.client.listed("/api/events") or None)
    # As the API answers where a filter finds one event behind thousands.
    pages: dict[str | None, tuple[list[Any], str | None]] = {
        None: ([], "second"),
        "second": ([], "third"),
        "third": ([event], None),
    }

    def answer(route: Route) -> None:
        asked = parse_qs(urlsplit(route.request.url).query).get("nextToken")
        items, following = pages[asked[0] if asked else None]
        route.fulfill(json={"items": items, "nextToken": following})

    desk.page.route("**/api/events?*", answer)
    page = desk.open(f"/console/events?webhookId={orders}")
    expect(page.get_by_text("None among the newest")).to_be_visible()
    expect(page.get_by_text("No events here")).to_have_count(0)
    page.get_by_role("button", name="Look further").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_role("button", name="Load more")).to_have_count(0)


def test_an_action_is_tried_and_shown_for_programs(desk: Console) -> None:
    page = desk.open("/console/playground?provider=telegram&action=sendMessage")
    page.get_by_role("button", name="Run").click()
    expect(page.locator("[aria-invalid=true]").first).to_be_visible()
    page.get_by_label("Chat ID", exact=False).first.fill("42")
    page.get_by_label(re.compile("^Text")).first.fill("From the playground")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_label("The action's result")).to_contain_text("From the playground")
    for language, words in {"TypeScript": "createClient", "Python": "requests.post"}.items():
        page.get_by_role("tab", name=language).click()
        expect(page.get_by_label(f"The call in {language.lower()}")).to_contain_text(words)
    desk.picture("playground-run")


def test_a_token_is_shown_once_works_and_is_revoked(desk: Console) -> None:
    page = desk.open("/console/settings/tokens")
    page.get_by_role("button", name="New token").click()
    page.get_by_label("Name").fill("shop")
    page.get_by_role("button", name="Make it").click()
    shown = page.get_by_label("Token", exact=True)
    expect(shown).to_have_value(re.compile("^ib_"))
    token = shown.input_value()
    desk.picture("token")
    status = requests.get(
        f"{desk.client.platform.url}/api/integrations/status",
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )
    assert status.status_code == 200
    page.get_by_role("button", name="I have it").click()
    assert token not in desk.everywhere()
    row = page.locator("tbody tr").filter(has_text="shop")
    row.get_by_role("button", name="Revoke").click()
    dialog(page, "Revoke")
    expect(row).to_have_count(0)
    page.get_by_role("tab", name="Audit").click()
    expect(page.locator("tbody tr").first).to_be_visible()
    desk.picture("audit")


def test_a_secret_is_saved_by_name_and_never_shown(desk: Console) -> None:
    value = f"s3cret-{uuid.uuid4().hex}"
    page = desk.open("/console/settings/secrets")
    page.get_by_label("Name").fill("SHOP_KEY")
    page.get_by_label("Value").fill(value)
    page.get_by_role("button", name="Save").click()
    row = page.locator("tbody tr").filter(has_text="SHOP_KEY")
    expect(row).to_have_count(1)
    assert value not in desk.everywhere()
    assert not [url for url in desk.requests if value in url]
    row.get_by_role("button", name="Delete").click()
    dialog(page, "Delete")
    expect(row).to_have_count(0)
