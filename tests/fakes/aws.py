"""AWS on loopback, its resources made as ``template.yaml`` declares them.

DynamoDB is ``dynamodb.py``, all else is moto's server. A function may call what its role in the
template allows, and nothing else. It counts calls, keeps what queues were sent, and fails when told
to.
"""

import base64
import json
import sys
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from io import BytesIO
from typing import Any, Self, override
from urllib.parse import parse_qsl, unquote

import boto3
from moto import backends
from moto.backends import get_backend
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from integrations.storage.aws import Aws, AwsCredentials, attributes
from integrations.storage.aws.transport import Answer, Transport
from tests.fakes.dynamodb import Table, Tables
from tools.template import Resolver, permissions, resources, template

ACCOUNT = "123456789012"
REGION = "us-east-1"
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

TABLE = "AWS::DynamoDB::Table"
QUEUE = "AWS::SQS::Queue"

_KMS = frozenset({"Decrypt", "GenerateDataKey"})


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that a queue took."""

    id: str
    body: str
    group: str
    delay: int
    trace: str = ""

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(slots=True)
class Outage:
    """A call that AWS does not serve.

    Attributes:
        operation: How it begins, e.g. ``SendMessage``; ``""`` for any.
        code: What AWS says.
        status: The status it says it with.
        times: How many calls.
        done: Whether the call has its effect all the same.
        where: What the request's body must contain.
        skip: How many such calls are served before.
    """

    operation: str
    code: str
    status: int = 500
    times: int = 1000
    done: bool = False
    where: str = ""
    skip: int = 0


@dataclass(slots=True)
class _Records:
    calls: Counter[str] = field(default_factory=Counter)
    sent: dict[str, deque[Sent]] = field(default_factory=dict)
    outages: list[Outage] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)


class Direct(Transport):
    """Hands the stand-in what is for it, with no socket between them; all else goes the usual way.

    Half of what a call through loopback takes is the server's: it makes a thread for each.
    """

    def __init__(self, aws: "FakeAws") -> None:
        super().__init__()
        self._aws = aws

    @override
    def send(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        seconds: float,
        method: str = "POST",
    ) -> Answer:
        if not url.startswith(self._aws.url):
            return super().send(url, headers, body, seconds=seconds, method=method)
        path, _, query = url.removeprefix(self._aws.url).partition("?")
        return self._aws.answer(method, unquote(path), query, headers, body)


class FakeAws:
    """The stand-in; a context manager. One serves a whole test session, ``reset`` between tests.

    Attributes:
        names: What the template's references stand for: physical names, ARNs, URLs.
        environment: The functions' variables, as the template's Globals have them.
        client: Calls to it, for tests.
    """

    def __init__(self, **parameters: str) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self._serve, threaded=True, request_handler=_Handler
        )
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self.tables = Tables(time.time)
        self._records = _Records()
        self._remembered: dict[str, dict[str, Any]] = {}
        self._secret = self._first_secret = ""
        self._parameters = parameters
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.names: dict[str, str] = {}
        self._own_tables: frozenset[str] = frozenset()
        self._callers: list[str] = []
        self._allowed: dict[str, frozenset[tuple[str, str, frozenset[str] | None]]] = {}
        self.environment: dict[str, str] = {}
        self.client = Aws(
            region=REGION,
            credentials=lambda: AwsCredentials(ACCESS_KEY, SECRET_KEY, None),
            endpoint_url=self.url,
        )
        self.client._transport = Direct(self)
        self._scheduler = boto3.client(
            "scheduler",
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            endpoint_url=self.url,
        )

    def __enter__(self) -> Self:
        self._thread.start()
        with ExitStack() as undo:
            undo.callback(self._server.shutdown)
            self._create()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    # -- made of the template ----------------------------------------------------------------

    def _create(self) -> None:
        names: dict[str, str] = {
            "AWS::StackName": "test",
            "AWS::Partition": "aws",
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": REGION,
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/test/5e1f-0",
            "AwsEndpointUrl": self.url,
            "ScheduleRole.Arn": f"arn:aws:iam::{ACCOUNT}:role/schedules",
            **self._parameters,
        }
        for table in resources(TABLE):
            names |= {table: f"test-{table}"}
            names |= {f"{table}.Arn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/test-{table}"}
        for queue in resources(QUEUE):
            names |= {queue: f"{self.url}/{ACCOUNT}/test-{queue}"}
            names |= {f"{queue}.Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:test-{queue}"}
        for key in resources("AWS::KMS::Key"):
            made = self.client.kms("CreateKey", {})["KeyMetadata"]
            names |= {key: made["KeyId"], f"{key}.Arn": made["Arn"]}
        resolve = Resolver(names)
        for secret, properties in resources("AWS::SecretsManager::Secret").items():
            text = self._secret = self._first_secret = resolve(properties["SecretString"])
            made = self.client.secretsmanager(
                "CreateSecret",
                {"Name": secret, "SecretString": text, "ClientRequestToken": "0" * 32},
            )
            names |= {secret: made["ARN"], f"{secret}.Id": made["ARN"]}
        for bucket in resources("AWS::S3::Bucket"):
            names |= {bucket: f"test-{bucket.lower()}"}
            names |= {f"{bucket}.Arn": f"arn:aws:s3:::{names[bucket]}"}
            self.client.s3.create_bucket(Bucket=names[bucket])
        for group, properties in resources("AWS::Scheduler::ScheduleGroup").items():
            names |= {group: resolve(properties["Name"])}
            self._scheduler.create_schedule_group(Name=names[group])
        resolve = Resolver(names)
        for table, properties in resources(TABLE).items():
            self.tables.tables[names[table]] = Table(names[table], resolve(properties))
        for queue, properties in sorted(
            resources(QUEUE).items(), key=lambda each: "RedrivePolicy" in each[1]
        ):
            self._create_queue(f"test-{queue}", resolve(properties))
        self._own_tables = frozenset(self.tables.tables)
        self.names = resolve.names
        variables = template()["Globals"]["Function"]["Environment"]["Variables"]
        self.environment = {name: str(resolve(value)) for name, value in variables.items()}
        # The roles as AWS itself gets them.
        resolve = Resolver({**names, "AwsEndpointUrl": ""})
        self._allowed = {
            function: frozenset(
                (resolve(each.action), resolve(each.resource), each.context_keys) for each in value
            )
            for function, value in permissions().items()
        }

    def _create_queue(self, name: str, properties: Mapping[str, Any]) -> None:
        declared = {
            each: value if isinstance(value, str) else json.dumps(value)
            for each, value in properties.items()
            if each != "QueueName"
        }
        self.client.sqs("CreateQueue", {"QueueName": name, "Attributes": declared})

    # -- for tests ---------------------------------------------------------------------------

    @contextmanager
    def called_by(self, function: str) -> Iterator[None]:
        """Give what is called meanwhile the role of a function (its folder)."""
        self._callers.append(function)
        try:
            yield
        finally:
            self._callers.remove(function)

    def reset(self) -> None:
        """Empty every table, queue, bucket and schedule group; serve again."""
        self._write_secret(self._first_secret)
        self._records = _Records()
        for name, table in list(self.tables.tables.items()):
            table.fill({})
            if name not in self._own_tables:
                del self.tables.tables[name]  # which somebody has restored
        s3 = get_backend("s3")[ACCOUNT]["aws"]
        for bucket in s3.buckets.values():
            bucket.keys.clear()
        for group in get_backend("scheduler")[ACCOUNT][REGION].schedule_groups.values():
            group.schedules.clear()
        # What was taken is taken from our own records; moto counts what it holds at each sending.
        for queue in get_backend("sqs")[ACCOUNT][REGION].queues.values():
            queue._messages = []

    def remember(self, name: str) -> None:
        """Keep the tables as they are under a name."""
        tables = self.tables.tables.items()
        self._remembered[name] = {table: dict(each.items) for table, each in tables}

    def recall(self, name: str) -> bool:
        """Put the tables back as they were; ``False`` where nothing has this name."""
        kept = self._remembered.get(name)
        if kept is None:
            return False
        for table, items in kept.items():
            self.tables.tables[table].fill(items)
        return True

    @property
    def denied(self) -> list[str]:
        """What functions' roles did not allow since the last reset."""
        return self._records.denied

    @property
    def calls(self) -> Counter[str]:
        """How often each operation was called since the last reset, the audit log apart."""
        return self._records.calls

    def units(self, table: str) -> int:
        """The write units that a table (by its logical id) and its indexes took since the reset."""
        return self.tables.tables[self.names[table]].units

    def fail(self, operation: str, code: str = "InternalServerError", **more: Any) -> None:
        """Do not serve an operation from now on; see ``Outage``."""
        self._records.outages.append(Outage(operation, code, **more))

    def fail_payloads(self) -> None:
        """Do not serve the bucket from now on."""
        self.fail(f"PUT /{self.names['PayloadsBucket']}", "AccessDenied", status=403)

    def recover(self) -> None:
        """Serve everything again."""
        self._records.outages.clear()

    def sent(self, queue: str) -> list[Sent]:
        """What a queue (by its logical id) took and nobody has taken from it."""
        return list(self._records.sent.get(self.names[queue], ()))

    def take(self, queue: str, most: int = 10) -> list[Sent]:
        """Take messages out, the oldest first, delayed ones too."""
        value = self._records.sent.setdefault(self.names[queue], deque())
        return [value.popleft() for _ in range(min(most, len(value)))]

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Every item of a table (by its logical id), in Python's own values."""
        return [attributes(each) for each in self.tables.rows(self.names[table])]

    def put(self, table: str, row: Mapping[str, Any]) -> None:
        """Write an item in DynamoDB's typed form."""
        self.client.dynamodb("PutItem", {"TableName": self.names[table], "Item": row})

    def objects(self) -> dict[str, bytes]:
        """The payloads in the bucket."""
        bucket = get_backend("s3")[ACCOUNT]["aws"].buckets[self.names["PayloadsBucket"]]
        return {name: key.value for name, key in bucket.keys.items()}

    def schedules(self) -> list[dict[str, Any]]:
        """The schedules that there are."""
        group = self.names["ScheduleGroup"]
        return [
            dict(self._scheduler.get_schedule(Name=each["Name"], GroupName=group))
            for each in self._scheduler.list_schedules(GroupName=group)["Schedules"]
        ]

    def set_secret(self, **values: str) -> None:
        """What the application is known by, until the next reset."""
        self._write_secret(json.dumps(values))

    def _write_secret(self, text: str) -> None:
        if text == self._secret:
            return
        wanted = {"SecretId": self.names["AppSecret"], "SecretString": text}
        token = uuid.uuid4().hex
        self.client.secretsmanager("PutSecretValue", {**wanted, "ClientRequestToken": token})
        self._secret = text

    def everything(self) -> str:
        """All that is kept in the clear: rows without their ciphertexts, messages, payloads."""
        tables = self.tables.tables.values()
        rows = [json.dumps(row) for table in tables for row in table.items.values()]
        messages = [
            _clear(message.body) for queue in self._records.sent.values() for message in queue
        ]
        payloads = [_clear(value.decode(errors="replace")) for value in self.objects().values()]
        return "\n".join([*rows, *messages, *payloads])

    # -- what it does ------------------------------------------------------------------------

    def answer(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """What it answers to a request, as the server would."""
        named = {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in headers.items()}
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path or "/",
            "QUERY_STRING": query,
            "CONTENT_TYPE": headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self._server.server_port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            **named,
        }
        status, error = "", ""

        def start(line: str, answered: Iterable[tuple[str, str]], *_: object) -> None:
            nonlocal status, error
            status = line
            for name, text in answered:
                if name.lower() == "x-amzn-errortype":
                    error = text

        whole = b"".join(self._serve(environ, start))
        return Answer(int(status.partition(" ")[0]), whole, error)

    def _serve(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        if not operation:
            operation = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
        with self._lock:
            audited = operation == "PutItem" and b"AuditTable" in body
            self._records.calls[operation] += not audited
            if not self._records.calls[operation]:
                del self._records.calls[operation]
            outage = self._outage(operation, body)
        if outage and not outage.done:
            return _refuse(start, outage.status, outage.code, "told to")
        asked = _json(body)
        refused = self._refused(operation, asked, environ)
        if refused:
            return _refuse(start, 400, "AccessDeniedException", refused)
        if self._is_missing(environ):
            # Whether there is an object, S3 tells those alone who may list its bucket.
            return _refuse_object(start)
        if _has_half_a_pair(asked):
            refusal = "Serialization: half a surrogate pair is no text"
            return _refuse(start, 400, "ValidationException", refusal)
        said = start if not outage else _Nowhere()
        if environ.get("HTTP_X_AMZ_TARGET", "").startswith("DynamoDB"):
            with self._reading:
                status, result = self.tables.answer(operation, asked)
            said(f"{status} Answered", [("Content-Type", "application/x-amz-json-1.0")])
            answer = [json.dumps(result).encode()]
        else:
            answer = list(self._app(environ, said))
        if outage:
            return _refuse(start, outage.status, outage.code, "told to")
        self._keep_sent(operation, asked, b"".join(answer))
        return answer

    def _refused(self, operation: str, asked: Any, environ: Mapping[str, Any]) -> str | None:
        """Why the calling function's role does not allow a call; ``None`` where it does."""
        if not self._callers:
            return None  # the test itself
        caller = self._callers[-1]
        action, resource = self._meaning(operation, asked, environ)
        context = set((asked or {}).get("EncryptionContext", ())) if operation in _KMS else set()
        for allowed, pattern, keys in self._allowed[caller]:
            if (
                allowed == action
                and fnmatchcase(resource, pattern)
                and context <= (keys or context)
            ):
                return None
        self.denied.append(f"{caller} may not {action} on {resource}")
        return self.denied[-1]

    def _is_missing(self, environ: Mapping[str, Any]) -> bool:
        """Whether somebody who may not list the bucket asks for an object that is not there."""
        bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"} or not self._callers:
            return False
        if bucket != self.names.get("PayloadsBucket") or not key or key in self.objects():
            return False
        return not any(action == "s3:ListBucket" for action, *_ in self._allowed[self._callers[-1]])

    def _meaning(self, operation: str, asked: Any, environ: Mapping[str, Any]) -> tuple[str, str]:
        """A call as IAM sees it: the action and the resource."""
        target = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")[0]
        prefix = f"arn:aws:{{}}:{REGION}:{ACCOUNT}:{{}}"
        match target:
            case "DynamoDB_20120810":
                index = f"/index/{asked['IndexName']}" if "IndexName" in asked else ""
                if "RequestItems" in asked:
                    asked = {"TableName": next(iter(asked["RequestItems"]))}
                resource = prefix.format("dynamodb", f"table/{asked['TableName']}{index}")
                return f"dynamodb:{operation}", resource
            case "AmazonSQS":
                name = asked["QueueUrl"].rpartition("/")[2]
                return f"sqs:{operation.removesuffix('Batch')}", prefix.format("sqs", name)
            case "TrentService":
                key = asked["KeyId"].rpartition("/")[2]
                return f"kms:{operation}", prefix.format("kms", f"key/{key}")
            case "secretsmanager":
                return f"secretsmanager:{operation}", asked["SecretId"]
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path.startswith("/schedules/"):
            verbs = {"POST": "Create", "PUT": "Update", "DELETE": "Delete", "GET": "Get"}
            query = dict(parse_qsl(environ["QUERY_STRING"]))
            group = (asked or {}).get("GroupName") or query["groupName"]
            name = path.rpartition("/")[2]
            resource = prefix.format("scheduler", f"schedule/{group}/{name}")
            return f"scheduler:{verbs[method]}Schedule", resource
        named = path.strip("/")
        reading = "GetObject" if "/" in named else "ListBucket"
        # An upload in parts is begun and ended by POST, and given up by a DELETE with its id.
        deleting = "DeleteObject"
        if "uploadId=" in environ["QUERY_STRING"]:
            deleting = "AbortMultipartUpload"
        verbs = {
            "PUT": "PutObject",
            "POST": "PutObject",
            "GET": reading,
            "HEAD": reading,
            "DELETE": deleting,
        }
        return f"s3:{verbs.get(method, method)}", f"arn:aws:s3:::{named}"

    def _outage(self, operation: str, body: bytes) -> Outage | None:
        for outage in self._records.outages:
            if operation.startswith(outage.operation) and outage.where.encode() in body:
                if outage.skip:
                    outage.skip -= 1
                    continue
                outage.times -= 1
                if outage.times <= 0:
                    self._records.outages.remove(outage)
                return outage
        return None

    def _keep_sent(self, operation: str, asked: Any, answer: bytes) -> None:
        match operation:
            case "SendMessage":
                entries = [{"Id": "0", **asked}]
                ids = {"0": json.loads(answer).get("MessageId")}
            case "SendMessageBatch":
                entries = asked["Entries"]
                taken = json.loads(answer).get("Successful", [])
                ids = {each["Id"]: each["MessageId"] for each in taken}
            case _:
                return
        with self._lock:
            queue = self._records.sent.setdefault(asked["QueueUrl"], deque())
            queue.extend(
                Sent(
                    ids[each["Id"]],
                    each["MessageBody"],
                    each.get("MessageGroupId", ""),
                    each.get("DelaySeconds", 0),
                    each.get("MessageSystemAttributes", {})
                    .get("AWSTraceHeader", {})
                    .get("StringValue", ""),
                )
                for each in entries
                if ids.get(each["Id"])
            )


# Which services moto has, it looks for on the disk for each request.
_services = frozenset(backends.list_of_moto_modules())
backends.list_of_moto_modules = lambda: _services


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    disable_nagle_algorithm = True

    @override
    def handle_expect_100(self) -> bool:
        goes_on = super().handle_expect_100()
        self.wfile.flush()  # botocore waits for it, a second at most
        del self.headers["Expect"]  # else werkzeug says it once more
        return goes_on

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - werkzeug's name
        """Tests are quiet."""


class _Nowhere:
    """Swallows the start of an answer that nobody is to see."""

    def __call__(self, *_: object) -> Callable[[bytes], None]:
        return lambda _: None


def _refuse(start: Callable[..., Any], status: int, code: str, message: str) -> Iterable[bytes]:
    start(f"{status} Refused", [("Content-Type", "application/x-amz-json-1.0")])
    return [json.dumps({"__type": f"com.amazonaws#{code}", "message": message}).encode()]


def _refuse_object(start: Callable[..., Any]) -> Iterable[bytes]:
    start("403 Refused", [("Content-Type", "application/xml")])
    return [b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"]


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None


def _clear(text: str) -> str:
    """A message, the body of the delivery in it decoded."""
    value = _json(text.encode())
    if isinstance(value, dict) and isinstance(value.get("body"), str):
        decoded = base64.b64decode(value["body"]).decode(errors="replace")
        return json.dumps(value | {"body": decoded}, ensure_ascii=False)
    return text


def _has_half_a_pair(asked: Any) -> bool:
    """Whether a text in it is none, which moto would take."""
    try:
        json.dumps(asked, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False
