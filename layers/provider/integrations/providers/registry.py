"""Which providers there are, and what must be known of one without importing it.

A provider's module is imported on first use (cold start). What ``/status`` and the webhook's path
ask stands here, or in a module of its own that imports the standard library alone; the contract
test holds it against the providers.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from integrations.errors import UnknownProvider

if TYPE_CHECKING:
    from integrations.models import Delivery, Event, Json
    from integrations.providers.base import Provider
    from integrations.providers.shared_webhook import SharedWebhook


class Entry(NamedTuple):
    """A provider's line.

    Attributes:
        module: Where its ``PROVIDER`` is, in this package.
        family: The noun that its triggers begin with; its id where that is empty. The members of
            a family (``facebook`` and ``facebook_oauth``) tell of the same things.
        shared_webhook: The module, in this package, of its ``SHARED_WEBHOOK``; empty where each
            connection has a webhook of its own.
        events: The module, in this package, of its ``normalize`` and ``matches``; empty where no
            webhook of it comes in. Standard library only: what dispatches imports nothing else.
        addresses: The fields of ``base.Addresses`` that say where it lives, each with the setting
            (an environment variable) that names another place.
    """

    module: str
    family: str = ""
    shared_webhook: str = ""
    events: str = ""
    addresses: Mapping[str, str] = {}


class EventReader(Protocol):
    """A provider's module of events; see ``base.Inbound`` and ``base.Trigger``."""

    def normalize(self, delivery: "Delivery") -> "list[Event]":
        """A delivery → its events."""

    def matches(self, data: "Mapping[str, Json]", filters: "Mapping[str, Any]") -> bool:
        """Whether an event's data passes a trigger's completed filters."""


ENTRIES: Mapping[str, Entry] = {
    "telegram": Entry(
        "telegram.provider",
        events="telegram.events",
        addresses={"telegram_api": "TELEGRAM_API_BASE"},
    ),
    "sheets": Entry(
        "sheets.provider",
        addresses={"sheets_api": "SHEETS_API_BASE", "google_token": "GOOGLE_TOKEN_URL"},
    ),
    "sheets_oauth": Entry(
        "sheets.login",
        "sheets",
        addresses={"google_auth": "GOOGLE_AUTH_URL", "google_revoke": "GOOGLE_REVOKE_URL"},
    ),
    "facebook": Entry(
        "facebook.provider",
        events="facebook.events",
        addresses={"facebook_graph": "FACEBOOK_GRAPH_BASE", "graph_version": "GRAPH_API_VERSION"},
    ),
    "facebook_oauth": Entry(
        "facebook.login",
        "facebook",
        shared_webhook="facebook.app_webhook",
        events="facebook.events",
        addresses={"facebook_dialog": "FACEBOOK_DIALOG_BASE"},
    ),
    "email": Entry("email.provider"),
    "webhook": Entry("webhook.provider", events="webhook.events"),
}
"""Provider id → what is known of it. A new provider is a module, or a package of modules, and one
line here."""

PROVIDER_IDS = tuple(ENTRIES)


@cache
def get(provider_id: str) -> "Provider":
    """The provider with this id.

    Raises:
        UnknownProvider: There is none.
    """
    provider: Provider = _module(_entry(provider_id).module).PROVIDER
    return provider


def family_of(provider_id: str) -> str:
    """The noun that a provider's triggers begin with.

    Raises:
        UnknownProvider: There is no such provider.
    """
    return _entry(provider_id).family or provider_id


def of_family(family: str) -> tuple[str, ...]:
    """The ids of the providers whose triggers begin with this noun; none for an unknown one."""
    return tuple(name for name in ENTRIES if family_of(name) == family)


@cache
def shared_webhooks() -> Mapping[str, "SharedWebhook"]:
    """Webhook id → each webhook that all connections of a provider share."""
    found = (shared_webhook_of(name) for name in ENTRIES)
    return {shared.webhook_id: shared for shared in found if shared}


@cache
def shared_webhook_of(provider_id: str) -> "SharedWebhook | None":
    """The webhook that all of this provider's connections share; ``None`` where each has its own.

    Raises:
        UnknownProvider: There is no such provider.
    """
    name = _entry(provider_id).shared_webhook
    if not name:
        return None
    shared: SharedWebhook = _module(name).SHARED_WEBHOOK
    return shared


@cache
def events_of(provider_id: str) -> EventReader | None:
    """What reads this provider's deliveries; ``None`` where it has no webhooks.

    Raises:
        UnknownProvider: There is no such provider.
    """
    name = _entry(provider_id).events
    if not name:
        return None
    reader: Any = _module(name)
    return reader  # type: ignore[no-any-return]


def addresses() -> Mapping[str, str]:
    """Where providers live: each field of ``base.Addresses``, and the setting that changes it."""
    return {field: name for each in ENTRIES.values() for field, name in each.addresses.items()}


def _entry(provider_id: str) -> Entry:
    try:
        return ENTRIES[provider_id]
    except KeyError:
        detail = f"There is no provider {provider_id[:64]!r}; there are: {', '.join(ENTRIES)}"
        raise UnknownProvider(detail) from None


def _module(name: str) -> ModuleType:
    return import_module(f"integrations.providers.{name}")
