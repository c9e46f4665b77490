"""Templates and expressions: Jinja2's grammar over JSON data, with a budget for everything."""

from collections.abc import Mapping
from datetime import datetime

from integrations.models import Json


def render(value: Json, context: Mapping[str, Json], *, now: datetime, place: str = "") -> Json:
    """Evaluate every template in a JSON value."""
    raise NotImplementedError


def evaluate(source: str, context: Mapping[str, Json], *, now: datetime, place: str = "") -> Json:
    """Evaluate one expression, bare or in braces."""
    raise NotImplementedError


def truth(source: str, context: Mapping[str, Json], *, now: datetime, place: str = "") -> bool:
    """Evaluate a condition."""
    raise NotImplementedError


def references(source: str) -> set[str]:
    """The ids of the steps that a template names."""
    raise NotImplementedError


def describe(value: Json) -> str:
    """What kind of thing a value is, in words."""
    raise NotImplementedError
