"""Logging in with Google for Sheets: the handshake, the refresh and the end, on a stand-in."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from pydantic import SecretStr

from integrations.errors import (
    CredentialsRejected,
    InvalidParams,
    NeedsReauthentication,
    PermissionMissing,
    ProviderNotConfigured,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from integrations.models import now
from integrations.outbound.client import Outbound
from integrations.providers import google as endpoints
from integrations.providers.base import Addresses, Call, OAuthApp
from integrations.providers.sheets.login import PROVIDER, SheetsOAuthCredentials
from tests.contracts import sheets as contract
from tests.fakes.google import ISSUER, SPREADSHEETS, Failure, FakeGoogle, api_error, s256

APP = OAuthApp("client-id.apps.googleusercontent.com", SecretStr("client-secret"))
BACK = "https://api.example.com/api/integrations/oauth/callback/sheets_oauth"
# RFC 7636, appendix B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.fixture
def google() -> Iterator[FakeGoogle]:
    with FakeGoogle() as running:
        yield running
    for seen in running.sheets_requests:
        assert contract.violations(seen.method, seen.target, seen.body) == []


@pytest.fixture
def http() -> Outbound:
    return Outbound(allow_loopback=True, total_timeout=10)


def oauth() -> Any:
    assert PROVIDER.oauth is not None
    return PROVIDER.oauth


def authorized(google: FakeGoogle, http: Outbound, challenge: str = CHALLENGE) -> dict[str, str]:
    """What comes back to the callback after the browser has been to Google."""
    url = oauth().authorization_url(
        APP, Addresses(**google.addresses), BACK, "the-state", challenge
    )
    answer = http.request("GET", url)
    assert answer.status == 302
    location = answer.headers["location"]
    assert location.startswith(BACK)
    return dict(parse_qsl(urlsplit(location).query))


def exchanged(
    google: FakeGoogle,
    http: Outbound,
    *,
    app: OAuthApp = APP,
    back: str = BACK,
    verifier: str = VERIFIER,
) -> SheetsOAuthCredentials:
    code = authorized(google, http)["code"]
    made = oauth().exchange(app, http, Addresses(**google.addresses), code, back, verifier)
    assert isinstance(made, SheetsOAuthCredentials)
    return made


def calling(
    google: FakeGoogle, http: Outbound, credentials: SheetsOAuthCredentials
) -> Call[SheetsOAuthCredentials]:
    return Call(
        credentials=credentials, http=http, addresses=Addresses(**google.addresses), app=APP
    )


def refreshed(call: Call[SheetsOAuthCredentials]) -> SheetsOAuthCredentials:
    assert PROVIDER.refresh is not None
    made = PROVIDER.refresh(call)
    assert isinstance(made, SheetsOAuthCredentials)
    return made


@pytest.fixture
def call(google: FakeGoogle, http: Outbound) -> Call[SheetsOAuthCredentials]:
    return calling(google, http, exchanged(google, http))


# -- The way there ---------------------------------------------------------------------------


def test_the_address_asks_for_offline_access_with_consent_and_pkce() -> None:
    url = oauth().authorization_url(APP, Addresses(), BACK, "state", CHALLENGE)
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == (
        "https://accounts.google.com/o/oauth2/v2/auth"
    )
    assert parse_qs(parts.query) == {
        "response_type": ["code"],
        "client_id": [APP.client_id],
        "redirect_uri": [BACK],
        "scope": ["https://www.googleapis.com/auth/spreadsheets openid email"],
        "state": ["state"],
        "access_type": ["offline"],
        "prompt": ["consent"],
        "include_granted_scopes": ["true"],
        "code_challenge": [CHALLENGE],
        "code_challenge_method": ["S256"],
    }
    assert "client-secret" not in url


def test_an_address_with_a_query_of_its_own_keeps_it() -> None:
    addresses = Addresses(google_auth="https://sso.example.com/auth?tenant=1")
    url = oauth().authorization_url(APP, addresses, BACK, "state", CHALLENGE)
    assert url.startswith("https://sso.example.com/auth?tenant=1&response_type=code&")


def test_the_stand_in_knows_the_vector_of_rfc_7636() -> None:
    assert s256(VERIFIER) == CHALLENGE


def test_the_callback_carries_state_and_issuer(google: FakeGoogle, http: Outbound) -> None:
    back = authorized(google, http)
    assert (back["state"], back["iss"]) == ("the-state", ISSUER)


def test_the_issuer_is_google_unless_a_stand_in_is_in_its_place(google: FakeGoogle) -> None:
    issuer = oauth().issuer
    assert issuer is not None
    assert issuer(Addresses()) == ISSUER
    assert issuer(Addresses(**google.addresses)) is None


def test_a_person_who_refuses_is_sent_back_with_the_reason(
    google: FakeGoogle, http: Outbound
) -> None:
    google.consent.deny = True
    back = authorized(google, http)
    assert (back["error"], back["state"]) == ("access_denied", "the-state")


# -- The exchange ----------------------------------------------------------------------------


def test_a_code_becomes_credentials_that_name_their_account(
    google: FakeGoogle, http: Outbound
) -> None:
    made = exchanged(google, http)
    assert (made.email, made.subject) == ("ann@example.com", "1122334455")
    assert SPREADSHEETS in made.scopes
    assert timedelta(minutes=58) < made.expires_at - now() < timedelta(minutes=61)
    assert made.access_until is None
    (asked,) = google.seen("token")
    assert asked.query == []
    assert asked.form["code_verifier"] == VERIFIER
    assert asked.form["redirect_uri"] == BACK


def test_credentials_survive_being_stored_and_read_again(
    google: FakeGoogle, http: Outbound
) -> None:
    made = exchanged(google, http)
    stored = made.model_dump(mode="json", by_alias=True)
    stored["accessToken"] = made.access_token.get_secret_value()
    stored["refreshToken"] = made.refresh_token.get_secret_value()
    assert SheetsOAuthCredentials.model_validate(json.loads(json.dumps(stored))) == made


def test_tokens_are_masked_wherever_credentials_are_shown(
    google: FakeGoogle, http: Outbound
) -> None:
    made = exchanged(google, http)
    shown = f"{made!r}{made}{made.model_dump_json()}"
    assert "ya29." not in shown
    assert "1//" not in shown


def test_a_scope_that_was_not_ticked_is_named(google: FakeGoogle, http: Outbound) -> None:
    google.consent.scopes = frozenset({"https://www.googleapis.com/auth/userinfo.email"})
    with pytest.raises(PermissionMissing, match=SPREADSHEETS) as caught:
        exchanged(google, http)
    assert caught.value.data == {"missingScopes": [SPREADSHEETS]}


def test_an_account_without_an_email_goes_by_its_subject(
    google: FakeGoogle, http: Outbound
) -> None:
    google.consent.scopes = frozenset({SPREADSHEETS})
    made = exchanged(google, http)
    assert made.email is None
    assert PROVIDER.verify(calling(google, http, made)).account.label == "1122334455"


def test_a_reply_without_a_refresh_token_is_refused(google: FakeGoogle, http: Outbound) -> None:
    google.consent.refresh_token = False
    with pytest.raises(CredentialsRejected, match="no refresh token") as caught:
        exchanged(google, http)
    assert caught.value.provider_code == "no_refresh_token"


def test_time_limited_access_is_remembered(google: FakeGoogle, http: Outbound) -> None:
    google.consent.access_days = 7
    made = exchanged(google, http)
    assert made.access_until is not None
    assert timedelta(days=6) < made.access_until - now() < timedelta(days=8)
    found = PROVIDER.verify(calling(google, http, made))
    assert found.expires_at == made.expires_at
    assert "accessUntil" in found.account.details


def test_another_verifier_is_refused(google: FakeGoogle, http: Outbound) -> None:
    with pytest.raises(CredentialsRejected, match="Invalid code verifier"):
        exchanged(google, http, verifier="x" * 43)


def test_another_redirect_is_refused(google: FakeGoogle, http: Outbound) -> None:
    with pytest.raises(CredentialsRejected, match="redirect_uri_mismatch"):
        exchanged(google, http, back=f"{BACK}/")


def test_a_code_is_good_once(google: FakeGoogle, http: Outbound) -> None:
    code = authorized(google, http)["code"]
    parts = (http, Addresses(**google.addresses), code, BACK, VERIFIER)
    oauth().exchange(APP, *parts)
    with pytest.raises(CredentialsRejected, match="invalid_grant") as caught:
        oauth().exchange(APP, *parts)
    assert code not in str(caught.value)


def test_a_wrong_client_secret_is_refused_without_showing_it(
    google: FakeGoogle, http: Outbound
) -> None:
    wrong = OAuthApp(APP.client_id, SecretStr("not-the-secret"))
    with pytest.raises(CredentialsRejected, match="invalid_client") as caught:
        exchanged(google, http, app=wrong)
    assert "not-the-secret" not in f"{caught.value!r}{caught.value.data}"


@pytest.mark.parametrize(
    "failure",
    [Failure(200, "<html>login</html>"), Failure(200, ""), Failure(500, {}), Failure(200, {})],
)
def test_a_token_service_that_answers_nonsense_is_unavailable(
    google: FakeGoogle, http: Outbound, failure: Failure
) -> None:
    google.fail("token", failure)
    with pytest.raises(ProviderUnavailable):
        exchanged(google, http)


def test_a_reply_without_scopes_means_those_asked_for(google: FakeGoogle, http: Outbound) -> None:
    reply = {"access_token": "a", "refresh_token": "r", "expires_in": 10, "token_type": "Bearer"}
    google.fail("token", Failure(200, reply))
    made = exchanged(google, http)
    assert SPREADSHEETS in made.scopes
    assert (made.email, made.subject) == (None, None)


@pytest.mark.parametrize("token", [None, "", "x", "a.b.c", "a.W10.c", 5, "a.eyJ9.c"])
def test_an_id_token_that_is_none_says_nothing(token: Any) -> None:
    assert endpoints.claims(token) == {}


# -- The refresh -----------------------------------------------------------------------------


def test_a_refresh_keeps_the_refresh_token(call: Call[SheetsOAuthCredentials]) -> None:
    old = call.credentials.model_copy(update={"expires_at": now() - timedelta(hours=1)})
    new = refreshed(replace(call, credentials=old))
    assert new.refresh_token == old.refresh_token
    assert new.access_token != old.access_token
    assert PROVIDER.expires_at is not None
    assert PROVIDER.expires_at(new) == new.expires_at > now() + timedelta(minutes=50)
    assert (new.email, new.subject, new.scopes) == (old.email, old.subject, old.scopes)


def test_a_rotated_refresh_token_takes_the_place_of_the_old(
    google: FakeGoogle, call: Call[SheetsOAuthCredentials]
) -> None:
    google.rotate_refresh_tokens = True
    new = refreshed(call)
    assert new.refresh_token != call.credentials.refresh_token
    refreshed(replace(call, credentials=new))
    with pytest.raises(NeedsReauthentication):
        refreshed(call)


def test_a_dead_grant_needs_a_person_and_says_so_in_googles_words(
    google: FakeGoogle, call: Call[SheetsOAuthCredentials]
) -> None:
    google.revoke_all()
    with pytest.raises(
        NeedsReauthentication, match=r"Token has been expired or revoked\..*ann@example\.com"
    ) as caught:
        refreshed(call)
    assert (caught.value.status, caught.value.provider_code) == (400, "invalid_grant")
    assert call.credentials.refresh_token.get_secret_value() not in caught.value.detail


@pytest.mark.parametrize(
    "failure",
    [
        Failure(408, {}),
        Failure(429, {"error": "x"}),
        Failure(500, {"error": "internal_failure"}),
        Failure(503, "<html>Unavailable</html>"),
        Failure(504, {}),
        Failure(400, {"error": "server_error"}),
        Failure(400, {"error": "temporarily_unavailable"}),
    ],
)
def test_a_refresh_that_stumbles_is_worth_another_try(
    google: FakeGoogle, call: Call[SheetsOAuthCredentials], failure: Failure
) -> None:
    google.fail("token", failure)
    with pytest.raises(ProviderUnavailable):
        refreshed(call)
    refreshed(call)


@pytest.mark.parametrize("error", ["invalid_client", "unauthorized_client", "invalid_request"])
def test_any_other_refusal_does_not_blame_the_person(
    google: FakeGoogle, call: Call[SheetsOAuthCredentials], error: str
) -> None:
    google.fail("token", Failure(401, {"error": error}))
    with pytest.raises(CredentialsRejected, match=error) as caught:
        refreshed(call)
    assert not isinstance(caught.value, NeedsReauthentication)


def test_a_stack_without_a_client_says_which_parameters_are_missing(
    call: Call[SheetsOAuthCredentials],
) -> None:
    with pytest.raises(ProviderNotConfigured, match="GoogleClientId and GoogleClientSecret"):
        refreshed(replace(call, app=None))


# -- In use ----------------------------------------------------------------------------------


def test_verify_proves_the_token_and_changes_nothing(
    google: FakeGoogle, call: Call[SheetsOAuthCredentials]
) -> None:
    found = PROVIDER.verify(call)
    assert (found.account.id, found.account.label) == ("1122334455", "ann@example.com")
    assert found.message == "Connected as ann@example.com"
    assert found.credentials is None
    assert found.expires_at == call.credentials.expires_at
    assert [seen.method for seen in google.sheets_requests] == ["GET"]


def test_verify_refuses_a_token_that_is_refused(
    google: FakeGoogle, call: Call[SheetsOAuthCredentials]
) -> None:
    google.end_access_tokens()
    with pytest.raises(CredentialsRejected, match="invalid authentication"):
        PROVIDER.verify(call)
    assert len(google.sheets_requests) == 1


def test_verify_tells_that_the_scope_is_too_small(
    google: FakeGoogle, call: Call[SheetsOAuthCredentials]
) -> None:
    for token in google.access_tokens.values():
        token.scopes = frozenset({"openid"})
    with pytest.raises(PermissionMissing, match="insufficient authentication scopes") as caught:
        PROVIDER.verify(call)
    assert "share" not in caught.value.detail


def test_verify_is_not_fooled_by_a_service_that_is_down(
    google: FakeGoogle, call: Call[SheetsOAuthCredentials]
) -> None:
    google.fail("spreadsheets", Failure(503), Failure(429))
    with pytest.raises(ProviderUnavailable):
        PROVIDER.verify(call)
    with pytest.raises(RateLimited):
        PROVIDER.verify(call)


def test_the_actions_work_with_the_persons_token(
    google: FakeGoogle, call: Call[SheetsOAuthCredentials]
) -> None:
    book = google.add_book({"T": [["Id"]]}, shared={"ann@example.com": "writer"})
    action = PROVIDER.action("appendRow")
    params = action.params.model_validate({"spreadsheetId": book.id, "values": {"Id": 1}})
    action.run(call, params)
    assert book.rows("T") == [["Id"], [1]]
    book.shared = {}
    with pytest.raises(PermissionMissing, match=r"share the sheet with ann@example\.com"):
        action.run(call, params)
    with pytest.raises(InvalidParams):
        action.run(call, action.params.model_validate({"values": [1]}))


def test_a_token_that_ended_is_left_to_the_refresh(
    google: FakeGoogle, call: Call[SheetsOAuthCredentials]
) -> None:
    google.end_access_tokens()
    action = PROVIDER.action("listSheets")
    with pytest.raises(CredentialsRejected) as caught:
        action.run(call, action.params.model_validate({"spreadsheetId": "x"}))
    assert not isinstance(caught.value, NeedsReauthentication)
    assert len(google.sheets_requests) == 1


# -- The end ---------------------------------------------------------------------------------


def revoked(call: Call[SheetsOAuthCredentials]) -> None:
    assert PROVIDER.revoke is not None
    PROVIDER.revoke(call)


def test_revoking_ends_the_grant_and_twice_does_no_harm(
    google: FakeGoogle, call: Call[SheetsOAuthCredentials]
) -> None:
    revoked(call)
    assert google.refresh_tokens == {}
    assert google.access_tokens == {}
    revoked(call)
    assert [seen.query for seen in google.seen("revoke")] == [[], []]


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Failure(503, "<html></html>", {"Retry-After": "9"}), ProviderUnavailable),
        (Failure(429, {}), ProviderUnavailable),
        (Failure(400, {"error": "invalid_request"}), RequestRejected),
        (Failure(403, api_error(403)), RequestRejected),
    ],
)
def test_a_revocation_that_fails_says_so(
    google: FakeGoogle,
    call: Call[SheetsOAuthCredentials],
    failure: Failure,
    error: type[Exception],
) -> None:
    google.fail("revoke", failure)
    with pytest.raises(error):
        revoked(call)


def test_handshakes_alone_make_these_credentials() -> None:
    assert oauth().parameters == ("GoogleClientId", "GoogleClientSecret")
    assert PROVIDER.triggers == ()
