"""The catalogue: every provider with the forms of its credentials, actions and triggers.

Loading every provider and making its forms takes longer than all the rest of a cold start
(``docs/performance.md``), so ``make docs`` keeps them in a file.
"""

from pathlib import Path

from integrations.providers import registry
from integrations.providers.base import Provider
from integrations.services.answers import ActionForm, CatalogueAnswer, ProviderForm, TriggerForm

FILE = Path(__file__).with_name("catalogue.json")


def held() -> CatalogueAnswer:
    """The catalogue, as ``make docs`` wrote it."""
    return CatalogueAnswer.model_validate_json(FILE.read_bytes())


def made() -> CatalogueAnswer:
    """The catalogue, made from the providers' code."""
    return CatalogueAnswer(items=[_form(registry.get(name)) for name in registry.PROVIDER_IDS])


def _form(provider: Provider) -> ProviderForm:
    return ProviderForm(
        id=provider.id,
        title=provider.title,
        docs_url=provider.docs_url,
        oauth=provider.oauth is not None,
        credentials=provider.credentials.model_json_schema(),
        actions=[
            ActionForm(
                name=action.name,
                title=action.title,
                idempotent=action.idempotent,
                params=action.params.model_json_schema(),
                example=dict(action.example),
            )
            for action in provider.actions
        ],
        triggers=[
            TriggerForm(
                type=trigger.type,
                title=trigger.title,
                filters=trigger.filters.model_json_schema(),
                example=dict(trigger.example),
            )
            for trigger in provider.triggers
        ],
    )
