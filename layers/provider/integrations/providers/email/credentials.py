"""A mail server and an account there, of a tenant's own or the stack's."""

import re
from collections.abc import Mapping
from email.headerregistry import Address
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from integrations import mistakes
from integrations.errors import (
    ProviderNotConfigured,
)
from integrations.outbound.domains import to_ascii
from integrations.providers.base import ADVANCED, Credentials
from integrations.providers.email.addresses import is_mailbox, mailboxes

_DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_TLS_PORTS = frozenset({465, 2465})
_TOKEN_URLS = {
    "smtp.gmail.com": "https://oauth2.googleapis.com/token",
    "smtp.office365.com": "https://login.microsoftonline.com/common/oauth2/v2.0/token",
    "smtp-mail.outlook.com": "https://login.microsoftonline.com/common/oauth2/v2.0/token",
}

type Security = Literal["tls", "starttls", "none"]


def _security(value: object) -> object:
    """``true`` and ``false`` mean what they mean elsewhere: TLS from the start, or by STARTTLS."""
    text = str(value).strip().lower() if isinstance(value, str | bool) else value
    names = {"true": "tls", "ssl": "tls", "false": "starttls", "": None}
    return names.get(text, text) if isinstance(text, str) else value


def _is_host(value: str) -> str:
    # One colon parts a port off; an IPv6 address has more.
    if not re.fullmatch(r"[^\s\x00-\x1f\x7f/@\\?#]+", value) or value.count(":") == 1:
        raise ValueError("must be the name of a mail server, without scheme, port or path")
    to_ascii(value)
    return value


def _is_token_url(value: str | None) -> str | None:
    parts = urlsplit(value or "")
    # The guard refuses this machine everywhere but on the local platform.
    local = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1"}
    if value is not None and not (local or (parts.scheme == "https" and parts.hostname)):
        raise ValueError("must be an https address")
    return value


def _is_domain(value: str | None) -> str | None:
    if value is not None and not _DOMAIN.fullmatch(to_ascii(value)):
        raise ValueError("must be a domain, such as mail.example.com")
    return value


class EmailCredentials(Credentials):
    """A mail server and an account there: with a password, or with OAuth 2.0 (XOAUTH2).

    With OAuth, give ``user``, ``clientId``, ``clientSecret`` and ``refreshToken``; access tokens
    are got and renewed with them. An ``accessToken`` alone works too, for the hour that it lives.

    Gmail: in a project of the Google Cloud console, make an OAuth client of the type "Web
    application" (https://console.cloud.google.com/auth/clients), set the app's audience to "In
    production" (a refresh token of an app in testing ends after seven days), and let the mailbox's
    owner agree to the scope ``https://mail.google.com/`` at
    ``https://accounts.google.com/o/oauth2/v2/auth`` with ``response_type=code``,
    ``access_type=offline`` and ``prompt=consent``; the code is exchanged at
    ``https://oauth2.googleapis.com/token``. Without a program for it, the OAuth Playground
    (https://developers.google.com/oauthplayground) does both: add its address to the client's
    redirect URIs and choose "Use your own OAuth credentials". Server ``smtp.gmail.com``, port 465
    or 587.

    Microsoft 365 and Outlook.com: register an application in Microsoft Entra
    (https://entra.microsoft.com), with personal accounts where it is for Outlook.com, add the
    delegated permissions ``SMTP.Send`` and ``offline_access`` of Microsoft Graph, make a client
    secret, and let the mailbox's owner agree to the scope
    ``https://outlook.office.com/SMTP.Send offline_access`` (the address is Outlook's all the same)
    at ``https://login.microsoftonline.com/common/oauth2/v2.0/authorize`` with
    ``response_type=code``; the code is exchanged at
    ``https://login.microsoftonline.com/common/oauth2/v2.0/token``. Where the app is for one tenant,
    its id stands for ``common`` in both, and ``tokenUrl`` is needed. Authenticated SMTP must be on
    for the mailbox
    (https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission).
    Server ``smtp.office365.com`` (``smtp-mail.outlook.com`` for Outlook.com), port 587.
    """

    sender_is_fixed: ClassVar[bool] = False

    host: Annotated[
        str,
        Field(title="Server", description="E.g. smtp.gmail.com", max_length=253),
        AfterValidator(_is_host),
    ]
    port: Annotated[
        int,
        Field(title="Port", description="465 is TLS from the start, 587 STARTTLS.", ge=1, le=65535),
    ] = 587
    user: Annotated[str | None, Field(title="User", max_length=320)] = None
    password: Annotated[
        SecretStr | None,
        Field(
            alias="pass",
            title="Password",
            description="Often an app password: Gmail takes no other.",
            max_length=1024,
        ),
    ] = None
    access_token: Annotated[
        SecretStr | None,
        Field(
            title="Access token",
            description="An OAuth 2.0 token in the place of a password (XOAUTH2).",
            max_length=8192,
            json_schema_extra=ADVANCED,
        ),
    ] = None
    refresh_token: Annotated[
        SecretStr | None,
        Field(
            title="Refresh token",
            description="Renews the access token; needs a client ID.",
            max_length=8192,
            json_schema_extra=ADVANCED,
        ),
    ] = None
    client_id: Annotated[
        str | None,
        Field(
            title="Client ID",
            description="Of the app that the refresh token was given to.",
            max_length=512,
            json_schema_extra=ADVANCED,
        ),
    ] = None
    client_secret: Annotated[
        SecretStr | None,
        Field(
            title="Client secret",
            description="Of that app, if it has one.",
            max_length=512,
            json_schema_extra=ADVANCED,
        ),
    ] = None
    token_url: Annotated[
        str | None,
        Field(
            title="Token address",
            description="Where the issuer renews tokens; known for Gmail, Microsoft 365 and "
            "Outlook.com.",
            max_length=2048,
            json_schema_extra=ADVANCED,
        ),
        BeforeValidator(lambda value: value or None),
        AfterValidator(_is_token_url),
    ] = None
    scope: Annotated[
        str | None,
        Field(
            title="Scope",
            description="Sent with each renewal; empty for that of the refresh token.",
            max_length=1024,
            json_schema_extra=ADVANCED,
        ),
    ] = None
    expires_at: Annotated[
        AwareDatetime | None,
        Field(
            title="Access token's end",
            description="Set by each renewal; give it only with an access token that you have got.",
            json_schema_extra=ADVANCED,
        ),
    ] = None
    auth: Annotated[
        Literal["login", "xoauth2"] | None,
        Field(
            title="Log-in",
            description="Empty: xoauth2 where there is a token.",
            json_schema_extra=ADVANCED,
        ),
    ] = None
    from_: Annotated[
        str | None,
        Field(
            alias="from",
            title="Sender",
            description="E.g. Shop <shop@example.com>; empty for the user.",
            max_length=320,
        ),
        BeforeValidator(lambda value: value or None),
        AfterValidator(is_mailbox),
    ] = None
    secure: Annotated[
        Security | None,
        Field(
            title="Security",
            description="tls: from the start (true). starttls: required after the greeting "
            "(false). none: in the clear. Empty: tls on port 465, else starttls.",
        ),
        BeforeValidator(_security),
    ] = None

    helo_name: Annotated[
        str | None,
        Field(
            title="EHLO name",
            description="What the server is greeted with; empty for the sender's domain.",
            max_length=253,
            json_schema_extra=ADVANCED,
        ),
        BeforeValidator(lambda value: value or None),
        AfterValidator(_is_domain),
    ] = None

    @property
    def introduction(self) -> str:
        """The name by which we introduce ourselves: https://www.rfc-editor.org/rfc/rfc5321#section-4.1.4."""
        return to_ascii(self.helo_name or self.sender.domain)

    @property
    def security(self) -> Security:
        """How the connection is secured."""
        return self.secure or ("tls" if self.port in _TLS_PORTS else "starttls")

    @property
    def mechanism(self) -> Literal["login", "xoauth2"]:
        """How to log in."""
        return self.auth or ("xoauth2" if self._has_token else "login")

    @property
    def _has_token(self) -> bool:
        return bool(self.access_token or self.refresh_token)

    @property
    def token_address(self) -> str | None:
        """Where access tokens are renewed."""
        return self.token_url or _TOKEN_URLS.get(self.host.lower())

    @property
    def sender(self) -> Address:
        """Who sends unless a mail names another."""
        return mailboxes(self.from_ or self.user)[0]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.mechanism == "xoauth2" and not (self.user and self._has_token):
            if not self.user:
                raise mistakes.at(("user", "is required for xoauth2"))
            raise mistakes.at(("accessToken", "is required for xoauth2, or a refreshToken"))
        if self.refresh_token and not (self.client_id and self.token_address):
            missing = "tokenUrl" if self.client_id else "clientId"
            raise mistakes.at((missing, "is required with a refreshToken"))
        if self.mechanism == "login" and bool(self.user) != bool(self.password):
            missing = "pass" if self.user else "user"
            message = "user and pass go together; leave both out where no log-in is needed"
            raise mistakes.at((missing, message))
        if not self.from_:
            try:
                is_mailbox(self.user or "")
            except ValueError:
                raise mistakes.at(
                    ("from", "is required where user is not an e-mail address")
                ) from None
        return self


class StackEmailCredentials(EmailCredentials):
    """The stack's own mail server, which tenants share: none of them chooses the sender."""

    sender_is_fixed: ClassVar[bool] = True


def from_settings(settings: Mapping[str, str], tenant: str) -> StackEmailCredentials | None:
    """The stack's default SMTP settings, for tenants that have none of their own.

    Args:
        settings: ``smtpHost``, ``smtpPort``, ``smtpUser``, ``smtpPass``, ``smtpFrom`` and
            ``smtpSecure``; an empty one counts as missing. ``smtpTenants`` names the tenants that
            may use them, parted by commas; all, where it is empty.
        tenant: Who asks.

    Returns:
        ``None`` where the stack has no ``smtpHost``, or has it for others.

    Raises:
        ProviderNotConfigured: They do not fit; the detail says which.
    """
    names = ("host", "port", "user", "pass", "from", "secure")
    given = {name: str(settings.get(f"smtp{name.title()}") or "").strip() for name in names}
    named = {name.strip() for name in str(settings.get("smtpTenants") or "").split(",")} - {""}
    if not given["host"] or (named and tenant not in named):
        return None
    try:
        return StackEmailCredentials.model_validate({k: v for k, v in given.items() if v})
    except ValidationError as invalid:
        errors = invalid.errors(include_input=False, include_url=False)
        first = mistakes.field_errors(errors, given)[0]
        place = f"smtp{first.field.title()}" if first.field else ""
        detail = f"The stack's SMTP settings do not fit: {place} {first.message}".replace("  ", " ")
        raise ProviderNotConfigured(detail) from None
