"""GET /api/secrets."""

from tests.backend import Backend
from tests.integration.named_secrets import save


def test_names_are_listed_in_order_and_values_never(backend: Backend) -> None:
    for name in ("B", "A"):
        save(backend, name)
    save(backend, "THEIRS", tenant="other")
    answer = backend.call("GET", "/api/secrets")
    assert [each["name"] for each in answer.json["items"]] == ["A", "B"]
    assert all(set(each) == {"name", "createdAt", "updatedAt"} for each in answer.json["items"])
