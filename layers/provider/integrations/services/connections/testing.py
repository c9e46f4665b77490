"""Connections tested: on request, and each day."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
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
        try:
            if given is None:
                opened = self._vault.open(tenant, provider_id, name)
                opened, verified = self._vault.attempt(opened, provider.verify)
                self._record_success(opened, verified)
            else:
                credentials = credentials_of(provider, given)
                verified = self._vault.ask(provider, credentials, provider.verify)
        except ProviderError as refusal:
            if given is None:
                self._record_failure(tenant, provider_id, name, refusal)
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
        try:
            opened = self._vault.open_for_check(tenant, provider_id, name)
            opened, verified = self._vault.attempt(opened, provider.verify)
        except (ProviderError, ProviderNotConfigured) as failure:
            soon = isinstance(failure, (ProviderUnavailable, RateLimited))
            due_at = self._vault.next_check(soon=soon)
            return self._record_failure(tenant, provider_id, name, failure, due_at=due_at)
        self._record_success(opened, verified)
        self._subscriptions.synchronize(tenant, provider_id, name)
        return "connected"

    def _record_success(self, opened: Opened, verified: Verified[Any]) -> None:
        """Keep that a test went well, and the better credentials that it made, if it did."""
        connection = opened.connection
        if connection is None:
            return
        self._ownership.hold(connection, verified.account)
        if verified.credentials is not None and verified.credentials != opened.credentials:
            better = opened._replace(credentials=verified.credentials)
            moment = self._clock()
            known = connection._replace(account=verified.account, last_tested=moment)
            with suppress(VersionConflict):  # somebody else's refresh is as good
                self._vault.save(known, better, replaces=connection.version)
            return
        self._connections.record_success(
            connection, verified.account, due_at=self._vault.next_check()
        )

    def _record_failure(
        self,
        tenant: str,
        provider_id: str,
        name: str,
        failure: IntegrationError,
        *,
        due_at: datetime | None = None,
    ) -> ConnectionStatus:
        """Keep how a test failed. Returns the state afterwards."""
        connection = self._connections.find(tenant, provider_id, name)
        if connection is None:
            return "disconnected"
        if isinstance(failure, CredentialsRejected):
            self._ownership.release(connection)
        state = connection.status
        if not isinstance(failure, CredentialsRejected):  # which the vault has recorded
            state = states.after(state, states.happening_of(failure, testing=True))
        self._connections.record_error(
            connection, failure.code, failure.detail, status=state, tested=True, due_at=due_at
        )
        states.tell(self._observe, connection, state, failure)
        return states.shown(connection._replace(status=state), self._clock())
