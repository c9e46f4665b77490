"""Connect sessions in a real Chromium: the sample application of another origin, and our window."""

import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from local import node
from local.report import Report
from tests.e2e import console
from tests.e2e.conftest import Client, StandIns
from tests.e2e.console import Console, until
from tests.fakes.google import ISSUER, Consent
from tools.template import ROOT

pytestmark = pytest.mark.e2e

APPLICATION = "http://localhost:5173"
"""The origin that the stack calls the front end's."""


@pytest.fixture(scope="module")
def _client_is_built() -> None:
    command = [sys.executable, "-m", "local.console", "run", "build", "-w", "clients/typescript"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


@pytest.fixture
def server(client: Client, _client_is_built: None) -> Iterator[str]:
    """The sample application's server, with this tenant's token; where it listens."""
    env = node.environment(Report(quiet=True))
    program = shutil.which("node", path=env["PATH"])
    assert program
    process = subprocess.Popen(
        [program, str(ROOT / "examples" / "web" / "server.mjs")],
        env={**env, "API": client.platform.url, "TOKEN": client.token, "PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
def shop(chromium: Browser, client: Client, server: str) -> Iterator[Console]:
    """A browser with the sample application open, at the front end's own origin."""

    def serve(route: Route) -> None:
        route.continue_(url=server + route.request.url.removeprefix(APPLICATION))

    with console.of(chromium, client, token="") as opened:
        opened.page.context.route(f"{APPLICATION}/**", serve)
        opened.page.goto(APPLICATION)
        yield opened


@pytest.fixture
def bot(stand_ins: StandIns) -> str:
    unique = uuid.uuid4()
    token = f"{unique.int % 10**9 + 10**9}:AA{unique.hex}"
    stand_ins.telegram.add_bot(token)
    return token


def session(client: Client, *providers: str, **more: object) -> str:
    answer = client.post("/api/connect/sessions", {"providers": providers, **more})
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["connectUrl"]
    return url


def type_bot(page: Page, bot: str) -> None:
    page.get_by_label("Bot token").first.fill(bot)
    page.get_by_role("button", name="Save", exact=True).click()


def state(page: Page) -> str:
    return page.locator("#state").inner_text()


def test_the_sample_application_connects_its_customers_and_shows_a_row(
    shop: Console, stand_ins: StandIns, bot: str
) -> None:
    page = shop.page
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Connect Telegram").click()
    window = popup.value
    expect(window.get_by_role("heading", name="Connect Telegram")).to_be_visible()
    assert "ics_" not in window.url
    type_bot(window, bot)
    expect(page.locator("#state")).to_have_text("telegram: connected")
    assert bot not in shop.everywhere()

    book = stand_ins.google.add_book({"Orders": [["Id"], ["7"]]})
    key = stand_ins.google.add_service_account()
    shop.client.save("sheets", {"serviceAccount": key, "spreadsheetId": book.id}, "customer-1")
    page.get_by_label("Sheet").fill("Orders")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#row")).to_contain_text("7")
    assert (
        shop.client.get(
            "/api/integrations/telegram/credentials", params={"connection": "customer-1"}
        ).json()["status"]
        == "connected"
    )


def test_a_closed_window_is_a_cancelled_connection(shop: Console) -> None:
    with shop.page.expect_popup() as popup:
        shop.page.get_by_role("button", name="Connect Telegram").click()
    window = popup.value
    expect(window.get_by_role("heading", name="Connect Telegram")).to_be_visible()
    window.get_by_role("button", name="Cancel").click()
    expect(shop.page.locator("#state")).to_have_text("telegram: cancelled")


def test_a_window_that_is_quicker_than_its_opener_is_heard(shop: Console, bot: str) -> None:
    page = shop.page
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/api/connect/session", hold)
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Connect Telegram").click()
    with popup.value.expect_event("close"):
        type_bot(popup.value, bot)
    until(page, lambda: bool(held))
    held[0].continue_()
    expect(page.locator("#state")).to_have_text("telegram: connected")


def test_a_page_without_an_origin_of_its_own_opens_the_window_all_the_same(
    shop: Console,
) -> None:
    with shop.page.expect_popup() as popup:
        shop.page.evaluate("open", session(shop.client, "telegram") + "&origin=null")
    with popup.value.expect_event("close"):
        popup.value.get_by_role("button", name="Cancel", exact=True).click()
    assert not shop.faults


def test_nobody_else_can_say_that_it_is_connected(shop: Console) -> None:
    page = shop.page
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Connect Telegram").click()
    expect(popup.value.get_by_role("heading", name="Connect Telegram")).to_be_visible()
    page.evaluate(
        "postMessage({type: 'integrations.connect', status: 'connected', provider: 'telegram',"
        " connection: 'customer-1'}, '*')"
    )
    page.wait_for_timeout(500)
    assert state(page) == ""


def test_a_blocked_window_is_offered_as_a_link_and_the_connection_noticed(
    shop: Console, bot: str
) -> None:
    page = shop.page
    page.evaluate("window.open = () => null")
    page.get_by_role("button", name="Connect Telegram").click()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open the window yourself").click()
    type_bot(opened.value, bot)
    expect(page.locator("#state")).to_have_text("telegram: connected")


def test_a_page_that_is_kept_apart_from_its_windows_notices_the_connection(
    shop: Console, server: str, bot: str
) -> None:
    def apart(route: Route) -> None:
        response = route.fetch(url=f"{server}/")
        policy = {"Cross-Origin-Opener-Policy": "same-origin"}
        route.fulfill(response=response, headers={**response.headers, **policy})

    page = shop.page
    page.context.route(f"{APPLICATION}/", apart)
    page.goto(APPLICATION)
    page.evaluate(
        """() => {
            const { open } = window;
            window.open = (...given) => (window.shown = open(...given));
        }"""
    )
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="Connect Telegram").click()
    window = opened.value
    expect(window.get_by_role("heading", name="Connect Telegram")).to_be_visible()
    page.wait_for_function("window.shown.closed")
    page.wait_for_timeout(7_000)
    assert state(page) == ""
    type_bot(window, bot)
    expect(page.locator("#state")).to_have_text("telegram: connected")


@pytest.fixture
def asking(shop: Console, stand_ins: StandIns) -> Iterator[Page]:
    """The connect window of a log-in that Google's stand-in will refuse."""
    google = stand_ins.google

    def go(route: Route) -> None:
        url = google.url + route.request.url.removeprefix(ISSUER)
        route.fulfill(status=302, headers={"Location": url})

    shop.page.context.route(f"{ISSUER}/**", go)
    google.consent = Consent(deny=True)
    given = {
        "token": session(shop.client, "sheets_oauth").partition("token=")[2],
        "baseUrl": shop.client.platform.url,
        "provider": "sheets_oauth",
    }
    with shop.page.expect_popup() as popup:
        shop.page.evaluate(
            """async (given) => {
                const { connect } = await import("@integrations-backend/client");
                connect(given).then((ended) => { window.ended = ended; });
            }""",
            given,
        )
    try:
        yield popup.value
    finally:
        google.consent = Consent()


def test_a_log_in_that_failed_is_no_end_as_long_as_another_may_succeed(
    shop: Console, asking: Page, stand_ins: StandIns
) -> None:
    asking.get_by_role("button", name="Log in with Google Sheets").click()
    expect(asking.get_by_role("alert")).to_contain_text("Not connected.")
    assert shop.page.evaluate("window.ended") is None
    stand_ins.google.consent = Consent()
    asking.get_by_role("button", name="Log in with Google Sheets").click()
    shop.page.wait_for_function("window.ended")
    assert shop.page.evaluate("window.ended.status") == "connected"


def test_who_leaves_after_a_log_in_that_failed_has_failed(shop: Console, asking: Page) -> None:
    asking.get_by_role("button", name="Log in with Google Sheets").click()
    expect(asking.get_by_role("alert")).to_contain_text("Not connected.")
    asking.get_by_role("button", name="Cancel", exact=True).click()
    shop.page.wait_for_function("window.ended")
    ended = shop.page.evaluate("window.ended")
    assert ended["status"] == "failed"
    assert ended["message"]


def test_a_session_is_for_its_providers_alone_and_ends(chromium: Browser, client: Client) -> None:
    with console.of(chromium, client, token="") as opened:
        opened.page.goto(session(client, "telegram") + "&provider=email")
        expect(opened.page.get_by_role("alert")).to_contain_text("not for email")
        opened.page.goto("about:blank")
        opened.page.goto(f"{client.platform.url}/connect#token=ics_{'x' * 43}")
        expect(opened.page.get_by_role("alert")).to_contain_text("This session is over")
        opened.page.goto("about:blank")
        opened.page.goto(f"{client.platform.url}/connect")
        expect(opened.page.get_by_role("alert")).to_contain_text("without a session")


def test_a_session_logs_in_at_google_in_the_browser_that_began(
    chromium: Browser, client: Client, stand_ins: StandIns
) -> None:
    google = stand_ins.google
    google.consent = Consent()

    def go(route: Route) -> None:
        url = google.url + route.request.url.removeprefix(ISSUER)
        route.fulfill(status=302, headers={"Location": url})

    with console.of(chromium, client, token="") as opened:
        opened.page.context.route(f"{ISSUER}/**", go)
        opened.page.goto(session(client, "sheets_oauth", connection="shop"))
        opened.page.get_by_role("button", name="Log in with Google Sheets").click()
        expect(opened.page.get_by_role("heading", name="Connected", exact=True)).to_be_visible()
        (cookie,) = opened.page.context.cookies()
        assert cookie["httpOnly"]
    shown = client.get(
        "/api/integrations/sheets_oauth/credentials", params={"connection": "shop"}
    ).json()
    assert shown["status"] == "connected"


def test_a_session_opens_nothing_else_from_a_browser(chromium: Browser, client: Client) -> None:
    url = session(client, "telegram")
    with console.of(chromium, client, token="") as opened:
        opened.page.goto(url)
        refused = opened.page.evaluate(
            """async (token) => Promise.all(["/api/workflows", "/api/events", "/api/tokens",
                "/api/integrations/status", "/api/integrations/email/credentials"].map((path) =>
                fetch(path, {headers: {Authorization: `Bearer ${token}`}}).then(async (answer) =>
                    [answer.status, (await answer.json()).code])))""",
            url.partition("token=")[2],
        )
    assert refused == [[403, "insufficient_scope"]] * 5


def test_a_session_without_an_opener_leads_back_to_its_application(
    chromium: Browser, client: Client, bot: str
) -> None:
    back = f"{APPLICATION}/done"
    with console.of(chromium, client, token="") as opened:
        opened.page.context.route(f"{APPLICATION}/**", lambda route: route.fulfill(body="back"))
        opened.page.goto(session(client, "telegram", connection="shop", redirectUri=back))
        type_bot(opened.page, bot)
        opened.page.wait_for_url(f"{back}?provider=telegram&connection=shop&status=connected")
        assert bot not in " ".join(opened.requests)


def test_the_connect_page_is_for_everybody(chromium: Browser, client: Client) -> None:
    size = {"width": 375, "height": 700}
    with console.of(chromium, client, token="", viewport=size) as opened:
        opened.page.goto(session(client, "telegram", "sheets_oauth"))
        opened.page.get_by_role("button", name="Telegram").click()
        expect(opened.page.get_by_label("Bot token").first).to_be_visible()
        opened.check_accessible()
        opened.check_fits()
        assert not opened.faults
        opened.picture("connect")
