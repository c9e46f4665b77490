"""What providers are asked to send: just what the enabled workflows wait for.

Any number of workflows share one target (a bot, a page). What a provider was last asked for is kept
in the connection's row, so that it is asked only when that changes: once for the first workflow
that needs it, and to stop after the last.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import SecretStr

from integrations.errors import UnknownConnection
from integrations.models import Json
from integrations.providers import registry
from integrations.providers.base import Call, Provider, Subscription
from integrations.services.triggers import target_of, trigger_key
from integrations.services.vault import Vault
from integrations.storage.app_secret import AppSecret
from integrations.storage.connections import Connection, Connections
from integrations.storage.pages import Pages
from integrations.storage.webhooks import Webhooks
from integrations.storage.workflows import Workflows

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
    ) -> None:
        self._connections = connections
        self._webhooks = webhooks
        self._workflows = workflows
        self._pages = pages
        self._vault = vault
        self._app_secret = app_secret
        self._public_url = public_url

    def sync(
        self,
        tenant: str,
        provider_id: str,
        name: str,
        *,
        also: Mapping[str, Json] | None = None,
    ) -> None:
        """Ask the provider for what the enabled workflows need, where that differs from before.

        Args:
            tenant: Whose connection.
            provider_id: At which provider.
            name: Its name.
            also: A trigger that is about to be saved: then nothing that is sent now is stopped,
                for what it may replace still stands.

        Raises:
            UnknownConnection: There is none.
            ProviderError: The provider refuses.
        """
        provider = registry.get(provider_id)
        if provider.inbound is None or provider.inbound.subscribe is None or not self._public_url:
            return
        connection = self._connections.get(tenant, provider_id, name)
        triggers = [
            workflow.definition["trigger"]
            for workflow in self._workflows.of_tenant(tenant)
            if workflow.enabled and connection.key in workflow.uses
        ]
        wanted = _wanted(provider, connection, [*triggers, *([dict(also)] if also else [])])
        if also:
            wanted = _joined(_subscribed(connection), wanted)
        self._apply(provider, connection, wanted)

    def stop(self, connection: Connection) -> None:
        """Ask the provider to send nothing more."""
        provider = registry.get(connection.provider)
        if provider.inbound and provider.inbound.unsubscribe and connection.subscribed:
            self._apply(provider, connection, {})

    def _apply(self, provider: Provider, connection: Connection, wanted: Wanted) -> None:
        inbound = provider.inbound
        if inbound is None or inbound.subscribe is None or inbound.unsubscribe is None:
            return
        before = _subscribed(connection)
        if wanted == before:
            return
        changed = {
            target: wanted[target] for target in wanted if wanted[target] != before.get(target)
        }
        gone = [
            target
            for target in before
            if target not in wanted and not self._others_need(connection, target, before[target])
        ]
        for target, events in changed.items():
            wish = self._subscription(connection, target, events)
            self._ask(connection, inbound.subscribe, wish)
        for target in gone:
            wish = self._subscription(connection, target, [])
            self._ask(connection, inbound.unsubscribe, wish)
        try:
            held = self._connections.get(connection.tenant, connection.provider, connection.name)
        except UnknownConnection:
            return
        kept = json.dumps({"account": connection.account.id, "wanted": wanted}, sort_keys=True)
        self._connections.record_subscription(held, kept if wanted else None)

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
        wish: Subscription,
    ) -> None:
        self._vault.use(
            connection.tenant, connection.provider, connection.name, lambda call: ask(call, wish)
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
            webhook = self._webhooks.get(connection.webhook_id or "")
            secrets = self._webhooks.secrets(webhook)
            webhook_id, secret = webhook.webhook_id, secrets.secret
            verify_token = secrets.verify_token
        return Subscription(
            url=f"{self._public_url}/api/webhooks/{webhook_id}",
            secret=SecretStr(secret),
            verify_token=SecretStr(verify_token),
            target=target,
            events=frozenset(events),
        )


def _subscribed(connection: Connection) -> Wanted:
    if not connection.subscribed:
        return {}
    held = json.loads(connection.subscribed)
    wanted: Wanted = held["wanted"] if held["account"] == connection.account.id else {}
    return wanted


def _joined(one: Wanted, other: Wanted) -> Wanted:
    return {
        target: sorted({*one.get(target, []), *other.get(target, [])})
        for target in sorted({*one, *other})
    }


def _wanted(provider: Provider, connection: Connection, triggers: Iterable[Json]) -> Wanted:
    known = {trigger.type for trigger in provider.triggers}
    field, _ = target_of(provider.id)
    inbound = provider.inbound
    targets = dict(inbound.targets(connection.account)) if inbound and inbound.targets else {}
    wanted: dict[str, set[str]] = {}
    for trigger in triggers:
        if not isinstance(trigger, dict) or trigger.get("type") not in known:
            continue
        chosen = trigger.get(field)
        for target in [str(chosen)] if chosen else targets or [""]:
            wanted.setdefault(target, set()).add(str(trigger["type"]))
    return {target: sorted(events) for target, events in sorted(wanted.items())}
