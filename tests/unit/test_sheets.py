"""Google Sheets' credentials, tokens and errors, against a stand-in for Google."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from google.auth import jwt
from pydantic import SecretStr, ValidationError

from integrations import memory
from integrations.errors import (
    CredentialsRejected,
    InvalidParams,
    PermissionMissing,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from integrations.models import now
from integrations.outbound.client import Outbound
from integrations.providers import google as endpoints
from integrations.providers import registry
from integrations.providers.base import Addresses, Call
from integrations.providers.sheets.provider import PROVIDER, SheetsCredentials
from tests.contracts import sheets as contract
from tests.fakes.google import Failure, FakeGoogle, api_error, key_pair
from tests.unit.connected import sheets_call

# Well formed, and of no use here: only RSA keys sign for a service account.
ELLIPTIC = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2
OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r
1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G
-----END PRIVATE KEY-----
"""
ROBOT = "robot@project.iam.gserviceaccount.com"


@pytest.fixture
def google() -> Iterator[FakeGoogle]:
    memory.forget()
    with FakeGoogle() as running:
        yield running
    for seen in running.sheets_requests:
        assert contract.violations(seen.method, seen.target, seen.body) == []


def act(call: Call[Any], name: str, /, **params: Any) -> Any:
    action = PROVIDER.action(name)
    return action.run(call, action.params.model_validate(params))


def append(call: Call[Any]) -> Any:
    return act(call, "appendRow", range="Sheet1!A1", values=["x"])


def problems(given: object) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        SheetsCredentials.model_validate(given)
    assert "MIIE" not in str(caught.value)
    return {
        ".".join(map(str, error["loc"])): error["msg"]
        for error in caught.value.errors(include_input=False, include_context=False)
    }


# -- Credentials -----------------------------------------------------------------------------


def test_the_key_file_is_taken_as_text_and_as_an_object(google: FakeGoogle) -> None:
    key = google.add_service_account()
    pasted = SheetsCredentials.model_validate({"serviceAccount": json.dumps(key, indent=2)})
    assert pasted == SheetsCredentials.model_validate({"serviceAccount": key})
    assert pasted.service_account.client_email == ROBOT


def test_credentials_survive_being_stored_and_read_again(google: FakeGoogle) -> None:
    first = sheets_call(google, spreadsheetId="abc").credentials
    stored = first.model_dump(by_alias=True)
    stored["serviceAccount"]["private_key"] = first.service_account.private_key.get_secret_value()
    again = SheetsCredentials.model_validate(json.loads(json.dumps(stored)))
    assert again == first


def test_secrets_are_masked_wherever_credentials_are_shown(google: FakeGoogle) -> None:
    credentials = sheets_call(google).credentials
    shown = f"{credentials!r}{credentials}{credentials.model_dump_json()}"
    assert "PRIVATE KEY" not in shown
    assert "MIIE" not in shown


def test_each_field_of_a_broken_key_file_is_named(google: FakeGoogle) -> None:
    key = google.add_service_account()
    del key["client_email"]
    key["type"] = "authorized_user"
    found = problems({"serviceAccount": json.dumps(key)})
    assert set(found) == {"serviceAccount.type", "serviceAccount.client_email"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("not json", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('"text"', "JSON object"),
        (5, "JSON object"),
        ({"installed": {"client_id": "x"}}, "OAuth client"),
        ({"web": {"client_id": "x"}}, "OAuth client"),
    ],
)
def test_what_is_no_key_file_is_refused_with_the_reason(given: object, says: str) -> None:
    assert says in problems({"serviceAccount": given})["serviceAccount"]


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("MIIEabc", "PEM"),
        ("-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----", "PEM"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEabc", "cut off"),
    ],
)
def test_a_private_key_that_is_none_is_refused(google: FakeGoogle, key: str, says: str) -> None:
    given = google.add_service_account() | {"private_key": key}
    assert says in problems({"serviceAccount": given})["serviceAccount.private_key"]


def test_a_private_key_with_escaped_line_ends_is_mended(google: FakeGoogle) -> None:
    key = google.add_service_account()
    escaped = key | {"private_key": key["private_key"].replace("\n", "\\n")}
    PROVIDER.verify(sheets_call(google, serviceAccount=escaped))


@pytest.mark.parametrize(
    "private_key",
    [
        "-----BEGIN PRIVATE KEY-----\nTm90IGEga2V5\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\n!!!\n-----END PRIVATE KEY-----\n",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        ELLIPTIC,
    ],
)
def test_a_private_key_that_cannot_be_read_is_a_rejection(
    google: FakeGoogle, private_key: str
) -> None:
    broken = google.add_service_account() | {"private_key": private_key}
    with pytest.raises(CredentialsRejected, match="private_key") as caught:
        PROVIDER.verify(sheets_call(google, serviceAccount=broken))
    assert "AAAA" not in str(caught.value)
    assert google.requests == []


@pytest.mark.parametrize(
    "given",
    [
        "1AbC-_9",
        "https://docs.google.com/spreadsheets/d/1AbC-_9/edit#gid=0",
        "https://docs.google.com/spreadsheets/d/1AbC-_9",
        "https://docs.google.com/spreadsheets/u/1/d/1AbC-_9/edit?usp=sharing",
        "  1AbC-_9  ",
    ],
)
def test_a_spreadsheet_is_named_by_its_id_or_its_address(google: FakeGoogle, given: str) -> None:
    assert sheets_call(google, spreadsheetId=given).credentials.spreadsheet_id == "1AbC-_9"


def test_an_empty_spreadsheet_is_none(google: FakeGoogle) -> None:
    assert sheets_call(google, spreadsheetId="").credentials.spreadsheet_id is None


@pytest.mark.parametrize(
    "given",
    [
        "https://docs.google.com/spreadsheets/d/e/2PACX-1v/pubhtml",
        "https://example.com/x",
        "../../v4/spreadsheets",
        "id/values/A1",
        "id?x=1",
        "id:batchUpdate",
    ],
)
def test_what_is_no_spreadsheet_is_refused(google: FakeGoogle, given: str) -> None:
    key = google.add_service_account()
    assert set(problems({"serviceAccount": key, "spreadsheetId": given})) == {"spreadsheetId"}


# -- Tokens ----------------------------------------------------------------------------------


def test_the_assertion_is_what_google_documents(google: FakeGoogle) -> None:
    PROVIDER.verify(sheets_call(google))
    (asked,) = google.seen("token")
    assert asked.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assertion = asked.form["assertion"]
    key_id = hashlib.sha256(key_pair("one")[1].encode()).hexdigest()[:40]
    decode: Any = jwt.decode
    claims = decode(
        assertion,
        certs={key_id: key_pair("one")[1]},
        audience="https://oauth2.googleapis.com/token",
    )
    header: Any = jwt.decode_header
    assert header(assertion) == {"typ": "JWT", "alg": "RS256", "kid": key_id}
    assert claims == {
        "iss": ROBOT,
        "scope": "https://www.googleapis.com/auth/spreadsheets",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": claims["iat"],
        "exp": claims["iat"] + 3600,
    }
    assert abs(claims["iat"] - time.time()) < 60


def test_a_hostile_token_uri_is_never_asked(google: FakeGoogle) -> None:
    with FakeGoogle() as hostile:
        key = google.add_service_account() | {
            "token_uri": f"{hostile.url}/token",
            "auth_uri": f"{hostile.url}/auth",
            "universe_domain": "evil.example",
        }
        PROVIDER.verify(sheets_call(google, serviceAccount=key))
        assert hostile.requests == []
    assert len(google.seen("token")) == 1


def test_a_token_is_kept_for_its_key(google: FakeGoogle) -> None:
    google.add_book(book_id="book")
    one = sheets_call(google, spreadsheetId="book")
    other = sheets_call(
        google, serviceAccount=google.add_service_account("b@x.y"), spreadsheetId="book"
    )
    for call in (one, one, other, one, other):
        act(call, "listSheets")
    assert len(google.seen("token")) == 2


def test_a_token_is_renewed_some_minutes_before_its_end(google: FakeGoogle) -> None:
    google.add_book(book_id="book")
    google.token_lifetime = 290
    call = sheets_call(google, spreadsheetId="book")
    for _ in range(3):
        act(call, "listSheets")
    assert len(google.seen("token")) == 3


def test_no_more_tokens_are_kept_than_the_limit(
    google: FakeGoogle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "_MOST_TOKENS", 2)
    for number in range(5):
        PROVIDER.verify(
            sheets_call(google, serviceAccount=google.add_service_account(f"{number}@x.y"))
        )
    assert len(endpoints._tokens) <= 2
    assert not any("PRIVATE" in name for name in endpoints._tokens)


def test_a_kept_token_that_is_refused_is_renewed_once(google: FakeGoogle) -> None:
    google.add_book(book_id="book")
    call = sheets_call(google, spreadsheetId="book")
    act(call, "listSheets")
    google.end_access_tokens()
    act(call, "listSheets")
    assert len(google.seen("token")) == 2
    google.fail("spreadsheets.get", Failure(401), Failure(401))
    with pytest.raises(CredentialsRejected, match="invalid authentication"):
        act(call, "listSheets")


def test_a_deleted_account_is_a_rejection_in_googles_words(google: FakeGoogle) -> None:
    call = sheets_call(google)
    PROVIDER.verify(call)
    google.remove_service_account(ROBOT)
    with pytest.raises(CredentialsRejected, match="account not found") as caught:
        PROVIDER.verify(call)
    assert caught.value.provider_code == "invalid_grant"


def test_a_key_that_was_replaced_is_a_rejection(google: FakeGoogle) -> None:
    old = google.add_service_account()
    google.add_service_account(key="two")
    with pytest.raises(CredentialsRejected, match="Invalid JWT Signature"):
        PROVIDER.verify(sheets_call(google, serviceAccount=old))


@pytest.mark.parametrize(
    "failure",
    [
        Failure(500, {"error": "internal_failure"}),
        Failure(503, "<html>try later</html>"),
        Failure(502, "<html>Bad Gateway</html>"),
        Failure(408, {}),
        Failure(429, {"error": "rate_limit"}),
        Failure(400, {"error": "temporarily_unavailable"}),
        Failure(403, {"error": "access", "error_description": "server_error"}),
        Failure(200, "<html>welcome to the hotel's network</html>"),
        Failure(200, {"scope": "x"}),
        Failure(404, "<html>no such page</html>"),
        Failure(302, ""),
    ],
)
def test_a_token_service_that_stumbles_is_worth_another_try(
    google: FakeGoogle, failure: Failure
) -> None:
    google.fail("token", failure)
    with pytest.raises(ProviderUnavailable) as caught:
        PROVIDER.verify(sheets_call(google))
    assert not caught.value.outcome_unknown


def test_the_token_services_wish_for_patience_is_kept(google: FakeGoogle) -> None:
    google.fail("token", Failure(503, {}, {"Retry-After": "17"}))
    with pytest.raises(ProviderUnavailable) as caught:
        PROVIDER.verify(sheets_call(google))
    assert caught.value.retry_after == 17


# -- The test of a connection ----------------------------------------------------------------


def test_verify_names_the_account_and_the_spreadsheet(google: FakeGoogle) -> None:
    google.add_book(book_id="book", title="Orders", shared={ROBOT: "reader"})
    found = PROVIDER.verify(sheets_call(google, spreadsheetId="book"))
    assert found.account.label == ROBOT
    assert found.account.details == {
        "projectId": "project",
        "spreadsheetId": "book",
        "spreadsheetTitle": "Orders",
    }
    assert "Orders" in found.message


def test_verify_says_with_whom_to_share(google: FakeGoogle) -> None:
    google.add_book(book_id="book", shared={"ann@example.com": "writer"})
    with pytest.raises(PermissionMissing, match=f"share the sheet with {ROBOT}"):
        PROVIDER.verify(sheets_call(google, spreadsheetId="book"))


def test_verify_says_that_there_is_no_such_spreadsheet(google: FakeGoogle) -> None:
    with pytest.raises(RequestRejected, match="not found") as caught:
        PROVIDER.verify(sheets_call(google, spreadsheetId="nowhere"))
    assert caught.value.status == 404
    assert caught.value.provider_code == "NOT_FOUND"


# -- Errors ----------------------------------------------------------------------------------


def test_who_may_only_read_is_told_to_get_it_shared(google: FakeGoogle) -> None:
    google.add_book(book_id="book", shared={ROBOT: "reader"})
    call = sheets_call(google, spreadsheetId="book")
    act(call, "readRange", range="A1")
    with pytest.raises(PermissionMissing, match=f"does not have permission: share .* {ROBOT}"):
        append(call)


def test_an_api_that_is_not_enabled_is_no_matter_of_sharing(google: FakeGoogle) -> None:
    message = "Google Sheets API has not been used in project 1 before or it is disabled."
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}]
    google.fail("values", Failure(403, api_error(403, message, details=details)))
    with pytest.raises(PermissionMissing, match="has not been used") as caught:
        append(sheets_call(google, spreadsheetId="book"))
    assert "share" not in caught.value.detail


@pytest.mark.parametrize(
    "failure",
    [
        Failure(429, headers={"Retry-After": "30"}),
        Failure(
            403,
            api_error(403, "Rate Limit Exceeded", errors=[{"reason": "rateLimitExceeded"}]),
            {"Retry-After": "30"},
        ),
        Failure(
            403,
            api_error(403, "User Rate Limit", errors=[{"reason": "userRateLimitExceeded"}]),
            {"Retry-After": "30"},
        ),
        Failure(
            403,
            api_error(403, "Quota", details=[{"reason": "RATE_LIMIT_EXCEEDED"}]),
            {"Retry-After": "30"},
        ),
    ],
)
def test_every_face_of_the_quota_is_rate_limiting(google: FakeGoogle, failure: Failure) -> None:
    google.fail("values", failure)
    with pytest.raises(RateLimited) as caught:
        append(sheets_call(google, spreadsheetId="book"))
    assert caught.value.retry_after == 30


def test_reads_and_writes_have_limits_of_their_own(google: FakeGoogle) -> None:
    asked: list[str] = []
    call = replace(sheets_call(google, spreadsheetId="book"), check_pause=asked.append)
    google.fail("values", Failure(429))
    with pytest.raises(RateLimited) as caught:
        PROVIDER.action("readRange").run(
            call, PROVIDER.action("readRange").params.model_validate({"range": "Orders!A1"})
        )
    assert caught.value.scope == "reads"
    google.fail("values", Failure(429))
    write = PROVIDER.action("updateRange")
    with pytest.raises(RateLimited) as caught:
        write.run(call, write.params.model_validate({"range": "Orders!A1", "values": [["x"]]}))
    assert caught.value.scope == "writes"
    assert asked == ["reads", "writes"]


def test_retry_after_may_be_a_date_or_missing(google: FakeGoogle) -> None:
    call = sheets_call(google, spreadsheetId="book")
    date = format_datetime(now() + timedelta(seconds=60), usegmt=True)
    google.fail("values", Failure(429, headers={"Retry-After": date}))
    with pytest.raises(RateLimited) as caught:
        append(call)
    assert caught.value.retry_after is not None
    assert 50 < caught.value.retry_after <= 60
    for headers in ({}, {"Retry-After": "soon"}):
        google.fail("values", Failure(429, headers=headers))
        with pytest.raises(RateLimited) as caught:
            append(call)
        assert caught.value.retry_after is None


@pytest.mark.parametrize(
    ("failure", "unknown"),
    [
        (Failure(500), False),
        (Failure(503, headers={"Retry-After": "5"}), False),
        (Failure(502, "<html>Bad Gateway</html>"), False),
        (Failure(504), True),
        (Failure(200, "<html>OK</html>"), True),
        (Failure(409, api_error(409, "aborted")), False),
    ],
)
def test_a_sheets_service_that_stumbles_is_worth_another_try(
    google: FakeGoogle, failure: Failure, *, unknown: bool
) -> None:
    google.fail("values", failure)
    with pytest.raises(ProviderUnavailable) as caught:
        append(sheets_call(google, spreadsheetId="book"))
    assert caught.value.outcome_unknown is unknown


def test_an_append_that_times_out_may_have_happened_and_says_so(google: FakeGoogle) -> None:
    book = google.add_book(book_id="book")
    call = sheets_call(google, spreadsheetId="book")
    act(call, "listSheets")
    google.fail("values.append", Failure(200, {}, delay=1, done=True))
    impatient = replace(call, http=Outbound(allow_loopback=True, total_timeout=0.3))
    with pytest.raises(ProviderTimeout) as caught:
        append(impatient)
    assert caught.value.outcome_unknown
    assert book.rows("Sheet1") == [["x"]]
    assert not PROVIDER.action("appendRow").idempotent


def test_google_that_cannot_be_reached_is_unavailable(google: FakeGoogle) -> None:
    call = sheets_call(google, spreadsheetId="book")
    nobody = call.addresses._replace(google_token="http://127.0.0.1:9/token")
    with pytest.raises(ProviderError):
        append(replace(call, addresses=nobody))


def test_what_google_finds_wrong_in_a_body_is_told_by_field(google: FakeGoogle) -> None:
    google.add_book(book_id="book")
    call = sheets_call(google, spreadsheetId="book")
    action = PROVIDER.action("request")
    params = action.params.model_validate({"requests": [{"addChart": {}}]})
    with FakeGoogle() as lenient:  # the contract would refuse this request as Google does
        lenient.books = google.books
        lenient.add_service_account()
        elsewhere = replace(call, addresses=Addresses(**lenient.addresses))
        memory.forget()
        with pytest.raises(InvalidParams, match="Unknown name") as caught:
            action.run(elsewhere, params)
    assert [error.field for error in caught.value.errors] == ["requests[0]"]


def test_any_other_refusal_is_in_googles_words(google: FakeGoogle) -> None:
    google.add_book(book_id="book")
    with pytest.raises(RequestRejected, match="already exists"):
        act(sheets_call(google, spreadsheetId="book"), "addSheet", title="sheet1")


def test_an_error_that_is_no_error_object_is_borne(google: FakeGoogle) -> None:
    call = sheets_call(google, spreadsheetId="book")
    for body in ({"error": "text"}, {"error": {"details": "x", "errors": [1]}}, {}, "<p>no</p>"):
        google.fail("values", Failure(400, body))
        with pytest.raises(RequestRejected, match="400"):
            append(call)


def test_no_error_holds_a_token_or_a_key(google: FakeGoogle) -> None:
    call = sheets_call(google, spreadsheetId="nowhere")
    with pytest.raises(RequestRejected) as caught:
        act(call, "listSheets")
    shown = f"{caught.value!r} {caught.value.detail} {caught.value.data}"
    assert not any(token in shown for token in google.access_tokens)
    assert "PRIVATE" not in shown


# -- The module ------------------------------------------------------------------------------


def test_both_providers_do_the_same_with_the_same_code() -> None:
    assert registry.get("sheets").actions_in is registry.get("sheets_oauth").actions_in


def test_a_cold_start_loads_nothing_that_only_signing_needs() -> None:
    program = (
        "import sys; from integrations.providers.sheets import login, provider; "
        "print(*sorted({'google.auth', 'cryptography', 'requests', 'urllib3'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.stdout.strip() == ""


def test_every_example_fits_its_parameters() -> None:
    for action in PROVIDER.actions:
        action.params.model_validate(action.example)


def test_the_key_is_a_secret_in_the_form() -> None:
    schema = SheetsCredentials.model_json_schema()
    pasted = schema["properties"]["serviceAccount"]["anyOf"][0]
    assert pasted == {"type": "string", "format": "password", "writeOnly": True}
    key = schema["$defs"]["ServiceAccount"]["properties"]["private_key"]
    assert key["writeOnly"] is True
    assert isinstance(SheetsCredentials.model_fields["service_account"].annotation, type)
    assert endpoints.ServiceAccount.model_fields["private_key"].annotation is SecretStr
