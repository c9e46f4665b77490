"""GET /api/openapi.json: this API as OpenAPI 3.1, made from the routes' code by `make docs`."""

from integrations.entry.documents import get_openapi

handler = get_openapi
