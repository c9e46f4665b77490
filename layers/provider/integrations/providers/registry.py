"""Which providers there are. A provider's module is imported on first use (cold start)."""

from functools import cache
from importlib import import_module

from integrations.errors import UnknownProvider
from integrations.providers.base import Provider

MODULES = {
    "telegram": "telegram.provider",
    "sheets": "sheets.provider",
    "sheets_oauth": "sheets.login",
    "facebook": "facebook.provider",
    "facebook_oauth": "facebook.login",
    "email": "email",
    "webhook": "webhook",
}
"""Provider id → module in this package. A new provider is a module, or a
package of modules, and one line here."""

PROVIDER_IDS = tuple(MODULES)

REFRESHABLE = frozenset({"sheets_oauth", "facebook", "facebook_oauth"})
"""Providers whose credentials live on after ``expiresAt``, refreshed on use: what ``/status`` must
know without importing any of them. The contract test holds it against the providers."""


@cache
def get(provider_id: str) -> Provider:
    """The provider with this id.

    Raises:
        UnknownProvider: There is none.
    """
    try:
        name = MODULES[provider_id]
    except KeyError:
        detail = f"There is no provider {provider_id[:64]!r}; there are: {', '.join(PROVIDER_IDS)}"
        raise UnknownProvider(detail) from None
    provider: Provider = import_module(f"integrations.providers.{name}").PROVIDER
    return provider
