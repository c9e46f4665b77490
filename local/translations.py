"""What becomes of a template, made once for all stacks of this machine. Runs in .venv-ministack.

To read the deployed template (YAML, in pure Python) and to let SAM translate it takes MiniStack
three seconds of a processor, for each stack, and again whenever a parameter changes. Both depend on
the template alone: what came of one is kept beside the build and read the next time.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import yaml

sys.path.append(str(Path(__file__).resolve().parent.parent))

from local.locks import exclusively
from local.paths import STATE

FOLDER: Final = STATE / "translations"
MOST: Final = 20
"""So many are kept; each template has two."""

SAM: Final = "samtranslator.translator.transform"

load_yaml = yaml.load


def kept(source: str, make: Callable[[], Any]) -> Any:
    """What `make` makes of a source: what was made of it before, or what it makes now.

    What is no JSON is made each time.
    """
    name = hashlib.sha256(source.encode()).hexdigest()
    path = FOLDER / f"{name}.json"
    with exclusively(FOLDER):  # the others wait for what one of them makes
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
        made = make()
        try:
            text = json.dumps(made)
        except (TypeError, ValueError):
            return made
        plain = json.loads(text)
        if plain != made:
            return made
        FOLDER.mkdir(exist_ok=True)
        oldest_first = sorted(FOLDER.glob("*.json"), key=lambda each: each.stat().st_mtime)
        for old in oldest_first[: -MOST + 1]:
            old.unlink()
        half_done = path.with_suffix(".part")
        half_done.write_text(text, encoding="utf-8")
        half_done.rename(path)
        return plain


def load(stream: Any, Loader: Any) -> Any:  # noqa: N803 - as yaml has it
    """Read YAML; a template of CloudFormation once."""
    if Loader.__name__ != "CfnLoader" or not isinstance(stream, str):
        return load_yaml(stream, Loader)
    return kept(f"yaml {stream}", lambda: load_yaml(stream, Loader))


def transform(template: dict[str, Any], parameters: dict[str, Any], policies: Any) -> Any:
    """Translate a template of SAM; each once."""

    def make() -> Any:
        del sys.modules[SAM]
        try:
            return import_module(SAM).transform(template, parameters, policies)
        finally:
            sys.modules[SAM] = _translator()

    region = os.environ.get("AWS_DEFAULT_REGION")
    source = json.dumps([version("aws-sam-translator"), region, parameters, template], default=repr)
    return kept(f"sam {source}", make)


def _translator() -> ModuleType:
    module = ModuleType(SAM)
    module.__dict__["transform"] = transform
    return module


def keep() -> None:
    """From now on MiniStack reads and translates a template once."""
    yaml.load = load
    # In the place of the module that it imports when it has something to translate.
    sys.modules[SAM] = _translator()
