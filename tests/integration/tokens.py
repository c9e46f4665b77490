"""Tokens that tests make and use."""

from typing import Any

from tests.backend import Answer, Backend, event

ADMIN = "admin read write"


def create(backend: Backend, tenant: str = "acme", **body: Any) -> Answer:
    given = {"name": "ci", "scopes": ["read"], **body}
    return backend.call("POST", "/api/tokens", given, scopes=ADMIN, tenant=tenant)


def opened(backend: Backend, token: str) -> Any:
    asked = event("authorize_request", "api_token")
    asked["headers"]["authorization"] = f"Bearer {token}"
    return backend.invoke("authorize_request", asked)["context"]
