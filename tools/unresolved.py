"""The routes without a resolver: what they take, answer and refuse, which nothing else says.

``tools/openapi.py`` takes everything else from the routes' own code.
"""

from collections.abc import Mapping
from typing import Any

MODELS = "#/components/schemas/{model}"


def _path(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {
        "name": name, "in": "path", "required": True, "description": description, "schema": schema,
    }  # fmt: skip


def _query(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string"}}


def _answer(description: str, content_type: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {content_type: {"schema": schema}}}


def _unchanging(
    description: str, schema: Mapping[str, Any], *parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """What a document that changes with a deployment alone takes and answers."""
    text = {"schema": {"type": "string"}}
    headers = {
        "ETag": {"description": "What this version is called.", **text},
        "Cache-Control": {"description": "How long it may be cached.", **text},
    }
    condition = {
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` of what one has.",
        **text,
    }
    return {
        "parameters": [*parameters, condition],
        "responses": {
            "200": {**_answer(description, "application/json", schema), "headers": headers},
            "304": {"description": "What one has is the newest.", "headers": headers},
        },
    }


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

_BELOW = _path("path", "What the trigger gets as `trigger.path`.")
_UNDER = "/{path+}"


def _at(suffix: str) -> tuple[str, list[Any]]:
    """What an operation's name and summary say of a webhook's route, and its parameters."""
    name_suffix = {"": "", _UNDER: "Below"}[suffix]
    return name_suffix, [
        _path("webhookId", "The webhook's id."),
        *([_BELOW] if suffix == _UNDER else []),
    ]


_BODIES: Mapping[str, Any] = {
    "application/json": {"schema": {}},
    "application/x-www-form-urlencoded": {"schema": {"type": "object"}},
    "multipart/form-data": {"schema": {"type": "object"}},
    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
}
"""What generated clients know how to send; any other type is taken as well."""


def _delivery(method: str, suffix: str) -> dict[str, Any]:
    name_suffix, parameters = _at(suffix)
    name = "receive_webhook" if method == "POST" else f"receive_webhook_by_{method.lower()}"
    by = "" if method == "POST" else f", by {method} where the webhook's `methods` allow it"
    where = {"": "", _UNDER: ", below its URL"}[suffix]
    operation: dict[str, Any] = {
        "tags": ["Webhooks"],
        "summary": f"Deliver an event{where}{by}",
        "operationId": f"{name}{name_suffix}",
        "description": (
            "Verified over the raw bytes as the webhook's `verification` says. `200` once the "
            "event is durable; `503` asks to send it again."
        ),
        "parameters": parameters,
        "requestBody": {
            "description": (
                "JSON, a form, text or bytes of any type. Text of up to 6 MB as a JSON string "
                "(with its quotes escaped), bytes of up to 4.6 MB; more is `413`."
            ),
            "content": _BODIES,
        },
        "responses": {"200": _answer("The event is durable.", "application/json", _RECEIVED)},
    }
    if method == "DELETE":
        del operation["requestBody"]
    return operation


def _look(method: str, suffix: str) -> dict[str, Any]:
    name_suffix, parameters = _at(suffix)
    if method == "HEAD":
        return {
            "tags": ["Webhooks"],
            "summary": "Look whether the webhook is there",
            "operationId": f"probe_webhook{name_suffix}",
            "description": "Always `200`: senders such as Trello ask so before they send.",
            "parameters": parameters,
            "responses": {"200": {"description": "Somebody is there."}},
        }
    return {
        "summary": "Answer a subscription challenge, where Meta asks, or somebody who only looks",
        "operationId": f"verify_webhook_at_its_url{name_suffix}",
        **_CHALLENGE,
        "parameters": [*parameters, *_CHALLENGE["parameters"][1:]],
    }


_OF_WEBHOOKS: Mapping[tuple[str, str], dict[str, Any]] = {
    **{
        (method, path): _delivery(method, path)
        for path in ("", _UNDER)
        for method in ("POST", "PUT", "PATCH", "DELETE")
    },
    **{(method, path): _look(method, path) for path in ("", _UNDER) for method in ("GET", "HEAD")},
    ("GET", "/verify"): {
        "summary": "Answer a subscription challenge",
        "operationId": "verify_webhook",
        **_CHALLENGE,
    },
}

_SIGNED: dict[str, Any] = {
    "description": "What the provider signs.",
    "required": True,
    "content": {
        "application/x-www-form-urlencoded": {
            "schema": {
                "type": "object",
                "required": ["signed_request"],
                "properties": {"signed_request": _TEXT},
            }
        }
    },
}
_ENDED: dict[str, Any] = {
    "type": "object",
    "required": ["connections"],
    "properties": {
        "connections": {"type": "integer", "description": "How many need a log-in now."}
    },
}
_DELETED: dict[str, Any] = {
    "type": "object",
    "required": ["url", "confirmation_code"],
    "properties": {
        "url": {"type": "string", "format": "uri", "description": "The page for the person."},
        "confirmation_code": {"type": "string", "description": "Letters and digits."},
    },
}

WITHOUT_RESOLVER: Mapping[tuple[str, str], dict[str, Any]] = {
    **{
        (method, f"/api/webhooks/{{webhookId}}{suffix}"): operation
        for (method, suffix), operation in _OF_WEBHOOKS.items()
    },
    ("GET", "/api/integrations/oauth/callback/{providerId}"): {
        "tags": ["OAuth"],
        "summary": "Complete a log-in",
        "operationId": "complete_oauth",
        "description": "For browsers: a page or a redirect, whatever happens.",
        "parameters": [
            _path("providerId", "The provider's id."),
            _query("code", "What is exchanged for tokens."),
            _query("state", "Which login it is; good once."),
            _query("error", "Why there is no code, e.g. `access_denied`."),
        ],
        "responses": {
            "200": _answer("A page that reports to its opener and closes.", "text/html", _TEXT),
            "303": {
                "description": "To `redirectUri?handshakeId=…&status=…`.",
                "headers": {"Location": {"schema": {"type": "string", "format": "uri"}}},
            },
            "400": _answer("A page: the state is not good.", "text/html", _TEXT),
            "404": _answer("A page: there is no such provider.", "text/html", _TEXT),
        },
    },
    ("POST", "/api/integrations/oauth/deauthorize/{providerId}"): {
        "tags": ["OAuth"],
        "summary": "Receive a deauthorization",
        "operationId": "deauthorize_account",
        "description": "For the provider, which signs it: the account's connections need a log-in.",
        "parameters": [_path("providerId", "The provider's id.")],
        "requestBody": _SIGNED,
        "responses": {"200": _answer("Done.", "application/json", _ENDED)},
    },
    ("POST", "/api/integrations/oauth/delete/{providerId}"): {
        "tags": ["OAuth"],
        "summary": "Receive a data deletion request",
        "operationId": "delete_account",
        "description": "For the provider, which signs it: the account's connections are removed.",
        "parameters": [_path("providerId", "The provider's id.")],
        "requestBody": _SIGNED,
        "responses": {"200": _answer("Deleted.", "application/json", _DELETED)},
    },
    ("GET", "/api/integrations/oauth/delete/{providerId}/{code}"): {
        "tags": ["OAuth"],
        "summary": "Get a deletion",
        "operationId": "get_deletion",
        "description": "For a person: a page.",
        "parameters": [
            _path("providerId", "The provider's id."),
            _path("code", "The confirmation code."),
        ],
        "responses": {
            "200": _answer("A page: the data was deleted.", "text/html", _TEXT),
            "404": _answer("A page: there is no such deletion.", "text/html", _TEXT),
        },
    },
    ("GET", "/api/openapi.json"): {
        "tags": ["Description"],
        "summary": "Get this document",
        "operationId": "get_openapi",
        "description": "Made from the routes' own code.",
        **_unchanging("OpenAPI 3.1.", {"type": "object", "additionalProperties": True}),
    },
    ("GET", "/api/integrations"): {
        "tags": ["Integrations"],
        "summary": "List providers",
        "operationId": "list_integrations",
        "description": (
            "Every provider with the JSON Schema of its credentials, its actions and its triggers. "
            "The fields of a form are in the order in which they are filled in; `writeOnly` marks "
            "secrets, `x-control` says how a field is best shown."
        ),
        **_unchanging("The catalogue.", {"$ref": MODELS.format(model="CatalogueAnswer")}),
    },
    ("GET", "/api/integrations/{providerId}"): {
        "tags": ["Integrations"],
        "summary": "Get a provider",
        "operationId": "get_integration",
        "description": "The same as its entry in the catalogue.",
        **_unchanging(
            "The entry.",
            {"$ref": MODELS.format(model="ProviderForm")},
            _path("providerId", "The provider's id."),
        ),
    },
}

_OF_REMOVALS = {
    401: ("signature_refused",),
    404: ("not_found", "unknown_provider"),
    409: ("provider_not_configured",),
    422: ("invalid_input",),
    503: ("unavailable",),
}
REFUSALS: Mapping[str, Mapping[int, tuple[str, ...]]] = {
    "list_integrations": {},
    "get_integration": {404: ("unknown_provider",)},
    "receive_webhook": {
        401: ("signature_refused",),
        413: ("payload_too_large",),
        503: ("not_stored",),
    },
    "verify_webhook": {403: ("challenge_refused",), 503: ("not_stored",)},
    "complete_oauth": {},
    "deauthorize_account": _OF_REMOVALS,
    "delete_account": _OF_REMOVALS,
    "get_deletion": {},
    "get_openapi": {},
}
"""What routes without a resolver refuse with; the others say it themselves (``Api(refuses=…)``)."""
