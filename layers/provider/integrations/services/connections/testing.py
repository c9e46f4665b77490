"""Connections tested: on request, and each day."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from integrations.errors import (
    CredentialsRejected,
    IntegrationError,
    ProviderError,
    ProviderNotConfigured,
    ProviderUnavailable,
    RateLimited,
    VersionConflict,
)
from integrations.models import ConnectionStatus, Json, now
from integrations.providers import registry
from integrations.providers.base import Verified
from integrations.services import states
from integrations.services.answers.connections import AccountAnswer, TestAnswer
from integrations.services.forms import credentials_of
from integrations.services.observing import Observe, nobody
from integrations.services.ownership import Ownership
from integrations.services.subscriptions import Subscriptions
from integrations.services.vault import Opened, Vault
from integrations.storage.connections import Connections


class ConnectionTester:
    """Tests credentials, and records how that went.

    Args:
        connections: The table.
        vault: The use of credentials.
        subscriptions: What providers are asked to send.
        ownership: Whose a page is.
        observe: Hears of connections that break.
        clock: The present moment.
    """

    def __init__(
        self,
        connections: Connections,
        vault: Vault,
        subscriptions: Subscriptions,
        ownership: Ownership,
        *,
        observe: Observe = nobody,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._connections = connections
        self._vault = vault
        self._subscriptions = subscriptions
        self._ownership = ownership
        self._observe = observe
        self._clock = clock

    def test(
        self, tenant: str, provider_id: str, name: str, given: Mapping[str, Json] | None
    ) -> TestAnswer:
        """Test what is given, else what is stored (and keep how that went).

        Raises:
            UnknownProvider, UnknownConnection: There is nothing to test.
            InvalidInput: The given credentials are not of the provider's form.
        """
        provider = registry.get(provider_id)
        started = time.monotonic()
        opened = None
        try:
            if given is None:
                opened = self._vault.open(tenant, provider_id, name)
                taken, verified = self._vault.attempt(opened, provider.verify)
                self._record_success(taken, verified)
            else:
                credentials = credentials_of(provider, given)
                verified = self._vault.ask(provider, credentials, provider.verify)
        except ProviderError as refusal:
            if given is None:
                self._record_failure(tenant, provider_id, name, refusal, opened)
            return self._test_answer(started, refusal.detail, code=refusal.code)
        return self._test_answer(started, verified.message, verified=verified)

    def _test_answer(
        self,
        started: float,
        message: str,
        *,
        code: str | None = None,
        verified: Verified[Any] | None = None,
    ) -> TestAnswer:
        account = verified.account if verified else None
        return TestAnswer(
            success=verified is not None,
            message=message,
            code=code,
            account=AccountAnswer(id=account.id, label=account.label, details=dict(account.details))
            if account
            else None,
            tested_at=self._clock(),
            duration_ms=round((time.monotonic() - started) * 1000),
        )

    def check(self, tenant: str, provider_id: str, name: str) -> str:
        """Refresh what is near its end and test what is left. Returns the state afterwards.

        A provider that is down changes nothing: the next check is only an hour away then.
        """
        provider = registry.get(provider_id)
        opened = None
        try:
            opened = self._vault.open_for_check(tenant, provider_id, name)
            taken, verified = self._vault.attempt(opened, provider.verify)
        except (ProviderError, ProviderNotConfigured) as failure:
            soon = isinstance(failure, (ProviderUnavailable, RateLimited))
            due_at = self._vault.next_check(soon=soon)
            return self._record_failure(tenant, provider_id, name, failure, opened, due_at=due_at)
        self._record_success(taken, verified)
        self._subscriptions.synchronize(tenant, provider_id, name)
        return "connected"

    def _record_success(self, opened: Opened, verified: Verified[Any]) -> None:
        """Keep that a test went well, and the better credentials that it made, if it did.

        What it has found of the pages counts where that could be kept: else the connection was
        removed meanwhile, or somebody has logged in.
        """
        connection = opened.connection
        if connection is None:
            return
        if verified.credentials is not None and verified.credentials != opened.credentials:
            better = opened._replace(credentials=verified.credentials)
            moment = self._clock()
            known = connection._replace(account=verified.account, last_tested=moment)
            try:
                connection = self._vault.save(known, better, replaces=connection.version)
            except VersionConflict:
                return  # somebody else's refresh is as good
        elif not self._connections.record_success(
            connection, verified.account, due_at=self._vault.next_check()
        ):
            return
        self._ownership.hold(connection, verified.account)

    def _record_failure(
        self,
        tenant: str,
        provider_id: str,
        name: str,
        failure: IntegrationError,
        opened: Opened | None,
        *,
        due_at: datetime | None = None,
    ) -> ConnectionStatus:
        """Keep how a test failed, where it is still about the connection as it is now.

        Args:
            tenant: Whose connection.
            provider_id: At which provider.
            name: Which.
            failure: What came of the test.
            opened: What was tested; ``None`` where it did not come to that.
            due_at: When the schedule should look again.

        Returns:
            The state afterwards.
        """
        connection = self._connections.find(tenant, provider_id, name)
        if connection is None:
            return "disconnected"
        tested = opened.connection if opened else None
        refused = isinstance(failure, CredentialsRejected)  # which the vault has recorded
        is_newer = tested is not None and tested.granted_at != connection.granted_at
        if is_newer or (refused and connection.status == "connected"):
            return states.shown(connection, self._clock())
        state = connection.status
        if not refused:
            state = states.after(state, states.happening_of(failure, testing=True))
        # A state that stays is not written: the app may be removed from the account meanwhile.
        changed = state if state != connection.status else None
        if self._connections.record_error(
            connection, failure.code, failure.detail, status=changed, tested=True, due_at=due_at
        ):
            states.tell(self._observe, connection, state, failure)
            if refused:
                self._ownership.release(connection)
        return states.shown(connection._replace(status=state), self._clock())
