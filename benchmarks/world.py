"""What the functions are measured in: tables and providers with something in them, and events."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import boto3

from local.tokens import Tokens
from tests.backend import Backend, event, first_event
from tests.fakes import aws as amazon
from tests.fakes.google import FakeGoogle
from tests.fakes.telegram import TOKEN, TelegramServer

TENANT = "dev"
WEBHOOK_SECRET = "orders-webhook-secret"
VERIFY_TOKEN = "orders-verify-token"
API_TOKEN = "ib_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG"
CLIENT = {"GoogleClientId": "1098.apps.googleusercontent.com", "GoogleClientSecret": "GOCSPX-x"}
ORDER = {"order": {"id": 42, "total": "19.90", "customer": "Zoë Müller"}}


@dataclass(frozen=True, slots=True)
class Case:
    """One function with one event.

    Attributes:
        function: Its folder.
        event: What it is invoked with.
        about: What is special about it; empty for the function's usual case.
        group: Which target holds for it.
        again: What the second, warm invocation gets, where the first has used its object up.
    """

    function: str
    event: dict[str, Any]
    about: str = ""
    group: str = "writes"
    again: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """What it is called in the results."""
        return f"{self.function} ({self.about})" if self.about else self.function


@dataclass(slots=True)
class World:
    """Stand-ins of AWS, Telegram and Google, and a tenant with connections and workflows."""

    aws: amazon.FakeAws = field(
        default_factory=lambda: amazon.FakeAws(Stage="local", AllowLoopback="true", **CLIENT)
    )
    telegram: TelegramServer = field(default_factory=TelegramServer)
    google: FakeGoogle = field(default_factory=FakeGoogle)
    _ids: dict[str, str] = field(default_factory=dict)
    _running: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        with ExitStack() as running:
            for each in (self.aws, self.telegram, self.google):
                running.enter_context(each)
            self.google.clients = {CLIENT["GoogleClientId"]: CLIENT["GoogleClientSecret"]}
            running.enter_context(variables(self.environment | {"AWS_ENDPOINT_URL": self.aws.url}))
            self._fill(Backend(self.aws))
            self._running = running.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @property
    def environment(self) -> dict[str, str]:
        """The functions' variables, but for AWS's address."""
        variables: dict[str, str] = self.aws.environment | {
            "TELEGRAM_API_BASE": self.telegram.url,
            "SHEETS_API_BASE": self.google.url,
            "GOOGLE_AUTH_URL": f"{self.google.url}/o/oauth2/v2/auth",
            "GOOGLE_TOKEN_URL": f"{self.google.url}/token",
            "GOOGLE_REVOKE_URL": f"{self.google.url}/revoke",
            "AWS_ACCESS_KEY_ID": amazon.ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": amazon.SECRET_KEY,
            "AWS_REGION": amazon.REGION,
            "AWS_DEFAULT_REGION": amazon.REGION,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        variables.pop("AWS_ENDPOINT_URL", None)
        return variables

    # -- what is there -----------------------------------------------------------------------

    def _fill(self, backend: Backend) -> None:
        credentials = {
            "url": "https://example.com/hooks/orders",
            "secret": WEBHOOK_SECRET,
            "verifySecret": True,
            "verifyToken": VERIFY_TOKEN,
        }
        backend.save("webhook", credentials, "orders", tenant=TENANT)
        spare = credentials | {"url": "https://example.com/hooks/spare"}
        backend.save("webhook", spare, "spare", tenant=TENANT)
        backend.save("telegram", {"botToken": TOKEN}, tenant=TENANT)
        tell = {
            "id": "tell",
            "action": "telegram.sendMessage",
            "params": {"chatId": 987654321, "text": "Order {{ trigger.body.order.id }}"},
        }
        workflow = {
            "name": "Orders",
            "trigger": {"type": "webhook", "webhookId": "orders"},
            "steps": [tell],
        }
        self._ids["workflow"] = backend.create_workflow(workflow, tenant=TENANT)["workflowId"]
        schedule = {"type": "schedule", "expression": "rate(1 hour)"}
        scheduled = backend.create_workflow(workflow | {"trigger": schedule}, tenant=TENANT)
        self._ids["scheduled"] = scheduled["workflowId"]
        later = {"id": "more", "action": "telegram.sendMessage", "when": "{{ false }}"}
        steps = workflow | {"steps": [tell, later | {"params": tell["params"]}]}
        longer = backend.create_workflow(steps | {"trigger": {"type": "manual"}}, tenant=TENANT)
        self._ids["longer"] = longer["workflowId"]
        self._ids["finished"] = self._execution(backend, "workflow")
        backend.drain()
        for name in ("running", "running again", "waiting", "waiting again"):
            self._ids[name] = self._execution(backend, "workflow")
        self.aws.take("ExecutionsQueue", 100)
        self._ids["failed"] = self._failed(backend)
        self.aws.take("ExecutionsQueue", 100)
        holder = Tokens(self.aws_client(), self.aws.names["TokensTable"])
        holder.put(API_TOKEN, tenant=TENANT, name="benchmark", scopes=("read", "write"))
        started = backend.call(
            "POST", "/api/integrations/oauth/start/sheets_oauth", {}, tenant=TENANT
        )
        self._ids["handshake"] = started.json["handshakeId"]
        self._ids["state"] = _parameter(started.json["authUrl"], "state")

    def aws_client(self) -> Any:
        """A boto3 client of the stand-in's DynamoDB."""
        return boto3.client("dynamodb", endpoint_url=self.aws.url, region_name=amazon.REGION)

    def _execution(self, backend: Backend, workflow: str) -> str:
        path = f"/api/workflows/{self._ids[workflow]}/run"
        answer = backend.call("POST", path, {"input": {"body": ORDER}}, tenant=TENANT)
        return str(answer.json["executionId"])

    def _failed(self, backend: Backend) -> str:
        self.telegram.refusing[987654321] = (403, "Forbidden: bot was blocked by the user")
        execution_id = self._execution(backend, "workflow")
        backend.drain()
        self.telegram.refusing.clear()
        return execution_id

    # -- what is measured --------------------------------------------------------------------

    def cases(self) -> list[Case]:
        """Every function at least once; what destroys something comes last."""
        return list(self._cases())

    def _cases(self) -> Iterator[Case]:
        yield Case("receive_webhook", webhook("order", WEBHOOK_SECRET), group="webhook")
        yield Case("verify_webhook", _query_of(VERIFY_TOKEN), group="reads")
        yield Case("authorize_request", _authorizer(), group="authorizer")
        for function in ("get_status", "list_integrations", "list_workflows", "get_openapi"):
            yield Case(function, _request(function), group="reads")
        yield Case(
            "get_credentials", _request("get_credentials", providerId="telegram"), group="reads"
        )
        workflow = {"workflowId": self._ids["workflow"]}
        yield Case("get_workflow", _request("get_workflow", **workflow), group="reads")
        finished = {"executionId": self._ids["finished"]}
        yield Case("get_execution", _request("get_execution", **finished), group="reads")
        yield Case("list_executions", _request("list_executions"), group="reads")
        handshake = {"handshakeId": self._ids["handshake"]}
        yield Case("get_oauth_status", _request("get_oauth_status", **handshake), group="reads")
        scheduled = {"tenant": TENANT, "workflowId": self._ids["scheduled"]}
        tick = {"schedule": scheduled, "scheduledTime": "2026-11-23T07:00:00Z"}
        yield Case("dispatch_event", records("dispatch_event", tick), "schedule", "consumers")
        delivery = event("dispatch_event", "sqs_webhook")
        yield Case("dispatch_event", delivery, "webhook", "loaded")
        first, again = (
            records("run_workflow", {"tenant": TENANT, "executionId": self._ids[name]})
            for name in ("running", "running again")
        )
        yield Case("run_workflow", first, group="run", again=again)
        yield Case("recover_executions", event("recover_executions", "schedule"))
        yield Case("refresh_connections", event("refresh_connections", "schedule"))
        for function in ("start_oauth", "test_connection", "run_action", "save_credentials"):
            case = {"start_oauth": "google", "run_action": "send_message"}.get(function, "telegram")
            yield Case(function, event(function, case))
        yield Case("start_workflow", _request("start_workflow", **workflow))
        yield Case("create_workflow", event("create_workflow", "orders"))
        replaced = _request("replace_workflow", workflowId=self._ids["longer"])
        yield Case(
            "replace_workflow", replaced | {"body": event("create_workflow", "orders")["body"]}
        )
        first, again = (
            _request("cancel_execution", executionId=self._ids[name])
            for name in ("waiting", "waiting again")
        )
        yield Case("cancel_execution", first, again=again)
        failed = {"executionId": self._ids["failed"]}
        yield Case("retry_execution", _request("retry_execution", **failed))
        denied = event("complete_oauth", "denied")
        denied["rawQueryString"] = f"error=access_denied&state={self._ids['state']}"
        denied["queryStringParameters"] = {"error": "access_denied", "state": self._ids["state"]}
        yield Case("complete_oauth", denied, "denied")
        yield Case("delete_workflow", _request("delete_workflow", **workflow))
        spare = {"rawQueryString": "connection=spare"}
        spare_event = _request("delete_credentials", providerId="webhook") | spare
        spare_event["queryStringParameters"] = {"connection": "spare"}
        yield Case("delete_credentials", spare_event)


def _request(function: str, **parameters: str) -> dict[str, Any]:
    """A function's first event, with these parameters in its path."""
    made: dict[str, Any] = first_event(function)
    return (
        made
        | {"pathParameters": parameters, "rawPath": _path(made["routeKey"], parameters)}
        | ({} if parameters else {"pathParameters": {}})
    )


def _path(route: str, parameters: dict[str, str]) -> str:
    path = route.partition(" ")[2]
    for name, value in parameters.items():
        path = path.replace(f"{{{name}}}", value)
    return path


def webhook(case: str, secret: str) -> dict[str, Any]:
    """A delivery to the webhook of orders."""
    made: dict[str, Any] = event("receive_webhook", case)
    return made | {"headers": made["headers"] | {"x-webhook-secret": secret}}


def _query_of(token: str) -> dict[str, Any]:
    made = _request("verify_webhook", webhookId="orders")
    query = {"hub.mode": "subscribe", "hub.verify_token": token, "hub.challenge": "1158201444"}
    raw = "&".join(f"{name}={value}" for name, value in query.items())
    return made | {"rawQueryString": raw, "queryStringParameters": query}


def _authorizer() -> dict[str, Any]:
    made: dict[str, Any] = event("authorize_request", "api_token")
    authorization = f"Bearer {API_TOKEN}"
    headers = made["headers"] | {"authorization": authorization}
    return made | {"headers": headers, "identitySource": [authorization]}


def records(function: str, body: object) -> dict[str, Any]:
    """A batch of one message."""
    made = first_event(function, "sqs")
    return {"Records": [made["Records"][0] | {"body": json.dumps(body)}]}


def _parameter(url: str, name: str) -> str:
    return parse_qs(urlsplit(url).query)[name][0]


class variables:  # noqa: N801 - a context manager
    """Sets variables of this process, and afterwards puts back what was there."""

    def __init__(self, wanted: dict[str, str]) -> None:
        self._wanted = wanted
        self._before: dict[str, str] = {}

    def __enter__(self) -> None:
        self._before = dict(os.environ)
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(self._wanted)

    def __exit__(self, *_: object) -> None:
        os.environ.clear()
        os.environ.update(self._before)
