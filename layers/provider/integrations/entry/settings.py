"""The environment: every variable is read here, and when it is needed, not at import."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from integrations import memory
from integrations.entry import invocation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from integrations.providers.base import Addresses
    from integrations.services.jwt import JwtSettings
    from integrations.services.quotas import Limits
    from integrations.storage.aws import AwsCredentials
    from integrations.storage.aws.credentials import ContainerCredentials


def _env(name: str, default: str = "") -> str:
    return os.environ.get(name) or default


_learnt: dict[str, str] = memory.mapping()
"""``address``: where this backend answers."""


def learn_address(event: Mapping[str, Any]) -> None:
    """Learn from a request where this backend answers, for stacks that have no setting for it.

    API Gateway itself writes ``domainName``: the API's own name or a custom one that maps to it,
    never just what a client claims. The template cannot say it: that would be a circle.
    """
    if not _learnt:
        request = event["requestContext"]
        stage = request.get("stage", "$default")
        path = "" if stage == "$default" else f"/{stage}"
        _learnt["address"] = f"https://{request.get('domainName', 'localhost')}{path}"


def stack_name() -> str:
    """This stack's name, for the metrics."""
    return _env("STACK_NAME", "none")


def metrics_by_tenant() -> bool:
    """Whether metrics tell tenants apart."""
    return _env("METRICS_BY_TENANT") == "on"


def trace_header() -> str:
    """X-Ray's header of the present invocation; empty where there is none."""
    return _env("_X_AMZN_TRACE_ID")


def public_url() -> str:
    """Where this backend answers, without a trailing slash; empty where nobody knows yet."""
    return _env("PUBLIC_BASE_URL", _learnt.get("address", "")).rstrip("/")


def frontend_urls() -> tuple[str, ...]:
    """The origins of the application's own pages, the main one first, without trailing slashes."""
    listed = _env("FRONTEND_URL").split(",")
    return tuple(url.strip().rstrip("/") for url in listed if url.strip())


def frontend_url() -> str:
    """The main origin of the application's own pages, without a trailing slash."""
    return next(iter(frontend_urls()), "")


def redirect_uris() -> tuple[str, ...]:
    """Where a log-in may lead in the end."""
    listed = _env("ALLOWED_REDIRECT_URIS", _env("FRONTEND_URL")).split(",")
    return tuple(uri.strip() for uri in listed if uri.strip())


def application_name() -> str:
    """What the application is called on the pages that people see."""
    return _env("APPLICATION_NAME", "This application")


def platform_tenant() -> str:
    """The tenant whose admins make tokens and sessions for any tenant; ``""`` for none."""
    return _env("PLATFORM_TENANT")


def jwt() -> JwtSettings | None:
    """Which JWTs are taken; ``None`` where no issuer is configured."""
    issuer, audience = _env("JWT_ISSUER"), _env("JWT_AUDIENCE")
    if not issuer or not audience:
        return None
    from integrations.services.jwt import JwtSettings

    return JwtSettings(
        issuer=issuer,
        audience=audience,
        tenant_claim=_env("JWT_TENANT_CLAIM", "tenant"),
        scope_claim=_env("JWT_SCOPE_CLAIM"),
        default_scopes=frozenset(_env("JWT_DEFAULT_SCOPES").split()),
    )


def console_login() -> tuple[str, str] | None:
    """The OIDC issuer where the console logs people in, and its client there; ``None`` for none."""
    issuer, client = _env("JWT_ISSUER"), _env("CONSOLE_CLIENT_ID")
    return (issuer, client) if issuer and client else None


def console_token_origin() -> str:
    """Where that issuer's token endpoint is, if not at the issuer's own origin."""
    return _env("CONSOLE_TOKEN_ORIGIN")


def retention() -> timedelta:
    """How long events, their payloads and executions are stored."""
    return timedelta(days=int(_env("RETENTION_DAYS", "30")))


def quotas() -> Limits:
    """What one tenant may have, start and send."""
    from integrations.services.quotas import Limits

    return Limits(
        connections=int(_env("MAX_CONNECTIONS", "200")),
        workflows=int(_env("MAX_WORKFLOWS", "500")),
        schedules=int(_env("MAX_SCHEDULES", "50")),
        executions=int(_env("MAX_EXECUTIONS_PER_MINUTE", "1200")),
        workflow_executions=int(_env("MAX_WORKFLOW_EXECUTIONS_PER_MINUTE", "600")),
        mails=int(_env("MAX_MAILS_PER_DAY", "200")),
        runners=int(_env("MAX_RUNNERS_PER_TENANT", "50")),
    )


def allow_loopback() -> bool:
    """Whether outbound requests may reach this very machine: on the local platform alone."""
    return _env("ALLOW_LOOPBACK") == "true"


def own_ports() -> set[int]:
    """Ports of this machine that are not for a tenant's requests: AWS's stand-in, the runtime's."""
    from urllib.parse import urlsplit

    named = (_env("AWS_ENDPOINT_URL"), _env("AWS_LAMBDA_RUNTIME_API"))
    found = (urlsplit(each if "//" in each else f"//{each}").port for each in named)
    return {port for port in found if port}


def credentials() -> AwsCredentials:
    """The present credentials of this function's role."""
    # Here, so that a function that asks nothing of AWS imports nothing of it.
    from integrations.storage.aws import AwsCredentials

    key = os.environ.get("AWS_ACCESS_KEY_ID")
    if key:
        return AwsCredentials(
            key, os.environ["AWS_SECRET_ACCESS_KEY"], os.environ.get("AWS_SESSION_TOKEN")
        )
    return _container_credentials()()


@memory.once
def _container_credentials() -> ContainerCredentials:
    from integrations.storage.aws.credentials import ContainerCredentials

    return ContainerCredentials(
        _env("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        token=_env("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
        token_file=_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        time_left=invocation.seconds_left,
    )


def region() -> str:
    """The AWS region that this function runs in."""
    return _env("AWS_REGION", _env("AWS_DEFAULT_REGION", "us-east-1"))


def endpoint_url() -> str:
    """Where every service of AWS answers instead of AWS: on the local platform alone."""
    return _env("AWS_ENDPOINT_URL")


def fips() -> bool:
    """Whether AWS is to be asked where its cryptography is validated by FIPS 140."""
    return _env("AWS_USE_FIPS_ENDPOINT").lower() == "true"


def dual_stack() -> bool:
    """Whether AWS is to be asked where it answers by IPv6, too."""
    return _env("AWS_USE_DUALSTACK_ENDPOINT").lower() == "true"


def ca_bundle() -> str:
    """A file of certificates to know AWS by, in place of Amazon's own roots."""
    return _env("AWS_CA_BUNDLE")


def resource(name: str) -> str:
    """A resource of this stack: a table's name, a queue's URL, a key's id.

    Args:
        name: The variable that the template gives it in, e.g. ``TOKENS_TABLE``.
    """
    return _env(name)


def addresses() -> Addresses:
    """Where the providers live."""
    from integrations.providers import registry
    from integrations.providers.base import Addresses

    found = {field: _env(name).rstrip("/") for field, name in registry.addresses().items()}
    return Addresses(**{field: value for field, value in found.items() if value})
