"""Read .env: the port, and the template's parameters."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values

from local.errors import PlatformError
from local.paths import ROOT

# Settings of the platform itself; every other name in .env.example is a template parameter.
OWN = {"PORT", "MINISTACK_PORT"}
NAME = re.compile(r"^#?\s?([A-Z][A-Z0-9_]*)=", re.MULTILINE)


@dataclass(frozen=True)
class Settings:
    """What the developer decided; `parameters` are the template's, by their names there."""

    port: int = 3000
    ministack_port: int | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


def load(env_file: Path = ROOT / ".env") -> Settings:
    """Read the settings of `.env`; the environment's own win.

    Raises:
        PlatformError: A name is unknown, or a port is no number.
    """
    known = set(NAME.findall((ROOT / ".env.example").read_text(encoding="utf-8")))
    written = {name: value or "" for name, value in dotenv_values(env_file).items()}
    if unknown := sorted(set(written) - known):
        raise PlatformError(f"{env_file.name}: unknown name {unknown[0]} (see .env.example)")
    values = written | {name: os.environ[name] for name in known & set(os.environ)}
    # An empty value is the same as none: the template's default holds.
    given = {name: value for name, value in values.items() if value}
    return Settings(
        port=port(given, "PORT") or Settings.port,
        ministack_port=port(given, "MINISTACK_PORT"),
        parameters={parameter(name): value for name, value in given.items() if name not in OWN},
    )


def parameter(name: str) -> str:
    """Return the template's name of a setting: GOOGLE_CLIENT_ID is GoogleClientId."""
    return "".join(word.capitalize() for word in name.split("_"))


def port(values: Mapping[str, str], name: str) -> int | None:
    """Return a port that the settings name, or None."""
    text = values.get(name)
    if text is None:
        return None
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise PlatformError(f"{name}={text} is no port")
    return int(text)
