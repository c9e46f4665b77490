"""Read .env: the port, and the template's parameters."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values

from local.errors import PlatformError
from local.paths import ROOT
from tools.template import template

TENANT = "dev"
"""Whose the development token is."""
OURS = {"PlatformTenant": TENANT}
"""Parameters that a laptop has where its settings say nothing else: who is here runs the stack."""

# Settings of the platform itself; every other name in .env.example is a template parameter.
PUBLIC = "PUBLIC_BASE_URL"
FRONTEND = "FRONTEND_URL"
OWN = {"PORT", "MINISTACK_PORT"}
NAME = re.compile(r"^#?\s?([A-Z][A-Z0-9_]*)=", re.MULTILINE)


@dataclass(frozen=True)
class Settings:
    """What the developer decided.

    Attributes:
        port, ministack_port: Where what listens.
        parameters: The template's, by their names there.
        frontend_urls: The origins of FRONTEND_URL, which the template's FrontendUrl lists, too.
    """

    port: int = 3000
    ministack_port: int | None = None
    parameters: Mapping[str, str] = field(default_factory=lambda: OURS)
    frontend_urls: tuple[str, ...] = ()


def load(env_file: Path = ROOT / ".env", *, over: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of `.env`; the environment's own win, and what is `over` them all.

    Raises:
        PlatformError: A name is unknown, a port is no number, or the file is not UTF-8.
    """
    known = set(NAME.findall((ROOT / ".env.example").read_text(encoding="utf-8")))
    try:
        written = {name: value or "" for name, value in dotenv_values(env_file).items()}
    except UnicodeDecodeError:
        raise PlatformError(f"{env_file.name} is not UTF-8: save it as that") from None
    if unknown := sorted(set(written) - known):
        raise PlatformError(f"{env_file.name}: unknown name {unknown[0]} (see .env.example)")
    values = written | {name: os.environ[name] for name in known & set(os.environ)}
    values |= over or {}
    # An empty value is the same as none: the template's default holds.
    given = {name: value for name, value in values.items() if value}
    if PUBLIC in given:
        given[PUBLIC] = given[PUBLIC].rstrip("/")
    frontends = origins(given.pop(FRONTEND, ""))
    if frontends:
        given[FRONTEND] = ",".join(frontends)
    check(given)
    if frontends:
        given.setdefault("ALLOWED_REDIRECT_URIS", ",".join(frontends))
    return Settings(
        port=port(given, "PORT") or Settings.port,
        ministack_port=port(given, "MINISTACK_PORT"),
        parameters=OURS
        | {parameter(name): value for name, value in given.items() if name not in OWN},
        frontend_urls=frontends,
    )


def origins(urls: str) -> tuple[str, ...]:
    """Return the origins that FRONTEND_URL names, by commas; a slash at the end means nothing."""
    return tuple(url.strip().rstrip("/") for url in urls.split(",") if url.strip())


def check(given: Mapping[str, str]) -> None:
    """Hold settings against the template's parameters, by their names in .env.

    Raises:
        PlatformError: The template would refuse one; the value is not shown, it may be a secret.
    """
    declared = template()["Parameters"]
    for name in sorted(set(given) - OWN):
        rules, value = declared[parameter(name)], given[name]
        allowed = [str(each) for each in rules.get("AllowedValues", [])]
        if allowed and value not in allowed:
            raise PlatformError(f"{name} is one of {', '.join(filter(None, allowed))}")
        if not re.fullmatch(rules.get("AllowedPattern", ".*"), value, re.DOTALL):
            raise PlatformError(f"{name} is not as it has to be: {rules['Description']}")


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
