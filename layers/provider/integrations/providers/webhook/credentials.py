"""The credentials of a webhook: its id, what proves a delivery, and where we send to."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    model_validator,
)

from integrations import mistakes, signatures
from integrations.models import Json
from integrations.providers.base import ADVANCED, Credentials
from integrations.providers.webhook.api import MAX_URL, header_problems, is_url

MIN_TOKEN = 8
"""Characters of a verify token: fewer can be guessed."""

MAX_OVERLAP_HOURS = 7 * 24
"""How long two secrets may be good at once, while one is rotated."""

type Method = Literal["POST", "PUT", "PATCH", "DELETE"]

RESERVED_IDS = frozenset({"facebook", "verify", "webhooks"})
"""Ids that mean something else: the stack's own webhooks, and a URL copied one part too long."""
_ID = re.compile(r"[A-Za-z0-9_-]{3,64}")


def _webhook_id(url: str) -> str:
    return urlsplit(url).path.rstrip("/").rpartition("/")[2]


def _has_id(value: str) -> str:
    webhook_id = _webhook_id(value)
    if not _ID.fullmatch(webhook_id):
        raise ValueError(
            "must end in the webhook's id: 3 to 64 letters, digits, hyphens or underscores "
            "after the last slash"
        )
    if webhook_id.lower() in RESERVED_IDS:
        raise ValueError(f"must end in another id: {webhook_id!r} is reserved")
    return value


def _flag(value: object) -> object:
    """A form sends true and false as text; any other text is a secret of its own."""
    if isinstance(value, str):
        if not value.strip():
            raise ValueError("must be true, false or a secret; leave it out for none")
        return {"true": True, "false": False}.get(value.strip().lower(), value)
    return value


def _weak(token: SecretStr | None, field: str, secret: SecretStr | None) -> list[tuple[str, str]]:
    """What is wrong with a verify token: anybody may guess at it, and it is seen on its way."""
    if token is None:
        return []
    if len(token.get_secret_value()) < MIN_TOKEN:
        return [(field, f"must have at least {MIN_TOKEN} characters")]
    if secret and secret.get_secret_value() == token.get_secret_value():
        return [(field, "must be another one than the secret, for it travels in query strings")]
    return []


class WebhookCredentials(Credentials):
    """A webhook of the user's: its id, how deliveries to it are verified, and where we send to."""

    url: Annotated[
        str | None,
        Field(
            title="URL",
            description="The last part of its path becomes the webhook's id on this backend: "
            "https://example.com/hooks/orders is served at /api/webhooks/orders, or under a longer "
            "id where that one is not yours to have. Without a URL the id is a random one.",
            max_length=MAX_URL,
        ),
        AfterValidator(lambda value: _has_id(is_url(value)) if value is not None else None),
    ] = None
    secret: Annotated[
        SecretStr | None,
        Field(
            title="Secret",
            description="Signs what is sent, and verifies what comes in where that is asked for.",
            max_length=512,
        ),
    ] = None
    verify_secret: Annotated[
        bool | SecretStr | None,
        Field(
            title="Verify the secret",
            description="true, or left out where there is a secret: deliveries must carry the "
            "secret in X-Webhook-Secret. A text: they must carry (or be signed with) this one "
            "instead. false: the secret only signs what is sent.",
        ),
        BeforeValidator(_flag),
    ] = None
    previous_secret: Annotated[
        SecretStr | None,
        Field(
            title="Previous secret",
            description="Verifies deliveries as well for a while, while the sender changes to the "
            "new one.",
            max_length=512,
            json_schema_extra=ADVANCED,
        ),
    ] = None
    previous_secret_hours: Annotated[
        int,
        Field(
            title="Hours for the previous secret",
            description="How long from this saving on.",
            ge=1,
            le=MAX_OVERLAP_HOURS,
            json_schema_extra=ADVANCED,
        ),
    ] = 24
    methods: Annotated[
        tuple[Method, ...],
        Field(
            title="Methods",
            description="How deliveries may come.",
            min_length=1,
            max_length=4,
            json_schema_extra=ADVANCED,
        ),
    ] = ("POST",)
    verify_token: Annotated[
        SecretStr | None,
        Field(
            title="Verify token",
            description="Answers a subscription challenge (hub.verify_token). It travels in query "
            "strings: never the secret.",
            max_length=512,
            json_schema_extra=ADVANCED,
        ),
    ] = None
    verification: Annotated[
        # Texts of a model's own fields lose the spaces around them; a prefix must not: "Bearer ".
        dict[str, Any] | None,
        Field(
            title="Verification",
            description="How deliveries prove themselves: {type: secret, hmac, github, meta, "
            "standard-webhooks, stripe, telegram, basic, jwt, ip or none, …}.",
        ),
    ] = None
    outbound_url: Annotated[
        str | None,
        Field(
            title="Outbound URL",
            description="Where `send` posts to unless it is given another URL.",
            max_length=MAX_URL,
            # Chat services put the whole permission into the path.
            repr=False,
        ),
        AfterValidator(lambda value: is_url(value) if value else None),
    ] = None
    outbound_headers: dict[str, SecretStr] = Field(
        default_factory=dict,
        title="Outbound headers",
        description="Sent to the outbound URL's own host alone, e.g. Authorization.",
        max_length=20,
        json_schema_extra=ADVANCED,
    )

    @property
    def webhook_id(self) -> str | None:
        """The id that is asked for: the last part of the URL's path."""
        return _webhook_id(self.url) if self.url else None

    @property
    def rule(self) -> Mapping[str, Json]:
        """How deliveries are verified, the short form spelled out."""
        if self.verification is not None:
            return self.verification
        wanted = self.verify_secret
        verified = bool(self.secret) if wanted is None else bool(wanted)
        return {"type": "secret" if verified else "none"}

    @property
    def inbound_secret(self) -> SecretStr | None:
        """What verifies deliveries."""
        return self.verify_secret if isinstance(self.verify_secret, SecretStr) else self.secret

    @model_validator(mode="after")
    def _fits(self) -> Self:
        problems = [(error.field, error.message) for error in signatures.check(dict(self.rule))]
        if not problems:
            kind = self.rule["type"]
            if self.verify_secret and not signatures.needs_secret(self.rule):
                problems.append(("verifySecret", f"does not go with verification.type {kind}"))
            own_secret = self.inbound_secret
            problem = signatures.check_secret(
                self.rule, own_secret.get_secret_value() if own_secret else ""
            )
            if problem:
                own = isinstance(self.verify_secret, SecretStr)
                problems.append(("verifySecret" if own else "secret", problem))
            problems += self._of_the_previous()
            problems += _weak(self.verify_token, "verifyToken", own_secret)
        problems += header_problems(
            {name: value.get_secret_value() for name, value in self.outbound_headers.items()},
            "outboundHeaders",
        )
        if self.outbound_headers and not self.outbound_url:
            problems.append(("outboundHeaders", "needs an outboundUrl"))
        if problems:
            raise mistakes.at(*problems)
        return self

    def _of_the_previous(self) -> list[tuple[str, str]]:
        if self.previous_secret is None:
            return []
        if not signatures.needs_secret(self.rule):
            return [("previousSecret", "does not go with a verification without a secret")]
        problem = signatures.check_secret(self.rule, self.previous_secret.get_secret_value())
        return [("previousSecret", problem)] if problem else []
