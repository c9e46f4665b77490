"""The HTTP API's side of a function: the typed route in, JSON or ``problem+json`` out."""

import base64
import json
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

import integrations.postponed  # noqa: F401 - what the next ones import is loaded when it is used

# isort: split
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.params import Body, Header, Path, Query
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import AfterValidator, Field, WithJsonSchema

from integrations import errors, mistakes, strict_json
from integrations.entry import browser, invocation, metrics, settings, trail, wiring
from integrations.entry.caller import Caller, Scope, Session, refusal_of
from integrations.entry.headers import headers_of
from integrations.entry.problem import NEVER_STORED, Problem, problem_of, size_refusal
from integrations.errors import FieldError, Forbidden, IntegrationError
from integrations.models import DEFAULT_CONNECTION
from integrations.services.lineage import HEADER
from integrations.strict_model import StrictModel

MAX_NAME = 64
"""Characters of a field's name that are repeated: whatever was sent as one may be anything."""

MAX_NAMES = 10
"""Fields that a problem's detail names; its errors name more."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"

ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
MAX_ID = 128

TEMPLATE_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"

ProviderId = Annotated[str, Path(alias="providerId", description="The provider's id.")]
ActionName = Annotated[str, Path(description="The action's name.")]
HandshakeId = Annotated[
    str, Path(alias="handshakeId", max_length=MAX_ID, description="The handshake's id.")
]
WorkflowId = Annotated[
    str, Path(alias="workflowId", pattern=ID_PATTERN, description="The workflow's id.")
]
ExecutionId = Annotated[
    str, Path(alias="executionId", pattern=ID_PATTERN, description="The execution's id.")
]
EventId = Annotated[str, Path(alias="eventId", pattern=ID_PATTERN, description="The event's id.")]
JobId = Annotated[str, Path(alias="jobId", pattern=ID_PATTERN, description="The job's id.")]
TokenId = Annotated[str, Path(alias="tokenId", pattern=ID_PATTERN, description="The token's id.")]
SecretName = Annotated[
    str,
    Path(pattern=TEMPLATE_NAME, description="The secret's name, as templates write it."),
]
ConnectionName = Annotated[
    str, Query(pattern=NAME_PATTERN, description="Which of the provider's connections.")
]
Limit = Annotated[int, Query(ge=1, le=100, description="How many items at most.")]
NextToken = Annotated[
    str | None,
    Query(alias="nextToken", max_length=2048, description="Where the last page ended."),
]
IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", max_length=256, description="Equal keys act once."),
]


def _utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:  # before the year 1 or after 9999, once the offset is taken away
        raise ValueError("is beyond the ends of the calendar") from None


Moment = Annotated[datetime, AfterValidator(_utc)]
"""A moment in UTC; without an offset it is one already."""

Definition = Annotated[
    dict[str, Any], Body(), WithJsonSchema({"type": "object", "x-model": "Workflow"})
]
"""A workflow's definition as a body: ``workflows/definition.py`` checks it, not the route."""

DEFAULT = DEFAULT_CONNECTION

OF_PROVIDERS = (
    errors.AddressRefused,
    errors.CredentialsRejected,
    errors.PermissionMissing,
    errors.ProviderNotConfigured,
    errors.ProviderTimeout,
    errors.ProviderUnavailable,
    errors.RateLimited,
    errors.RequestRejected,
    errors.UnknownProvider,
)
"""What asking a provider can end with."""

OF_CONNECTIONS = (
    *OF_PROVIDERS,
    errors.ConnectionPaused,
    errors.CredentialsUnreadable,
    errors.NeedsReauthentication,
    errors.UnknownConnection,
)
"""What asking it with stored credentials can end with."""

__all__ = [
    "DEFAULT",
    "ID_PATTERN",
    "NAME_PATTERN",
    "OF_CONNECTIONS",
    "OF_PROVIDERS",
    "ActionName",
    "Api",
    "Body",
    "ConnectionName",
    "Definition",
    "EventId",
    "ExecutionId",
    "HandshakeId",
    "IdempotencyKey",
    "JobId",
    "Limit",
    "Moment",
    "NextToken",
    "Path",
    "ProviderId",
    "Query",
    "Request",
    "Response",
    "SecretName",
    "TokenId",
    "WorkflowId",
    "WorkflowsChoice",
]


class Request(StrictModel):
    """The base of request bodies: camelCase JSON, surplus fields refused."""


class WorkflowsChoice(Request):
    """Which workflows get an event; left out, whoever waits for it."""

    workflow_ids: list[Annotated[str, Field(pattern=ID_PATTERN)]] | None = Field(
        None, min_length=1, max_length=20
    )


class Api(APIGatewayHttpResolver):
    """One function's route, with what every route needs around it.

    Sizes, scopes and JSON are checked before the route runs; every error leaves as
    ``problem+json``; one log line says how the request went.
    """

    def __init__(
        self,
        *,
        scope: Scope | None = None,
        connect: bool = False,
        refuses: tuple[type[IntegrationError], ...] = (),
    ) -> None:
        """The route's needs.

        Args:
            scope: What a caller needs; without one ``read`` for GET and ``write`` else.
            connect: Connect sessions may use the route, for what they are for.
            refuses: What the route itself can be refused with, for the API's description; what
                stands around every route, and what a body or parameter that does not fit is
                answered, is known.
        """
        super().__init__(enable_validation=True, json_body_deserializer=_json, serializer=_written)
        self._logger = Logger()
        self._scope = scope
        self._connect = connect
        self.refuses = refuses
        self._cookie: str | None = None
        self.exception_handler(RequestValidationError)(self._invalid)
        self.exception_handler(IntegrationError)(_failed)
        self.not_found(_no_route)

    @property
    def caller(self) -> Caller:
        """Who sent the request: from the authorizer and from nowhere else."""
        return Caller.of(self.current_event.raw_event)

    @property
    def tenant(self) -> str:
        """Whose request it is."""
        return self.caller.tenant

    @property
    def session(self) -> Session:
        """The caller's connect session, on a route for those alone."""
        session = self.caller.session
        if session is None:
            raise Forbidden("Only a connect session's token has a session")
        return session

    def browser_secret(self) -> str:
        """The secret of the caller's browser, which gets it as a cookie with the answer."""
        secret, self._cookie = browser.secret_and_cookie(self.current_event.raw_event)
        return secret

    @property
    def hops(self) -> int:
        """How many executions of ours led to this request, where it proves that."""
        header = headers_of(self.current_event.raw_event).get(HEADER.lower())
        return wiring.lineage().hops_of(header) if header else 0

    def handler(self, event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        """What Lambda calls, with an event of payload format 2.0."""
        invocation.begin(context)
        started = time.monotonic()
        request = event["requestContext"]
        metrics.begin(requestId=request.get("requestId"))
        settings.learn_address(event)
        caller = Caller.of(event)
        self._cookie = None
        try:
            refusal = self._refusal(caller, event)
            answer = refusal.response() if refusal else self.resolve(event, context)
        except Exception:
            self._logger.exception("unexpected", route=event.get("routeKey"))
            answer = Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "Something went wrong here"
            ).response()
        status = int(answer["statusCode"])
        answer["statusCode"] = status
        answer["headers"] = NEVER_STORED | (answer.get("headers") or {})
        if self._cookie:
            answer["headers"]["Set-Cookie"] = self._cookie
        if status >= HTTPStatus.BAD_REQUEST:
            answer = _with_request_id(answer, request.get("requestId", ""))
        self._logger.info(
            "request",
            route=event.get("routeKey"),
            tenant=caller.tenant,
            status=status,
            ms=round((time.monotonic() - started) * 1000),
            requestId=request.get("requestId"),
        )
        self._audit(caller, event, answer)
        return answer

    def _invalid(self, invalid: RequestValidationError) -> Response[str]:
        errors = invalid.errors()
        if any(error["type"] == "json_invalid" for error in errors):
            place = next(error for error in errors if error["type"] == "json_invalid")
            reason = (place.get("ctx") or {}).get("error", "it does not parse")
            detail = f"The body is not JSON: {reason}"
            return _powertools(Problem(HTTPStatus.BAD_REQUEST, "malformed_json", detail))
        fields = _fields(errors, self._sent())
        return _powertools(_not_as_expected(fields))

    def _sent(self) -> object:
        """The body as it was sent, for the places of the mistakes in it."""
        return _json(self.current_event.body) if self.current_event.body else None

    def _audit(self, caller: Caller, event: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Record a write, one that may have been half done, or a refusal for lack of rights."""
        status = int(answer["statusCode"])
        reading = event["requestContext"]["http"]["method"] == "GET"
        refused = status == HTTPStatus.FORBIDDEN
        nothing_done = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        if not caller.tenant or ((reading or nothing_done) and not refused):
            return
        outcome = "succeeded"
        if status >= HTTPStatus.BAD_REQUEST:
            outcome = str(json.loads(answer["body"])["code"])
        trail.record(event, caller.tenant, caller.actor, self._action(event), outcome)

    def _action(self, event: Mapping[str, Any]) -> str:
        """The route's function: its name is what the API calls the action."""
        return next(
            (route.func.__name__ for route in self._static_routes + self._dynamic_routes),
            str(event.get("routeKey")),
        )

    def _refusal(self, caller: Caller, event: dict[str, Any]) -> Problem | None:
        """What is wrong with a request before its route is asked. Leaves the body as JSON text."""
        unread = _prepared(event)
        method = event["requestContext"]["http"]["method"]
        scope = self._scope or ("read" if method == "GET" else "write")
        refusal = refusal_of(caller, event, scope=scope, connect=self._connect) or unread
        return refusal or self._unknown_parameters(event)

    def _unknown_parameters(self, event: Mapping[str, Any]) -> Problem | None:
        """What is wrong with a query's names: a filter that is mistyped must not let all pass."""
        given = event.get("queryStringParameters")
        if not given:
            return None
        (route,) = self._static_routes + self._dynamic_routes
        known = {str(each.alias) for each in route.dependant.query_params}
        unknown = [name for name in given if name not in known]
        if not unknown:
            return None
        message = "There is no such parameter"
        return _not_as_expected(
            [
                mistakes.unknown(name[:MAX_NAME], message, name, known)
                for name in unknown[:MAX_NAMES]
            ]
        )


def _not_as_expected(fields: list[FieldError]) -> Problem:
    names = ", ".join(list(dict.fromkeys(field.field for field in fields))[:MAX_NAMES])
    detail = f"Not as expected: {names}"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_input", detail, fields)


def _prepared(event: dict[str, Any]) -> Problem | None:
    """Make a request's headers and body what the resolver expects; what is wrong with the body."""
    # This API speaks JSON alone; curl, left to itself, would call it a form.
    event["headers"] = {**headers_of(event), "content-type": "application/json"}
    is_base64 = bool(event.get("isBase64Encoded"))
    if refusal := size_refusal(event.get("body") or "", is_base64=is_base64):
        event |= {"body": "", "isBase64Encoded": False}
        return refusal
    if is_base64:
        raw = base64.b64decode(event.get("body") or "")
        try:
            event |= {"body": raw.decode(), "isBase64Encoded": False}
        except UnicodeDecodeError:
            event |= {"body": "", "isBase64Encoded": False}
            return Problem(HTTPStatus.BAD_REQUEST, "malformed_json", "The body is not UTF-8 text")
    return None


def _json(text: str) -> Any:
    try:
        value = strict_json.read(text, whole_characters=True)
    except strict_json.NotJson as reason:
        # The one exception that Powertools takes for it.
        raise json.JSONDecodeError(str(reason), "", 0) from None
    # Of a list Powertools would take the first item; every body of this API is an object.
    return "a list" if isinstance(value, list) else value


def _written(value: Any) -> str:
    """An answer's JSON. Letters stay letters: escaped they would take up to three times as much."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if text.isascii() else text.encode(errors="replace").decode()


def _failed(failure: IntegrationError) -> Response[str]:
    return _powertools(problem_of(failure))


def _fields(refused: Sequence[Any], body: object) -> list[FieldError]:
    """Every mistake with its place: in the body, or the parameter's name."""
    found: list[FieldError] = []
    for error in refused:
        where, *rest = error["loc"]
        if where != "body":
            sent = {str(part): None for part in rest}
            found += mistakes.field_errors([{**error, "loc": rest}], sent)
        elif rest:
            found += mistakes.field_errors([{**error, "loc": rest}], body)
        else:
            found.append(FieldError("body", "A JSON object is expected"))
    return errors.unique(found)


def _no_route(_: Exception) -> Response[str]:
    return _powertools(Problem(HTTPStatus.NOT_FOUND, "not_found", "There is no such route"))


def _powertools(problem: Problem) -> Response[str]:
    answer = problem.response()
    headers = {name: value for name, value in answer["headers"].items() if name != "Content-Type"}
    return Response(
        status_code=answer["statusCode"],
        content_type="application/problem+json",
        body=answer["body"],
        headers=headers,
    )


def _with_request_id(answer: dict[str, Any], request_id: str) -> dict[str, Any]:
    if answer["headers"].get("Content-Type") != "application/problem+json":
        return answer
    body = json.loads(answer["body"]) | {"requestId": request_id}
    return answer | {"body": json.dumps(body)}
