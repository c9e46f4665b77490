"""Everything that `make docs` writes: file → what stands in it."""

from pathlib import Path

from docs import openapi, providers_pages, tables


def files() -> dict[Path, str]:
    """Every generated file and its text."""
    return {openapi.FILE: openapi.document(), **providers_pages.files(), **tables.files()}
