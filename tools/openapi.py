"""The API's description (OpenAPI 3.1), made from the routes' own code.

Powertools' resolvers say what each route takes and answers; the template says which routes there
are and who may call them; ``tools/refusals.py`` says what each may be refused with. The routes
without a resolver are written down in ``tools/unresolved.py``.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, TypeAdapter

from integrations.services import catalogue
from integrations.services import schemas as shapes
from integrations.services.answers.catalogue import (
    ActionForm,
    CatalogueAnswer,
    ProviderForm,
    TriggerForm,
)
from integrations.services.checking import SET_HERE
from integrations.workflows import definition
from tools.functions import module
from tools.refusals import AROUND, description, every_code, refusals
from tools.template import ROOT, Route, routes
from tools.unresolved import MODELS, WITHOUT_RESOLVER

FILE = ROOT / "layers/provider/integrations/data/openapi.json"
BY_POWERTOOLS = {"HTTPValidationError", "ValidationError", "ResponseValidationError"}

TAGS = {
    "Integrations": "Providers, connections and their credentials.",
    "OAuth": "Connections that are made by logging in at the provider.",
    "Actions": "What providers do when asked.",
    "Workflows": "What is to happen when something happens.",
    "Executions": "The runs of workflows.",
    "Events": "What was received, what came of it, and how to have it once more.",
    "Jobs": "What takes longer than a request.",
    "Webhooks": "Where providers and other systems deliver events.",
    "Access": "Tokens, connect sessions, the audit log.",
    "Tenant": "All that a tenant has: shown whole, or removed.",
    "Secrets": "Named secrets for steps, written and never read.",
    "Description": "This document.",
}

_HEADERS = {
    401: {"WWW-Authenticate": "The scheme `Bearer` and what is wrong with the token."},
    429: {"Retry-After": "Seconds until it may be tried again."},
    503: {"Retry-After": "Seconds until it may be tried again."},
}

# -- Errors ----------------------------------------------------------------------------------

PROBLEM = {
    "type": "object",
    "description": "What went wrong, as RFC 9457 has it.",
    "required": ["type", "title", "status", "detail", "code", "requestId"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "`urn:integrations:problem:…`"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people; never a secret."},
        "code": {"$ref": "#/components/schemas/ProblemCode"},
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
    "required": ["message"],
    "description": "API Gateway's own words, for what never reaches a function.",
    "properties": {"message": {"type": "string"}},
}


def _responses() -> dict[str, Any]:
    """The reusable responses: what any route that needs a token may be refused with."""
    return {
        _response(status): _refusal(status, codes, guarded=True) for status, codes in AROUND.items()
    }


def _refusal(status: int, codes: Iterable[str], *, guarded: bool) -> dict[str, Any]:
    problem = {"schema": {"$ref": MODELS.format(model="Problem")}}
    content: dict[str, Any] = {"application/problem+json": problem}
    if guarded and status in {401, 403}:
        content["application/json"] = {"schema": {"$ref": MODELS.format(model="Message")}}
    response: dict[str, Any] = {"description": description(status, codes), "content": content}
    if status in _HEADERS and (guarded or status != HTTPStatus.UNAUTHORIZED):
        response["headers"] = {
            name: {"description": described, "schema": {"type": "string"}}
            for name, described in _HEADERS[status].items()
        }
    return response | {"x-codes": list(codes)}


def _response(status: int) -> str:
    return HTTPStatus(status).phrase.replace(" ", "")


# -- Types -----------------------------------------------------------------------------------


def _enum(description: str, values: Iterable[str]) -> dict[str, Any]:
    return {"type": "string", "description": description, "enum": list(dict.fromkeys(values))}


def _types() -> dict[str, Any]:
    """What the catalogue and the errors have to say, as types."""
    forms = catalogue.made().items
    types = {
        "ProviderId": _enum("A provider's id.", (form.id for form in forms)),
        "ActionId": _enum(
            "An action, `provider.name`: its parameters are in the catalogue.",
            (f"{form.id}.{action.name}" for form in forms for action in form.actions),
        ),
        "TriggerType": _enum(
            "What can start a workflow.",
            [
                *(trigger.type for form in forms for trigger in form.triggers),
                *definition.BUILT_IN_TRIGGERS,
            ],
        ),
        "ProblemCode": _enum(
            "What went wrong, for programs; a code does not change.", sorted(every_code())
        ),
        **_verifications(),
        "Message": _GATEWAY,
        "Problem": PROBLEM,
    }
    for form in forms:
        if not form.oauth:
            types[_credentials_of(form.id)] = _request(_without_hints(form.credentials))
    for model in (CatalogueAnswer, ProviderForm, ActionForm, TriggerForm):
        types[model.__name__] = _serialized(model)
    types["ProviderForm"]["properties"]["id"] = _ref("ProviderId")
    saved = types[_credentials_of("webhook")]["properties"]
    saved["verification"] = _ref("Verification")
    return types


def _verifications() -> dict[str, Any]:
    """The ways to verify a delivery, each with a name of its own, and their union."""
    variants: dict[str, Any] = {}
    mapping = {}
    for variant in _request(_without_hints(shapes.verification()))["oneOf"]:
        kind = variant.pop("title")
        name = f"Verification{kind.title().replace('-', '')}"
        variants[name] = _plain(variant)
        mapping[kind] = _ref(name)["$ref"]
    union = {
        "description": "How a webhook's deliveries prove themselves.",
        "oneOf": [{"$ref": reference} for reference in mapping.values()],
        "discriminator": {"propertyName": "type", "mapping": mapping},
    }
    return {**variants, "Verification": union}


def _credentials_of(provider_id: str) -> str:
    return f"{provider_id.title().replace('_', '')}Credentials"


def _serialized(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(mode="serialization", ref_template=MODELS)
    schema.pop("$defs", None)
    plain: dict[str, Any] = _plain(schema)
    return plain


def _ref(name: str) -> dict[str, str]:
    return {"$ref": MODELS.format(model=name)}


def _without_hints(node: Any) -> Any:
    """A form without what only a renderer needs."""
    match node:
        case dict():
            return {
                name: _without_hints(inner)
                for name, inner in node.items()
                if not (name == "x-control" and isinstance(inner, str))
            }
        case list():
            return [_without_hints(inner) for inner in node]
    return node


def _request(node: Any) -> Any:
    """What a client sends: an optional field may be left out, and a default is the server's.

    Generators make a field with a default a required one, and ``null`` a second way to say nothing.
    """
    match node:
        case {"properties": dict(fields), **others}:
            required = set(node.get("required", ()))
            return {
                **{name: _request(inner) for name, inner in others.items()},
                "properties": {
                    name: _optional(field) if name not in required else _request(field)
                    for name, field in fields.items()
                },
            }
        case dict():
            return {name: _request(inner) for name, inner in node.items()}
        case list():
            return [_request(inner) for inner in node]
    return node


def _optional(field: dict[str, Any]) -> Any:
    default = field.get("default")
    made = shapes.without_null({k: v for k, v in field.items() if k != "default"})
    if default not in (None, [], {}):
        described = f"{made.get('description', '')} Default `{json.dumps(default)}`.".strip()
        made = made | {"description": described}
    return _request(made)


# -- The document ----------------------------------------------------------------------------


@cache
def document() -> str:
    """The document as it is served."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    schemas: dict[str, Any] = _types()
    paths: dict[str, Any] = {}
    for route in routes():
        operations = paths.setdefault(route.openapi_path, {})
        if route.method.lower() not in operations:
            operations[route.method.lower()] = _operation(route, schemas)
    _type_workflows(schemas)
    made = {
        "openapi": "3.1.0",
        "info": {
            "title": "Integrations Backend",
            "version": project["version"],
            "description": project["description"],
            "contact": {"name": "Whoever runs this stack"},
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": [{"name": name, "description": described} for name, described in TAGS.items()],
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
    return json.dumps(made, separators=(",", ":"), ensure_ascii=False) + "\n"


def _type_workflows(schemas: dict[str, Any]) -> None:
    """Give a workflow one shape, whether sent or answered: what ``GET`` gives, ``PUT`` takes."""
    answer = schemas["WorkflowAnswer"]["properties"]
    answer["trigger"] = _ref("Trigger")
    answer["steps"] = {"type": "array", "items": _ref("Step")}
    ours = {
        name: {**answer[name], "readOnly": True, "description": "Set here; may be sent back."}
        for name in sorted(SET_HERE)
    }
    schemas["Workflow"]["properties"] |= ours
    schemas["Trigger"]["properties"]["type"] = _ref("TriggerType")
    schemas["Step"]["properties"]["action"] = _ref("ActionId")
    webhook = schemas["WebhookAnswer"]["properties"]["verification"]
    webhook["anyOf"] = [_ref("Verification"), {"type": "null"}]
    for name in ("SaveRequest", "TestRequest"):
        saved = [_ref(each) for each in schemas if each.endswith("Credentials")]
        schemas[name]["properties"]["credentials"] = {"anyOf": saved}


def _operation_id(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation = dict(WITHOUT_RESOLVER.get((route.method, route.path)) or _resolved(route, schemas))
    operation["operationId"] = _operation_id(operation["operationId"])
    resolved = (route.method, route.path) not in WITHOUT_RESOLVER
    codes = refusals(route, operation, module(route.function).app.refuses if resolved else None)
    operation["responses"] = {
        **operation["responses"],
        **{
            str(status): {"$ref": f"#/components/responses/{_response(status)}"}
            if listed == AROUND.get(status)
            else _refusal(status, listed, guarded=resolved)
            for status, listed in codes.items()
        },
    }
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "providerId":
            parameter["schema"] = _ref("ProviderId")
    if route.public:
        operation["security"] = []
    return operation


def _resolved(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    """What the route's resolver says, in the words of this API."""
    code = module(route.function)
    described = json.loads(code.app.get_openapi_json_schema(title="-", version="-"))
    operation: dict[str, Any] = described["paths"][route.path][route.method.lower()]
    sent = _models_of(operation.get("requestBody", {}), described["components"]["schemas"])
    for name, schema in described["components"]["schemas"].items():
        if name not in BY_POWERTOOLS:
            schemas[name] = _plain(_request(schema) if name in sent else schema)
    operation["operationId"] = route.function
    operation["description"] = getattr(code, route.function).__doc__
    answer = operation["responses"]["200"]
    model = answer["content"]["application/json"]["schema"].get("$ref", "").rpartition("/")[2]
    described = schemas.get(model, {}).get("description", operation["summary"] + ".")
    operation["responses"] = {"200": answer | {"description": described}}
    plain: dict[str, Any] = _plain(operation)
    for parameter in plain.get("parameters", []):
        parameter["schema"].pop("description", None)
        if parameter["required"] is False:
            parameter["schema"] = _optional(parameter["schema"])
    if "requestBody" in plain:
        content = plain["requestBody"]["content"]["application/json"]
        if content["schema"].get("x-model") == definition.Workflow.__name__:
            content["schema"] = _model(definition.Workflow, schemas)
        content["schema"] = _optional(content["schema"])
        content["examples"] = _examples(route.function)
    return plain


def _models_of(node: Any, models: Mapping[str, Any]) -> set[str]:
    """The models that a schema refers to, and those that they refer to."""
    found: set[str] = set()
    pending = [json.dumps(node)]
    while pending:
        for name in re.findall(r"#/components/schemas/([^\"]+)", pending.pop()):
            if name not in found:
                found.add(name)
                pending.append(json.dumps(models.get(name, {})))
    return found


def _model(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, str]:
    schema = TypeAdapter(model).json_schema(ref_template=MODELS)
    for name, inner in schema.pop("$defs").items():
        schemas[name] = _plain(_request(inner))
    schemas[model.__name__] = _plain(_request(schema))
    return _ref(model.__name__)


def _plain(node: Any) -> Any:
    """A schema without the titles that only repeat names, its descriptions in Markdown."""
    match node:
        case dict():
            return {
                name: _plain(inner)
                for name, inner in node.items()
                if not (name == "title" and isinstance(inner, str))
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
