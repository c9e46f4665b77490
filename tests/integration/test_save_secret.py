"""PUT /api/secrets/{name}."""

from typing import Any

import pytest

from integrations.entry import wiring
from integrations.errors import UnknownSecret
from integrations.services import secrets
from tests.backend import Backend
from tests.integration.named_secrets import VALUE, save


def test_a_secret_is_sealed_and_the_runner_opens_it(backend: Backend) -> None:
    answer = save(backend)
    assert answer.status == 200, answer
    assert set(answer.json) == {"name", "createdAt", "updatedAt"}
    values = wiring.secret_service().values("acme", ["SHOP_KEY", "SHOP_KEY"])
    assert {name: each.get_secret_value() for name, each in values.items()} == {"SHOP_KEY": VALUE}
    assert VALUE not in repr(values)


def test_a_secret_is_its_tenants_and_its_names_alone(backend: Backend) -> None:
    save(backend)
    with pytest.raises(UnknownSecret):
        wiring.secret_service().values("other", ["SHOP_KEY"])
    with pytest.raises(UnknownSecret):
        wiring.secret_service().values("acme", ["OTHER"])


def test_a_second_value_replaces_the_first(backend: Backend) -> None:
    first = save(backend, value="the first").json
    second = save(backend, value="the second").json
    assert second["createdAt"] == first["createdAt"]
    values = wiring.secret_service().values("acme", ["SHOP_KEY"])
    assert values["SHOP_KEY"].get_secret_value() == "the second"


@pytest.mark.parametrize("value", ["", "12345", None, 7, "x" * 16_385, {"a": "b"}], ids=repr)
def test_a_value_is_a_text_of_some_length(backend: Backend, value: Any) -> None:
    answer = save(backend, value=value)
    assert (answer.status, answer.code) == (422, "invalid_input")
    assert "value" in answer.fields
    assert backend.aws.rows("SecretsTable") == []


@pytest.mark.parametrize("name", ["a-b", "1a", "a.b", "ß", "x" * 65, "a b"])
def test_a_name_is_one_that_templates_can_write(backend: Backend, name: str) -> None:
    assert save(backend, name).status == 422
    assert backend.aws.rows("SecretsTable") == []


def test_a_tenant_has_a_bounded_number_of_secrets(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "MAX_SECRETS", 2)
    assert [save(backend, name).status for name in ("A", "B", "C", "A")] == [200, 200, 422, 200]
