"""The console in a real Chromium, against the deployed stack and the providers' stand-ins."""

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.e2e import console
from tests.e2e.conftest import JWT_AUDIENCE, MAIL_PASSWORD, MAIL_USER, Client, StandIns
from tests.e2e.console import Console, press
from tests.e2e.secrecy import lines
from tests.fakes.google import ISSUER, Consent, FakeGoogle

if TYPE_CHECKING:
    from tests.fakes.facebook import FacebookStandIn

pytestmark = pytest.mark.e2e

PLACES = (
    "/", "/console/workflows", "/console/workflows/new", "/console/executions", "/console/events",
    "/console/playground", "/console/settings/tokens", "/console/settings/reference",
    "/console/settings/origins",
    "/console/connections/webhook", "/console/connections/email",
)  # fmt: skip


@pytest.fixture
def vault(chromium: Browser, client: Client) -> Iterator[Console]:
    with console.of(chromium, client) as opened:
        yield opened


# -- the first page --


def test_the_first_page_is_there_without_errors_and_asks_nobody_else(vault: Console) -> None:
    page = vault.open("/")
    expect(page.get_by_role("heading", name="Connections")).to_be_visible()
    expect(page.get_by_role("article")).to_have_count(7)
    expect(page.locator("[data-state=disconnected]")).to_have_count(7)
    assert not vault.faults
    assert not vault.seen_elsewhere()
    sizes: float = page.evaluate(
        "performance.getEntriesByType('resource')"
        ".filter((each) => each.name.includes('/assets/'))"
        ".reduce((sum, each) => sum + each.encodedBodySize, 0)"
    )
    assert 5_000 < sizes < 120_000


def test_on_a_laptop_nobody_has_to_log_in(chromium: Browser, client: Client) -> None:
    with console.of(chromium, client, token="") as opened:
        page = opened.open("/")
        expect(page.get_by_role("article")).to_have_count(7)


# -- a provider's form --


@dataclass(frozen=True)
class Form:
    """What one types into a provider's form.

    Attributes:
        good: Label → text; `secrets` are the labels whose text must be nowhere afterwards.
        bad: Label → text that is refused, together with the rest of `good`.
    """

    good: Mapping[str, str]
    bad: Mapping[str, str]
    secrets: tuple[str, ...]
    choices: Mapping[str, str] = field(default_factory=dict)


def telegram(stand_ins: StandIns) -> Form:
    unique = uuid.uuid4()
    token = f"{unique.int % 10**9 + 10**9}:AA{unique.hex}"
    stand_ins.telegram.add_bot(token)
    return Form({"Bot token": token}, {"Bot token": "no token"}, ("Bot token",))


def sheets(stand_ins: StandIns) -> Form:
    key = json.dumps(stand_ins.google.add_service_account())
    book = stand_ins.google.add_book()
    return Form(
        {"Service account": key, "Spreadsheet": book.id},
        {"Service account": '{"type": "service_account"}'},
        ("Service account",),
    )


def facebook(stand_ins: StandIns) -> Form:
    opened = stand_ins.facebook
    user = opened.add_user("Ann", pages=[opened.add_page("Bakery")])
    token = opened.user_token(user)
    return Form(
        {"App ID": opened.app_id, "App secret": opened.app_secret, "Access token": token},
        {"App ID": "no number"},
        ("App secret", "Access token"),
    )


def email(stand_ins: StandIns) -> Form:
    return Form(
        {
            "Server": "localhost",
            "Port": str(stand_ins.mail.port),
            "User": MAIL_USER,
            "Password": MAIL_PASSWORD,
            "Sender": "shop@example.com",
        },
        {"Port": "70000"},
        ("Password",),
    )


def webhook(_: StandIns) -> Form:
    name = f"orders-{uuid.uuid4().hex[:12]}"
    return Form(
        {"URL": f"https://example.com/hooks/{name}", "Secret": f"s3cret-{uuid.uuid4().hex}"},
        {"URL": "no address"},
        ("Secret",),
        {"Type": "github"},
    )


def fill(page: Page, form: Form, values: Mapping[str, str]) -> None:
    for label, text in values.items():
        page.get_by_label(re.compile(rf"^{label}( |$)")).and_(
            page.locator("input, textarea")
        ).first.fill(text)
    for label, choice in form.choices.items():
        page.get_by_label(label).select_option(choice)


@pytest.mark.parametrize(
    ("provider", "make"),
    [("telegram", telegram), ("sheets", sheets), ("facebook", facebook), ("email", email),
     ("webhook", webhook)],
    ids=lambda each: each if isinstance(each, str) else "",
)  # fmt: skip
def test_a_provider_is_refused_at_its_field_tested_saved_and_deleted(
    vault: Console, stand_ins: StandIns, provider: str, make: Callable[[StandIns], Form]
) -> None:
    form = make(stand_ins)
    page = vault.open(f"/console/connections/{provider}")
    fill(page, form, {**form.good, **form.bad})
    press(page, "Save")
    refused = page.locator("[aria-invalid=true]")
    expect(refused).to_have_count(1)
    (label,) = form.bad
    expect(page.locator(f"label[for='{refused.get_attribute('id')}']")).to_contain_text(label)
    assert page.locator(".field .error").inner_text()

    fill(page, form, {label: form.good[label] for label in form.bad})
    press(page, "Test")
    expect(page.get_by_text("It works.")).to_be_visible()
    press(page, "Save")
    connection = page.get_by_role("region", name="Connection default")
    expect(connection.locator("[data-state=connected]")).to_be_visible()

    opened = vault.everywhere()
    for secret in form.secrets:
        text = form.good[secret]
        assert text not in opened
        assert json.dumps(text)[1:-1] not in opened
        assert not [url for url in vault.requests if text in url]
    vault.open("/")
    expect(page.locator("[data-state=connected]")).to_have_count(1)

    vault.open(f"/console/connections/{provider}")
    press(page, "Test")
    expect(page.get_by_text("It works.")).to_be_visible()
    press(page, "Delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("heading", name="Connect", exact=True)).to_be_visible()
    assert not vault.client.get("/api/integrations/status").json()[provider]["connections"]


@pytest.mark.parametrize(
    ("choice", "verified"), [("", "secret"), ("yes", "secret"), ("no", "none")]
)
def test_a_webhook_s_secret_is_verified_by_a_choice_and_not_by_a_typed_word(
    vault: Console, stand_ins: StandIns, choice: str, verified: str
) -> None:
    form = webhook(stand_ins)
    page = vault.open("/console/connections/webhook")
    fill(page, Form(form.good, {}, ()), form.good)
    page.get_by_label("Verify the secret").select_option(choice)
    press(page, "Save")
    expect(page.locator("[data-state=connected]")).to_be_visible()
    saved = vault.client.get("/api/integrations/webhook/credentials").json()
    assert saved["webhook"]["verification"]["type"] == verified


def test_a_typed_secret_is_in_no_log(vault: Console, stand_ins: StandIns) -> None:
    form = telegram(stand_ins)
    page = vault.open("/console/connections/telegram")
    fill(page, form, form.good)
    press(page, "Save")
    expect(page.locator("[data-state=connected]")).to_be_visible()
    log = "\n".join(lines(vault.client.platform))
    assert "/api/integrations/{providerId}/credentials" in log
    assert form.good["Bot token"] not in log


def test_a_connection_in_use_names_the_workflows(vault: Console, stand_ins: StandIns) -> None:
    vault.client.save("telegram", {"botToken": telegram(stand_ins).good["Bot token"]})
    step = {"id": "a", "action": "telegram.sendMessage", "params": {"chatId": 1, "text": "x"}}
    vault.client.create_workflow(
        {"name": "Tell the team", "trigger": {"type": "manual"}, "steps": [step]}
    )
    page = vault.open("/console/connections/telegram")
    press(page, "Delete")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Delete", exact=True).click()
    expect(dialog.get_by_role("alert")).to_contain_text("Tell the team")


# -- logging in at a provider --


@pytest.fixture
def google(stand_ins: StandIns) -> Iterator[FakeGoogle]:
    opened = stand_ins.google
    opened.consent = Consent()
    yield opened
    opened.consent = Consent()


@pytest.fixture
def logins(vault: Console, google: FakeGoogle) -> Console:
    """A console in whose browser Google's log-in is the stand-in's."""

    def go(route: Route) -> None:
        url = google.url + route.request.url.removeprefix(ISSUER)
        route.fulfill(status=302, headers={"Location": url})

    vault.page.context.route(f"{ISSUER}/**", go)
    return vault


def test_google_is_connected_by_a_log_in(logins: Console) -> None:
    page = logins.open("/console/connections/sheets_oauth")
    with page.expect_popup() as popup:
        page.get_by_role("button", name="Log in with Google Sheets").click()
    expect(page.locator("[data-state=connected]")).to_be_visible()
    if not popup.value.is_closed():
        popup.value.wait_for_event("close")
    assert "access_token" not in logins.everywhere()


def test_who_refuses_at_google_is_told_so(logins: Console, google: FakeGoogle) -> None:
    google.consent = Consent(deny=True)
    page = logins.open("/console/connections/sheets_oauth")
    page.get_by_role("button", name="Log in with Google Sheets").click()
    expect(page.get_by_role("alert")).to_contain_text("Not connected.")
    expect(page.get_by_role("button", name="Log in with Google Sheets")).to_be_enabled()


def test_a_blocked_window_leaves_a_link(logins: Console) -> None:
    logins.page.add_init_script("window.open = () => null")
    page = logins.open("/console/connections/sheets_oauth")
    page.get_by_role("button", name="Log in with Google Sheets").click()
    link = page.get_by_role("link", name="Open the log-in yourself")
    expect(link).to_be_visible()
    logins.picture("log-in-blocked")
    with page.context.expect_page():
        link.click()
    expect(page.locator("[data-state=connected]")).to_be_visible()


def test_a_log_in_that_took_too_long_says_so(vault: Console) -> None:
    vault.page.context.route(f"{ISSUER}/**", lambda route: route.fulfill(body="Who are you?"))
    page = vault.open("/console/connections/sheets_oauth")
    with page.expect_response("**/oauth/start/**") as started:
        page.get_by_role("button", name="Log in with Google Sheets").click()
    platform = vault.client.platform
    platform.client("dynamodb").update_item(
        TableName=platform.name("HandshakesTable"),
        Key={"handshakeId": {"S": started.value.json()["handshakeId"]}},
        UpdateExpression="SET deadline = :past",
        ExpressionAttributeValues={":past": {"N": str(int(time.time()) - 1)}},
    )
    expect(page.get_by_role("alert")).to_contain_text("in time; start again")
    expect(page.get_by_role("button", name="Log in with Google Sheets")).to_be_enabled()
    vault.picture("log-in-too-late")


@pytest.mark.parametrize("denied", [False, True], ids=["agrees", "refuses"])
def test_facebook_is_connected_by_a_log_in_or_not(
    vault: Console, stand_ins: StandIns, *, denied: bool
) -> None:
    opened: FacebookStandIn = stand_ins.facebook
    before = opened.login_user
    opened.login_user = opened.add_user("Ann", pages=[opened.add_page("Bakery")])
    opened.denied = denied
    try:
        page = vault.open("/console/connections/facebook_oauth")
        page.get_by_role("button", name="Log in with Facebook Pages").click()
        if denied:
            expect(page.get_by_role("alert")).to_contain_text("Not connected.")
        else:
            expect(page.locator("[data-state=connected]")).to_be_visible()
    finally:
        opened.login_user, opened.denied = before, False


# -- who may --


def test_a_wrong_token_says_log_in_again_and_a_right_one_opens(
    chromium: Browser, client: Client
) -> None:
    with console.of(chromium, client, token=f"ib_{'x' * 43}") as opened:
        page = opened.open("/")
        expect(page.get_by_text("Log in again.")).to_be_visible()
        page.get_by_label("API token").fill(f"ib_{'y' * 43}")
        press(page, "Use this token")
        expect(page.get_by_text("wrong or has expired")).to_be_visible()
        page.get_by_label("API token").fill(client.token)
        press(page, "Use this token")
        expect(page.get_by_role("article")).to_have_count(7)
        assert page.evaluate("JSON.stringify({...localStorage})") == "{}"
        press(page, "Log out")


def test_an_expired_token_says_log_in_again(chromium: Browser, client: Client) -> None:
    expired = f"ib_{uuid.uuid4().hex}{uuid.uuid4().hex[:11]}"
    client.platform.tokens.put(expired, tenant=client.tenant, name="old", scopes=("read",), days=-1)
    with console.of(chromium, client, token=expired) as opened:
        page = opened.open("/console/workflows")
        expect(page.get_by_text("Log in again.")).to_be_visible()
        expect(page.get_by_label("API token")).to_be_visible()
        opened.check_accessible()


def test_a_person_logs_in_at_the_stacks_issuer(
    chromium: Browser, client: Client, stand_ins: StandIns
) -> None:
    stand_ins.issuer.claims = {
        "aud": JWT_AUDIENCE, "tenant": client.tenant, "scope": "openid read write",
    }  # fmt: skip
    with console.of(chromium, client, token=f"ib_{'x' * 43}") as opened:
        page = opened.open("/console/workflows")
        press(page, "Log in")
        expect(page.get_by_role("heading", name="Workflows")).to_be_visible()
        expect(page.get_by_text("No workflows yet")).to_be_visible()
        assert page.url == f"{client.platform.url}/console/workflows"
        assert "code=" not in opened.everywhere()
        assert page.evaluate("sessionStorage.getItem('integrations.token')").count(".") == 2


# -- for everybody --


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_every_page_fits_a_phone(
    chromium: Browser, client: Client, scheme: str
) -> None:
    size = {"width": 375, "height": 812}
    with console.of(chromium, client, color_scheme=scheme, viewport=size) as opened:
        for place in PLACES:
            page = opened.open(place)
            # Not until the network is idle: a page that looks again and again may never be.
            expect(page.get_by_role("heading").first).to_be_visible()
            expect(page.get_by_text(re.compile("^(Loading|Checking)…$"))).to_have_count(0)
            opened.check_accessible()
            opened.check_fits()


def test_a_connection_is_made_by_keyboard_alone(vault: Console, stand_ins: StandIns) -> None:
    form = telegram(stand_ins)
    page = vault.open("/")
    expect(page.get_by_role("link", name="Connect Telegram")).to_be_visible()
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    for _ in range(20):
        page.keyboard.press("Tab")
        if focused(page) == "Connect Telegram":
            break
    page.keyboard.press("Enter")
    # The card of the page before has a heading of this name, too.
    expect(page.get_by_role("heading", name="Telegram", exact=True, level=1)).to_be_visible()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "password":
            break
    page.keyboard.type(form.good["Bot token"])
    page.keyboard.press("Enter")
    expect(page.locator("[data-state=connected]")).to_be_visible()


def focused(page: Page) -> str:
    text: str = page.evaluate("document.activeElement.textContent")
    return " ".join(text.split())
