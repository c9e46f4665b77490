"""A tenant's named secrets: saved by people, used by steps as ``{{ secrets.NAME }}``."""

from collections.abc import Iterable, Mapping

from pydantic import SecretStr

from integrations.errors import FieldError, InvalidInput, UnknownSecret
from integrations.providers.masking import SHORTEST
from integrations.services.answers.secrets import SecretAnswer, SecretDeleted, SecretPage
from integrations.storage.envelope import EnvelopeBroken
from integrations.storage.secrets import Secrets

MAX_SECRETS = 100
"""Secrets of one tenant; a limit of their sum, which one list shows at once."""

MAX_VALUE_BYTES = 16 * 1024


class SecretService:
    """The use cases of named secrets; see each method.

    Args:
        secrets: The table.
    """

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets

    def names(self, tenant: str) -> SecretPage:
        """The names of all the tenant's secrets, in order."""
        items = [
            SecretAnswer(name=each.name, created_at=each.created_at, updated_at=each.updated_at)
            for each in self._secrets.of_tenant(tenant)
        ]
        return SecretPage(items=items)

    def save(self, tenant: str, name: str, value: SecretStr) -> SecretAnswer:
        """Create or replace a secret.

        Raises:
            InvalidInput: It is too short or too long, or the tenant has too many.
        """
        text = value.get_secret_value()
        if len(text) < SHORTEST or len(text.encode()) > MAX_VALUE_BYTES:
            # What is shorter is like other text, and could not be hidden there.
            detail = f"A secret takes {SHORTEST} characters to {MAX_VALUE_BYTES} bytes"
            raise InvalidInput(detail, [FieldError("value", detail)])
        names = {each.name for each in self._secrets.of_tenant(tenant)}
        if name not in names and len(names) >= MAX_SECRETS:
            detail = f"A tenant has at most {MAX_SECRETS} secrets; remove one first"
            raise InvalidInput(detail, [FieldError("name", detail)])
        saved = self._secrets.save(tenant, name, text)
        return SecretAnswer(
            name=saved.name, created_at=saved.created_at, updated_at=saved.updated_at
        )

    def delete(self, tenant: str, name: str) -> SecretDeleted:
        """Remove a secret; a step that names it fails from now on.

        Raises:
            UnknownSecret: There is none of this name.
        """
        self._secrets.delete(tenant, name)
        return SecretDeleted()

    def values(self, tenant: str, names: Iterable[str]) -> Mapping[str, SecretStr]:
        """The values that a step's parameters name, for the runner alone.

        Whoever uses them masks them in all that is stored, logged or answered afterwards.

        Raises:
            UnknownSecret: One of them does not exist (any more), or cannot be read.
        """
        return {name: self._value(tenant, name) for name in sorted(set(names))}

    def _value(self, tenant: str, name: str) -> SecretStr:
        try:
            return SecretStr(self._secrets.open(tenant, name))
        except EnvelopeBroken:
            detail = f"The secret {name!r} cannot be read; save it again"
            raise UnknownSecret(detail) from None
