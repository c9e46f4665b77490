"""Which codes a route can be refused with: its own, and those of what stands around it.

A route with a resolver names its own (``Api(refuses=…)``), one without has them in
``tools/unresolved.py``.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from integrations import errors
from integrations.entry.problem import STATUS
from tools.template import Route
from tools.unresolved import REFUSALS

type Codes = Mapping[int, tuple[str, ...]]
"""Status → the codes that are answered with it."""

AROUND: Final[Codes] = {
    401: ("unauthorized", "invalid_token", "token_expired"),
    403: ("insufficient_scope",),
    500: ("internal_error",),
    503: ("unavailable",),
}
"""What any route that needs a token may be refused with."""

_OF_A_BODY: Final[Codes] = {
    400: ("malformed_json",),
    413: ("payload_too_large",),
    422: ("invalid_input",),
}
_OF_A_QUERY: Final[Codes] = {422: ("invalid_input",)}
"""Also where a route takes no parameter: then any is unknown."""

_OF_A_PATH: Final[Codes] = {404: ("not_found",)}
"""A part of a path that no route takes, with an escaped slash say, leads to no route."""


def status_of(error: type[errors.IntegrationError]) -> int | None:
    """The status that an error is answered with; ``None`` for a fault of ours."""
    return next((int(status) for kind, status in STATUS if issubclass(error, kind)), None)


def answered() -> dict[int, list[type[errors.IntegrationError]]]:
    """Status → the errors that are answered with it."""
    found: dict[int, list[type[errors.IntegrationError]]] = {}
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.IntegrationError):
            status = status_of(error)
            if status is not None:
                found.setdefault(status, []).append(error)
    return found


def every_code() -> set[str]:
    """Every code that any route answers."""
    around = (AROUND, _OF_A_BODY, _OF_A_PATH, *REFUSALS.values())
    return {
        *(error.code for found in answered().values() for error in found),
        *(code for codes in around for listed in codes.values() for code in listed),
    }


def refusals(
    route: Route,
    operation: Mapping[str, Any],
    own: Iterable[type[errors.IntegrationError]] | None,
) -> Codes:
    """The codes that a route can be refused with.

    Args:
        route: The route.
        operation: What it takes, as OpenAPI has it.
        own: What a route with a resolver names; ``None`` for one without.
    """
    if own is None:
        return _joined(REFUSALS[route.function], {500: AROUND[500]})
    named = [{_status(error): (error.code,)} for error in own]
    places = {parameter["in"] for parameter in operation.get("parameters", ())}
    return _joined(
        AROUND,
        _OF_A_BODY if "requestBody" in operation else {},
        _OF_A_PATH if "path" in places else {},
        _OF_A_QUERY,
        *named,
    )


def _status(error: type[errors.IntegrationError]) -> int:
    status = status_of(error)
    if status is None:
        raise ValueError(f"{error.__name__} is a fault of ours: no route answers it")
    return status


def _joined(*parts: Codes) -> Codes:
    found: dict[int, dict[str, None]] = {}
    for part in parts:
        for status, codes in part.items():
            found.setdefault(status, {}).update(dict.fromkeys(codes))
    return {status: tuple(codes) for status, codes in sorted(found.items())}


def description(status: int, codes: Iterable[str]) -> str:
    """What a response is about: the status and its codes."""
    return f"{HTTPStatus(status).phrase}: {', '.join(f'`{code}`' for code in codes)}."
