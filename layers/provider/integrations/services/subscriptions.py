"""What providers are asked to send: just what the enabled workflows wait for.

Any number of workflows share one target (a bot, a page). What a provider was last asked for stands
in the connection's record, so that it is asked only when that changes: once for the first workflow
that needs it, and to stop after the last. A workflow is saved or deleted first, then the provider
is asked for what is wanted now; one that cannot be asked is asked again soon by the schedule, so
that no workflow's saving depends on it.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pydantic import SecretStr

from integrations.errors import (
    CredentialsUnreadable,
    IntegrationError,
    InvalidInput,
    ProviderError,
    ProviderUnavailable,
    RateLimited,
    UnknownConnection,
)
from integrations.models import Json, now
from integrations.providers import registry
from integrations.providers.base import Call, Provider, Subscription
from integrations.services.telling import told
from integrations.services.triggers import target_of, trigger_key
from integrations.services.vault import CHECK_EVERY, Vault
from integrations.storage.app_secret import AppSecret
from integrations.storage.connections import Connection, Connections
from integrations.storage.envelope import EnvelopeBroken
from integrations.storage.pages import Pages
from integrations.storage.webhooks import Webhooks
from integrations.storage.workflows import Workflows

SOON = timedelta(minutes=1)
"""When a provider that could not be asked is asked again, and when a process that died is made up
for: the schedule runs each minute."""

LATER = timedelta(hours=1)
"""The longest wait that a provider may ask for."""

ROUNDS = 3
"""How often what is wanted may change while the provider is asked."""

type Wanted = dict[str, list[str]]
"""Target → the trigger types that workflows wait for there."""


class Subscriptions:
    """Keeps providers' subscriptions equal to what the workflows need."""

    def __init__(
        self,
        connections: Connections,
        webhooks: Webhooks,
        workflows: Workflows,
        pages: Pages,
        vault: Vault,
        app_secret: AppSecret,
        *,
        public_url: str,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._connections = connections
        self._webhooks = webhooks
        self._workflows = workflows
        self._pages = pages
        self._vault = vault
        self._app_secret = app_secret
        self._public_url = public_url
        self._clock = clock

    def expect_change(self, connection: Connection, trigger: Mapping[str, Json] | None) -> None:
        """Have the schedule look soon, as what is wanted is about to change.

        To be called before the change is written: a process that dies right after it leaves a
        connection that is brought in line all the same.

        Args:
            connection: Whose workflows are about to change.
            trigger: The one that is about to be saved; ``None`` where a workflow goes away.
        """
        provider = registry.get(connection.provider)
        if not _can_subscribe(provider) or not self._address(connection):
            return
        present = _subscribed(connection)
        coming = _wanted(provider, connection, [trigger]) if trigger else {}
        if trigger and _joined(present, coming) == present and _is_current(connection):
            return
        if trigger or present:
            self._check_at(connection, SOON)

    def synchronize(self, tenant: str, provider_id: str, name: str) -> IntegrationError | None:
        """Ask the provider for what the enabled workflows need now; where that fails, soon again.

        Returns:
            Why it is still to be done; ``None`` where it is done.
        """
        try:
            self.sync(tenant, provider_id, name)
        except UnknownConnection:
            return None
        except IntegrationError as raised:
            failure = told(raised)
            with suppress(UnknownConnection):
                connection = self._connections.get(tenant, provider_id, name)
                message = f"Its webhooks could not be set up: {failure.detail}"
                self._check_at(connection, wait_after(failure))
                self._connections.record_error(connection, failure.code, message, status=None)
            return failure
        return None

    def sync(self, tenant: str, provider_id: str, name: str) -> None:
        """Ask the provider for what the enabled workflows need, where that differs from before.

        Raises:
            UnknownConnection: There is none.
            ProviderError: The provider refuses.
        """
        provider = registry.get(provider_id)
        if not _can_subscribe(provider):
            return
        # What somebody else saves in between is seen by the next round, his or ours.
        for _ in range(ROUNDS):
            connection = self._connections.get_sealed(tenant, provider_id, name)
            if not self._address(connection):
                return
            triggers = [
                workflow.trigger
                for workflow in self._workflows.of_tenant(tenant)
                if workflow.enabled and connection.key in workflow.uses
            ]
            wanted = _wanted(provider, connection, triggers)
            if wanted == _subscribed(connection) and (not wanted or _is_current(connection)):
                return
            self._apply(provider, connection, wanted)
        self._check_at(self._connections.get(tenant, provider_id, name), SOON)

    def stop(self, connection: Connection) -> None:
        """Ask the provider to send nothing more."""
        provider = registry.get(connection.provider)
        if provider.inbound and provider.inbound.unsubscribe and connection.subscribed:
            self._apply(provider, connection, {})

    def leave(self, earlier: Connection) -> None:
        """Ask that the account which a connection was of until now sends nothing more.

        Its deliveries would be good: they come to the same webhook, with the same secret. One that
        cannot be asked (its token is revoked, say) keeps nobody from connecting another.

        Args:
            earlier: The connection as it was, with its sealed credentials.
        """
        provider = registry.get(earlier.provider)
        inbound = provider.inbound
        if inbound is None or inbound.unsubscribe is None or not earlier.subscribed:
            return
        with suppress(IntegrationError):
            credentials = self._vault.opened(provider, earlier).credentials
            for target, events in _subscribed(earlier).items():
                with suppress(ProviderError):  # one page is no other one's reason to stay
                    if not self._others_need(earlier, target, events):
                        gone = self._subscription(earlier, target, [])
                        self._vault.ask(provider, credentials, _asking(inbound.unsubscribe, gone))

    def _check_at(self, connection: Connection, wait: timedelta) -> None:
        """Have the schedule look; where no setting says where we are, it learns that from here."""
        due_at = self._clock() + wait
        self._connections.check_at(connection, due_at, address=self._public_url)

    def _address(self, connection: Connection) -> str:
        return self._public_url or connection.address or ""

    def _apply(self, provider: Provider, connection: Connection, wanted: Wanted) -> None:
        inbound = provider.inbound
        if inbound is None or inbound.subscribe is None or inbound.unsubscribe is None:
            return
        before = _subscribed(connection)
        known = before if _is_current(connection) else {}
        changed = {
            target: wanted[target] for target in wanted if wanted[target] != known.get(target)
        }
        gone = [
            target
            for target in before
            if target not in wanted and not self._others_need(connection, target, before[target])
        ]
        for target, events in changed.items():
            self._ask(connection, inbound.subscribe, self._subscription(connection, target, events))
        for target in gone:
            self._ask(connection, inbound.unsubscribe, self._subscription(connection, target, []))
        try:
            present = self._connections.get(connection.tenant, connection.provider, connection.name)
        except UnknownConnection:
            return
        record = json.dumps({"account": _identity(connection), "wanted": wanted}, sort_keys=True)
        self._connections.record_subscription(
            present, record if wanted else None, due_at=self._vault.next_check()
        )

    def _others_need(self, connection: Connection, target: str, events: list[str]) -> bool:
        """Whether another connection that holds the page waits for it by the stack's one app."""
        shared = registry.shared_webhook_of(connection.provider)
        if shared is None:
            return False
        holders = self._pages.holders(connection.provider, target)
        others = {(each.tenant, each.connection_key) for each in holders}
        others.discard((connection.tenant, connection.key))
        return bool(others) and any(
            (each.tenant, each.trigger_connection) in others
            for event in events
            for each in self._workflows.triggered_by(trigger_key(shared.webhook_id, event, target))
        )

    def _ask(
        self,
        connection: Connection,
        ask: Callable[[Call[Any], Subscription], None],
        subscription: Subscription,
    ) -> None:
        self._vault.use(
            connection.tenant,
            connection.provider,
            connection.name,
            _asking(ask, subscription),
        )

    def _subscription(
        self, connection: Connection, target: str, events: Iterable[str]
    ) -> Subscription:
        shared = registry.shared_webhook_of(connection.provider)
        if shared:
            app_secret = self._app_secret.values()
            webhook_id, secret = shared.webhook_id, shared.secret_of(app_secret)
            verify_token = shared.verify_token_of(app_secret)
        else:
            webhook = self._webhooks.get(connection.webhook_id or "", consistent=True)
            try:
                secrets = self._webhooks.secrets(webhook)
            except EnvelopeBroken:
                detail = "The secrets of the webhook cannot be read; save its connection again"
                raise CredentialsUnreadable(detail) from None
            webhook_id, secret = webhook.webhook_id, secrets.secret
            verify_token = secrets.verify_token
        return Subscription(
            url=f"{self._address(connection)}/api/webhooks/{webhook_id}",
            secret=SecretStr(secret),
            verify_token=SecretStr(verify_token),
            account=connection.account,
            target=target,
            events=frozenset(events),
        )


def _asking(
    ask: Callable[[Call[Any], Subscription], None], subscription: Subscription
) -> Callable[[Call[Any]], None]:
    return lambda call: ask(call, subscription)


def _can_subscribe(provider: Provider) -> bool:
    return bool(provider.inbound and provider.inbound.subscribe)


def _subscribed(connection: Connection) -> Wanted:
    """What the provider was last asked to send of the connection's account."""
    if not connection.subscribed:
        return {}
    record = json.loads(connection.subscribed)
    wanted: Wanted = record["wanted"] if record["account"][0] == connection.account.id else {}
    return wanted


def _is_current(connection: Connection) -> bool:
    """Whether it was asked by the account's present name, which its address may say."""
    record = json.loads(connection.subscribed or "{}")
    return bool(record.get("account") == _identity(connection))


def _identity(connection: Connection) -> list[str]:
    return [connection.account.id, connection.account.label]


def wait_after(failure: IntegrationError) -> timedelta:
    """How long until the provider is asked again: what will not change by itself waits a day."""
    match failure:
        case RateLimited(retry_after=seconds) | ProviderUnavailable(retry_after=seconds):
            return max(SOON, min(timedelta(seconds=seconds or 0), LATER))
        case ProviderError() | InvalidInput():
            return CHECK_EVERY
    return SOON


def _joined(one: Wanted, other: Wanted) -> Wanted:
    return {
        target: sorted({*one.get(target, []), *other.get(target, [])})
        for target in sorted({*one, *other})
    }


def _wanted(
    provider: Provider, connection: Connection, triggers: Iterable[Mapping[str, Json]]
) -> Wanted:
    known = {trigger.type for trigger in provider.triggers}
    field, _ = target_of(provider.id)
    inbound = provider.inbound
    targets = dict(inbound.targets(connection.account)) if inbound and inbound.targets else {}
    wanted: dict[str, set[str]] = {}
    for trigger in triggers:
        if trigger.get("type") not in known:
            continue
        chosen = trigger.get(field)
        for target in [str(chosen)] if chosen else targets or [""]:
            wanted.setdefault(target, set()).add(str(trigger["type"]))
    return {target: sorted(events) for target, events in sorted(wanted.items())}
