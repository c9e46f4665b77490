"""The environment, read in one place, and the services made of it, each on first use.

Nothing is read or made at import: a function pays for what its route uses.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from integrations.storage.aws import Aws, AwsCredentials

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.credentials import Credentials

    from integrations.providers.base import Addresses, Http
    from integrations.services.connections import ConnectionService
    from integrations.services.dispatch import Dispatcher
    from integrations.services.executions import ExecutionService
    from integrations.services.oauth import OAuthService
    from integrations.services.subscriptions import Subscriptions
    from integrations.services.vault import Vault
    from integrations.services.webhooks import Receiver
    from integrations.services.workflows import WorkflowService
    from integrations.storage.app_secret import AppSecret
    from integrations.storage.connections import Connections
    from integrations.storage.executions import Executions
    from integrations.storage.handshakes import Handshakes
    from integrations.storage.queues import Queue
    from integrations.storage.tokens import Tokens
    from integrations.storage.webhooks import Webhooks
    from integrations.storage.workflows import Workflows

OUTBOUND_SECONDS = 22.0
"""How long one request to a provider may take: the API's own functions have 29 s for all."""

WEBHOOK_KEY_SECONDS = 3600
"""How long a webhook's data key stays in memory; its record is read anew each minute."""


def _env(name: str, default: str = "") -> str:
    return os.environ.get(name) or default


_heard_at: list[str] = []


def forget() -> None:
    """Read the environment and make everything anew on next use.

    For whoever changes the environment of a running process: tests, and nothing in a Lambda.
    """
    _heard_at.clear()
    for made in globals().values():
        if hasattr(made, "cache_clear"):
            made.cache_clear()


def hear(event: Mapping[str, Any]) -> None:
    """Learn from a request where this backend answers, for stacks that are not told.

    API Gateway itself writes ``domainName``: the API's own name or a custom one that maps to it,
    never just what a client claims. The template cannot say it: that would be a circle.
    """
    if not _heard_at:
        request = event["requestContext"]
        stage = request.get("stage", "$default")
        path = "" if stage == "$default" else f"/{stage}"
        _heard_at.append(f"https://{request.get('domainName', 'localhost')}{path}")


def public_url() -> str:
    """Where this backend answers, without a trailing slash; empty where nobody knows yet."""
    return _env("PUBLIC_BASE_URL", *_heard_at).rstrip("/")


def frontend_url() -> str:
    """Where the application's own pages are, without a trailing slash."""
    return _env("FRONTEND_URL").rstrip("/")


def redirect_uris() -> tuple[str, ...]:
    """Where a login may lead in the end."""
    listed = _env("ALLOWED_REDIRECT_URIS", frontend_url()).split(",")
    return tuple(uri.strip() for uri in listed if uri.strip())


def jwt_issuer() -> tuple[str, str] | None:
    """The OIDC issuer and audience whose JWTs are taken; ``None`` where none is configured."""
    issuer, audience = _env("JWT_ISSUER"), _env("JWT_AUDIENCE")
    return (issuer, audience) if issuer and audience else None


def allow_loopback() -> bool:
    """Whether outbound requests may reach this very machine: on the local platform alone."""
    return _env("ALLOW_LOOPBACK") == "true"


def _credentials() -> AwsCredentials:
    key = os.environ.get("AWS_ACCESS_KEY_ID")
    if key:
        return AwsCredentials(
            key, os.environ["AWS_SECRET_ACCESS_KEY"], os.environ.get("AWS_SESSION_TOKEN")
        )
    return _provided_credentials()


def _provided_credentials() -> AwsCredentials:
    # SnapStart gives credentials by a local endpoint: botocore knows how to ask and when again.
    frozen = _botocore_credentials().get_frozen_credentials()
    return AwsCredentials(str(frozen.access_key), str(frozen.secret_key), frozen.token)


@cache
def _botocore_credentials() -> Credentials:
    from botocore.session import get_session  # noqa: PLC0415 - slow to import, seldom needed

    found = get_session().get_credentials()
    if found is None:
        raise LookupError("there are no AWS credentials here")
    return found


@cache
def aws() -> Aws:
    """The way to AWS."""
    return Aws(
        region=_env("AWS_REGION", _env("AWS_DEFAULT_REGION", "us-east-1")),
        credentials=_credentials,
        endpoint_url=_env("AWS_ENDPOINT_URL"),
        ca_bundle=_env("AWS_CA_BUNDLE"),
    )


@cache
def addresses() -> Addresses:
    """Where the providers live."""
    from integrations.providers.base import Addresses  # noqa: PLC0415 - cold start

    names = {
        "telegram_api": "TELEGRAM_API_BASE",
        "sheets_api": "SHEETS_API_BASE",
        "google_auth": "GOOGLE_AUTH_URL",
        "google_token": "GOOGLE_TOKEN_URL",
        "google_revoke": "GOOGLE_REVOKE_URL",
        "facebook_graph": "FACEBOOK_GRAPH_BASE",
        "facebook_dialog": "FACEBOOK_DIALOG_BASE",
        "graph_version": "GRAPH_API_VERSION",
    }
    return Addresses(
        **{field: _env(name).rstrip("/") for field, name in names.items() if _env(name)}
    )


@cache
def http() -> Http:
    """The one way out to providers."""
    from integrations.providers.outbound import Outbound  # noqa: PLC0415 - cold start

    return Outbound(allow_loopback=allow_loopback(), total_timeout=OUTBOUND_SECONDS)


# -- the tables ------------------------------------------------------------------------------


@cache
def tokens() -> Tokens:
    """The Tokens table."""
    from integrations.storage.tokens import Tokens  # noqa: PLC0415 - cold start

    return Tokens(aws(), _env("TOKENS_TABLE"))


@cache
def connections() -> Connections:
    """The Connections table."""
    from integrations.storage.connections import Connections  # noqa: PLC0415 - cold start
    from integrations.storage.envelope import Envelope  # noqa: PLC0415 - cold start

    return Connections(aws(), _env("CONNECTIONS_TABLE"), Envelope(aws(), _env("KMS_KEY_ID")))


@cache
def handshakes() -> Handshakes:
    """The Handshakes table."""
    from integrations.storage.envelope import Envelope  # noqa: PLC0415 - cold start
    from integrations.storage.handshakes import Handshakes  # noqa: PLC0415 - cold start

    return Handshakes(aws(), _env("HANDSHAKES_TABLE"), Envelope(aws(), _env("KMS_KEY_ID")))


@cache
def webhooks() -> Webhooks:
    """The Webhooks table."""
    from integrations.storage.envelope import Envelope  # noqa: PLC0415 - cold start
    from integrations.storage.webhooks import Webhooks  # noqa: PLC0415 - cold start

    envelope = Envelope(aws(), _env("KMS_KEY_ID"), max_age=WEBHOOK_KEY_SECONDS)
    return Webhooks(aws(), _env("WEBHOOKS_TABLE"), envelope)


@cache
def workflows() -> Workflows:
    """The Workflows table."""
    from integrations.storage.workflows import Workflows  # noqa: PLC0415 - cold start

    return Workflows(aws(), _env("WORKFLOWS_TABLE"))


@cache
def executions() -> Executions:
    """The Executions table."""
    from integrations.storage.executions import Executions  # noqa: PLC0415 - cold start

    return Executions(aws(), _env("EXECUTIONS_TABLE"))


@cache
def app_secret() -> AppSecret:
    """The stack's app-level secrets."""
    from integrations.storage.app_secret import AppSecret  # noqa: PLC0415 - cold start

    return AppSecret(aws(), _env("APP_SECRET_ARN"))


@cache
def events_queue() -> Queue:
    """Verified deliveries on their way to dispatch."""
    from integrations.storage.queues import Queue  # noqa: PLC0415 - cold start

    return Queue(aws(), _env("EVENTS_QUEUE_URL"), _env("PAYLOADS_BUCKET"))


@cache
def executions_queue() -> Queue:
    """Executions on their way to a runner."""
    from integrations.storage.queues import Queue  # noqa: PLC0415 - cold start

    return Queue(aws(), _env("EXECUTIONS_QUEUE_URL"), _env("PAYLOADS_BUCKET"))


# -- the services ----------------------------------------------------------------------------


@cache
def vault() -> Vault:
    """The use of credentials."""
    from integrations.services.vault import Vault  # noqa: PLC0415 - cold start

    return Vault(connections(), app_secret(), addresses(), http, allow_loopback=allow_loopback())


@cache
def subscriptions() -> Subscriptions:
    """What providers are asked to send."""
    from integrations.services.subscriptions import Subscriptions  # noqa: PLC0415 - cold start

    return Subscriptions(
        connections(), webhooks(), workflows(), vault(), app_secret(), public_url=public_url()
    )


@cache
def connection_service() -> ConnectionService:
    """The use cases of connections."""
    from integrations.services.connections import ConnectionService  # noqa: PLC0415 - cold start

    return ConnectionService(
        connections(),
        webhooks(),
        workflows(),
        vault(),
        subscriptions(),
        public_url=public_url(),
    )


@cache
def oauth_service() -> OAuthService:
    """The OAuth handshakes."""
    from integrations.services.oauth import OAuthService  # noqa: PLC0415 - cold start

    return OAuthService(
        handshakes(),
        connection_service(),
        vault(),
        public_url=public_url(),
        frontend_url=frontend_url(),
        redirect_uris=redirect_uris(),
    )


@cache
def receiver() -> Receiver:
    """The reception of webhooks."""
    from integrations.services.webhooks import Receiver  # noqa: PLC0415 - cold start

    return Receiver(webhooks(), app_secret(), events_queue())


@cache
def workflow_service() -> WorkflowService:
    """The use cases of workflows."""
    from integrations.services.workflows import WorkflowService  # noqa: PLC0415 - cold start
    from integrations.storage.schedules import Schedules  # noqa: PLC0415 - cold start

    schedules = Schedules(
        aws(),
        group=_env("SCHEDULE_GROUP"),
        role_arn=_env("SCHEDULE_ROLE_ARN"),
        target_arn=_env("EVENTS_QUEUE_ARN"),
    )
    return WorkflowService(
        workflows(),
        connections(),
        webhooks(),
        subscriptions(),
        schedules,
        public_url=public_url(),
    )


@cache
def execution_service() -> ExecutionService:
    """The use cases of executions, the running of them included."""
    from integrations.services.executions import ExecutionService  # noqa: PLC0415 - cold start

    return ExecutionService(executions(), workflows(), executions_queue(), vault)


@cache
def dispatcher() -> Dispatcher:
    """From deliveries to executions."""
    from integrations.services.dispatch import Dispatcher  # noqa: PLC0415 - cold start

    return Dispatcher(webhooks(), workflows(), events_queue(), execution_service())
