"""Tell whether what was built or deployed is still what the sources say."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from local.paths import ROOT

# What `sam build` reads, and what decides how it is built and deployed.
SOURCES = (
    "template.yaml",
    "samconfig.toml",
    "functions",
    "layers",
    "local/build.py",
    "local/routes.py",
    "tools/template.py",
)
IGNORED = {"__pycache__", ".mypy_cache", ".ruff_cache"}


def of_sources() -> str:
    """Return a digest over the names and contents of everything that is built."""
    return of_files(ROOT / source for source in SOURCES)


def of_files(roots: Iterable[Path], *, without: Collection[str] = ()) -> str:
    """Return a digest over the names and contents of files, and of those in folders.

    Args:
        roots: Files and folders below the project's.
        without: Names of files that do not count.
    """
    digest = hashlib.sha256()
    for path in files(roots):
        if path.name in without:
            continue
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(ROOT)} {content}\n".encode())
    return digest.hexdigest()


def of_values(*values: str | Mapping[str, str]) -> str:
    """Return a digest over settings, whatever the order of their names."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def files(roots: Iterable[Path]) -> Iterable[Path]:
    """Give the files among some paths, and those in the folders among them."""
    for root in roots:
        if root.is_file():
            yield root
        for path in sorted(root.rglob("*")):
            if path.is_file() and not IGNORED.intersection(path.parts):
                yield path
