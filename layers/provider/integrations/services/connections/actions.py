"""One action, run now."""

from collections.abc import Mapping

from integrations.models import Json
from integrations.providers import registry
from integrations.services.answers.connections import ActionAnswer
from integrations.services.forms import params_of
from integrations.services.vault import Vault


class ActionRunner:
    """Runs actions outside of workflows.

    Args:
        vault: The use of credentials.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def run(
        self, tenant: str, provider_id: str, name: str, action_name: str, given: Mapping[str, Json]
    ) -> ActionAnswer:
        """Run one action with a connection's credentials.

        Raises:
            UnknownProvider, UnknownAction, UnknownConnection: There is none.
            InvalidParams: The parameters do not fit; each is named.
            ProviderError: The provider refuses, or cannot be asked.
        """
        action = registry.get(provider_id).action(action_name)
        params = params_of(provider_id, action, given)
        result = self._vault.act(tenant, provider_id, name, action, params)
        return ActionAnswer(result=result)
