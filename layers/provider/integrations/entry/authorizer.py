"""The Lambda authorizer: an API token, a connect session's or a JWT in, the tenant and scopes out.

A token that opens nothing is let through with the reason and without a tenant: API Gateway puts
CORS headers on a function's answers alone, so only a function's 401 is one that a page can read. So
is one of which nobody can say now whether it opens anything: the function answers 503.
Without a tenant nothing is served (``entry/caller.py``).
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from integrations import memory
from integrations.entry import invocation, settings, wiring
from integrations.entry.headers import headers_of
from integrations.errors import ServiceUnavailable
from integrations.storage.aws import AwsError

if TYPE_CHECKING:
    from integrations.entry.invocation import Context
    from integrations.services.jwt import JwtVerifier
    from integrations.storage.tokens import Token

PREFIXES = ("ib_", "ics_")
"""What our own tokens begin with: API tokens and those of connect sessions."""

DENIED = {"isAuthorized": False}


def authorize(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Decide about one Authorization header.

    Args:
        event: An authorizer request of payload format 2.0.
        context: Says how much time is left.

    Returns:
        A simple response. ``context`` holds ``tenant``, ``scopes`` (by spaces), ``kind``, ``id``
        and ``name``, and of a connect session what it is for; or ``problem`` alone.
    """
    invocation.begin(context)
    scheme, _, token = headers_of(event).get("authorization", "").partition(" ")
    token = token.strip()
    if not token:
        return DENIED
    if scheme.lower() != "bearer":
        return _problem("invalid_token")
    try:
        return _by_token(token) if token.startswith(PREFIXES) else _by_jwt(token)
    except ServiceUnavailable as failure:
        log = {"level": "ERROR", "message": "nobody can be let in", "error": failure.detail}
        print(json.dumps(log))  # noqa: T201 - Lambda's JSON log; a logger would cost the cold start
        return _problem("unavailable")


def _by_token(text: str) -> dict[str, Any]:
    tokens = wiring.tokens()
    token = tokens.find(text)
    if token is None:
        return _problem("invalid_token")
    if tokens.is_expired(token):
        return _problem("token_expired")
    _note_use(token)
    context: dict[str, Any] = {
        "tenant": token.tenant,
        "scopes": " ".join(sorted(token.scopes)),
        "kind": token.kind,
        "id": token.token_id,
        "name": token.name,
    }
    if token.kind == "connect":
        context |= {
            "providers": " ".join(sorted(token.providers)),
            "connection": token.connection_name,
            "redirectUri": token.redirect_uri,
            "expiresAt": str(token.expires_at.timestamp() if token.expires_at else 0),
        }
    return {"isAuthorized": True, "context": context}


def _note_use(token: Token) -> None:
    try:
        wiring.tokens().note_use(token)
    except AwsError as failure:  # a date that nobody reads in a hurry is no reason to refuse
        log = {"level": "WARNING", "message": "use not noted", "error": failure.detail}
        print(json.dumps(log))  # noqa: T201 - Lambda's JSON log; a logger would cost the cold start


@memory.once
def _verifier() -> JwtVerifier | None:
    """Who verifies JWTs; ``None`` where the stack takes none."""
    configured = settings.jwt()
    if configured is None:
        return None
    from integrations.services.jwt import JwtVerifier

    return JwtVerifier(configured, allow_http=settings.allow_loopback())


def _by_jwt(token: str) -> dict[str, Any]:
    verifier = _verifier()
    if verifier is None:
        return _problem("invalid_token")
    from integrations.services.jwt import JwtRefused

    try:
        holder = verifier.verify(token)
    except JwtRefused as refusal:
        return _problem(refusal.code)
    context = {
        "tenant": holder.tenant,
        "scopes": " ".join(sorted(holder.scopes)),
        "kind": "jwt",
        "id": holder.subject,
        "name": holder.subject,
    }
    return {"isAuthorized": True, "context": context}


def _problem(code: str) -> dict[str, Any]:
    return {"isAuthorized": True, "context": {"problem": code}}
