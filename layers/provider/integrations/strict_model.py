"""What is sent to us, as a model: the base of requests, credentials, parameters and filters."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class StrictModel(BaseModel):
    """camelCase JSON, surplus names refused; no error shows a value."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        defer_build=True,  # of a module's models a function uses few
    )
