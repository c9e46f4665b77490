"""The Lambda authorizer: an API token or a JWT in, the tenant and the scopes out.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from integrations.entry import settings, wiring

if TYPE_CHECKING:
    from integrations.services.jwt import JwtVerifier

TOKEN_PREFIX = "ib_"  # noqa: S105 - what tokens begin with, no token
DENIED = {"isAuthorized": False}

_verifier: list[JwtVerifier] = []


def authorize(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Decide about one Authorization header.

    Args:
        event: An authorizer request of payload format 2.0.

    Returns:
        A simple response; ``context`` holds ``tenant``, ``scopes`` (by spaces) and ``name``.
    """
    scheme, _, token = (event.get("headers") or {}).get("authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        return DENIED
    if token.startswith(TOKEN_PREFIX):
        return _by_token(token)
    return _by_jwt(token)


def _by_token(token: str) -> dict[str, Any]:
    holder = wiring.tokens().find(token)
    if holder is None:
        return DENIED
    return _allowed(holder.tenant, holder.scopes, holder.name)


def _by_jwt(token: str) -> dict[str, Any]:
    configured = settings.jwt_issuer()
    if configured is None:
        return DENIED
    from integrations.services.jwt import JwtRefused, JwtVerifier  # noqa: PLC0415 - cold start

    if not _verifier:
        _verifier.append(JwtVerifier(*configured, allow_http=settings.allow_loopback()))
    try:
        holder = _verifier[0].verify(token)
    except JwtRefused:
        return DENIED
    return _allowed(holder.tenant, holder.scopes, holder.name)


def _allowed(tenant: str, scopes: frozenset[str], name: str) -> dict[str, Any]:
    context = {"tenant": tenant, "scopes": " ".join(sorted(scopes)), "name": name}
    return {"isAuthorized": True, "context": context}
