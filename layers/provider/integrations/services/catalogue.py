"""The catalogue: every provider with the forms of its credentials, actions and triggers.

Loading every provider and making its forms takes longer than all the rest of a cold start
(``docs/performance.md``), so ``make docs`` writes them to a file, which is served as it is.
"""

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from integrations.errors import UnknownProvider

if TYPE_CHECKING:
    from integrations.providers.base import Action, Provider
    from integrations.services.answers.catalogue import CatalogueAnswer, ProviderForm

FILE = Path(__file__).parents[1] / "data" / "catalogue.json"


def text() -> bytes:
    """The whole catalogue as JSON, as ``make docs`` wrote it."""
    return FILE.read_bytes()


@cache
def _entries() -> dict[str, bytes]:
    items = json.loads(text())["items"]
    return {
        item["id"]: json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()
        for item in items
    }


def entry(provider_id: str) -> bytes:
    """One provider's entry as JSON.

    Raises:
        UnknownProvider: There is none with this id.
    """
    entries = _entries()
    if provider_id not in entries:
        known = ", ".join(entries)
        raise UnknownProvider(f"There is no provider {provider_id[:64]!r}; there are: {known}")
    return entries[provider_id]


def made() -> "CatalogueAnswer":
    """The catalogue, made from the providers' code."""
    from integrations.providers import registry
    from integrations.services.answers.catalogue import CatalogueAnswer

    return CatalogueAnswer(items=[_form(registry.get(name)) for name in registry.PROVIDER_IDS])


def _form(provider: "Provider") -> "ProviderForm":
    from integrations.services.answers.catalogue import ActionForm, ProviderForm, TriggerForm
    from integrations.services.schemas import form

    return ProviderForm(
        id=provider.id,
        title=provider.title,
        docs_url=provider.docs_url,
        oauth=provider.oauth is not None,
        credentials=_credentials(provider),
        actions=[
            ActionForm(
                name=action.name,
                title=action.title,
                description=_description(action),
                idempotent=action.idempotent,
                params=form(action.params, title=action.title, example=action.example),
                example=dict(action.example),
                output_example=provider.output_examples[action.name],
            )
            for action in provider.actions
        ],
        triggers=[
            TriggerForm(
                type=trigger.type,
                title=trigger.title,
                filters=form(trigger.filters, title=trigger.title),
                example=dict(trigger.example),
            )
            for trigger in provider.triggers
        ],
    )


def _credentials(provider: "Provider") -> dict[str, Any]:
    from integrations.services.schemas import form, verification

    made: dict[str, Any] = form(provider.credentials, title=f"{provider.title} credentials")
    if "verification" in made["properties"]:
        described = made["properties"]["verification"]
        made["properties"]["verification"] = {
            "title": described["title"],
            "description": "How deliveries prove themselves.",
            **verification(),
        }
    if provider.oauth is None:
        return made
    return {
        "title": made["title"],
        "description": "Made by logging in at the provider; there is nothing to type.",
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }


def _description(action: "Action") -> str:
    from types import FunctionType

    from integrations.services.schemas import prose

    described = prose(action.run.__doc__) if isinstance(action.run, FunctionType) else ""
    return described or prose(action.params.__doc__)
