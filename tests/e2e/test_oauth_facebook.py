"""Facebook Pages by logging in, as a browser does it, through the front door."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests

from local.platform import Platform
from tests.e2e.browser import (
    CALLBACK,
    FRONTEND,
    SECRETS,
    Browser,
    handshake,
    log_in,
    start,
    state_of,
)
from tests.e2e.conftest import Client, StandIns, problem
from tests.e2e.secrecy import assert_absent
from tests.fakes.facebook import PAGE_SCOPES, FacebookStandIn, signed_request

pytestmark = pytest.mark.e2e


@pytest.fixture
def facebook(stand_ins: StandIns) -> Iterator[FacebookStandIn]:
    """Facebook, where somebody new with two pages is logged in."""
    stand_in = stand_ins.facebook
    before = stand_in.login_user
    pages = [stand_in.add_page("Bakery"), stand_in.add_page("Café", tasks=("ANALYZE", "MODERATE"))]
    stand_in.login_user = stand_in.add_user("Ann", pages=pages)
    yield stand_in
    stand_in.login_user, stand_in.denied = before, False
    stand_in.declined.clear()
    stand_in._scripts.clear()


@pytest.fixture(scope="module", autouse=True)
def _nothing_leaks(platform: Platform, stand_ins: StandIns) -> Iterator[None]:
    """No code, state, token or app secret is in a log line or in a table's item, in the end."""
    yield
    facebook = stand_ins.facebook
    secrets = {*facebook.tokens, facebook.app_secret, *SECRETS}
    assert secrets, "tests of this worker made some"
    assert_absent(platform, secrets)


def exchanges(facebook: FacebookStandIn) -> list[dict[str, str]]:
    """The forms that came to the token endpoint."""
    return [each.params for each in facebook.requests if each.path.endswith("/oauth/access_token")]


def pages_of(facebook: FacebookStandIn) -> list[str]:
    """The pages of who is logged in."""
    assert facebook.login_user
    return facebook.users[facebook.login_user].pages


def test_a_person_logs_in_with_facebook_and_the_actions_run(
    client: Client, facebook: FacebookStandIn
) -> None:
    before = len(exchanges(facebook))
    started = start(client, "facebook_oauth", connection="shop")
    url = urlsplit(started["authUrl"])
    asked = {name: value for name, (value,) in parse_qs(url.query).items()}
    assert started["authUrl"].startswith(f"{facebook.url}/v26.0/dialog/oauth?")
    assert asked["redirect_uri"] == f"{client.platform.url}{CALLBACK}facebook_oauth"
    assert asked["scope"].split(",") == list(PAGE_SCOPES)
    assert (asked["response_type"], asked["auth_type"]) == ("code", "rerequest")
    assert asked["code_challenge_method"] == "S256"

    visit = Browser().open(started["authUrl"])
    assert visit.places[-1].endswith("#_=_")  # as Facebook ends its redirects
    assert visit.title == "Connected"
    assert visit.text.startswith("Connected to 2 pages: Bakery, Café")

    # Code to short-lived token, short-lived to long-lived, by POST and to the same redirect
    by_code, by_token = exchanges(facebook)[before:]
    assert by_code["redirect_uri"] == asked["redirect_uri"]
    assert by_code["code_verifier"]
    assert by_token["grant_type"] == "fb_exchange_token"
    assert not any("client_secret" in each.query for each in facebook.requests)

    done = handshake(client, started["handshakeId"])
    assert (done["status"], done["error"]) == ("completed", None)
    made = done["credentials"]
    assert (made["connection"], made["status"]) == ("shop", "connected")
    assert made["account"]["label"] == "Bakery, Café"
    details = made["account"]["details"]
    assert [page["name"] for page in details["pages"]] == ["Bakery", "Café"]
    assert details["pages"][1]["tasks"] == ["ANALYZE", "MODERATE"]
    assert set(details["scopes"]) == set(PAGE_SCOPES)
    assert made["expiresAt"][:19] == details["tokenExpiresAt"][:19]
    assert details["dataAccessExpiresAt"] > details["tokenExpiresAt"]
    for token in facebook.tokens:
        assert token not in json.dumps(done)

    (bakery, _) = pages_of(facebook)
    post = facebook.add_post(bakery, "Fresh bread")
    comment = facebook.add_comment(post, "How much?", {"id": "77", "name": "Bob"})
    reply = {"pageId": bakery, "commentId": comment, "message": "2"}
    client.act("facebook_oauth", "replyToComment", reply, "shop")
    assert any(each["message"] == "2" for each in facebook.comments.values())


def test_both_providers_of_facebook_do_the_same(client: Client) -> None:
    offered = {each["id"]: each for each in client.get("/api/integrations").json()["items"]}
    own, by_login = offered["facebook"], offered["facebook_oauth"]
    assert own["actions"] == by_login["actions"]
    assert own["triggers"] == by_login["triggers"]
    assert len(by_login["actions"]) >= 10


def test_the_browser_goes_back_to_the_application(
    client: Client, facebook: FacebookStandIn
) -> None:
    started = start(client, "facebook_oauth", redirectUri="/done")
    visit = Browser().open(started["authUrl"])
    query = f"handshakeId={started['handshakeId']}&status=completed"
    assert visit.places[-1].partition("#")[0] == f"{FRONTEND}/done?{query}"


def test_a_refusal_is_told_in_facebooks_words(client: Client, facebook: FacebookStandIn) -> None:
    facebook.denied = True
    before = len(exchanges(facebook))
    failed = log_in(client, Browser(), "facebook_oauth")
    assert failed["error"] == {
        "code": "access_denied",
        "message": "Permissions error (access_denied)",
    }
    assert len(exchanges(facebook)) == before
    started = start(client, "facebook_oauth")
    query = {"state": state_of(started), "error_code": "1349187", "error_message": "App is down"}
    Browser().open(f"{client.platform.url}{CALLBACK}facebook_oauth?{urlencode(query)}")
    failed = handshake(client, started["handshakeId"])
    assert failed["error"] == {"code": "login_failed", "message": "App is down (1349187)"}


def test_a_permission_that_was_declined_is_named(client: Client, facebook: FacebookStandIn) -> None:
    facebook.declined = {"pages_messaging"}
    failed = log_in(client, Browser(), "facebook_oauth")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "permission_missing")
    assert "pages_messaging" in failed["error"]["message"]


def test_who_shares_no_page_is_told(client: Client, facebook: FacebookStandIn) -> None:
    pages_of(facebook).clear()
    failed = log_in(client, Browser(), "facebook_oauth")
    assert (failed["status"], failed["error"]["code"]) == ("failed", "permission_missing")
    assert "No page was shared" in failed["error"]["message"]


@pytest.mark.parametrize(
    ("trouble", "code", "message"),
    [
        ({"code": 100, "message": "This authorization code has been used.", "subcode": 36009},
         "credentials_rejected", "code has been used"),
        ({"code": 1, "message": "Error validating client secret."},
         "credentials_rejected", "client secret"),
        ({"code": 2, "message": "Service temporarily unavailable"},
         "provider_unavailable", "temporarily unavailable"),
        ({"code": 4, "message": "Application request limit reached"},
         "rate_limited", "limit reached"),
        ("<html>Sorry, something went wrong</html>", "provider_unavailable", "status 500"),
        ("", "provider_unavailable", "status 500"),
    ],
    ids=["used", "secret", "down", "limit", "html", "nothing"],
)  # fmt: skip
def test_a_token_endpoint_that_fails_is_told(
    client: Client, facebook: FacebookStandIn, trouble: Any, code: str, message: str
) -> None:
    if isinstance(trouble, str):
        facebook.answer(trouble, status=500, path="oauth/access_token")
    else:
        facebook.fail(**trouble, path="oauth/access_token")
    failed = log_in(client, Browser(), "facebook_oauth")
    assert (failed["status"], failed["error"]["code"]) == ("failed", code)
    assert message in failed["error"]["message"]


def test_a_state_of_google_is_none_of_facebook(client: Client, facebook: FacebookStandIn) -> None:
    state = state_of(start(client, "sheets_oauth"))
    url = f"{client.platform.url}{CALLBACK}facebook_oauth"
    visit = Browser().open(f"{url}?{urlencode({'code': 'x', 'state': state})}")
    assert visit.page.status_code == 400
    assert "not known here" in visit.text


def test_a_lost_session_asks_for_a_login_and_a_login_mends_it(
    client: Client, facebook: FacebookStandIn
) -> None:
    log_in(client, Browser(), "facebook_oauth")
    (bakery, _) = pages_of(facebook)
    step = {"id": "list", "action": "facebook_oauth.listPosts", "params": {"pageId": bakery}}
    workflow = client.create_workflow(
        {"name": "posts", "trigger": {"type": "manual"}, "steps": [step]}
    )
    for token in facebook.tokens.values():
        if token.user_id == facebook.login_user:
            token.dead = {"code": 190, "message": "The password was changed.", "subcode": 460}
    answer = client.post(
        "/api/integrations/facebook_oauth/actions/listPosts", {"params": {"pageId": bakery}}
    )
    assert "password was changed" in problem(answer, 422, "needs_reauth")["detail"]
    status = client.get("/api/integrations/status").json()["facebook_oauth"]
    assert status["status"] == "needs_reauth"
    assert status["lastError"]["code"] == "needs_reauth"
    assert "password was changed" in status["lastError"]["message"]

    # Facebook is not asked again, by no use and no workflow.
    before = len(facebook.requests)
    client.post(f"/api/workflows/{workflow['workflowId']}/run", {})
    (execution,) = client.finished(workflowId=workflow["workflowId"])
    assert (execution["status"], execution["error"]["code"]) == ("failed", "needs_reauth")
    assert len(facebook.requests) == before

    log_in(client, Browser(), "facebook_oauth")
    status = client.get("/api/integrations/status").json()["facebook_oauth"]
    assert (status["status"], status["lastError"]) == ("connected", None)
    client.post(f"/api/workflows/{workflow['workflowId']}/run", {})
    done = client.finished(2, workflowId=workflow["workflowId"])
    assert done[0]["status"] == "succeeded"


def test_the_removal_takes_the_permissions_back(client: Client, facebook: FacebookStandIn) -> None:
    log_in(client, Browser(), "facebook_oauth")
    answer = client.delete("/api/integrations/facebook_oauth/credentials")
    assert answer.json() == {"deleted": True, "revoked": True, "message": None}
    mine = [each for each in facebook.tokens.values() if each.user_id == facebook.login_user]
    assert mine
    assert all(token.dead for token in mine)
    problem(client.get("/api/integrations/facebook_oauth/credentials"), 404, "unknown_connection")


def test_the_removal_of_a_lost_connection_is_a_removal(
    client: Client, facebook: FacebookStandIn
) -> None:
    log_in(client, Browser(), "facebook_oauth")
    for text, token in facebook.tokens.items():
        if token.user_id == facebook.login_user:
            facebook.kill(text, subcode=458, message="The user has not authorized application.")
    client.post("/api/integrations/facebook_oauth/test", {})
    status = client.get("/api/integrations/status").json()["facebook_oauth"]
    assert status["status"] == "needs_reauth"
    assert status["lastTested"]
    gone = client.delete("/api/integrations/facebook_oauth/credentials").json()
    assert (gone["deleted"], gone["revoked"]) == (True, True)


def test_who_removes_the_app_and_wants_their_data_deleted_sees_that_it_was(
    client: Client, facebook: FacebookStandIn
) -> None:
    log_in(client, Browser(), "facebook_oauth")
    user = str(facebook.login_user)
    base = f"{client.platform.url}/api/integrations/oauth"

    def notify(what: str, secret: str) -> requests.Response:
        form = {"signed_request": signed_request(user, secret)}
        return requests.post(f"{base}/{what}/facebook_oauth", data=form, timeout=60)

    problem(notify("deauthorize", "another app's secret"), 401, "signature_refused")
    answer = notify("deauthorize", facebook.app_secret)
    assert (answer.status_code, answer.json()) == (200, {"connections": 1})
    state = client.get("/api/integrations/status").json()["facebook_oauth"]
    assert state["status"] == "needs_reauth"
    assert "log in again" in state["lastError"]["message"]

    deleted = notify("delete", facebook.app_secret)
    assert deleted.status_code == 200, deleted.text
    assert deleted.json().keys() == {"url", "confirmation_code"}
    assert client.get("/api/integrations/status").json()["facebook_oauth"]["status"] == (
        "disconnected"
    )
    page = requests.get(deleted.json()["url"], timeout=60)
    assert page.status_code == 200
    assert "Your data was deleted" in page.text
    assert deleted.json()["confirmation_code"] in page.text
    assert requests.get(f"{deleted.json()['url']}0", timeout=60).status_code == 404
