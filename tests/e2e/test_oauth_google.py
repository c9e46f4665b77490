"""Google Sheets by logging in, as a browser does it, through the front door."""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import oidc_provider_mock
import pytest
import requests

from local import ports
from local.platform import Platform
from tests.e2e.browser import (
    CALLBACK,
    FRONTEND,
    SECRETS,
    Browser,
    Visit,
    handshake,
    log_in,
    start,
    state_of,
)
from tests.e2e.conftest import Client, StandIns, problem
from tests.e2e.secrecy import assert_absent
from tests.fakes import authorization
from tests.fakes.authorization import AuthorizationServer
from tests.fakes.google import ISSUER, SPREADSHEETS, Consent, Failure, FakeGoogle, s256

pytestmark = pytest.mark.e2e

HOSTILE = "</p><script>alert(1)</script>\"'`${1}\u2028 & <img src=x onerror=alert(2)>"


@pytest.fixture
def google(stand_ins: StandIns) -> Iterator[FakeGoogle]:
    """Google, whose person consents to everything."""
    stand_in = stand_ins.google
    stand_in.consent = Consent()
    yield stand_in
    stand_in.consent = Consent()
    stand_in._failures.clear()


@pytest.fixture
def browser(google: FakeGoogle) -> Browser:
    """A browser for which Google's log-in is the stand-in's."""
    return Browser({ISSUER: google.url})


@pytest.fixture(scope="module", autouse=True)
def _nothing_leaks(platform: Platform, stand_ins: StandIns) -> Iterator[None]:
    """No code, state, token or client secret is in a log line or in a table's item, in the end."""
    yield
    secrets = secrets_of(stand_ins.google) | SECRETS
    assert secrets > SECRETS, "tests of this worker made some"
    assert_absent(platform, secrets)


def secrets_of(google: FakeGoogle) -> set[str]:
    return {*google.access_tokens, *google.refresh_tokens, *google.clients.values()}


def callback(client: Client, provider: str = "sheets_oauth", **query: Any) -> Visit:
    """Come back to the callback with this query."""
    query_string = urlencode(query, doseq=True)
    return Browser().open(f"{client.platform.url}{CALLBACK}{provider}?{query_string}")


def coming_back(client: Client, browser: Browser, started: dict[str, Any]) -> dict[str, str]:
    """What Google sends the browser back with; the browser has not followed yet."""
    visit = browser.open(started["authUrl"], stop=client.platform.url)
    return visit.query


# -- In a connect session --------------------------------------------------------------------


def test_a_log_in_of_a_connect_session_ends_in_the_browser_where_it_was_begun(
    platform: Platform, client: Client, google: FakeGoogle
) -> None:
    body = {"providers": ["sheets_oauth"], "connection": "shop", "expiresIn": 300}
    made = client.post("/api/connect/sessions", body).json()
    session = Client(platform, made["token"], client.tenant)
    path = "/api/integrations/oauth/start/sheets_oauth"
    answer = session.post(path, {"connection": "shop"})
    assert answer.status_code == 200, answer.text
    started, cookies = answer.json(), answer.cookies.get_dict()
    SECRETS.update({state_of(started), *cookies.values()})
    (cookie,) = cookies
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert "SameSite=Lax" in answer.headers["Set-Cookie"]

    # Somebody else to whom the link was sent
    stranger = {ISSUER: google.url}
    for stand_in in ({}, {cookie: "A" * 43}):
        refused(Browser(stranger, stand_in).open(started["authUrl"]), "another browser")
    assert handshake(session, started["handshakeId"])["status"] == "pending"

    visit = Browser({ISSUER: google.url}, cookies).open(started["authUrl"])
    assert visit.title == "Connected"
    done = handshake(session, started["handshakeId"])
    assert (done["status"], done["credentials"]["connection"]) == ("completed", "shop")
    problem(session.post(path, {"connection": "other"}), 403, "insufficient_scope")


# -- The whole way ---------------------------------------------------------------------------


def test_a_person_logs_in_with_google_and_the_actions_run(
    client: Client, browser: Browser, google: FakeGoogle
) -> None:
    before = len(google.seen("token"))
    started = start(client, "sheets_oauth", connection="sales")

    # Where the person is sent
    url = urlsplit(started["authUrl"])
    asked = {name: value for name, (value,) in parse_qs(url.query).items()}
    assert (
        f"{url.scheme}://{url.netloc}{url.path}" == "https://accounts.google.com/o/oauth2/v2/auth"
    )
    assert asked["redirect_uri"] == f"{client.platform.url}{CALLBACK}sheets_oauth"
    assert asked["response_type"] == "code"
    assert (asked["access_type"], asked["prompt"]) == ("offline", "consent")
    assert asked["scope"].split() == [SPREADSHEETS, "openid", "email"]
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["state"].partition(".")[2]) >= 43
    assert handshake(client, started["handshakeId"]) == {
        "status": "pending",
        "credentials": None,
        "error": None,
    }

    # What the person sees in the end
    visit = browser.open(started["authUrl"])
    assert visit.page.status_code == 200
    assert visit.title == "Connected"
    assert visit.text.startswith("Connected as ann@example.com")
    assert visit.outcome == {
        "message": {
            "type": "integrations:oauth",
            "handshakeId": started["handshakeId"],
            "status": "completed",
        },
        "origins": [FRONTEND],
    }

    # One exchange, with the verifier of the challenge and the very same redirect
    (exchange,) = google.seen("token")[before:]
    assert s256(exchange.form["code_verifier"]) == asked["code_challenge"]
    assert exchange.form["redirect_uri"] == asked["redirect_uri"]
    assert 43 <= len(exchange.form["code_verifier"]) <= 128

    # What the application learns
    done = handshake(client, started["handshakeId"])
    assert done["status"] == "completed"
    assert done["error"] is None
    made = done["credentials"]
    assert (made["provider"], made["connection"]) == ("sheets_oauth", "sales")
    assert (made["status"], made["account"]["label"]) == ("connected", "ann@example.com")
    assert SPREADSHEETS in made["account"]["details"]["scopes"]
    stored = client.get("/api/integrations/sheets_oauth/credentials?connection=sales").json()
    assert stored == made
    status = client.get("/api/integrations/status").json()["sheets_oauth"]
    assert (status["status"], status["account"]["label"]) == ("connected", "ann@example.com")
    for secret in secrets_of(google):
        assert secret not in json.dumps([done, status])

    # And the actions of sheets run with it
    book = google.add_book({"Orders": [["Id", "Status"], [1, "open"]]})
    row = {"spreadsheetId": book.id, "range": "Orders!A1", "values": [2, "new"]}
    client.act("sheets_oauth", "appendRow", row, "sales")
    assert book.rows("Orders")[-1] == [2, "new"]
    read = {"spreadsheetId": book.id, "range": "Orders!A1:B3"}
    found = client.act("sheets_oauth", "readRange", read, "sales")
    assert "new" in json.dumps(found)


def test_both_providers_of_sheets_do_the_same(client: Client) -> None:
    catalogue = client.get("/api/integrations").json()["items"]
    offered = {each["id"]: each for each in catalogue}
    sheets, by_login = offered["sheets"], offered["sheets_oauth"]
    assert sheets["actions"] == by_login["actions"]
    assert len(by_login["actions"]) >= 10
    assert by_login["oauth"]


def test_a_handshake_is_its_tenants_alone(
    client: Client, browser: Browser, platform: Platform
) -> None:
    started = start(client, "sheets_oauth")
    other = Client(platform, platform.tokens.create(tenant="somebody-else", name="e2e"), "other")
    path = f"/api/integrations/oauth/status/{started['handshakeId']}"
    problem(other.get(path), 404, "unknown_handshake")
    browser.open(started["authUrl"])
    problem(other.get(path), 404, "unknown_handshake")
    problem(client.get("/api/integrations/oauth/status/nobodys"), 404, "unknown_handshake")
    assert requests.get(f"{platform.endpoint_url}{path}", timeout=30).status_code != 200
    assert handshake(client, started["handshakeId"])["status"] == "completed"


@pytest.mark.parametrize("redirect", ["/settings?tab=2", f"{FRONTEND}/done", FRONTEND])
def test_the_browser_goes_back_to_where_the_application_wants_it(
    client: Client, browser: Browser, redirect: str
) -> None:
    started = start(client, "sheets_oauth", redirectUri=redirect)
    visit = browser.open(started["authUrl"])
    target = redirect if redirect.startswith("http") else f"{FRONTEND}{redirect}"
    joint = "&" if "?" in redirect else "?"
    query_string = f"handshakeId={started['handshakeId']}&status=completed"
    assert visit.places[-1] == f"{target}{joint}{query_string}"


def test_neither_the_page_nor_the_redirect_is_kept_or_told_on(
    client: Client, browser: Browser
) -> None:
    page = browser.open(start(client, "sheets_oauth")["authUrl"]).page
    started = start(client, "sheets_oauth", redirectUri="/done")
    back = browser.open(started["authUrl"], stop=client.platform.url).places[-1]
    redirect = requests.get(back, allow_redirects=False, timeout=60)
    assert redirect.status_code == 303
    for answer in (page, redirect):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    (nonce,) = re.findall(r"script-src 'nonce-([^']+)'", policy)
    assert page.text.count("<script") == page.text.count(f'<script nonce="{nonce}">') == 1
    assert "window.opener.postMessage(outcome.message, origin)" in page.text
    assert "window.close()" in page.text


# -- Failures with their reason --------------------------------------------------------------


def test_a_refusal_is_told_to_everybody_who_waits(
    client: Client, browser: Browser, google: FakeGoogle
) -> None:
    google.consent.deny = True
    before = len(google.seen("token"))
    started = start(client, "sheets_oauth")
    visit = browser.open(started["authUrl"])
    assert visit.title == "Not connected"
    assert visit.text.startswith("The log-in was refused (access_denied)")
    assert visit.outcome["message"]["status"] == "failed"
    assert handshake(client, started["handshakeId"]) == {
        "status": "failed",
        "credentials": None,
        "error": {"code": "access_denied", "message": "The log-in was refused (access_denied)"},
    }
    there = start(client, "sheets_oauth", redirectUri="/done")
    visit = browser.open(there["authUrl"])
    assert visit.places[-1] == f"{FRONTEND}/done?handshakeId={there['handshakeId']}&status=failed"
    assert len(google.seen("token")) == before
    status = client.get("/api/integrations/status").json()["sheets_oauth"]
    assert status["status"] == "disconnected"


def test_who_unticks_the_scope_or_gives_no_lasting_access_is_told(
    client: Client, browser: Browser, google: FakeGoogle
) -> None:
    google.consent = Consent(scopes=frozenset())
    failed = log_in(client, browser, "sheets_oauth")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "permission_missing")
    assert SPREADSHEETS in failed["error"]["message"]

    google.consent = Consent(refresh_token=False)
    failed = log_in(client, browser, "sheets_oauth")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "credentials_rejected")
    assert "no refresh token" in failed["error"]["message"]
    problem(client.get("/api/integrations/sheets_oauth/credentials"), 404, "unknown_connection")


@pytest.mark.parametrize(
    ("failure", "code", "message"),
    [
        (
            Failure(400, {"error": "invalid_grant", "error_description": "Bad Request"}),
            "credentials_rejected",
            "Google: Bad Request (invalid_grant)",
        ),
        (
            Failure(401, {"error": "invalid_client", "error_description": "Unauthorized"}),
            "credentials_rejected",
            "Google: Unauthorized (invalid_client)",
        ),
        (Failure(503, "<html>503</html>"), "provider_unavailable", "status 503"),
        (Failure(200, "<html>Welcome</html>"), "provider_unavailable", "no token"),
        (Failure(200, ""), "provider_unavailable", "no token"),
        (Failure(200, {"access_token": 7}), "provider_unavailable", "no token"),
        (Failure(500, {"error": HOSTILE}), "provider_unavailable", "status 500"),
        (Failure(200, "", delay=17), "provider_timeout", "did not answer in time"),
    ],
    ids=["refused", "client", "down", "html", "nothing", "nonsense", "hostile", "slow"],
)
def test_a_token_service_that_fails_is_told(
    client: Client,
    browser: Browser,
    google: FakeGoogle,
    failure: Failure,
    code: str,
    message: str,
) -> None:
    google.fail("token", failure)
    started = start(client, "sheets_oauth")
    visit = browser.open(started["authUrl"])
    assert visit.title == "Not connected"
    assert [tag for tag, _ in visit.tags].count("script") == 1
    failed = handshake(client, started["handshakeId"])
    assert (failed["status"], failed["error"]["code"]) == ("failed", code)
    assert message in failed["error"]["message"]
    status = client.get("/api/integrations/status").json()["sheets_oauth"]
    assert status["status"] == "disconnected"


def test_a_refusal_by_sheets_itself_is_told(
    client: Client, browser: Browser, google: FakeGoogle
) -> None:
    google.fail("values.get", Failure(403))
    google.fail("spreadsheets", Failure(403))
    failed = log_in(client, browser, "sheets_oauth")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "permission_missing")


def test_a_hostile_message_stays_words(client: Client) -> None:
    started = start(client, "sheets_oauth")
    visit = callback(
        client, state=state_of(started), error="server_error", error_description=HOSTILE
    )
    names = [tag for tag, _ in visit.tags]
    assert names.count("script") == 1
    assert "img" not in names
    assert not any(name.startswith("on") for _, attrs in visit.tags for name in attrs)
    assert "alert(1)" in visit.text
    failed = handshake(client, started["handshakeId"])
    assert failed["error"]["code"] == "login_failed"
    assert failed["error"]["message"].endswith("(server_error)")


# -- States that are not good ----------------------------------------------------------------


def refused(visit: Visit, reason: str) -> None:
    assert visit.page.status_code == 400
    assert visit.title == "Not connected"
    assert reason in visit.text
    assert visit.outcome["message"] == {"type": "integrations:oauth", "status": "failed"}
    assert visit.page.headers["Cache-Control"] == "no-store"


def test_a_state_that_is_missing_unknown_or_foreign_is_refused(
    client: Client, browser: Browser, google: FakeGoogle
) -> None:
    started = start(client, "sheets_oauth")
    state = state_of(started)
    before = len(google.seen("token"))
    for query in (
        {"code": "c"},
        {"code": "c", "state": ""},
        {"error": "access_denied"},
    ):
        refused(callback(client, **query), "The state is missing")
    for wrong in (
        "no-point",
        f"{started['handshakeId']}.{'A' * 43}",
        f"nobody.{'A' * 43}",
        state[:-1],
    ):
        refused(callback(client, code="c", state=wrong), "not known here")
        refused(callback(client, error="access_denied", state=wrong), "not known here")
    refused(callback(client, "facebook_oauth", code="c", state=state), "not known here")
    refused(callback(client, "telegram", code="c", state=state), "not connected by OAuth")
    assert callback(client, "nothing", code="c", state=state).page.status_code == 404
    assert len(google.seen("token")) == before

    # All of which has not spoiled the log-in.
    assert handshake(client, started["handshakeId"])["status"] == "pending"
    browser.open(started["authUrl"])
    assert handshake(client, started["handshakeId"])["status"] == "completed"


def test_a_parameter_that_comes_twice_is_refused(
    client: Client, browser: Browser, google: FakeGoogle
) -> None:
    started = start(client, "sheets_oauth")
    back = coming_back(client, browser, started)
    before = len(google.seen("token"))
    for name in ("code", "state", "iss", "scope"):
        refused(callback(client, **(back | {name: [back[name], back[name]]})), "came twice")
    assert len(google.seen("token")) == before
    assert callback(client, **back).title == "Connected"


def test_a_state_is_good_once(client: Client, browser: Browser, google: FakeGoogle) -> None:
    started = start(client, "sheets_oauth")
    back = coming_back(client, browser, started)
    assert callback(client, **back).title == "Connected"
    before = len(google.seen("token"))
    refused(callback(client, **back), "already used")
    assert len(google.seen("token")) == before
    assert handshake(client, started["handshakeId"])["status"] == "completed"


def test_of_callbacks_at_the_same_moment_one_wins(
    client: Client, browser: Browser, google: FakeGoogle
) -> None:
    started = start(client, "sheets_oauth")
    back = coming_back(client, browser, started)
    before = len(google.seen("token"))
    with ThreadPoolExecutor(6) as pool:
        visits = list(pool.map(lambda _: callback(client, **back), range(6)))
    titles = [visit.title for visit in visits]
    assert titles.count("Connected") == 1
    for visit in visits:
        if visit.title != "Connected":
            refused(visit, "already used")
    assert len(google.seen("token")) == before + 1
    assert handshake(client, started["handshakeId"])["status"] == "completed"


def test_a_login_that_takes_too_long_has_expired(
    client: Client, browser: Browser, platform: Platform
) -> None:
    started = start(client, "sheets_oauth")
    back = coming_back(client, browser, started)
    change(platform, started, deadline=time.time() - 1)
    expired = handshake(client, started["handshakeId"])
    assert (expired["status"], expired["error"]["code"]) == ("expired", "handshake_expired")
    refused(callback(client, **back), "has expired")
    assert handshake(client, started["handshakeId"])["status"] == "expired"


def test_a_callback_that_broke_off_is_told(client: Client, platform: Platform) -> None:
    started = start(client, "sheets_oauth")
    change(platform, started, status="exchanging", takenAt=time.time() - 60)
    assert handshake(client, started["handshakeId"])["status"] == "pending"
    change(platform, started, status="exchanging", takenAt=time.time() - 200)
    failed = handshake(client, started["handshakeId"])
    assert (failed["status"], failed["error"]["code"]) == ("failed", "internal_error")


def change(platform: Platform, started: dict[str, Any], **sets: Any) -> None:
    """Change a handshake's item, as time or a crash would."""
    platform.client("dynamodb").update_item(
        TableName=platform.name("HandshakesTable"),
        Key={"handshakeId": {"S": started["handshakeId"]}},
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in sets),
        ExpressionAttributeNames={f"#{name}": name for name in sets},
        ExpressionAttributeValues={
            f":{name}": {"S": value} if isinstance(value, str) else {"N": str(value)}
            for name, value in sets.items()
        },
    )


@pytest.mark.parametrize(
    ("issuer", "status"),
    [
        (ISSUER, "completed"),
        (None, "completed"),
        ("https://accounts.example.com", "failed"),
        (f"{ISSUER}/", "failed"),
        ("", "completed"),  # the stand-in leaves an empty one out
    ],
)
def test_an_issuer_must_be_googles_where_one_is_named(
    client: Client, browser: Browser, google: FakeGoogle, issuer: str | None, status: str
) -> None:
    google.consent.issuer = issuer
    before = len(google.seen("token"))
    ended = log_in(client, browser, "sheets_oauth")
    assert ended["status"] == status
    if status == "failed":
        assert ended["error"]["code"] == "handshake_refused"
        assert "another issuer" in ended["error"]["message"]
        assert len(google.seen("token")) == before


# -- Where a log-in may lead ------------------------------------------------------------------


@pytest.mark.parametrize(
    "redirect",
    [
        "https://evil.example.com/",
        "//evil.example.com/",
        "/\\evil.example.com",
        "\\\\evil.example.com",
        "http:\\\\evil.example.com",
        "http://localhost:5173\\@evil.example.com/",
        "http://localhost:5173@evil.example.com/",
        "http://ann:secret@localhost:5173/",
        "http://localhost:5173.evil.example.com/",
        "http://localhost:51730/",
        "http://localhost/",
        "https://localhost:5173/",
        "http://localhost:5173%40evil.example.com/",
        "http://localhost:5173#@evil.example.com/",
        "http://localhost:5173/a/../../b",
        "http://localhost:5173/a/%2e%2E/b",
        "javascript:alert(1)//http://localhost:5173/",
        "data:text/html,hello",
        "http:localhost:5173/",
        "http:///localhost:5173/",
        "settings",
        "?tab=1",
        "/\tevil",
        " http://localhost:5173/",
        "http://localhost:5173/\r\nSet-Cookie: a=b",
        "http://localhóst:5173/",
        "http://[::1/",
    ],
)
def test_a_redirect_off_the_list_is_refused_at_the_start(client: Client, redirect: str) -> None:
    answer = client.post("/api/integrations/oauth/start/sheets_oauth", {"redirectUri": redirect})
    problem(answer, 400, "invalid_redirect_uri")


def test_what_cannot_start_says_why(client: Client) -> None:
    path = "/api/integrations/oauth/start/"
    problem(client.post(f"{path}nothing", {}), 404, "unknown_provider")
    problem(client.post(f"{path}telegram", {}), 409, "provider_not_configured")
    problem(client.post(f"{path}sheets_oauth", {"redirect": "/"}), 422, "invalid_input")
    problem(client.post(f"{path}sheets_oauth", {"connection": "a b"}), 422, "invalid_input")
    problem(client.post(f"{path}sheets_oauth", {"redirectUri": 7}), 422, "invalid_input")
    assert client.post(f"{path}sheets_oauth").status_code == 200


# -- The end ---------------------------------------------------------------------------------


def test_the_removal_takes_the_grant_back_at_google(
    client: Client, browser: Browser, google: FakeGoogle
) -> None:
    google.consent.subject, google.consent.email = "9001", "bob@example.com"
    log_in(client, browser, "sheets_oauth")
    (token,) = (t for t, grant in google.refresh_tokens.items() if grant.subject == "9001")
    answer = client.delete("/api/integrations/sheets_oauth/credentials")
    assert answer.json() == {"deleted": True, "revoked": True, "message": None}
    assert token not in google.refresh_tokens
    problem(client.get("/api/integrations/sheets_oauth/credentials"), 404, "unknown_connection")


def test_the_removal_spares_another_connection_of_the_same_account(
    client: Client, browser: Browser, google: FakeGoogle
) -> None:
    google.consent.subject, google.consent.email = "9002", "eve@example.com"
    log_in(client, browser, "sheets_oauth", connection="one")
    log_in(client, browser, "sheets_oauth", connection="two")
    tokens = {t for t, grant in google.refresh_tokens.items() if grant.subject == "9002"}
    path = "/api/integrations/sheets_oauth/credentials?connection="
    gone = client.delete(f"{path}one").json()
    assert (gone["deleted"], gone["revoked"]) == (True, False)
    assert "two uses the same account" in gone["message"]
    assert tokens <= google.refresh_tokens.keys()
    assert client.delete(f"{path}two").json()["revoked"] is True


def test_a_removal_does_not_wait_for_a_google_that_is_down(
    client: Client, browser: Browser, google: FakeGoogle
) -> None:
    google.consent.subject = "9003"
    log_in(client, browser, "sheets_oauth")
    google.fail("revoke", Failure(503))
    gone = client.delete("/api/integrations/sheets_oauth/credentials").json()
    assert (gone["deleted"], gone["revoked"]) == (True, False)
    assert "status 503" in gone["message"]


# -- Authorization servers of others, in Google's place --------------------------------------


@pytest.fixture(scope="module")
def other_google() -> Iterator[FakeGoogle]:
    """Sheets, for tokens that others give."""
    with FakeGoogle() as running:
        yield running


@pytest.fixture(scope="module")
def server(other_google: FakeGoogle) -> Iterator[AuthorizationServer]:
    with AuthorizationServer(other_google) as running:
        yield running


@pytest.fixture(scope="module")
def mock() -> Any:
    """oidc-provider-mock, which wants its clients registered."""
    return oidc_provider_mock.app(require_client_registration=True)


@pytest.fixture(scope="module")
def other_platform(
    server: AuthorizationServer,
    other_google: FakeGoogle,
    mock: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Platform, authorization.Client]]:
    """A second stack: others in Google's place, and no Facebook app."""
    port = ports.free()
    back = f"http://localhost:{port}{CALLBACK}sheets_oauth"
    server.app = mock
    form = {
        "redirect_uris": [back],
        "token_endpoint_auth_method": "client_secret_post",
        "scope": f"{SPREADSHEETS} openid email",
    }
    made = requests.post(f"{server.url}/oauth2/clients", json=form, timeout=30).json()
    app = authorization.Client(made["client_id"], made["client_secret"], back)
    parameters = server.parameters | {
        "SheetsApiBase": other_google.url,
        "GoogleClientId": app.client_id,
        "GoogleClientSecret": app.client_secret,
        "FrontendUrl": FRONTEND,
    }
    state = tmp_path_factory.mktemp("other")
    with Platform(state, port=port, parameters=parameters) as running:
        yield running, app
        given = {
            asked.reply[name]
            for asked in server.asked
            for name in ("access_token", "refresh_token")
            if name in asked.reply
        }
        assert_absent(running, SECRETS | given | {app.client_secret})


@pytest.fixture
def other(other_platform: tuple[Platform, authorization.Client]) -> Client:
    """A client of the second stack, of a tenant that is this test's alone."""
    platform, _ = other_platform
    tenant = f"tenant-{time.time_ns()}"
    return Client(platform, platform.tokens.create(tenant=tenant, name="e2e"), tenant)


def press(started: dict[str, Any], **form: str) -> Visit:
    """The form of oidc-provider-mock, with its button pressed."""
    page = requests.get(started["authUrl"], timeout=30)
    assert "<form" in page.text
    answer = requests.post(started["authUrl"], data=form, allow_redirects=False, timeout=30)
    return Browser().open(answer.headers["Location"])


def test_the_whole_way_against_oidc_provider_mock(
    other: Client, server: AuthorizationServer, mock: Any, other_google: FakeGoogle
) -> None:
    server.app = mock
    started = start(other, "sheets_oauth")
    assert press(started, action="deny").title == "Not connected"
    assert handshake(other, started["handshakeId"])["error"]["code"] == "access_denied"

    started = start(other, "sheets_oauth")
    visit = press(started, sub="ann@example.com")
    assert visit.text.startswith("Connected as ann@example.com")
    done = handshake(other, started["handshakeId"])
    assert done["credentials"]["account"]["label"] == "ann@example.com"
    book = other_google.add_book({"Orders": [["Id"]]})
    params = {"spreadsheetId": book.id, "range": "Orders!A1", "values": [1]}
    other.act("sheets_oauth", "appendRow", params)

    # The access token ends early; the refresh token gets the next one.
    other_google.end_access_tokens()
    before = len(server.refreshes())
    other.act("sheets_oauth", "appendRow", params)
    (refresh,) = server.refreshes()[before:]
    assert refresh.status == 200

    # Somebody ends the grant: the state says so, with the reason, until the next login.
    other_google.end_access_tokens()
    revoked = f"{server.url}/users/ann%40example.com/revoke-tokens"
    assert requests.post(revoked, timeout=30).status_code == 204
    action = "/api/integrations/sheets_oauth/actions/appendRow"
    problem(other.post(action, {"params": params}), 422, "needs_reauth")
    status = other.get("/api/integrations/status").json()["sheets_oauth"]
    assert status["status"] == "needs_reauth"
    assert "invalid_grant" in status["lastError"]["message"]
    press(start(other, "sheets_oauth"), sub="ann@example.com")
    status = other.get("/api/integrations/status").json()["sheets_oauth"]
    assert (status["status"], status["lastError"]) == ("connected", None)
    other.act("sheets_oauth", "appendRow", params)
    assert len(book.rows("Orders")) == 4


def test_the_whole_way_against_a_strict_server(
    other: Client,
    other_platform: tuple[Platform, authorization.Client],
    server: AuthorizationServer,
    other_google: FakeGoogle,
) -> None:
    strict = authorization.strict(other_platform[1])
    server.app = strict
    started = start(other, "sheets_oauth")
    visit = Browser().open(started["authUrl"])
    assert "iss=http" in visit.places[1]
    assert visit.title == "Connected"
    assert handshake(other, started["handshakeId"])["status"] == "completed"

    # It would have refused a request without PKCE, and an exchange without the verifier.
    bare = re.sub(r"&code_challenge(_method)?=[^&]+", "", started["authUrl"])
    assert requests.get(bare, allow_redirects=False, timeout=30).status_code == 400
    form = dict(server.asked[-1].form)
    assert form["code_verifier"]

    # Refresh tokens rotate; each is used once.
    book = other_google.add_book({"Orders": [["Id"]]})
    params = {"spreadsheetId": book.id, "range": "Orders!A1", "values": [1]}
    before = len(server.refreshes())
    for _ in range(3):
        other_google.end_access_tokens()
        other.act("sheets_oauth", "appendRow", params)
    tokens = [asked.form["refresh_token"] for asked in server.refreshes()[before:]]
    assert len(set(tokens)) == len(tokens) == 3
    assert {asked.status for asked in server.refreshes()[before:]} == {200}

    # Eight that find the same dead token at once send its refresh token once.
    other_google.end_access_tokens()
    before = len(server.refreshes())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: other.act("sheets_oauth", "appendRow", params), range(8)))
    assert strict.reuses == 0
    assert len(server.refreshes()) == before + 1
    assert len(book.rows("Orders")) == 12

    # Removal ends the grant.
    (grant,) = strict.grants_made
    gone = other.delete("/api/integrations/sheets_oauth/credentials").json()
    assert (gone["revoked"], grant.ended) == (True, True)


def test_a_code_that_was_used_ends_the_grant_at_a_strict_server(
    other: Client,
    other_platform: tuple[Platform, authorization.Client],
    server: AuthorizationServer,
) -> None:
    """So a callback that comes again must never send its code again."""
    strict = authorization.strict(other_platform[1])
    server.app = strict
    started = start(other, "sheets_oauth")
    visit = Browser().open(started["authUrl"])
    again = requests.get(visit.places[1], timeout=30)
    assert again.status_code == 400
    assert strict.reuses == 0
    other.post("/api/integrations/sheets_oauth/test", {})
    assert handshake(other, started["handshakeId"])["status"] == "completed"


def test_a_stack_without_a_client_names_the_parameters(other: Client) -> None:
    answer = other.post("/api/integrations/oauth/start/facebook_oauth", {})
    query_string = problem(answer, 409, "provider_not_configured")
    assert "FacebookAppId" in query_string["detail"]
    assert "FacebookAppSecret" in query_string["detail"]
