"""What is sent to us, as a model: the base of requests, credentials, parameters and filters."""

import re
from typing import Annotated

import integrations.postponed  # noqa: F401 - what the next ones import is loaded when it is used

# isort: split
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

_STEERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def _one_line(value: str) -> str:
    if _STEERS.search(value):
        raise ValueError("must not hold line breaks, or other characters that nobody sees")
    return value


Label = Annotated[
    str, Field(min_length=1, max_length=100, pattern=r"\S"), AfterValidator(_one_line)
]
"""A name that people give and read. It stands in lists, mails and the audit log, where nothing may
steer what is shown beside it; joiners, as emoji have them, may be in it."""


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
