"""Google Sheets, with the account of somebody who logged in.

https://developers.google.com/identity/protocols/oauth2/web-server

What it does is in ``actions``, which ``sheets`` shares.
"""

from datetime import datetime, timedelta
from urllib.parse import urlencode

from pydantic import AwareDatetime, SecretStr

from integrations.errors import (
    CredentialsRejected,
    NeedsReauthentication,
    PermissionMissing,
    ProviderNotConfigured,
)
from integrations.models import Account, Json, now, rfc3339
from integrations.outbound.http import Http
from integrations.providers import google
from integrations.providers.base import (
    Addresses,
    Call,
    Credentials,
    OAuth,
    OAuthApp,
    Provider,
    Verified,
)
from integrations.providers.sheets.actions import MODULES
from integrations.providers.sheets.api import DOCS_URL, check_token

PARAMETERS = ("GoogleClientId", "GoogleClientSecret")

ISSUER = "https://accounts.google.com"
SCOPES = (google.SPREADSHEETS_SCOPE, "openid", "email")
"""What is asked for; only the first is needed, the others name the account."""


class SheetsOAuthCredentials(Credentials):
    """What the handshake brings; nobody types it in.

    Attributes:
        access_token: Good for an hour.
        refresh_token: Gets the next one.
        expires_at: When the access token ends.
        scopes: What was granted.
        email: The account, for people.
        subject: The account, for Google.
        access_until: When the grant itself ends, where its owner limited it in time.
    """

    access_token: SecretStr
    refresh_token: SecretStr
    expires_at: AwareDatetime
    scopes: tuple[str, ...] = ()
    email: str | None = None
    subject: str | None = None
    access_until: AwareDatetime | None = None

    @property
    def default_spreadsheet(self) -> None:
        """There is none: each action names its spreadsheet."""
        return

    @property
    def who(self) -> str:
        """Whom a spreadsheet must be shared with."""
        return self.email or "the Google account that is connected"

    def bearer(self, http: Http, addresses: Addresses, *, renew: bool = False) -> str | None:
        """The access token at hand; no better one, which is for ``refresh`` to get."""
        del http, addresses
        return None if renew else self.access_token.get_secret_value()


def authorization_url(
    app: OAuthApp, addresses: Addresses, redirect_uri: str, state: str, code_challenge: str
) -> str:
    """Where the browser goes to be asked.

    https://developers.google.com/identity/protocols/oauth2/web-server#creatingclient

    ``prompt=consent`` makes Google give a refresh token to somebody who has consented before.
    """
    query = urlencode(
        {
            "response_type": "code",
            "client_id": app.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(SCOPES),
            "state": state,
            "access_type": "offline",
            "prompt": "consent",
            "include_granted_scopes": "true",
            "code_challenge": code_challenge,
            "code_challenge_method": "S256",
        }
    )
    mark = "&" if "?" in addresses.google_auth else "?"
    return f"{addresses.google_auth}{mark}{query}"


def exchange(
    app: OAuthApp,
    http: Http,
    addresses: Addresses,
    code: str,
    redirect_uri: str,
    code_verifier: str,
) -> SheetsOAuthCredentials:
    """Trade the code for tokens.

    https://developers.google.com/identity/protocols/oauth2/web-server#exchange-authorization-code

    Raises:
        CredentialsRejected: Google refuses the code or this stack's client, or gives no refresh
            token.
        PermissionMissing: The person did not tick what is needed.
        ProviderUnavailable: Google is down or busy.
    """
    granted = google.grant(
        http,
        addresses,
        {
            "grant_type": "authorization_code",
            "code": code,
            "client_id": app.client_id,
            "client_secret": app.client_secret.get_secret_value(),
            "redirect_uri": redirect_uri,
            "code_verifier": code_verifier,
        },
    )
    scopes = _scopes(granted.get("scope"))
    if google.SPREADSHEETS_SCOPE not in scopes:
        detail = (
            "Google did not grant access to spreadsheets "
            f"({google.SPREADSHEETS_SCOPE}): connect again and tick it"
        )
        raise PermissionMissing(detail, data={"missingScopes": [google.SPREADSHEETS_SCOPE]})
    refresh_token = granted.get("refresh_token")
    if not isinstance(refresh_token, str) or not refresh_token:
        detail = (
            "Google gave no refresh token, so the connection would end within the hour: remove "
            "this application at https://myaccount.google.com/connections and connect again"
        )
        raise CredentialsRejected(detail, provider_code="no_refresh_token")
    account = google.claims(granted.get("id_token"))
    email, subject = account.get("email"), account.get("sub")
    return SheetsOAuthCredentials(
        access_token=SecretStr(str(granted["access_token"])),
        refresh_token=SecretStr(refresh_token),
        expires_at=now() + timedelta(seconds=google.lifetime(granted)),
        scopes=scopes,
        email=email if isinstance(email, str) else None,
        subject=subject if isinstance(subject, str) else None,
        access_until=_access_until(granted),
    )


def _scopes(granted: Json) -> tuple[str, ...]:
    """The scopes granted; as asked for where the reply does not say (RFC 6749, section 5.1)."""
    return tuple(granted.split()) if isinstance(granted, str) and granted.strip() else SCOPES


def _access_until(granted: dict[str, Json]) -> datetime | None:
    name = "refresh_token_expires_in"
    if name not in granted:
        return None
    return now() + timedelta(seconds=google.lifetime(granted, name))


def refresh(call: Call[SheetsOAuthCredentials]) -> SheetsOAuthCredentials:
    """Get a new access token; the refresh token stays unless a new one comes with it.

    https://developers.google.com/identity/protocols/oauth2/web-server#offline

    Raises:
        NeedsReauthentication: The grant is gone; somebody must log in again.
        ProviderUnavailable: Google is down or busy.
        CredentialsRejected: Google refuses for another reason, this stack's client for instance.
        ProviderNotConfigured: The stack has no client.
    """
    old = call.credentials
    if call.app is None:
        detail = f"This stack has no Google client: set {' and '.join(PARAMETERS)}"
        raise ProviderNotConfigured(detail)
    try:
        granted = google.grant(
            call.http,
            call.addresses,
            {
                "grant_type": "refresh_token",
                "refresh_token": old.refresh_token.get_secret_value(),
                "client_id": call.app.client_id,
                "client_secret": call.app.client_secret.get_secret_value(),
            },
        )
    except CredentialsRejected as refused:
        if refused.provider_code != "invalid_grant":
            raise
        detail = f"{refused.detail} Somebody must connect {old.who} again."
        raise NeedsReauthentication(
            detail, status=refused.status, provider_code=refused.provider_code
        ) from None
    rotated = granted.get("refresh_token")
    granted_scopes = granted.get("scope")
    return old.model_copy(
        update={
            "access_token": SecretStr(str(granted["access_token"])),
            "refresh_token": SecretStr(rotated)
            if isinstance(rotated, str) and rotated
            else old.refresh_token,
            "expires_at": now() + timedelta(seconds=google.lifetime(granted)),
            "scopes": _scopes(granted_scopes) if granted_scopes else old.scopes,
            "access_until": _access_until(granted) or old.access_until,
        }
    )


def revoke(call: Call[SheetsOAuthCredentials]) -> None:
    """Take the grant back at Google; one that is gone already is fine.

    Google ends all tokens that this account has granted to this stack's client, so another
    connection of the same account must be connected again.

    Raises:
        ProviderUnavailable: Google is down or busy.
        RequestRejected: Google refuses for another reason.
    """
    google.revoke(call.http, call.addresses, call.credentials.refresh_token)


def verify(call: Call[SheetsOAuthCredentials]) -> Verified[SheetsOAuthCredentials]:
    """Ask Sheets for a spreadsheet that does not exist: only with a good token is it "not found".

    Sheets has no request that needs no spreadsheet and changes nothing, and a refresh would spend
    a refresh token that may rotate.

    Raises:
        CredentialsRejected: The access token is refused.
        PermissionMissing: The scope is missing, or the API is not enabled in the client's project.
        ProviderUnavailable: Google is down or busy.
    """
    check_token(call)
    given = call.credentials
    label = given.email or given.subject or "Google account"
    details: dict[str, Json] = {"scopes": list(given.scopes)}
    if given.access_until is not None:
        details["accessUntil"] = rfc3339(given.access_until)
    return Verified(
        account=Account(given.subject or label, label, details),
        message=f"Connected as {label}",
        expires_at=given.expires_at,
    )


def expires_at(credentials: SheetsOAuthCredentials) -> datetime:
    """When the access token ends unless it is refreshed."""
    return credentials.expires_at


def issuer(addresses: Addresses) -> str | None:
    """What ``iss`` on the callback must be: Google's, or anything where a stand-in is in its place.

    https://accounts.google.com/.well-known/openid-configuration
    """
    return ISSUER if addresses.google_auth.startswith(f"{ISSUER}/") else None


PROVIDER = Provider(
    id="sheets_oauth",
    title="Google Sheets (log in with Google)",
    docs_url=DOCS_URL,
    credentials=SheetsOAuthCredentials,
    verify=verify,
    actions_in=MODULES,
    oauth=OAuth(
        parameters=PARAMETERS,
        authorization_url=authorization_url,
        exchange=exchange,
        issuer=issuer,
    ),
    expires_at=expires_at,
    refresh=refresh,
    revoke=revoke,
)
