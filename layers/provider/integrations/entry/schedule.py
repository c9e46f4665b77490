"""The schedules' side of a function."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from integrations.entry import settings
from integrations.errors import IntegrationError, UnknownConnection
from integrations.models import now
from integrations.storage.connections import DUE_SHARDS

CHECK_RESERVE = timedelta(seconds=60)
"""With less time than this left, no further connection is checked; the next run goes on."""

PAGE = 25


def refresh_connections(_event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Check the connections that are due, oldest first, as many as the time allows.

    The index of what is due is the cursor: a connection that was checked is due again tomorrow, so
    the next run begins where this one ended. Its shards are walked side by side, so that a provider
    that is slow to answer holds up an eighth of the others at most.
    """

    def has_time() -> bool:
        return context.get_remaining_time_in_millis() >= CHECK_RESERVE.total_seconds() * 1000

    settings.connection_service()  # made once, before the threads want it
    with ThreadPoolExecutor(DUE_SHARDS) as pool:
        states = [
            state
            for shard in pool.map(lambda shard: _check_shard(shard, has_time), range(DUE_SHARDS))
            for state in shard
        ]
    counts = dict(Counter(states))
    Logger().info("checked", counts=counts, has_time=has_time())
    return counts


def _check_shard(shard: int, has_time: Callable[[], bool]) -> list[str]:
    """Check what is due in one shard. Returns the states."""
    states: list[str] = []
    seen: set[tuple[str, str, str]] = set()
    while has_time():
        due = settings.connections().due(shard, now(), PAGE)
        # The index is told of a check with some delay.
        fresh = [key for key in due if key not in seen]
        for key in fresh:
            if not has_time():
                return states
            states.append(_check(*key))
            seen.add(key)
        if len(due) < PAGE or not fresh:
            break
    return states


def _check(tenant: str, provider_id: str, name: str) -> str:
    try:
        return settings.connection_service().check(tenant, provider_id, name)
    except UnknownConnection:
        return "gone"
    except Exception:  # noqa: BLE001 - see below
        # One connection must not keep the others from their check; tomorrow it is tried again.
        Logger().exception("not checked", tenant=tenant, provider=provider_id, connection=name)
    try:
        connection = settings.connections().get(tenant, provider_id, name)
        settings.connections().postpone(connection, settings.vault().next_check())
    except IntegrationError:
        Logger().exception("not postponed", tenant=tenant, provider=provider_id, connection=name)
    return "failed"


def recover_executions(_event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Send the executions that nobody took up in time to the runners again."""

    def left() -> timedelta:
        return timedelta(milliseconds=context.get_remaining_time_in_millis())

    sent = settings.execution_service().recover(left)
    if sent:
        Logger().warning("recovered", sent=sent)
    return {"sent": sent}
