"""What moves a connection's state: the whole table, and which failure is which happening."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from integrations import errors
from integrations.errors import IntegrationError
from integrations.models import Account, ConnectionStatus
from integrations.providers.facebook.faults import AppRefused
from integrations.services import states
from integrations.services.states import AFTER, Happening
from integrations.storage.connections import Connection, LastError

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
STORED = ("connected", "needs_reauth", "error")
CONNECTION = Connection(
    tenant="acme",
    provider="fake",
    name="default",
    account=Account("1", "Ann"),
    connected_at=NOW,
    updated_at=NOW,
)

WHOLE = {
    #                         connected       needs_reauth    error
    "WORKED":                ("connected",    "connected",    "connected"),
    "GRANT_LOST":            ("needs_reauth", "needs_reauth", "needs_reauth"),
    "REFUSED":               ("needs_reauth", "needs_reauth", "needs_reauth"),
    "APP_REFUSED":           ("error",        "needs_reauth", "error"),
    "UNREADABLE":            ("error",        "error",        "error"),
    "NOT_PERMITTED":         ("error",        "error",        "error"),
    "FAILED_OTHERWISE":      ("connected",    "needs_reauth", "error"),
}  # fmt: skip


def test_every_happening_is_told_for_every_stored_state() -> None:
    assert {name.name for name in AFTER} == {each.name for each in Happening} == set(WHOLE)
    assert {
        Happening[name]: dict(zip(STORED, ends, strict=True)) for name, ends in WHOLE.items()
    } == {**AFTER}


def test_the_states_that_are_shown_are_those_that_are_stored_and_two_that_follow() -> None:
    assert set(get_args(ConnectionStatus.__value__)) == {*STORED, "disconnected", "expired"}


@pytest.mark.parametrize(
    ("failure", "testing", "just_refreshed", "happening"),
    [
        (errors.NeedsReauthentication("gone"), False, False, Happening.GRANT_LOST),
        (errors.NeedsReauthentication("gone"), False, True, Happening.GRANT_LOST),
        (errors.CredentialsRejected("401"), False, False, Happening.REFUSED),
        (errors.CredentialsRejected("401"), True, False, Happening.REFUSED),
        (errors.CredentialsRejected("401"), False, True, Happening.APP_REFUSED),
        (AppRefused("the secret is wrong"), False, False, Happening.APP_REFUSED),
        (errors.CredentialsUnreadable("broken"), True, False, Happening.UNREADABLE),
        (errors.PermissionMissing("no page"), True, False, Happening.NOT_PERMITTED),
        (errors.PermissionMissing("not in this chat"), False, False, Happening.FAILED_OTHERWISE),
        (errors.RateLimited("later"), True, False, Happening.FAILED_OTHERWISE),
        (errors.ConnectionPaused("later"), True, False, Happening.FAILED_OTHERWISE),
        (errors.ProviderUnavailable("503"), True, False, Happening.FAILED_OTHERWISE),
        (errors.ProviderTimeout("slow"), True, False, Happening.FAILED_OTHERWISE),
        (errors.RequestRejected("no such chat"), True, False, Happening.FAILED_OTHERWISE),
        (errors.AddressRefused("10.0.0.1"), True, False, Happening.FAILED_OTHERWISE),
        (errors.ProviderError("odd"), True, False, Happening.FAILED_OTHERWISE),
        (errors.ProviderNotConfigured("no client"), True, False, Happening.FAILED_OTHERWISE),
        (errors.InvalidParams("chatId"), False, False, Happening.FAILED_OTHERWISE),
    ],
)
def test_what_a_failure_means(
    failure: IntegrationError, happening: Happening, *, testing: bool, just_refreshed: bool
) -> None:
    assert states.happening_of(failure, testing=testing, just_refreshed=just_refreshed) is happening


@pytest.mark.parametrize(
    ("status", "refreshable", "ends", "shown"),
    [
        ("connected", False, None, "connected"),
        ("connected", False, timedelta(seconds=1), "connected"),
        ("connected", False, timedelta(0), "expired"),
        ("connected", True, timedelta(0), "connected"),
        ("needs_reauth", False, timedelta(0), "needs_reauth"),
        ("error", False, timedelta(0), "error"),
    ],
)
def test_what_nothing_refreshes_is_shown_as_expired_when_its_time_is_over(
    status: str, ends: timedelta | None, shown: str, *, refreshable: bool
) -> None:
    connection = CONNECTION._replace(
        status=status,
        refreshable=refreshable,
        expires_at=None if ends is None else NOW + ends,
    )
    assert states.shown(connection, NOW) == shown


@pytest.mark.parametrize(
    ("status", "code", "lost"),
    [
        ("needs_reauth", "needs_reauth", True),
        ("needs_reauth", "credentials_rejected", False),
        ("error", "credentials_rejected", False),
        ("connected", "provider_unavailable", False),
    ],
)
def test_only_a_grant_that_is_gone_is_not_tried_again(
    status: str, code: str, *, lost: bool
) -> None:
    error = LastError(code, "reason", NOW)
    assert states.is_lost(CONNECTION._replace(status=status, last_error=error)) is lost
