"""The routes that ask for a token, and what each of them takes."""

from typing import Any

from tests.backend import Backend, LambdaContext
from tests.integration.flows import manual_flow
from tools.template import Route, routes

GUARDED = [route for route in routes() if not route.public and route.function != "get_openapi"]


def named(route: Route) -> str:
    return route.function


def path_of(route: Route, **parameters: str) -> str:
    known = {
        "providerId": "telegram",
        "action": "sendMessage",
        "workflowId": "wf_0123456789abcdef0123",
        "executionId": "exe_9f86d081884c7d659a2feaa0c55ad015",
        "stepId": "rows",
        "eventId": "evt_0a4d55a8d778e5022fab701977c5d840",
        "jobId": "job_3f2c1d0e9b8a47c6a5b4c3d2e1f0a9b8",
        "handshakeId": "b3Nq0Y4mVxkq2w7J5c8zGQ",
        "tokenId": "tok_0123456789abcdef01234567",
        "name": "SHOP_KEY",
    }
    return route.path.replace("{path+}", "a/b").format(**{**known, **parameters})


def good_call(backend: Backend, route: Route, context: LambdaContext | None = None) -> Any:
    """Call a route with what it takes."""
    bodies: dict[str, Any] = {
        "run_action": {"params": {"chatId": 1, "text": "x"}},
        "save_credentials": {
            "credentials": {"url": "https://example.com/h/orders", "verifySecret": False}
        },
        "create_workflow": manual_flow(),
        "replace_workflow": manual_flow(),
        "create_token": {"name": "x", "scopes": ["read"]},
        "replay_events": {"filter": {}},
        "retry_executions": {"filter": {}},
        "create_connect_session": {"providers": ["telegram"]},
        "save_secret": {"value": "sixsix"},
        "check_workflow": manual_flow(),
        "preview_workflow": {"workflowId": "wf_0123456789abcdef0123"},
    }
    provider = "webhook" if route.function == "save_credentials" else "telegram"
    if route.function == "start_oauth":
        provider = "sheets_oauth"
    return backend.call(
        route.method,
        path_of(route, providerId=provider),
        bodies.get(route.function),
        scopes="read write admin",
        context=context,
    )
