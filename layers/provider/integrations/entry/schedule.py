"""The schedules' side of a function."""

import random
from datetime import timedelta
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from integrations.entry import settings
from integrations.errors import UnknownConnection
from integrations.models import now
from integrations.storage.connections import DUE_SHARDS

CHECK_RESERVE = timedelta(seconds=60)
"""With less time than this left, no further connection is checked; the next run goes on."""

PAGE = 25


def refresh_connections(_event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Check the connections that are due, oldest first, as many as the time allows.

    The index of what is due is the cursor: a connection that was checked is due again tomorrow, so
    the next run begins where this one ended.
    """
    counts: dict[str, int] = {}
    for shard in random.sample(range(DUE_SHARDS), DUE_SHARDS):  # none is always the last
        while True:
            due = settings.connections().due(shard, now(), PAGE)
            for tenant, provider_id, name in due:
                if context.get_remaining_time_in_millis() < CHECK_RESERVE.total_seconds() * 1000:
                    return counts
                state = _check(tenant, provider_id, name)
                counts[state] = counts.get(state, 0) + 1
            if len(due) < PAGE:
                break
    Logger().info("checked", counts=counts)
    return counts


def _check(tenant: str, provider_id: str, name: str) -> str:
    try:
        return settings.connection_service().check(tenant, provider_id, name)
    except UnknownConnection:
        return "gone"
    except Exception:  # noqa: BLE001 - see below
        # One connection must not keep the others from their check; tomorrow it is tried again.
        Logger().exception("not checked", tenant=tenant, provider=provider_id, connection=name)
        connection = settings.connections().get(tenant, provider_id, name)
        settings.connections().postpone(connection, settings.vault().next_check())
        return "failed"


def recover_executions(_event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Send the executions that nobody took up in time to the runners again."""

    def left() -> timedelta:
        return timedelta(milliseconds=context.get_remaining_time_in_millis())

    sent = settings.execution_service().recover(left)
    if sent:
        Logger().warning("recovered", sent=sent)
    return {"sent": sent}
