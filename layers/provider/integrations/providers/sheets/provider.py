"""Google Sheets, with a service account.

https://developers.google.com/workspace/sheets/api/reference/rest

What it does is in ``actions``, which ``sheets_oauth`` shares.
"""

from collections.abc import Mapping
from json import loads
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

from integrations.models import Account, Json
from integrations.outbound.http import Http
from integrations.providers import google
from integrations.providers.base import Addresses, Call, Credentials, Provider, Verified
from integrations.providers.sheets.actions import MODULES
from integrations.providers.sheets.api import DOCS_URL, Spreadsheet, parsed_id


def _pasted(value: object) -> object:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, str):
        try:
            value = loads(value)
        except (ValueError, RecursionError):
            raise ValueError("is not JSON: paste the service account's key file whole") from None
    if isinstance(value, google.ServiceAccount):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("must be the JSON object of a service account's key file")
    if "installed" in value or "web" in value:
        raise ValueError("is an OAuth client's JSON; a service account's key file is needed")
    return value


class SheetsCredentials(Credentials):
    """A service account's key, and the spreadsheet that is meant where an action names none."""

    service_account: Annotated[
        google.ServiceAccount,
        BeforeValidator(_pasted, json_schema_input_type=SecretStr | google.ServiceAccount),
        Field(
            description="The key file (JSON) of a Google service account, pasted whole",
            json_schema_extra={"x-control": "multiline"},
        ),
    ]
    spreadsheet_id: Annotated[
        str | None,
        BeforeValidator(parsed_id),
        Field(description="The spreadsheet's id or address, used where an action names none"),
    ] = None

    @property
    def default_spreadsheet(self) -> str | None:
        """The spreadsheet that is meant where an action names none."""
        return self.spreadsheet_id

    @property
    def who(self) -> str:
        """Whom a spreadsheet must be shared with."""
        return self.service_account.client_email

    def bearer(self, http: Http, addresses: Addresses, *, renew: bool = False) -> str:
        """An access token; a new one where ``renew`` says that the last one was refused."""
        return google.service_account_token(self.service_account, http, addresses, renew=renew)


def verify(call: Call[SheetsCredentials]) -> Verified[SheetsCredentials]:
    """Ask for a token, and open the default spreadsheet where there is one.

    Raises:
        CredentialsRejected: Google refuses the key.
        PermissionMissing: The spreadsheet is not shared with the service account.
        RequestRejected: There is no such spreadsheet.
        ProviderUnavailable: Google is down or busy.
    """
    given = call.credentials
    account = given.service_account
    # A new one: a cached one would still pass for a key that was deleted.
    given.bearer(call.http, call.addresses, renew=True)
    details: dict[str, Json] = {"projectId": account.project_id}
    message = f"Connected as {account.client_email}"
    if given.spreadsheet_id is not None:
        query = {"fields": "spreadsheetId,properties.title"}
        opened = Spreadsheet(call, given.spreadsheet_id).send(
            "GET", query=query, expects="spreadsheetId", blame="spreadsheetId"
        )
        title = str((opened.get("properties") or {}).get("title", ""))
        details |= {"spreadsheetId": given.spreadsheet_id, "spreadsheetTitle": title}
        message = f"{message}; the spreadsheet “{title}” opens"
    return Verified(
        account=Account(account.client_email, account.client_email, details), message=message
    )


PROVIDER = Provider(
    id="sheets",
    title="Google Sheets (service account)",
    docs_url=DOCS_URL,
    credentials=SheetsCredentials,
    verify=verify,
    actions_in=MODULES,
)
