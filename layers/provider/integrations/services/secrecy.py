"""What a provider says, without the secrets that it was asked with: one place for all providers.

Results of actions, refusals and the reasons that are stored with a connection all pass here.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, SecretStr

from integrations.errors import (
    IntegrationError,
    InvalidInput,
    ProviderError,
    RateLimited,
)
from integrations.providers.base import Call
from integrations.providers.masking import Masking

if TYPE_CHECKING:
    from integrations.models import Json


def secrets_of(call: Call[Any]) -> list[str]:
    """Every secret that a call holds: the connection's, the step's, and the stack's client's."""
    own = [*_secrets_in(call.credentials.model_dump(mode="python")), *call.hidden]
    return [*own, call.app.client_secret.get_secret_value()] if call.app else own


def _secrets_in(value: object) -> Iterator[str]:
    match value:
        case SecretStr():
            yield value.get_secret_value()
        case BaseModel():
            yield from _secrets_in(value.model_dump(mode="python"))
        case Mapping():
            for each in value.values():
                yield from _secrets_in(each)
        case list() | tuple() | set() | frozenset():
            for each in value:
                yield from _secrets_in(each)


@contextmanager
def masked(call: Call[Any], more: Iterable[str] = ()) -> Iterator[None]:
    """Let what fails within say nothing of the call's secrets, nor of ``more``."""
    try:
        yield
    except IntegrationError as failure:
        mask(failure, Masking([*secrets_of(call), *more]))
        raise


def mask(failure: IntegrationError, masking: Masking) -> None:
    """Take secrets out of all that an error tells, in place."""
    failure.detail = masking.text(failure.detail)
    failure.args = (failure.detail,)
    if isinstance(failure, InvalidInput):
        failure.errors = tuple(
            each._replace(field=masking.text(each.field), message=masking.text(each.message))
            for each in failure.errors
        )
    if isinstance(failure, RateLimited):
        failure.scope = masking.text(failure.scope)
    if isinstance(failure, ProviderError):
        if failure.provider_code is not None:
            failure.provider_code = masking.text(failure.provider_code)
        failure.data = cast("dict[str, object]", masking.json(cast("Json", failure.data)))
