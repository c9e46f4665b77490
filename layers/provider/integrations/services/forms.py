"""The catalogue's forms, filled in: credentials and parameters as a provider's own models."""

import json
from collections.abc import Mapping

from pydantic import ValidationError

from integrations.errors import FieldError, InvalidInput, InvalidParams
from integrations.models import Json
from integrations.providers.base import Action, Credentials, Params, Provider

MAX_CREDENTIALS_BYTES = 64 * 1024
"""What a tenant may send as credentials; a table's row takes 400 KB, derived tokens included."""


def credentials_of(provider: Provider, given: Mapping[str, Json]) -> Credentials:
    """Credentials as the provider's form has them.

    Raises:
        InvalidInput: They do not fit; each field is named.
    """
    if len(json.dumps(given)) > MAX_CREDENTIALS_BYTES:
        detail = f"Credentials take at most {MAX_CREDENTIALS_BYTES} bytes"
        raise InvalidInput(detail, [FieldError("credentials", detail)])
    try:
        return provider.credentials.model_validate(given)
    except ValidationError as invalid:
        detail = f"These are not credentials of {provider.id}"
        raise InvalidInput(detail, field_errors(invalid, "credentials", given)) from None


def params_of(provider_id: str, action: Action, given: Mapping[str, Json]) -> Params:
    """An action's parameters as its form has them.

    Raises:
        InvalidParams: They do not fit; each field is named.
    """
    try:
        return action.params.model_validate(given)
    except ValidationError as invalid:
        detail = f"The parameters of {provider_id}.{action.name} do not fit"
        raise InvalidParams(detail, field_errors(invalid, "params", given)) from None


def field_errors(invalid: ValidationError, root: str, given: object) -> list[FieldError]:
    """A pydantic error as our own: dotted places, each mistake once, no input echoed."""
    errors = invalid.errors(include_url=False, include_input=False, include_context=False)
    found = [FieldError(".".join([root, *_place(e["loc"], given)]), e["msg"]) for e in errors]
    return list(dict.fromkeys(found))


def _place(loc: tuple[int | str, ...], given: object) -> list[str]:
    """The way to a mistake in what was given; pydantic's own names for a union's members go."""
    parts: list[str] = []
    here = given
    for depth, part in enumerate(loc):
        if isinstance(here, Mapping) and (part in here or depth == 0 or part == loc[-1]):
            here = here.get(part)
        elif isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            continue
        parts.append(str(part)[:64])
    return parts
