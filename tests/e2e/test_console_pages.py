"""Pages of the console where the network fails, lists are long, and people press twice."""

import uuid
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e import console
from tests.e2e.conftest import Client, StandIns, eventually
from tests.e2e.console import Console

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


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def dialog(page: Page, word: str) -> None:
    page.get_by_role("dialog").get_by_role("button", name=word, exact=True).click()


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
