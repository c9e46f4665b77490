"""Connect sessions that tests make."""

from typing import Any

from tests.backend import Answer, Backend

HOME = "http://localhost:5173"
"""A page of the application, which the allow-list has."""


def create(
    backend: Backend, tenant: str = "acme", scopes: str = "read write", **body: Any
) -> Answer:
    given = {"providers": ["telegram", "sheets_oauth"], **body}
    return backend.call("POST", "/api/connect/sessions", given, scopes=scopes, tenant=tenant)
