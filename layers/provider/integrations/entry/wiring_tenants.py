"""The services that take a tenant as a whole, made like those of ``wiring``, each on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from integrations.entry import settings, wiring
from integrations.memory import once

if TYPE_CHECKING:
    from integrations.services.jobs import JobService
    from integrations.services.removals import Removals
    from integrations.services.tenants import TenantEraser, TenantExport
    from integrations.storage.queues import Queue


@once
def erasures_queue() -> Queue:
    """Tenants to erase, on their way to the one function that may."""
    return wiring.queue("ERASURES_QUEUE_URL")


@once
def erasure_service() -> JobService:
    """The erasure of tenants: jobs whose function may remove whatever a tenant has."""
    from integrations.services.jobs import JobService

    steps = {"erase_tenant": lambda: tenant_eraser().step}
    return JobService(wiring.jobs(), erasures_queue(), steps)


@once
def tenant_export() -> TenantExport:
    """All that is stored of a tenant, shown."""
    from integrations.services.tenants import TenantExport

    return TenantExport(
        tokens=wiring.token_service(),
        connections=wiring.connections(),
        reader=wiring.connection_reader(),
        webhooks=wiring.webhooks(),
        workflows=wiring.workflow_service(),
        secrets=wiring.secret_service(),
        jobs=wiring.job_service(),
        executions=wiring.execution_service(),
        events=wiring.event_log(),
    )


@once
def tenant_eraser() -> TenantEraser:
    """All that is stored of a tenant, removed."""
    from integrations.services.tenants import Tables, TenantEraser
    from integrations.storage.tenant_data import TenantData

    names = (
        *("webhooks", "handshakes", "pages", "tokens", "secrets", "executions", "events"),
        *("jobs", "quotas"),
    )
    return TenantEraser(
        erasure_service(),
        connections=wiring.connections(),
        workflows=wiring.workflows(),
        remover=wiring.connection_remover(),
        workflow_service=wiring.workflow_service(),
        data=TenantData(wiring.aws(), settings.resource("PAYLOADS_BUCKET")),
        tables=Tables(**{name: settings.resource(f"{name.upper()}_TABLE") for name in names}),
        audit=wiring.audit(),
    )


@once
def removals() -> Removals:
    """What somebody takes back at a provider."""
    from integrations.services.removals import Removals

    return Removals(
        wiring.connections(),
        wiring.pages(),
        wiring.ownership(),
        wiring.vault(),
        public_url=settings.public_url(),
    )
