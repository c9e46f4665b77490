"""Everything that `make docs` writes: file → what stands in it."""

from pathlib import Path

from integrations.services import catalogue
from tools import endpoints, openapi, postman, provider_pages, tables


def files() -> dict[Path, str]:
    """Every generated file and its text."""
    forms = catalogue.made().model_dump_json(by_alias=True) + "\n"
    return {
        openapi.FILE: openapi.document(),
        catalogue.FILE: forms,
        postman.FILE: postman.collection(),
        endpoints.FILE: endpoints.document(),
        **provider_pages.files(),
        **tables.files(),
    }
