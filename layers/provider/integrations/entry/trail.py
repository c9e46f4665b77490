"""What goes into the audit log, from the events that come in."""

from collections.abc import Mapping
from typing import Any

from aws_lambda_powertools import Logger

from integrations.entry import wiring
from integrations.models import now
from integrations.storage.audit import AuditEntry
from integrations.storage.aws import AwsError


def record(
    event: Mapping[str, Any], tenant: str, actor: Mapping[str, str], action: str, outcome: str
) -> None:
    """Write one entry. What cannot be written is in the function's log, whole, as an error.

    Args:
        event: The request, of payload format 2.0.
        tenant: Whose log it belongs to.
        actor: ``kind``, ``id`` and ``name`` of who sent it.
        action: What was asked.
        outcome: ``succeeded``, or the code of the problem that was answered.
    """
    request = event["requestContext"]
    entry = AuditEntry(
        tenant=tenant,
        at=now(),
        request_id=str(request.get("requestId", "")),
        actor=actor,
        source_ip=str(request["http"].get("sourceIp", "")),
        action=action,
        target=_target(event),
        outcome=outcome,
    )
    try:
        wiring.audit().record(entry)
    except AwsError as failure:
        Logger().error(
            "not audited",
            tenant=tenant,
            actor=dict(actor),
            source_ip=entry.source_ip,
            action=action,
            target=entry.target,
            outcome=outcome,
            reason=failure.detail,
        )


def _target(event: Mapping[str, Any]) -> str:
    """The path, without what is before the route; a query could hold anything."""
    return str(event.get("rawPath", "")).removeprefix("/api/")
