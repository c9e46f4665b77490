"""DELETE /api/secrets/{name}."""

import pytest

from integrations.entry import wiring
from integrations.errors import UnknownSecret
from tests.backend import Backend
from tests.integration.named_secrets import save


def test_a_removed_secret_opens_no_more(backend: Backend) -> None:
    save(backend)
    answer = backend.call("DELETE", "/api/secrets/SHOP_KEY")
    assert (answer.status, answer.json) == (200, {"deleted": True})
    with pytest.raises(UnknownSecret):
        wiring.secret_service().values("acme", ["SHOP_KEY"])
    assert backend.call("DELETE", "/api/secrets/SHOP_KEY").code == "unknown_secret"


def test_another_tenants_secret_is_unknown(backend: Backend) -> None:
    save(backend)
    answer = backend.call("DELETE", "/api/secrets/SHOP_KEY", tenant="other")
    assert (answer.status, answer.code) == (404, "unknown_secret")
    assert len(backend.aws.rows("SecretsTable")) == 1
