"""The audit log as the API shows it."""

from datetime import datetime

from integrations.services.answers.audit import ActorAnswer, AuditAnswer, AuditPage
from integrations.storage.audit import Audit


def audit_page(
    audit: Audit,
    tenant: str,
    since: datetime | None,
    until: datetime | None,
    action: str | None,
    limit: int,
    next_token: str | None,
) -> AuditPage:
    """One page of the tenant's entries, newest first.

    Raises:
        InvalidInput: ``next_token`` is not one of ours, or of a list with other filters.
    """
    found, token = audit.page(
        tenant, since=since, until=until, action=action, limit=limit, next_token=next_token
    )
    items = [
        AuditAnswer(
            at=each.at,
            actor=ActorAnswer.model_validate(each.actor),
            source_ip=each.source_ip,
            action=each.action,
            target=each.target,
            outcome=each.outcome,
            request_id=each.request_id,
        )
        for each in found
    ]
    return AuditPage(items=items, next_token=token)
