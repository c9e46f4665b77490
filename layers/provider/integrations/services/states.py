"""What moves a connection's state: one table, and nothing else moves it.

Stored are ``connected``, ``needs_reauth`` and ``error``. The other two follow from what is there:
``disconnected`` where no record is, ``expired`` where the time of what nothing refreshes is over.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum, auto
from typing import cast

from integrations.errors import (
    CredentialsRejected,
    CredentialsUnreadable,
    IntegrationError,
    NeedsReauthentication,
    PermissionMissing,
)
from integrations.models import ConnectionStatus
from integrations.services.observing import Observe
from integrations.storage.connections import Connection


class Happening(Enum):
    """What happens to a connection.

    Attributes:
        WORKED: Credentials were saved, refreshed, tested or used, and the provider took them.
        GRANT_LOST: The provider says that the grant is gone, so that only a person can repair it.
        REFUSED: The provider refuses the credentials: revoked, changed, wrong.
        APP_REFUSED: It refuses the app that asks, or what it has itself just given.
        UNREADABLE: The stored credentials do not decrypt, or are of another form.
        NOT_PERMITTED: A test shows that the credentials may not do what they are for.
        FAILED_OTHERWISE: Anything else: the provider is down or busy, or one request was wrong.
    """

    WORKED = auto()
    GRANT_LOST = auto()
    REFUSED = auto()
    APP_REFUSED = auto()
    UNREADABLE = auto()
    NOT_PERMITTED = auto()
    FAILED_OTHERWISE = auto()


AFTER: Mapping[Happening, Mapping[str, str]] = {
    Happening.WORKED: {
        "connected": "connected",
        "needs_reauth": "connected",
        "error": "connected",
    },
    Happening.GRANT_LOST: {
        "connected": "needs_reauth",
        "needs_reauth": "needs_reauth",
        "error": "needs_reauth",
    },
    Happening.REFUSED: {
        "connected": "needs_reauth",
        "needs_reauth": "needs_reauth",
        "error": "needs_reauth",
    },
    Happening.APP_REFUSED: {
        "connected": "error",
        "needs_reauth": "needs_reauth",  # whoever the app is, the person is still needed
        "error": "error",
    },
    Happening.UNREADABLE: {
        "connected": "error",
        "needs_reauth": "error",
        "error": "error",
    },
    Happening.NOT_PERMITTED: {
        "connected": "error",
        "needs_reauth": "error",  # it may do too little, but it is let in again
        "error": "error",
    },
    Happening.FAILED_OTHERWISE: {
        "connected": "connected",
        "needs_reauth": "needs_reauth",
        "error": "error",
    },
}
"""Happening → the stored state before → the stored state after."""


def happening_of(
    failure: IntegrationError, *, testing: bool = False, just_refreshed: bool = False
) -> Happening:
    """What a failure means for a connection.

    Args:
        failure: What came of a call with its credentials.
        testing: The call was a test of the credentials themselves. A permission that is missing in
            other calls is about what was asked: one chat, one page.
        just_refreshed: The provider had given these very credentials a moment ago, or refused to
            give new ones without saying that the grant is gone.
    """
    match failure:
        case CredentialsUnreadable():
            return Happening.UNREADABLE
        case NeedsReauthentication():
            return Happening.GRANT_LOST
        case CredentialsRejected():
            helps = failure.login_helps and not just_refreshed
            return Happening.REFUSED if helps else Happening.APP_REFUSED
        case PermissionMissing() if testing:
            return Happening.NOT_PERMITTED
        case _:
            return Happening.FAILED_OTHERWISE


def after(state: str, happening: Happening) -> str:
    """The stored state after a happening."""
    return AFTER[happening][state]


def tell(observe: Observe, connection: Connection, state: str, why: IntegrationError) -> None:
    """Tell of a connection that has just broken; nothing is told of one that was broken before."""
    if connection.status == "connected" and state != connection.status:
        observe(
            "connection",
            broken=1,
            state=state,
            code=why.code,
            tenant=connection.tenant,
            provider=connection.provider,
            connection=connection.name,
        )


def is_lost(connection: Connection) -> bool:
    """Whether the provider said that the grant is gone: it is not asked again before a log-in.

    Credentials that were only refused (a changed password, a revoked key) may be taken again one
    day, so they are tried.
    """
    error = connection.last_error
    return connection.status == "needs_reauth" and (
        error is None or error.code == NeedsReauthentication.code
    )


def shown(connection: Connection, moment: datetime) -> ConnectionStatus:
    """The state of a connection as the API shows it at a moment."""
    ends = connection.expires_at
    if (
        connection.status == "connected"
        and not connection.refreshable
        and ends is not None
        and ends <= moment
    ):
        return "expired"
    return cast("ConnectionStatus", connection.status)
