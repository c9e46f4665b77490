"""The services, made of the environment and of each other, each on first use.

Nothing is made at import: a function pays for what its route uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from integrations.entry import invocation, metrics, settings
from integrations.memory import once
from integrations.storage.aws import Aws

if TYPE_CHECKING:
    from integrations.outbound.http import Http
    from integrations.providers.base import Addresses
    from integrations.services.checking import Checker
    from integrations.services.connections.actions import ActionRunner
    from integrations.services.connections.due import DueChecks
    from integrations.services.connections.reading import ConnectionReader
    from integrations.services.connections.removing import ConnectionRemover
    from integrations.services.connections.saving import ConnectionSaver
    from integrations.services.connections.testing import ConnectionTester
    from integrations.services.delivery_tokens import DeliveryTokens
    from integrations.services.dispatch import Dispatcher
    from integrations.services.events import EventLog
    from integrations.services.executions import ExecutionService
    from integrations.services.jobs import JobService
    from integrations.services.lineage import Lineage
    from integrations.services.oauth import OAuthService
    from integrations.services.ownership import Ownership
    from integrations.services.preview import Previewer
    from integrations.services.quotas import Quotas
    from integrations.services.redirects import Redirects
    from integrations.services.replay import ReplayService
    from integrations.services.runner import Runner
    from integrations.services.secrets import SecretService
    from integrations.services.subscriptions import Subscriptions
    from integrations.services.tokens import TokenService
    from integrations.services.vault import Vault
    from integrations.services.webhooks import Receiver
    from integrations.services.workflows import WorkflowService
    from integrations.storage.app_secret import AppSecret
    from integrations.storage.audit import Audit
    from integrations.storage.connections import Connections
    from integrations.storage.events import Events
    from integrations.storage.executions import Executions
    from integrations.storage.files import Files
    from integrations.storage.handshakes import Handshakes
    from integrations.storage.jobs import Jobs
    from integrations.storage.objects import Objects
    from integrations.storage.pages import Pages
    from integrations.storage.queues import Queue
    from integrations.storage.schedules import Schedules
    from integrations.storage.secrets import Secrets
    from integrations.storage.tokens import Tokens
    from integrations.storage.webhooks import Webhooks
    from integrations.storage.workflows import Workflows


NOBODY = "*"
"""A name that no tenant has."""

OUTBOUND_SECONDS = 22.0
"""How long one request to a provider may take: the API's own functions have 29 s for all."""

OUTBOUND_RESERVE = 7.0
"""Seconds of an invocation in which no provider is waited for: what came of it is written then, to
the bucket, too, which is not asked with less than five left (``storage/aws/boto.py``)."""

WEBHOOK_KEY_SECONDS = 300
"""How long a webhook's data key is used again; its record is read anew each minute."""


@once
def aws() -> Aws:
    """The way to AWS."""
    return Aws(
        region=settings.region(),
        credentials=settings.credentials,
        endpoint_url=settings.endpoint_url(),
        fips=settings.fips(),
        dual_stack=settings.dual_stack(),
        ca_bundle=settings.ca_bundle(),
        on_retry=tell_retry,
        time_left=invocation.seconds_left,
    )


def tell_retry(service: str, operation: str, code: str) -> None:
    """Tell of a call of AWS that is made again."""
    metrics.observe("retry", service=service, operation=operation, code=code)


@once
def addresses() -> Addresses:
    """Where the providers live."""
    return settings.addresses()


@once
def http() -> Http:
    """The one way out to providers."""
    from integrations.outbound.client import Outbound

    return Outbound(
        allow_loopback=_opens_loopback(),
        total_timeout=OUTBOUND_SECONDS,
        time_left=_time_for_providers,
    )


def _time_for_providers() -> float:
    return invocation.seconds_left() - OUTBOUND_RESERVE


def _opens_loopback() -> bool:
    """Whether requests may reach this machine; the platform's own ports are closed then."""
    if not settings.allow_loopback():
        return False
    from integrations.outbound import egress

    egress.close_ports(settings.own_ports())
    return True


# -- the tables ------------------------------------------------------------------------------


@once
def tokens() -> Tokens:
    """The Tokens table."""
    from integrations.storage.tokens import Tokens

    return Tokens(aws(), settings.resource("TOKENS_TABLE"))


@once
def audit() -> Audit:
    """The audit log."""
    from integrations.storage.audit import Audit

    return Audit(aws(), settings.resource("AUDIT_TABLE"))


@once
def secrets() -> Secrets:
    """The Secrets table."""
    from integrations.storage.envelope import Envelope
    from integrations.storage.secrets import Secrets

    envelope = Envelope(aws(), settings.resource("KMS_KEY_ID"))
    return Secrets(aws(), settings.resource("SECRETS_TABLE"), envelope)


@once
def connections() -> Connections:
    """The Connections table."""
    from integrations.storage.connections import Connections
    from integrations.storage.envelope import Envelope

    return Connections(
        aws(),
        settings.resource("CONNECTIONS_TABLE"),
        Envelope(aws(), settings.resource("KMS_KEY_ID")),
    )


@once
def handshakes() -> Handshakes:
    """The Handshakes table."""
    from integrations.storage.envelope import Envelope
    from integrations.storage.handshakes import Handshakes

    return Handshakes(
        aws(),
        settings.resource("HANDSHAKES_TABLE"),
        Envelope(aws(), settings.resource("KMS_KEY_ID")),
    )


@once
def webhooks() -> Webhooks:
    """The Webhooks table."""
    from integrations.storage.envelope import Envelope
    from integrations.storage.webhooks import Webhooks

    envelope = Envelope(aws(), settings.resource("KMS_KEY_ID"), max_age=WEBHOOK_KEY_SECONDS)
    return Webhooks(aws(), settings.resource("WEBHOOKS_TABLE"), envelope)


@once
def workflows() -> Workflows:
    """The Workflows table."""
    from integrations.storage.workflows import Workflows

    return Workflows(aws(), settings.resource("WORKFLOWS_TABLE"))


@once
def executions() -> Executions:
    """The Executions table."""
    from integrations.storage.executions import Executions

    table = settings.resource("EXECUTIONS_TABLE")
    return Executions(aws(), table, retention=settings.retention())


@once
def events() -> Events:
    """The Events table."""
    from integrations.storage.events import Events

    table = settings.resource("EVENTS_TABLE")
    return Events(aws(), table, events_queue(), retention=settings.retention())


@once
def jobs() -> Jobs:
    """The Jobs table."""
    from integrations.storage.jobs import Jobs

    return Jobs(aws(), settings.resource("JOBS_TABLE"))


@once
def pages() -> Pages:
    """The Pages table."""
    from integrations.storage.pages import Pages

    return Pages(aws(), settings.resource("PAGES_TABLE"))


@once
def app_secret() -> AppSecret:
    """The stack's app-level secrets."""
    from integrations.storage.app_secret import AppSecret

    return AppSecret(aws(), settings.resource("APP_SECRET_ARN"))


@once
def events_queue() -> Queue:
    """Verified deliveries on their way to dispatch."""
    return queue("EVENTS_QUEUE_URL")


def queue(name: str) -> Queue:
    """A queue by the variable that has its URL; what it is sent carries the present trace."""
    from integrations.storage.queues import Queue

    url, bucket = settings.resource(name), settings.resource("PAYLOADS_BUCKET")
    return Queue(aws(), url, bucket, trace=settings.trace_header)


@once
def executions_queue() -> Queue:
    """Executions on their way to a runner."""
    return queue("EXECUTIONS_QUEUE_URL")


@once
def objects() -> Objects:
    """The bucket for large values."""
    from integrations.storage.objects import Objects

    return Objects(aws(), settings.resource("PAYLOADS_BUCKET"))


@once
def jobs_queue() -> Queue:
    """Jobs on their way to a process that carries them on."""
    return queue("JOBS_QUEUE_URL")


@once
def quotas() -> Quotas:
    """What one tenant may have, start and send."""
    from integrations.services.quotas import Quotas
    from integrations.storage.quotas import QuotaCounters

    return Quotas(QuotaCounters(aws(), settings.resource("QUOTAS_TABLE")), settings.quotas())


@once
def files() -> Files:
    """The files that steps hand on."""
    from integrations.storage.files import Files

    return Files(objects())


@once
def schedules() -> Schedules:
    """The workflows' schedules."""
    from integrations.storage.schedules import Schedules

    return Schedules(
        aws(),
        group=settings.resource("SCHEDULE_GROUP"),
        role_arn=settings.resource("SCHEDULE_ROLE_ARN"),
        target_arn=settings.resource("EVENTS_QUEUE_ARN"),
        dead_letters_arn=settings.resource("SCHEDULES_DEAD_LETTER_QUEUE_ARN"),
    )


# -- the services ----------------------------------------------------------------------------


@once
def vault() -> Vault:
    """The use of credentials."""
    from integrations.services.vault import Vault

    return Vault(
        connections(),
        app_secret(),
        addresses(),
        http,
        lineage=lineage(),
        quotas=quotas(),
        allow_loopback=_opens_loopback(),
        time_left=_time_for_providers,
        observe=metrics.observe,
    )


@once
def lineage() -> Lineage:
    """How many executions led to one another."""
    from integrations.services.lineage import Lineage

    return Lineage(webhooks().own_key, webhooks().make_own_key)


@once
def subscriptions() -> Subscriptions:
    """What providers are asked to send."""
    from integrations.services.subscriptions import Subscriptions

    return Subscriptions(
        connections(),
        webhooks(),
        workflows(),
        pages(),
        vault(),
        app_secret(),
        public_url=settings.public_url(),
    )


@once
def ownership() -> Ownership:
    """Whose a page is."""
    from integrations.services.ownership import Ownership

    return Ownership(pages(), connections())


@once
def connection_reader() -> ConnectionReader:
    """Connections, as the API shows them."""
    from integrations.services.connections.reading import ConnectionReader

    return ConnectionReader(connections(), webhooks(), public_url=settings.public_url())


@once
def connection_tester() -> ConnectionTester:
    """Tests of credentials."""
    from integrations.services.connections.testing import ConnectionTester

    return ConnectionTester(
        connections(), vault(), subscriptions(), ownership(), observe=metrics.observe
    )


@once
def connection_saver() -> ConnectionSaver:
    """The saving of credentials."""
    from integrations.services.connections.saving import ConnectionSaver

    return ConnectionSaver(
        connections(),
        webhooks(),
        workflows(),
        vault(),
        subscriptions(),
        ownership(),
        connection_reader(),
        quotas(),
        platform_tenant=settings.platform_tenant(),
    )


@once
def connection_remover() -> ConnectionRemover:
    """The removal of credentials."""
    from integrations.services.connections.removing import ConnectionRemover

    return ConnectionRemover(
        connections(), webhooks(), workflows(), vault(), subscriptions(), ownership()
    )


@once
def action_runner() -> ActionRunner:
    """Actions outside of workflows."""
    from integrations.services.connections.actions import ActionRunner

    return ActionRunner(vault())


@once
def due_checks() -> DueChecks:
    """The daily check of connections."""
    from integrations.services.connections.due import DueChecks

    return DueChecks(connections(), connection_tester(), vault(), observe=metrics.observe)


@once
def redirects() -> Redirects:
    """Where a browser may be sent in the end."""
    from integrations.services.redirects import Redirects

    connect_page = f"{settings.public_url()}/connect"
    return Redirects(settings.frontend_url(), (*settings.redirect_uris(), connect_page))


@once
def token_service() -> TokenService:
    """API tokens and connect sessions."""
    from integrations.services.tokens import TokenService

    return TokenService(
        tokens(),
        redirects(),
        public_url=settings.public_url(),
        application=settings.application_name(),
        platform_tenant=settings.platform_tenant(),
    )


@once
def secret_service() -> SecretService:
    """The tenants' named secrets."""
    from integrations.services.secrets import SecretService

    return SecretService(secrets())


@once
def oauth_service() -> OAuthService:
    """The OAuth handshakes."""
    from integrations.services.oauth import OAuthService

    return OAuthService(
        handshakes(),
        connection_reader(),
        connection_saver(),
        vault(),
        public_url=settings.public_url(),
        redirects=redirects(),
    )


@once
def receiver() -> Receiver:
    """The reception of webhooks."""
    from integrations.services.webhooks import Receiver

    return Receiver(
        webhooks(),
        app_secret(),
        events_queue(),
        events,
        lineage(),
        platform_tenant=settings.platform_tenant() or NOBODY,
        tokens=delivery_tokens,
        observe=metrics.observe,
    )


@once
def delivery_tokens() -> DeliveryTokens:
    """The JWTs of deliveries."""
    from integrations.services.delivery_tokens import DeliveryTokens

    return DeliveryTokens(http)


@once
def workflow_service() -> WorkflowService:
    """The use cases of workflows."""
    from integrations.services.workflows import WorkflowService

    return WorkflowService(
        workflows(),
        connections(),
        checker(),
        subscriptions(),
        schedules(),
        quotas(),
        public_url=settings.public_url(),
    )


@once
def checker() -> Checker:
    """The check of workflows."""
    from integrations.services.checking import Checker

    return Checker(connections(), webhooks(), secrets())


@once
def previewer() -> Previewer:
    """The preview of workflows: no vault, no way out."""
    from integrations.services.preview import Previewer

    return Previewer(workflows(), executions(), objects(), files(), event_log)


@once
def execution_service() -> ExecutionService:
    """The use cases of executions."""
    from integrations.services.executions import ExecutionService

    return ExecutionService(
        executions(),
        workflows(),
        executions_queue(),
        objects(),
        files(),
        quotas(),
        events=event_log,
        observe=metrics.observe,
    )


@once
def runner() -> Runner:
    """The running of executions."""
    from integrations.services.runner import Runner
    from integrations.services.shares import Share
    from integrations.storage.slots import Slots

    slots = Slots(aws(), settings.resource("QUOTAS_TABLE"))
    return Runner(
        executions(),
        workflows(),
        execution_service(),
        vault,
        files(),
        secret_service,
        Share(slots, settings.quotas().runners),
        observe=metrics.observe,
    )


@once
def event_log() -> EventLog:
    """What was received, and what came of it."""
    from integrations.services.events import EventLog

    return EventLog(
        events(),
        platform_tenant=settings.platform_tenant() or NOBODY,
        observe=metrics.observe,
    )


@once
def job_service() -> JobService:
    """What runs in the background."""
    from integrations.services.jobs import JobService

    steps = {
        "replay_events": lambda: replay_service().replay_step,
        "retry_executions": lambda: replay_service().retry_step,
    }
    return JobService(jobs(), jobs_queue(), steps)


@once
def replay_service() -> ReplayService:
    """Events and executions once more."""
    from integrations.services.replay import ReplayService

    return ReplayService(
        event_log(), workflows(), events_queue(), execution_service(), job_service(), quotas()
    )


@once
def dispatcher() -> Dispatcher:
    """From deliveries to executions."""
    from integrations.services.dispatch import Dispatcher

    return Dispatcher(
        webhooks(),
        workflows(),
        pages(),
        event_log(),
        events_queue(),
        execution_service(),
        quotas(),
        schedules,
    )
