"""DELETE /api/tokens/{tokenId}."""

import pytest

from tests.backend import Backend, event
from tests.integration.tokens import ADMIN, create


def test_a_revoked_token_opens_nothing(backend: Backend) -> None:
    made = create(backend).json
    answer = backend.call("DELETE", f"/api/tokens/{made['tokenId']}", scopes=ADMIN)
    assert (answer.status, answer.json) == (200, {"deleted": True})
    asked = event("authorize_request", "api_token")
    asked["headers"]["authorization"] = f"Bearer {made['token']}"
    assert backend.invoke("authorize_request", asked)["context"] == {"problem": "invalid_token"}


def test_another_tenants_token_is_unknown(backend: Backend) -> None:
    made = create(backend).json
    path = f"/api/tokens/{made['tokenId']}"
    answer = backend.call("DELETE", path, scopes=ADMIN, tenant="other")
    assert (answer.status, answer.code) == (404, "unknown_token")
    assert len(backend.aws.rows("TokensTable")) == 1


@pytest.mark.parametrize("token_id", ["tok_", "tok_0", "tok_" + "0" * 24, "x", "tok_" + "0" * 25])
def test_a_part_of_an_id_revokes_nothing(backend: Backend, token_id: str) -> None:
    create(backend)
    answer = backend.call("DELETE", f"/api/tokens/{token_id}", scopes=ADMIN)
    assert (answer.status, answer.code) == (404, "unknown_token")
    assert len(backend.aws.rows("TokensTable")) == 1
