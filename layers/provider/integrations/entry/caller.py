"""Who calls, as the authorizer says it, and what that caller may do: checked here alone."""

import json
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, Literal, NamedTuple, Self, cast

from integrations import strict_json
from integrations.entry.problem import Problem, problem_of
from integrations.errors import ServiceUnavailable
from integrations.models import DEFAULT_CONNECTION, from_epoch, is_tenant

type Scope = Literal["read", "write", "admin", "connect"]
type ActorKind = Literal["token", "jwt", "connect", "system"]

PROBLEMS = {
    "invalid_token": "This token is not known here, or was revoked",
    "token_expired": "This token has expired",
}
"""What the authorizer says of a token that opens nothing, for people."""

REMEMBERED_SECONDS: Final = 60.0
"""So long API Gateway gives the authorizer's last answer again, be it that nobody can say now: the
template's ``ReauthorizeEvery``.
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
"""

_CHALLENGE = 'Bearer realm="integrations"'
_NONE = "Authorization: Bearer with an API token or a JWT is needed"


class Session(NamedTuple):
    """What a connect session's token is good for.

    Attributes:
        session_id: Which session.
        providers: The ids of the providers that it may connect.
        connection_name: The one connection name that it may use.
        redirect_uri: Where its page leads in the end; ``""`` for nowhere.
        ends: When it expires.
    """

    session_id: str
    providers: tuple[str, ...]
    connection_name: str
    redirect_uri: str
    ends: datetime


class Caller(NamedTuple):
    """Who sent a request.

    Attributes:
        tenant: Whose data it is about; ``""`` where nobody knows.
        scopes: What the caller may do.
        kind, actor_id, name: Which token, for the audit log.
        problem: Why the token opens nothing, a key of ``PROBLEMS``; ``unavailable`` where nobody
            can say now whether it does.
        session: Of a connect session's token.
    """

    tenant: str = ""
    scopes: frozenset[str] = frozenset()
    kind: ActorKind = "token"
    actor_id: str = ""
    name: str = ""
    problem: str = ""
    session: Session | None = None

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Self:
        """The caller of a request of payload format 2.0: what the authorizer said of it."""
        authorizer = event["requestContext"].get("authorizer") or {}
        context: Mapping[str, Any] = authorizer.get("lambda") or {}
        tenant = context.get("tenant")
        session = None
        if context.get("kind") == "connect":
            session = Session(
                session_id=str(context["id"]),
                providers=tuple(str(context["providers"]).split()),
                connection_name=str(context["connection"]),
                redirect_uri=str(context.get("redirectUri", "")),
                ends=from_epoch(float(context["expiresAt"])),
            )
        return cls(
            tenant=str(tenant) if is_tenant(tenant) else "",
            scopes=frozenset(str(context.get("scopes", "")).split()),
            kind=cast("ActorKind", context.get("kind", "token")),
            actor_id=str(context.get("id", "")),
            name=str(context.get("name", "")),
            problem=str(context.get("problem", "")),
            session=session,
        )

    @property
    def actor(self) -> dict[str, str]:
        """Who it is, as the audit log shows it."""
        return {"kind": self.kind, "id": self.actor_id, "name": self.name}


def refusal_of(
    caller: Caller, event: Mapping[str, Any], *, scope: Scope, connect: bool
) -> Problem | None:
    """Why a caller may not send a request; ``None`` where nothing speaks against it.

    Args:
        caller: Who sends it.
        event: The request, its body as text.
        scope: What the route needs.
        connect: Whether connect sessions may use the route, for what they are for.
    """
    if caller.problem == ServiceUnavailable.code:
        problem = problem_of(ServiceUnavailable("The authorizer could not look the token up"))
        return problem._replace(retry_after=REMEMBERED_SECONDS)
    if not caller.tenant:
        return _unauthorized(caller.problem)
    if caller.session is not None or "connect" in caller.scopes:
        if not connect or caller.session is None:
            return _forbidden("A connect session's token is not good for this route")
        return _beyond(caller.session, event)
    if scope not in caller.scopes:
        return _forbidden(f"This token lacks the scope {scope!r}")
    return None


def _beyond(session: Session, event: Mapping[str, Any]) -> Problem | None:
    """Whether a request of a session is about another provider or connection than its own."""
    provider_id = (event.get("pathParameters") or {}).get("providerId")
    if provider_id is None:
        return None
    if provider_id not in session.providers:
        return _forbidden(f"This connect session is not for {str(provider_id)[:64]!r}")
    name: Any = DEFAULT_CONNECTION
    if event["requestContext"]["http"]["method"] in ("GET", "DELETE"):
        name = (event.get("queryStringParameters") or {}).get("connection", name)
    elif event.get("body"):
        try:
            body = strict_json.read(event["body"], whole_characters=True)
        except strict_json.NotJson:
            return None  # which the route refuses by itself
        if isinstance(body, dict):
            name = body.get("connection", name)
    if name != session.connection_name:
        detail = f"This connect session is for the connection {session.connection_name!r} alone"
        return _forbidden(detail)
    return None


def _unauthorized(code: str) -> Problem:
    if code not in PROBLEMS:
        return Problem(
            HTTPStatus.UNAUTHORIZED,
            "unauthorized",
            _NONE,
            headers={"WWW-Authenticate": _CHALLENGE},
        )
    detail = PROBLEMS[code]
    # RFC 6750 knows one name for both.
    challenge = f'{_CHALLENGE}, error="invalid_token", error_description={json.dumps(detail)}'
    return Problem(HTTPStatus.UNAUTHORIZED, code, detail, headers={"WWW-Authenticate": challenge})


def _forbidden(detail: str) -> Problem:
    return Problem(HTTPStatus.FORBIDDEN, "insufficient_scope", detail)
