"""The Facebook log-in against a stand-in of the dialog and of Graph, driven as a browser would."""

import base64
import hashlib
import http.client
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from integrations.errors import (
    CredentialsRejected,
    NeedsReauthentication,
    PermissionMissing,
    ProviderNotConfigured,
    ProviderUnavailable,
)
from integrations.models import now
from integrations.outbound.client import Outbound
from integrations.providers import registry
from integrations.providers.base import Addresses, Call, OAuth, OAuthApp
from integrations.providers.facebook import provider as facebook
from integrations.providers.facebook.login import PROVIDER, SCOPES, FacebookOAuthCredentials
from tests.fakes.facebook import DATA_ACCESS, LONG, FacebookStandIn

CALLBACK = "https://api.example.com/api/integrations/oauth/callback/facebook_oauth"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@dataclass
class World:
    facebook: FacebookStandIn
    user: str

    @property
    def app(self) -> OAuthApp:
        return OAuthApp(self.facebook.app_id, SecretStr(self.facebook.app_secret))

    @property
    def addresses(self) -> Addresses:
        return Addresses(facebook_graph=self.facebook.url, facebook_dialog=self.facebook.url)

    def log_in(self, state: str = "st4te") -> dict[str, str]:
        """What comes back to the callback."""
        url = oauth().authorization_url(self.app, self.addresses, CALLBACK, state, CHALLENGE)
        parts = urlsplit(url)
        browser = http.client.HTTPConnection(parts.netloc, timeout=5)
        browser.request("GET", f"{parts.path}?{parts.query}")
        answer = browser.getresponse()
        location = answer.getheader("Location") or ""
        browser.close()
        assert location.startswith(f"{CALLBACK}?")
        return {name: last[-1] for name, last in parse_qs(urlsplit(location).query).items()}

    def exchange(self, code: str, redirect: str = CALLBACK) -> FacebookOAuthCredentials:
        http = Outbound(allow_loopback=True, total_timeout=2)
        credentials = oauth().exchange(self.app, http, self.addresses, code, redirect, VERIFIER)
        assert isinstance(credentials, FacebookOAuthCredentials)
        return credentials

    def connect(self) -> Call[FacebookOAuthCredentials]:
        return self.calling(self.exchange(self.log_in()["code"]))

    def calling(self, credentials: FacebookOAuthCredentials) -> Call[FacebookOAuthCredentials]:
        return Call(
            credentials=credentials,
            http=Outbound(allow_loopback=True, total_timeout=2),
            addresses=self.addresses,
            app=self.app,
        )


def oauth() -> OAuth:
    assert PROVIDER.oauth is not None
    return PROVIDER.oauth


@pytest.fixture
def world() -> Iterator[World]:
    with FacebookStandIn() as running:
        pages = [running.add_page("Bakery"), running.add_page("Café")]
        yield World(running, running.add_user("Ann Owner", pages=pages))


def test_the_dialog_is_asked_as_facebook_wants_it() -> None:
    app = OAuthApp("42", SecretStr("app-secret"))
    url = oauth().authorization_url(app, Addresses(), CALLBACK, "st4te", CHALLENGE)
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == (
        "https://www.facebook.com/v26.0/dialog/oauth"
    )
    assert {name: values[0] for name, values in parse_qs(parts.query).items()} == {
        "client_id": "42",
        "redirect_uri": CALLBACK,
        "state": "st4te",
        "response_type": "code",
        "scope": ",".join(SCOPES),
        "auth_type": "rerequest",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    assert "app-secret" not in url


def test_the_vector_of_pkce_is_what_the_stand_in_checks() -> None:
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == CHALLENGE


def test_a_log_in_ends_in_a_long_lived_token_with_its_pages(world: World) -> None:
    back = world.log_in("my-state")
    assert back["state"] == "my-state"
    credentials = world.exchange(back["code"])

    token = world.facebook.tokens[credentials.access_token.get_secret_value()]
    assert token.expires_at > now().timestamp() + LONG - 60
    assert [page.name for page in credentials.pages] == ["Bakery", "Café"]
    for page in credentials.pages:
        assert world.facebook.tokens[page.access_token.get_secret_value()].expires_at == 0
        assert "MESSAGING" in page.tasks
    assert credentials.user_id == world.user
    assert set(credentials.scopes) == set(SCOPES)
    assert credentials.expires_at is not None
    assert credentials.data_access_expires_at is not None
    assert (credentials.data_access_expires_at - now()).days == DATA_ACCESS // 86400 - 1


def test_neither_secret_nor_code_stands_in_a_url(world: World) -> None:
    back = world.log_in()
    world.facebook.requests.clear()
    world.exchange(back["code"])
    for sent in world.facebook.requests:
        assert back["code"] not in sent.url
        assert world.facebook.app_secret not in sent.url
        assert sent.token is None or sent.token not in sent.url


def test_the_account_is_labelled_by_its_pages(world: World) -> None:
    verified = PROVIDER.verify(world.connect())
    assert verified.account.id == world.user
    assert verified.account.label == "Bakery, Café"
    assert verified.message == "Connected to 2 pages: Bakery, Café"
    assert PROVIDER.inbound is not None
    assert PROVIDER.inbound.targets is not None
    assert list(PROVIDER.inbound.targets(verified.account).values()) == ["Bakery", "Café"]


def test_a_person_who_refuses_comes_back_with_that(world: World) -> None:
    world.facebook.denied = True
    back = world.log_in()
    assert back["error"] == "access_denied"
    assert "code" not in back


def test_declined_permissions_are_named(world: World) -> None:
    world.facebook.declined = {"pages_messaging", "pages_manage_engagement"}
    with pytest.raises(PermissionMissing, match="pages_manage_engagement, pages_messaging") as info:
        world.connect()
    assert info.value.data["missing"] == ["pages_manage_engagement", "pages_messaging"]


def test_a_log_in_that_shares_no_page_is_told_so(world: World) -> None:
    world.facebook.users[world.user].pages.clear()
    with pytest.raises(PermissionMissing, match="No page was shared"):
        world.connect()


def test_a_code_serves_once(world: World) -> None:
    code = world.log_in()["code"]
    world.exchange(code)
    with pytest.raises(CredentialsRejected, match="has been used") as info:
        world.exchange(code)
    assert info.value.code == "credentials_rejected"


def test_another_redirect_is_refused(world: World) -> None:
    with pytest.raises(CredentialsRejected, match="redirect_uri"):
        world.exchange(world.log_in()["code"], f"{CALLBACK}/")


def test_a_wrong_app_secret_is_no_outage(world: World) -> None:
    code = world.log_in()["code"]
    wrong = OAuthApp(world.facebook.app_id, SecretStr("wrong-secret"))
    http = Outbound(allow_loopback=True)
    with pytest.raises(CredentialsRejected, match="client secret"):
        oauth().exchange(wrong, http, world.addresses, code, CALLBACK, VERIFIER)


@pytest.mark.parametrize("body", ["<html>", "", "{}", '{"access_token":""}', "[]"])
def test_an_answer_without_a_token_is_an_outage(world: World, body: str) -> None:
    code = world.log_in()["code"]
    world.facebook.answer(body)
    with pytest.raises(ProviderUnavailable):
        world.exchange(code)


def test_an_outage_at_the_exchange_is_told_as_one(world: World) -> None:
    code = world.log_in()["code"]
    world.facebook.fail(2, "Service temporarily unavailable", is_transient=True)
    with pytest.raises(ProviderUnavailable):
        world.exchange(code)


def test_all_of_facebooks_actions_and_triggers_are_here_and_written_once() -> None:
    assert PROVIDER.actions_in is facebook.PROVIDER.actions_in
    assert PROVIDER.triggers is facebook.PROVIDER.triggers
    assert PROVIDER.inbound is not None
    assert facebook.PROVIDER.inbound is not None
    assert PROVIDER.inbound.endpoint is None
    assert PROVIDER.inbound.normalize is facebook.PROVIDER.inbound.normalize


def test_the_actions_run_with_the_stacks_app(world: World) -> None:
    call = world.connect()
    page = call.credentials.pages[1]
    action = PROVIDER.action("getPage")
    answer = action.run(call, action.params.model_validate({"pageId": page.id}))
    assert isinstance(answer, dict)
    assert answer["name"] == "Café"


def test_a_stack_without_an_app_names_what_is_missing(world: World) -> None:
    call = world.connect()
    bare = Call(credentials=call.credentials, http=call.http, addresses=call.addresses)
    with pytest.raises(ProviderNotConfigured, match="FacebookAppId and FacebookAppSecret"):
        PROVIDER.verify(bare)


def test_a_test_reads_the_pages_anew(world: World) -> None:
    call = world.connect()
    world.facebook.users[world.user].pages.pop()
    verified = PROVIDER.verify(call)
    assert verified.credentials is not None
    assert [page.name for page in verified.credentials.pages] == ["Bakery"]


def test_a_permission_that_was_taken_back_is_named(world: World) -> None:
    call = world.connect()
    token = world.facebook.tokens[call.credentials.access_token.get_secret_value()]
    token.scopes = tuple(scope for scope in token.scopes if scope != "pages_messaging")
    with pytest.raises(PermissionMissing, match="pages_messaging"):
        PROVIDER.verify(call)


def test_a_living_token_is_renewed(world: World) -> None:
    call = world.connect()
    assert PROVIDER.refresh is not None
    fresh = PROVIDER.refresh(call)
    assert isinstance(fresh, FacebookOAuthCredentials)
    assert fresh.access_token != call.credentials.access_token
    assert PROVIDER.expires_at is not None
    assert PROVIDER.expires_at(fresh) == fresh.expires_at


def test_an_expired_token_needs_a_person(world: World) -> None:
    call = world.connect()
    assert PROVIDER.refresh is not None
    world.facebook.expire(call.credentials.access_token.get_secret_value())
    with pytest.raises(NeedsReauthentication, match="expired"):
        PROVIDER.refresh(call)
    with pytest.raises(NeedsReauthentication, match="expired"):
        PROVIDER.verify(call)


def test_revocation_ends_every_token_and_may_be_repeated(world: World) -> None:
    call = world.connect()
    assert PROVIDER.revoke is not None
    world.facebook.requests.clear()
    PROVIDER.revoke(call)
    (sent,) = world.facebook.requests
    assert (sent.method, sent.path) == ("DELETE", f"/v26.0/{world.user}/permissions")
    for token in (call.credentials.access_token, call.credentials.pages[0].access_token):
        assert world.facebook.tokens[token.get_secret_value()].dead
    PROVIDER.revoke(call)
    assert PROVIDER.refresh is not None
    with pytest.raises(NeedsReauthentication):
        PROVIDER.refresh(call)


def test_what_an_expired_token_was_granted_is_taken_back_by_the_app(world: World) -> None:
    call = world.connect()
    assert PROVIDER.revoke is not None
    world.facebook.expire(call.credentials.access_token.get_secret_value())
    page_token = call.credentials.pages[0].access_token.get_secret_value()
    PROVIDER.revoke(call)
    assert world.facebook.tokens[page_token].dead


def test_a_revocation_that_facebook_does_not_hear_is_told(world: World) -> None:
    call = world.connect()
    assert PROVIDER.revoke is not None
    world.facebook.answer("<html>", status=502)
    with pytest.raises(ProviderUnavailable):
        PROVIDER.revoke(call)


def test_no_secret_is_in_a_repr(world: World) -> None:
    assert "EAA" not in repr(world.connect())


def test_the_provider_loads_neither_requests_nor_any_sdk() -> None:
    program = (
        "import sys\n"
        "from integrations.providers import registry\n"
        "registry.get('facebook_oauth')\n"
        "print(*sorted({'requests', 'facebook_business', 'boto3'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == ""


def test_the_registry_knows_the_provider() -> None:
    assert registry.get("facebook_oauth") is PROVIDER
