"""GET /api/openapi.json."""

from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.backend import Backend
from tools.template import routes


def test_the_document_is_valid_openapi(backend: Backend) -> None:
    answer = backend.call("GET", "/api/openapi.json")
    assert answer.status == 200
    assert answer.json["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(answer.json).validate()


def test_the_document_describes_every_route_of_the_template(backend: Backend) -> None:
    paths = backend.call("GET", "/api/openapi.json").json["paths"]
    described = {
        f"{method.upper()} {path}" for path, methods in paths.items() for method in methods
    }
    declared = {f"{route.method} {route.openapi_path}" for route in routes()}
    assert declared - {"GET /api/openapi.json"} == described - {"GET /api/openapi.json"}
