"""What a provider is: data and plain functions, gathered in one frozen ``Provider``.

A provider's file holds, in this order: a docstring with the vendor's documentation URL; the
credentials model; a params model and a plain function per action; the triggers; last, ``PROVIDER``.
Providers raise the errors of ``integrations.errors``, never return ``False``, never sleep, and
never see tables, queues, handshakes or tenants.
"""

import builtins
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from importlib import import_module
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol

from pydantic import ConfigDict, SecretStr

from integrations.errors import UnknownAction
from integrations.models import Account, Delivery, Event, Json
from integrations.outbound.content import Content, StoredFile
from integrations.outbound.http import Http
from integrations.providers.shared_webhook import SharedWebhook
from integrations.strict_model import StrictModel

if TYPE_CHECKING:
    from integrations.outbound.conversations import Conversations


ADVANCED: Final[dict[str, Json]] = {"x-advanced": True}
"""``json_schema_extra`` of a field that few people need: a form shows it when it is asked for."""


class Credentials(StrictModel):
    """A provider's credentials. Every secret is a ``SecretStr``: forms and masks derive from it."""

    model_config = ConfigDict(str_strip_whitespace=True)


class Params(StrictModel):
    """An action's parameters, or a trigger's filters: camelCase JSON, surplus names refused.

    Attributes:
        comma_lists: Parameters (as a sender names them) in which a text may name several things by
            commas. In a step those are the commas that its author wrote: what a template puts in
            names one.
    """

    comma_lists: ClassVar[frozenset[str]] = frozenset()


class NoParams(Params):
    """For what takes nothing."""


class Addresses(NamedTuple):
    """Where the providers live: settings, so that a self-hosted server or a stand-in can be one."""

    telegram_api: str = "https://api.telegram.org"
    sheets_api: str = "https://sheets.googleapis.com"
    google_auth: str = "https://accounts.google.com/o/oauth2/v2/auth"
    google_token: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
    google_revoke: str = "https://oauth2.googleapis.com/revoke"
    facebook_graph: str = "https://graph.facebook.com"
    facebook_dialog: str = "https://www.facebook.com"
    graph_version: str = "v26.0"


class OAuthApp(NamedTuple):
    """The stack's own client at an OAuth provider."""

    client_id: str
    client_secret: SecretStr


MAX_ANSWERED_FILE: Final = 4 * 1024 * 1024
"""A file in an answer: as base64 it must fit the 6 MB that a Lambda answers with."""


class FileStore(Protocol):
    """The files of the steps of one workflow."""

    def content(self, file_id: str) -> Content:
        """The content of a file that the step was given.

        Raises:
            UnknownFile: It was given none with this id.
        """

    def store(self, pieces: Iterable[bytes]) -> StoredFile:
        """Store a file that the step gives.

        Raises:
            ProviderUnavailable: It could not be stored.
        """


def _goes_on(scope: str) -> None:
    """Let everything through."""
    del scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Call[C: Credentials]:
    """What a provider's function is given.

    Attributes:
        credentials: The connection's credentials.
        http: The one way out.
        addresses: Where the providers live.
        app: The stack's OAuth client, for the providers that have one.
        idempotency_key: The same for each repetition of one step of one execution; for the
            headers and ids that let a receiver recognise a repeat (``webhook-id``, ``Message-ID``).
        hops: How many executions led to this one (loop protection of ``webhook.send``).
        lineage: Gives the proof of that, for the header ``Integrations-Hops``.
        allow_loopback: True on the local platform alone; for what does not go through ``http``.
        time_left: For how many seconds whoever asks may still wait; for the same.
        files: Where a workflow's files are, apart and as large as they may be; ``None`` where an
            action is run by itself and hands its file on in its answer.
        hidden: The secrets that a step sends, and what was made of them: no result may show one.
        conversations: What stays open for the next call of the same run; ``None`` where this call
            is the only one.
        check_pause: Asked before a request, with the scope of the limit that the request counts
            against (see ``RateLimited``): raises ``ConnectionPaused`` where the provider asked for
            patience there. What rests as a whole is not called at all.
    """

    credentials: C
    http: Http
    addresses: Addresses
    app: OAuthApp | None = None
    idempotency_key: str | None = None
    hops: int = 0
    lineage: Callable[[], str] | None = None
    allow_loopback: bool = False
    time_left: Callable[[], float] = lambda: inf
    files: FileStore | None = None
    hidden: tuple[str, ...] = field(default=(), repr=False)
    conversations: "Conversations | None" = field(default=None, repr=False)
    check_pause: Callable[[str], None] = _goes_on


class Verified[C: Credentials](NamedTuple):
    """What a test found out.

    Attributes:
        account: Whose credentials these are.
        credentials: What to store in the place of what was given, where the test made better of it
            (Facebook's short-lived token exchanged for a long-lived one); ``None`` to keep it.
        expires_at: When the credentials die by themselves; ``None`` for never or unknown.
        message: One line for a person, e.g. ``"Connected as @my_bot"``.
    """

    account: Account
    message: str
    credentials: C | None = None
    expires_at: datetime | None = None


class Action(NamedTuple):
    """Something that a provider does when asked.

    Attributes:
        name: Its id in camelCase; a workflow names it ``provider.name``.
        title: What it does, in a few words.
        params: The model of its parameters.
        run: Does it: ``(call, params) -> JSON``.
        example: Parameters that fit, for the catalogue, the documentation and the contract test.
        idempotent: True where a repetition does no harm (reads, absolute writes, and what carries
            an idempotency key). What is not idempotent is never repeated blindly.
        recipients: How many people a call writes to; what it sends with the stack's own credentials
            counts against the tenant's daily quota. ``None`` where that is nobody's quota.
    """

    name: str
    title: str
    params: type[Params]
    run: Callable[[Call[Any], Any], Json]
    example: Mapping[str, Json]
    idempotent: bool = False
    recipients: Callable[[Any], int] | None = None


class Trigger(NamedTuple):
    """Something that happens at a provider and can start a workflow.

    Attributes:
        type: ``provider.noun``, e.g. ``facebook.comment``.
        title: What happened, in a few words.
        filters: The model of the trigger's own fields (beside type, connection and filter).
        matches: Whether an event's data passes filters as ``completed`` gives them; quick.
        example: An event's data, for the catalogue and the documentation.
    """

    type: str
    title: str
    filters: builtins.type[Params]  # ``type`` is the field above
    matches: Callable[[Mapping[str, Json], Mapping[str, Any]], bool]
    example: Mapping[str, Json]

    def completed(self, given: Mapping[str, Json]) -> dict[str, Json]:
        """The trigger's own fields as ``matches`` takes them: plain JSON, each field in its place.

        Raises:
            pydantic.ValidationError: They do not fit.
        """
        return self.filters.model_validate(given).model_dump(mode="json", by_alias=True)


class Endpoint(NamedTuple):
    """The webhook record that a connection needs.

    Attributes:
        webhook_id: The id that is asked for; ``None`` for an unguessable one of our own.
        verification: How deliveries are verified, public part (see ``integrations.signatures``).
        secret: What verifies the deliveries (shared secret, HMAC key, Telegram's secret token);
            ``None`` lets the service make a random one.
        verify_token: What answers a subscription challenge; ``None`` lets the service make one.
        methods: How deliveries may come.
        previous, previous_hours: An earlier secret that is still good, and for how many hours.
    """

    verification: Mapping[str, Json]
    webhook_id: str | None = None
    secret: SecretStr | None = None
    verify_token: SecretStr | None = None
    methods: tuple[str, ...] = ("POST",)
    previous: SecretStr | None = None
    previous_hours: int = 0


class Subscription(NamedTuple):
    """Where a provider should send its webhooks.

    Attributes:
        url: Our public URL of the webhook.
        secret: The secret that deliveries must carry.
        verify_token: What the provider sends with its challenge.
        account: Whose connection it is.
        target: The page, for providers where one connection holds several; else empty.
        events: The trigger types that workflows wait for.
    """

    url: str
    secret: SecretStr
    verify_token: SecretStr
    account: Account
    target: str
    events: frozenset[str]


class Inbound[C: Credentials](NamedTuple):
    """How a provider's webhooks come in.

    Attributes:
        endpoint: Credentials → the webhook record that the connection needs; ``None`` where
            ``shared`` is given.
        shared: The stack's own webhook of its app, by which the events of all of the provider's
            connections come; ``None`` where each has one of its own.
        normalize: A delivery → its events; unknown kinds are left out, not errors.
            Raises ``InvalidInput`` where the body is not what the provider sends.
        targets: Account → the targets its events can have: ``{target id: label}`` (pages; the bot).
        subscribe: Asks the provider to send; idempotent. ``None`` where a person sets it up.
        unsubscribe: Asks it to stop; idempotent.
    """

    endpoint: Callable[[C], Endpoint] | None
    normalize: Callable[[Delivery], list[Event]]
    targets: Callable[[Account], Mapping[str, str]] | None = None
    subscribe: Callable[[Call[C], Subscription], None] | None = None
    unsubscribe: Callable[[Call[C], Subscription], None] | None = None
    shared: SharedWebhook | None = None


class Removal(NamedTuple):
    """Somebody took back, at the provider, what an app may do there.

    Attributes:
        account_id: Whose account: the id of the ``Account`` that a test finds.
        at: When.
    """

    account_id: str
    at: datetime


class OAuth(NamedTuple):
    """A provider's side of the OAuth 2.0 authorization code flow (RFC 6749, PKCE of RFC 7636).

    Attributes:
        parameters: The template parameters that hold the stack's client id and secret.
        authorization_url: ``(app, addresses, redirect_uri, state, code_challenge) -> URL``.
        exchange: ``(app, http, addresses, code, redirect_uri, code_verifier) -> credentials``.
            Raises ``CredentialsRejected`` with the provider's reason, ``PermissionMissing`` where
            a needed scope was not granted.
        issuer: The provider's addresses → what ``iss`` on the callback must equal when it is
            present (RFC 9207); ``None`` where the provider sends none.
        removal: ``(app, form) -> Removal``: what the provider posts where somebody removes the app
            from their account or wants their data deleted; ``None`` where it tells nobody. Raises
            ``SignatureRefused`` and ``InvalidInput``.
    """

    parameters: tuple[str, str]
    authorization_url: Callable[[OAuthApp, Addresses, str, str, str], str]
    exchange: Callable[[OAuthApp, Http, Addresses, str, str, str], Credentials]
    issuer: Callable[[Addresses], str | None] | None = None
    removal: Callable[[OAuthApp, Mapping[str, str]], Removal] | None = None


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One provider, whole.

    Attributes:
        id: Its id in the API.
        title: Its name for people.
        docs_url: The vendor's documentation.
        credentials: The model of its credentials.
        verify: Tests credentials at the provider, changing nothing there that a user would see.
            Raises ``CredentialsRejected`` and the other provider errors.
        actions_in: The modules whose ``ACTIONS`` are what it does. They are imported one after the
            other until the action is found that somebody asks for: most ask for one, or for none.
        triggers: What it tells.
        inbound: How its webhooks come in.
        oauth: Its OAuth flow; such a provider's credentials are made by the handshake alone.
        expires_at: When the credentials at hand stop working unless refreshed; ``None`` for never.
        refresh: Makes fresh credentials of old ones. Raises ``NeedsReauthentication`` where only
            a person can help, ``ProviderUnavailable`` where it is worth another try.
        can_refresh: Whether these credentials can be refreshed; ``None`` where all can.
        revoke: Revokes the credentials at the provider; idempotent.
        stack_credentials: The stack's app-level secrets and a tenant → its credentials where it has
            none of their own; ``None`` where the stack has none either.
    """

    id: str
    title: str
    docs_url: str
    credentials: type[Credentials]
    verify: Callable[[Call[Any]], Verified[Any]]
    actions_in: tuple[str, ...]
    triggers: tuple[Trigger, ...] = ()
    inbound: Inbound[Any] | None = None
    oauth: OAuth | None = None
    expires_at: Callable[[Any], datetime | None] | None = None
    refresh: Callable[[Call[Any]], Credentials] | None = None
    can_refresh: Callable[[Any], bool] | None = None
    revoke: Callable[[Call[Any]], None] | None = None
    stack_credentials: Callable[[Mapping[str, str], str], Credentials | None] | None = None

    @property
    def actions(self) -> tuple[Action, ...]:
        """All that it does."""
        return tuple(action for module in self.actions_in for action in _actions_of(module))

    def action(self, name: str) -> Action:
        """The action with this name.

        Raises:
            UnknownAction: There is none.
        """
        for module in self.actions_in:
            for action in _actions_of(module):
                if action.name == name:
                    return action
        known = ", ".join(sorted(action.name for action in self.actions))
        raise UnknownAction(f"{self.id} has no action {name[:64]!r}; it has: {known}")

    @cached_property
    def output_examples(self) -> Mapping[str, Json]:
        """What each action gives, as the vendor documents it: stands for a step that has not run.

        They are in ``outputs.json`` of the package that the actions are in, or in
        ``ntfy_outputs.json`` beside a provider that is a module alone.
        """
        name, _, module = self.actions_in[0].removeprefix(f"{__package__}.").partition(".")
        file = f"{name}/outputs.json" if module else f"{name}_outputs.json"
        examples: dict[str, Json] = json.loads((Path(__file__).parent / file).read_bytes())
        return examples


def _actions_of(module: str) -> tuple[Action, ...]:
    actions: tuple[Action, ...] = import_module(module).ACTIONS
    return actions
