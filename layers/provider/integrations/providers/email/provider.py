"""E-mail: sends by any SMTP server, with TLS, a log-in or an OAuth token, and a stable Message-ID.

- https://www.rfc-editor.org/rfc/rfc5321 (SMTP), rfc4954 (AUTH), rfc3207 (STARTTLS), rfc8314 (TLS)
- https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
- https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission

The account is in ``credentials``, the conversation in ``api``, what a message is made of in
``params``, how it is written in ``message``.
"""

from dataclasses import replace

from integrations.models import Account, Json, now
from integrations.providers.base import Call, Provider, Verified
from integrations.providers.email import login
from integrations.providers.email.api import conversation
from integrations.providers.email.credentials import EmailCredentials, from_settings


def verify(call: Call[EmailCredentials]) -> Verified[EmailCredentials]:
    """Connect, secure, log in and hang up; no mail is sent.

    Raises:
        AddressRefused: The guard refuses the host or the port.
        CredentialsRejected: The server refuses the log-in.
        RequestRejected: It cannot be used as the credentials say (no TLS, no log-in, certificate).
        ProviderUnavailable: It cannot be reached, or asks to come back later.
    """
    renewed = None
    if call.credentials.refresh_token and not _is_fresh(call.credentials):
        renewed = login.refresh(call)
        call = replace(call, credentials=renewed)
    credentials = call.credentials
    with conversation(call) as (smtp, _):
        smtp.command("NOOP")
    sender = credentials.sender
    details: dict[str, Json] = {
        "host": credentials.host,
        "port": credentials.port,
        "secure": credentials.security,
        "from": str(sender),
    }
    account = Account(
        id=f"{credentials.user or sender.addr_spec}@{credentials.host}",
        label=sender.addr_spec,
        details=details,
    )
    who = f" as {credentials.user}" if credentials.user else " without a log-in"
    message = f"Connected to {credentials.host}{who}, sending from {sender.addr_spec}"
    return Verified(account=account, message=message, credentials=renewed)


def _is_fresh(credentials: EmailCredentials) -> bool:
    ends = credentials.expires_at
    return credentials.access_token is not None and (ends is None or ends > now())


PROVIDER = Provider(
    id="email",
    title="E-mail (SMTP)",
    docs_url="https://www.rfc-editor.org/rfc/rfc5321",
    credentials=EmailCredentials,
    verify=verify,
    actions_in=("integrations.providers.email.actions",),
    expires_at=login.expires_at,
    refresh=login.refresh,
    can_refresh=login.can_refresh,
    stack_credentials=from_settings,
)
