"""A mailbox's OAuth tokens: renewed at their issuer, and what the issuer's refusals mean."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from pydantic import ValidationError

from integrations.errors import (
    AddressRefused,
    CredentialsRejected,
    NeedsReauthentication,
    ProviderUnavailable,
)
from integrations.outbound.client import Outbound
from integrations.providers.base import Addresses, Call
from integrations.providers.email import login, provider
from integrations.providers.email.credentials import EmailCredentials
from tests.fakes.receiver import Receiver, Reply
from tests.fakes.smtp import MailServer

USER = "shop@example.com"
GOOGLE = "https://oauth2.googleapis.com/token"
MICROSOFT = "https://login.microsoftonline.com/common/oauth2/v2.0/token"


@pytest.fixture
def issuer() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


def call(issuer: Receiver, *, loopback: bool = True, **more: Any) -> Call[EmailCredentials]:
    given = {
        "host": "127.0.0.1",
        "user": USER,
        "refreshToken": "r3fresh-1",
        "clientId": "app-1",
        "clientSecret": "s3cret-of-the-app",
        "tokenUrl": issuer.url("/token"),
        "secure": "none",
    }
    return Call(
        credentials=EmailCredentials.model_validate(given | more),
        http=Outbound(allow_loopback=loopback),
        addresses=Addresses(),
        allow_loopback=loopback,
    )


def answer(issuer: Receiver, status: int = 200, **body: Any) -> None:
    headers = {"content-type": "application/json", "retry-after": "7"}
    issuer.reply(Reply(status=status, body=json.dumps(body).encode(), headers=headers))


def test_an_access_token_is_got_for_the_refresh_token(issuer: Receiver) -> None:
    answer(issuer, access_token="a-2", expires_in=120, token_type="Bearer")
    made = login.refresh(call(issuer, scope="https://outlook.office.com/SMTP.Send offline_access"))
    assert made.access_token is not None
    assert made.access_token.get_secret_value() == "a-2"
    assert made.refresh_token is not None
    assert made.refresh_token.get_secret_value() == "r3fresh-1"
    ends = login.expires_at(made)
    assert ends is not None
    assert timedelta(seconds=100) < ends - datetime.now(UTC) <= timedelta(seconds=120)
    assert parse_qs(issuer.last.body.decode()) == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["r3fresh-1"],
        "client_id": ["app-1"],
        "client_secret": ["s3cret-of-the-app"],
        "scope": ["https://outlook.office.com/SMTP.Send offline_access"],
    }


@pytest.mark.parametrize("seconds", [10**12, 10**18])
def test_a_token_that_never_ends_is_no_defect_of_ours(issuer: Receiver, seconds: int) -> None:
    answer(issuer, access_token="a-2", expires_in=seconds)
    ends = login.expires_at(login.refresh(call(issuer)))
    assert ends is not None
    assert ends > datetime.now(UTC) + timedelta(days=300)


def test_a_refresh_token_that_rotates_is_replaced(issuer: Receiver) -> None:
    answer(issuer, access_token="a-2", refresh_token="r3fresh-2")
    made = login.refresh(call(issuer))
    assert made.refresh_token is not None
    assert made.refresh_token.get_secret_value() == "r3fresh-2"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"error": "invalid_grant", "error_description": "r3fresh-1 was revoked"},
         NeedsReauthentication),
        (400, {"error": "interaction_required"}, NeedsReauthentication),
        (401, {"error": "invalid_client"}, CredentialsRejected),
        (400, {"error": "temporarily_unavailable"}, ProviderUnavailable),
        (429, {"error": "rate"}, ProviderUnavailable),
        (503, {"error": "invalid_grant_soon"}, ProviderUnavailable),
        (200, {}, ProviderUnavailable),
        (200, {"access_token": 7}, ProviderUnavailable),
        (200, {"access_token": ""}, ProviderUnavailable),
    ],
)  # fmt: skip
def test_a_refusal_means_what_the_standard_says(
    status: int, body: dict[str, Any], error: type[Exception], issuer: Receiver
) -> None:
    answer(issuer, status, **body)
    with pytest.raises(error) as failure:
        login.refresh(call(issuer))
    assert failure.type is error
    assert "r3fresh" not in str(failure.value)
    assert str(status) in str(failure.value)
    if isinstance(failure.value, ProviderUnavailable):
        assert failure.value.retry_after == 7


def test_a_page_of_html_is_no_token(issuer: Receiver) -> None:
    issuer.reply(Reply(status=502, body=b"<html>"))
    with pytest.raises(ProviderUnavailable):
        login.refresh(call(issuer))


def test_the_issuer_must_be_outside(issuer: Receiver) -> None:
    with pytest.raises(AddressRefused):
        login.refresh(call(issuer, loopback=False))


@pytest.mark.parametrize(
    "fields",
    [{}, {"accessToken": "a-1", "expiresAt": "2026-01-01T00:00:00Z"}],
    ids=["no access token", "an old one"],
)
def test_the_test_gets_a_token_and_keeps_it(issuer: Receiver, fields: dict[str, str]) -> None:
    answer(issuer, access_token="a-2", expires_in=3600)
    with MailServer("none", tokens={USER: "a-2"}) as server:
        verified = provider.verify(call(issuer, port=server.port, **fields))
        assert server.attempts == [("XOAUTH2", USER, True)]
    assert verified.credentials is not None
    assert verified.credentials.access_token is not None
    assert verified.credentials.access_token.get_secret_value() == "a-2"


def test_a_fresh_token_is_used_as_it_is(issuer: Receiver) -> None:
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    with MailServer("none", tokens={USER: "a-1"}) as server:
        caller = call(issuer, port=server.port, accessToken="a-1", expiresAt=ahead)
        assert provider.verify(caller).credentials is None
    assert not issuer.received


@pytest.mark.parametrize(
    ("host", "address"),
    [("smtp.gmail.com", GOOGLE), ("SMTP.office365.com", MICROSOFT), ("smtp.example.com", None)],
)
def test_the_great_mailbox_hosts_need_no_token_address(host: str, address: str | None) -> None:
    given = {"host": host, "user": USER, "refreshToken": "r", "clientId": "c"}
    if address is None:
        with pytest.raises(ValidationError, match="tokenUrl"):
            EmailCredentials.model_validate(given)
    else:
        assert EmailCredentials.model_validate(given).token_address == address


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"clientId": None}, "clientId"),
        ({"user": None}, "user"),
        ({"tokenUrl": "http://issuer.example.com/token"}, "https"),
        ({"tokenUrl": "ftp://issuer.example.com"}, "https"),
        ({"expiresAt": "2026-01-01T00:00:00"}, "timezone"),
    ],
)
def test_credentials_that_cannot_be_renewed_are_refused(more: dict[str, Any], reason: str) -> None:
    given = {
        "host": "smtp.gmail.com", "user": USER, "refreshToken": "r", "clientId": "c",
        "from": "a@example.com",
    }  # fmt: skip
    with pytest.raises(ValidationError, match=reason):
        EmailCredentials.model_validate(given | more)


@pytest.mark.parametrize("given", [{"pass": "x"}, {"accessToken": "a"}])
def test_a_password_and_a_token_by_itself_are_not_renewed(given: dict[str, str]) -> None:
    made = EmailCredentials.model_validate({"host": "smtp.gmail.com", "user": USER, **given})
    assert not login.can_refresh(made)
    assert login.expires_at(made) is None
