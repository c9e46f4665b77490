"""What every answer of the API has in common."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Answer(BaseModel):
    """The base of what the API answers: camelCase JSON."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        frozen=True,
        defer_build=True,  # a function answers with one of them
        json_schema_serialization_defaults_required=True,
    )
