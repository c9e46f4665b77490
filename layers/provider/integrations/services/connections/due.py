"""The walk over the connections whose daily check is due."""

import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from integrations.errors import IntegrationError, ServiceUnavailable, UnknownConnection
from integrations.models import now
from integrations.services.connections.testing import ConnectionTester
from integrations.services.observing import Observe, nobody
from integrations.services.subscriptions import SOON
from integrations.services.vault import Vault
from integrations.storage.connections import DUE_SHARDS, Connections

_log = logging.getLogger(__name__)

PAGE = 25


class DueChecks:
    """Checks the connections that are due, oldest first.

    The index of what is due is the cursor: a connection that was checked is due again tomorrow, so
    the next run begins where this one ended. Its shards are walked side by side, so that a provider
    that is slow to answer holds up an eighth of the others at most.

    Args:
        connections: The table.
        tester: Checks one connection.
        vault: Says when to look again.
        observe: Hears of the state of each connection that is checked.
        clock: The present moment.
    """

    def __init__(
        self,
        connections: Connections,
        tester: ConnectionTester,
        vault: Vault,
        *,
        observe: Observe = nobody,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._connections = connections
        self._tester = tester
        self._vault = vault
        self._observe = observe
        self._clock = clock

    def run(self, has_time: Callable[[], bool]) -> dict[str, int]:
        """Check as many connections as the time allows.

        Args:
            has_time: Whether another check may begin.

        Returns:
            How many connections came to which state; ``gone`` were removed in between, ``failed``
            broke off here.
        """
        with ThreadPoolExecutor(DUE_SHARDS) as pool:
            shards = pool.map(lambda shard: self._check_shard(shard, has_time), range(DUE_SHARDS))
            return dict(Counter(state for states in shards for state in states))

    def _check_shard(self, shard: int, has_time: Callable[[], bool]) -> list[str]:
        """Check what is due in one shard. Returns the states."""
        states: list[str] = []
        seen: set[tuple[str, str, str]] = set()
        while has_time():
            due = self._connections.due(shard, self._clock(), PAGE)
            # The index learns of a check with some delay.
            fresh = [key for key in due if key not in seen]
            for key in fresh:
                if not has_time():
                    return states
                state = self._check(*key)
                states.append(state)
                tenant, provider_id, name = key
                self._observe(
                    "connection",
                    checked=1,
                    state=state,
                    tenant=tenant,
                    provider=provider_id,
                    connection=name,
                )
                seen.add(key)
            if len(due) < PAGE or not fresh:
                break
        return states

    def _check(self, tenant: str, provider_id: str, name: str) -> str:
        where = {"tenant": tenant, "provider": provider_id, "connection": name}
        try:
            return self._tester.check(tenant, provider_id, name)
        except UnknownConnection:
            return "gone"
        except ServiceUnavailable:  # which says nothing about the connection
            _log.exception("not checked", extra=where)
            due_at = self._clock() + SOON
        except Exception:  # noqa: BLE001 - the others are checked all the same, this one tomorrow
            _log.exception("not checked", extra=where)
            due_at = self._vault.next_check()
        try:
            connection = self._connections.get(tenant, provider_id, name)
            self._connections.check_at(connection, due_at)
        except IntegrationError:
            _log.exception("not put off", extra=where)
        return "failed"
