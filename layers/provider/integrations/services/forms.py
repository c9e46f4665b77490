"""The catalogue's forms, filled in: credentials and parameters as a provider's own models."""

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from integrations import mistakes
from integrations.errors import FieldError, IntegrationError, InvalidInput, InvalidParams
from integrations.models import Json
from integrations.providers import registry
from integrations.providers.base import Action, Credentials, Params, Provider
from integrations.workflows import expressions
from integrations.workflows.records import StepDefinition, WorkflowDefinition

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
        raise InvalidInput(
            detail, mistakes_in(invalid, provider.credentials, given, "credentials")
        ) from None


def params_of(
    provider_id: str, action: Action, given: Mapping[str, Json], *, rendered: bool = False
) -> Params:
    """An action's parameters as its form has them.

    Args:
        provider_id: Whose action it is.
        action: The action.
        given: The parameters.
        rendered: Whether templates made them. A lone ``{{ … }}`` keeps its type; where a text is
            wanted, true, a number or null then becomes what it is in a text.

    Raises:
        InvalidParams: They do not fit; each field is named.
    """
    try:
        return _validated(action.params, given, rendered=rendered)
    except ValidationError as invalid:
        detail = f"The parameters of {provider_id}.{action.name} do not fit"
        raise InvalidParams(detail, mistakes_in(invalid, action.params, given, "params")) from None


def action_of(name: str) -> Action | None:
    """``provider.action``; ``None`` where there is none (any more)."""
    provider_id, _, action = name.partition(".")
    try:
        return registry.get(provider_id).action(action)
    except IntegrationError:
        return None


def with_lists(definition: WorkflowDefinition) -> WorkflowDefinition:
    """A workflow before its templates are evaluated, its steps' comma lists as lists.

    So the commas are those that the step's author wrote, and what a template puts in, which a
    stranger may have sent, is one thing.
    """
    return {**definition, "steps": [_with_lists(step) for step in definition["steps"]]}


def _with_lists(step: StepDefinition) -> StepDefinition:
    action = action_of(step["action"])
    if action is None or not action.params.comma_lists or "params" not in step:
        return step
    params = {
        name: cast("Json", expressions.split_by_commas(value))
        if name in action.params.comma_lists
        and isinstance(value, str)
        and expressions.is_template(value)
        else value
        for name, value in step["params"].items()
    }
    return {**step, "params": params}


def _validated(model: type[Params], given: Mapping[str, Json], *, rendered: bool) -> Params:
    try:
        return model.model_validate(given)
    except ValidationError as invalid:
        if not rendered:
            raise
        errors = invalid.errors(include_url=False, include_input=False)
        paths = [mistakes.path(error, given) for error in errors if error["type"] == "string_type"]
        if not paths:
            raise
        texts: Any = copy.deepcopy(dict(given))
        for path in paths:
            _write_as_text(texts, path)
        return model.model_validate(texts)


def _write_as_text(value: Any, path: Sequence[str | int]) -> None:
    """Replace a true, a number or a null in a value by its text; leave lists and objects."""
    *way, last = path or [""]
    for part in way:
        value = value[part]
    if path and isinstance(value[last], bool | int | float | None):
        value[last] = "" if value[last] is None else json.dumps(value[last])


def names_of(model: type[BaseModel]) -> list[str]:
    """The fields of a model, as a sender names them."""
    return [field.alias or name for name, field in model.model_fields.items()]


def mistakes_in(
    invalid: ValidationError, model: type[BaseModel], given: object, root: str
) -> list[FieldError]:
    """What is wrong with what was given for a model; nothing that was given is repeated."""
    errors = invalid.errors(include_url=False, include_input=False)
    return mistakes.field_errors(errors, given, root=root, known=names_of(model))
