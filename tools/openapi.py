"""The API's description (OpenAPI 3.1), made from the routes' own code.

Powertools' resolvers say what each route takes and answers; the template says which routes there
are and who may call them; ``entry/problem.py`` says which error is which status. Only the routes
without a resolver, and which refusals a route can meet, are written down here.
"""

import importlib.util
import json
import tomllib
from collections.abc import Mapping
from http import HTTPStatus
from types import ModuleType
from typing import Any

from pydantic import BaseModel, TypeAdapter

from integrations import errors
from integrations.entry.problem import STATUS
from integrations.workflows import definition
from tools.template import ROOT, Route, routes

FILE = ROOT / "layers/provider/integrations/entry/openapi.json"
BY_POWERTOOLS = {"HTTPValidationError", "ValidationError", "ResponseValidationError"}
MODELS = "#/components/schemas/{model}"

TAGS = {
    "Integrations": "Providers, connections and their credentials.",
    "OAuth": "Connections that are made by logging in at the provider.",
    "Actions": "What providers do when asked.",
    "Workflows": "What is to happen when something happens.",
    "Executions": "The runs of workflows.",
    "Webhooks": "Where providers and other systems deliver events.",
    "Description": "This document.",
}

# -- What no resolver says -------------------------------------------------------------------


def _path(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {
        "name": name, "in": "path", "required": True, "description": description, "schema": schema,
    }  # fmt: skip


def _query(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string"}}


def _answer(description: str, content_type: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {content_type: {"schema": schema}}}


_TEXT = {"type": "string"}
_RECEIVED = {
    "type": "object",
    "required": ["received", "eventId"],
    "properties": {
        "received": {"const": True},
        "eventId": {"type": "string", "description": "The same for each redelivery."},
    },
}
_CHALLENGE: dict[str, Any] = {
    "tags": ["Webhooks"],
    "description": (
        "Takes `mode`, `token` and `challenge`, or Meta's names `hub.mode`, `hub.verify_token` and "
        "`hub.challenge`."
    ),
    "parameters": [
        _path("webhookId", "The webhook's id."),
        *(
            _query(name, description)
            for plain, meta, description in (
                ("mode", "hub.mode", "`subscribe`."),
                ("token", "hub.verify_token", "The webhook's verify token."),
                ("challenge", "hub.challenge", "What to repeat."),
            )
            for name in (plain, meta)
        ),
    ],
    "responses": {"200": _answer("The challenge.", "text/plain", _TEXT)},
}

WITHOUT_RESOLVER: Mapping[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/webhooks/{webhookId}"): {
        "tags": ["Webhooks"],
        "summary": "Deliver an event",
        "operationId": "receive_webhook",
        "description": (
            "Verified over the raw bytes as the webhook's `verification` says. `200` once the "
            "event is durable; `503` asks to send it again."
        ),
        "parameters": [_path("webhookId", "The webhook's id.")],
        "requestBody": {
            "description": "JSON, a form, text or bytes; at most 6 MB.",
            "content": {"application/json": {"schema": {}}, "*/*": {"schema": {}}},
        },
        "responses": {"200": _answer("The event is durable.", "application/json", _RECEIVED)},
    },
    ("GET", "/api/webhooks/{webhookId}/verify"): {
        "summary": "Answer a subscription challenge",
        "operationId": "verify_webhook",
        **_CHALLENGE,
    },
    ("GET", "/api/webhooks/{webhookId}"): {
        "summary": "Answer a subscription challenge, where Meta asks",
        "operationId": "verify_webhook_at_its_url",
        **_CHALLENGE,
    },
    ("GET", "/api/integrations/oauth/callback/{providerId}"): {
        "tags": ["OAuth"],
        "summary": "Where the provider sends the browser back",
        "operationId": "complete_oauth",
        "description": "For browsers: a page or a redirect, whatever happens.",
        "parameters": [
            _path("providerId", "The provider's id."),
            _query("code", "What is exchanged for tokens."),
            _query("state", "Which login it is; good once."),
            _query("error", "Why there is no code, e.g. `access_denied`."),
        ],
        "responses": {
            "200": _answer("A page that tells its opener and closes.", "text/html", _TEXT),
            "303": {
                "description": "To `redirectUri?handshakeId=…&status=…`.",
                "headers": {"Location": {"schema": {"type": "string", "format": "uri"}}},
            },
            "400": _answer("A page: the state is not good.", "text/html", _TEXT),
            "404": _answer("A page: there is no such provider.", "text/html", _TEXT),
        },
    },
    ("GET", "/api/openapi.json"): {
        "tags": ["Description"],
        "summary": "This document",
        "operationId": "get_openapi",
        "responses": {"200": _answer("OpenAPI 3.1.", "application/json", {"type": "object"})},
    },
}

_PROVIDER = (422, 429, 502, 504)
REFUSALS: Mapping[str, tuple[int, ...]] = {
    "list_integrations": (),
    "get_status": (),
    "test_connection": (400, 404, 409, 413, 422),
    "save_credentials": (400, 404, 409, 413, *_PROVIDER),
    "get_credentials": (404, 422),
    "delete_credentials": (404, 409, 422),
    "run_action": (400, 404, 409, 413, *_PROVIDER),
    "start_oauth": (400, 404, 409, 413, 422),
    "get_oauth_status": (404, 422),
    "create_workflow": (400, 409, 413, *_PROVIDER),
    "list_workflows": (422,),
    "get_workflow": (404, 422),
    "replace_workflow": (400, 404, 409, 413, *_PROVIDER),
    "delete_workflow": (404, 409, 422),
    "start_workflow": (400, 404, 413, 422),
    "list_executions": (422,),
    "get_execution": (404, 422),
    "retry_execution": (404, 409, 422),
    "cancel_execution": (404, 409, 422),
    "receive_webhook": (401, 404, 413, 503),
    "verify_webhook": (403, 404),
    "complete_oauth": (),
    "get_openapi": (),
}
"""Which refusals a function can answer, beside the authorizer's 401 and 403."""

_BESIDE_ERRORS = {
    400: ["malformed_json"],
    403: ["insufficient_scope"],
    404: [],
    413: ["payload_too_large"],
    503: ["not_stored"],
}

# -- Errors ----------------------------------------------------------------------------------

PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong, as RFC 9457 has it.",
    "required": ["type", "title", "status", "detail", "code", "requestId"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "`urn:integrations:problem:…`"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people; never a secret."},
        "code": {"type": "string", "description": "For programs; it does not change."},
        "requestId": {"type": "string", "description": "Finds the request in the logs."},
        "errors": {
            "type": "array",
            "description": "Every mistake in what was sent, with its place.",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
        "provider": {
            "type": "object",
            "description": "What the provider said: its status, its code, and more facts.",
            "additionalProperties": True,
        },
    },
}
_GATEWAY = {
    "type": "object",
    "description": "API Gateway's own words, for what never reaches a function.",
    "properties": {"message": {"type": "string"}},
}


def codes() -> dict[int, list[type[errors.IntegrationError]]]:
    """Status → the errors that are answered with it."""
    found: dict[int, list[type[errors.IntegrationError]]] = {}
    known = [each for each in vars(errors).values() if isinstance(each, type)]
    for error in known:
        if issubclass(error, errors.IntegrationError):
            status = next((status for kind, status in STATUS if issubclass(error, kind)), None)
            if status is not None:
                found.setdefault(int(status), []).append(error)
    return found


def _responses() -> dict[str, Any]:
    """One reusable response for each status that refuses."""
    made = {}
    statuses = sorted({401, 403, *(each for told in REFUSALS.values() for each in told)})
    for status in statuses:
        names = [error.code for error in codes().get(status, [])]
        names += [name for name in _BESIDE_ERRORS.get(status, []) if name not in names]
        listed = ", ".join(f"`{name}`" for name in names)
        problem = {"schema": {"$ref": MODELS.format(model="Problem")}}
        content: dict[str, Any] = {"application/problem+json": problem}
        if status in {401, 403}:
            content["application/json"] = {"schema": {"$ref": MODELS.format(model="Message")}}
        title = HTTPStatus(status).phrase
        made[_response(status)] = {"description": f"{title}: {listed}.", "content": content}
    return made


def _response(status: int) -> str:
    return HTTPStatus(status).phrase.replace(" ", "")


# -- The document ----------------------------------------------------------------------------


def document() -> str:
    """The document as it is served."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    schemas: dict[str, Any] = {"Problem": PROBLEM, "Message": _GATEWAY}
    paths: dict[str, Any] = {}
    for route in routes():
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    held = {
        "openapi": "3.1.0",
        "info": {
            "title": "Integrations Backend",
            "version": project["version"],
            "description": project["description"],
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": [{"name": name, "description": told} for name, told in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "responses": _responses(),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token (`ib_…`), or a JWT of the stack's issuer.",
                }
            },
        },
    }
    return json.dumps(held, indent=2, ensure_ascii=False) + "\n"


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation = dict(WITHOUT_RESOLVER.get((route.method, route.path)) or _resolved(route, schemas))
    refusals = set(REFUSALS[route.function]) | (set() if route.public else {401, 403})
    operation["responses"] = {
        **operation["responses"],
        **{
            str(status): {"$ref": f"#/components/responses/{_response(status)}"}
            for status in sorted(refusals)
        },
    }
    if route.public:
        operation["security"] = []
    return operation


def _resolved(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    """What the route's resolver says, in the words of this API."""
    module = _module(route.function)
    told = json.loads(module.app.get_openapi_json_schema(title="-", version="-"))
    for name, schema in told["components"]["schemas"].items():
        if name not in BY_POWERTOOLS:
            schemas[name] = _plain(schema)
    operation: dict[str, Any] = told["paths"][route.path][route.method.lower()]
    operation["operationId"] = route.function
    operation["description"] = getattr(module, route.function).__doc__
    answer = operation["responses"]["200"]
    model = answer["content"]["application/json"]["schema"].get("$ref", "").rpartition("/")[2]
    described = schemas.get(model, {}).get("description", operation["summary"] + ".")
    operation["responses"] = {"200": answer | {"description": described}}
    plain: dict[str, Any] = _plain(operation)
    for parameter in plain.get("parameters", []):
        parameter["schema"].pop("description", None)
    if "requestBody" in plain:
        content = plain["requestBody"]["content"]["application/json"]
        if route.function in {"create_workflow", "replace_workflow"}:
            content["schema"] = _model(definition.Workflow, schemas)
        content["examples"] = _examples(route.function)
    return plain


def _model(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, str]:
    schema = TypeAdapter(model).json_schema(ref_template=MODELS)
    for name, inner in schema.pop("$defs").items():
        schemas[name] = _plain(inner)
    schemas[model.__name__] = _plain(schema)
    return {"$ref": MODELS.format(model=model.__name__)}


def _plain(node: Any) -> Any:  # noqa: ANN401 - JSON
    """A schema without the titles that only repeat names, its descriptions in Markdown."""
    match node:
        case dict():
            return {
                name: _plain(inner)
                for name, inner in node.items()
                if not (name == "title" and isinstance(inner, str) and "properties" not in node)
            }
        case list():
            return [_plain(inner) for inner in node]
        case str():
            return node.replace("``", "`")  # Python's documentation has two, Markdown one
    return node


def _examples(function: str) -> dict[str, Any]:
    examples = {}
    for file in sorted((ROOT / "events" / function).glob("*.json")):
        body = json.loads(file.read_text(encoding="utf-8")).get("body")
        if body:
            examples[file.stem] = {"value": json.loads(body)}
    return examples


def _module(function: str) -> ModuleType:
    """A function's code, which is no package: each is the root of its own Lambda."""
    file = ROOT / "functions" / function / "app.py"
    spec = importlib.util.spec_from_file_location(f"functions.{function}.app", file)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
