"""Everything that `make docs` writes: file → what stands in it."""

from pathlib import Path

from docs import openapi, providers_pages, tables
from integrations.services import catalogue


def files() -> dict[Path, str]:
    """Every generated file and its text."""
    forms = catalogue.made().model_dump_json(by_alias=True, indent=1) + "\n"
    return {
        openapi.FILE: openapi.document(),
        catalogue.FILE: forms,
        **providers_pages.files(),
        **tables.files(),
    }
