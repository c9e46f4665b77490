"""AWS in memory, at the seam of ``storage/aws/client.py``: a transport that answers by itself.

Everything else of that client is the real one: signing, retries, errors. S3, which goes through
boto3, is stood in for at the level of its client.
"""

import base64
import io
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError
from botocore.exceptions import ConnectionError as Unreachable

from integrations.storage.aws.transport import Answer
from tests.fakes.dynamodb import Table, Tables
from tests.fakes.dynamodb_expressions import NotUnderstood, Refused
from tests.simulation.clock import CLOCK
from tests.simulation.queues import Queue, Queues
from tools.template import Resolver, resources

ACCOUNT = "123456789012"
REGION = "us-east-1"

type Around = Callable[..., Any]
"""Runs one effect: service, what it does, the effect itself, how long it is waited for. It may
refuse, delay, kill."""


class Throttled(Exception):
    """AWS is busy: nothing happened."""


class Cut(Exception):
    """No answer came, whether or not something happened."""


@dataclass
class Schedule:
    """One schedule of EventBridge Scheduler."""

    expression: str
    timezone: str
    message: str
    queue: Queue
    made_at: float
    token: str
    number: int = 0


@dataclass
class Cloud:
    """All services, empty, made as the template declares them.

    Attributes:
        names: What the template's references stand for.
        environment: The functions' variables.
    """

    around: Around
    tables: Tables
    queues: Queues
    secret: str
    objects: dict[str, bytes] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    on_schedule: Callable[[str], None] = lambda _: None
    stored: Callable[[str, bytes], None] = lambda *_: None
    names: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    _keys: dict[str, tuple[str, str]] = field(default_factory=dict)

    def create(self, **parameters: str) -> None:
        """Make the resources.

        Args:
            parameters: The template's.
        """
        names: dict[str, str] = {
            "AWS::StackName": "sim",
            "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/sim/0-1-2-3-sim",
            "AWS::Partition": "aws",
            "AWS::AccountId": ACCOUNT,
            "AWS::Region": REGION,
            "AWS::URLSuffix": "amazonaws.com",
            "AwsEndpointUrl": "",
            "ScheduleRole.Arn": f"arn:aws:iam::{ACCOUNT}:role/schedules",
            "CredentialsKey": "key",
            "CredentialsKey.Arn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/key",
            "AppSecret": "app-secret",
            "AppSecret.Id": "app-secret",
            **parameters,
        }
        for table in resources("AWS::DynamoDB::Table"):
            names |= {table: table, f"{table}.Arn": f"arn:aws:dynamodb:::table/{table}"}
        for queue in resources("AWS::SQS::Queue"):
            url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{queue}"
            names |= {queue: url, f"{queue}.Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"}
        for bucket in resources("AWS::S3::Bucket"):
            names |= {bucket: bucket.lower(), f"{bucket}.Arn": f"arn:aws:s3:::{bucket.lower()}"}
        for group, properties in resources("AWS::Scheduler::ScheduleGroup").items():
            names |= {group: Resolver(dict(names))(properties["Name"])}
        resolve = Resolver(names)
        for name, properties in resources("AWS::DynamoDB::Table").items():
            self.tables.tables[name] = Table(name, resolve(properties))
        found = {name: resolve(each) for name, each in resources("AWS::SQS::Queue").items()}
        made = {
            name: Queue(
                name,
                float(each.get("VisibilityTimeout", 30)),
                float(each.get("MessageRetentionPeriod", 345_600)),
            )
            for name, each in found.items()
        }
        for name, each in found.items():
            if redrive := each.get("RedrivePolicy"):
                made[name].most_receives = int(redrive["maxReceiveCount"])
                made[name].dead_letters = made[redrive["deadLetterTargetArn"].rpartition(":")[2]]
            self.queues.of_url[names[name]] = made[name]
        self.names = names
        from tools.template import template

        variables = template()["Globals"]["Function"]["Environment"]["Variables"]
        self.environment = {name: str(resolve(each)) for name, each in variables.items()}

    def queue(self, name: str) -> Queue:
        """A queue by its logical id."""
        return self.queues.of_url[self.names[name]]

    # -- what is sent without boto3 ----------------------------------------------------------

    def send(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        seconds: float,
        method: str = "POST",
    ) -> Answer:
        """What ``storage/aws/transport.py`` does.

        Raises:
            OSError: There was no answer.
        """
        if "x-amz-target" in headers:
            target, _, operation = headers["x-amz-target"].rpartition(".")
            service, asked = _SERVICES[target], json.loads(body)
            what = f"{operation} {asked.get('TableName') or _last(asked) or ''}".strip()
        else:
            parts = urlsplit(url)
            name = parts.path.rpartition("/")[2]
            service, what = "scheduler", _OF_SCHEDULES[method]
            operation, asked = what, {"Name": name, **json.loads(body or b"{}")}

        def serve() -> Answer:
            return self._serve(service, operation, asked)

        try:
            answer: Answer = self.around(service, what, serve, seconds)
        except Throttled:
            return _error(400, "ThrottlingException", "Rate exceeded")
        except Cut:
            raise ConnectionResetError("the connection broke") from None
        return answer

    def _serve(self, service: str, operation: str, asked: dict[str, Any]) -> Answer:
        try:
            match service:
                case "dynamodb":
                    status, answer = self.tables.answer(operation, asked)
                    return Answer(status, json.dumps(answer).encode())
                case "sqs":
                    answer = self.queues.call(operation, asked)
                case "kms":
                    answer = self._kms(operation, asked)
                case "secretsmanager" if operation == "GetSecretValue":
                    answer = {"SecretString": self.secret}
                case "scheduler":
                    return self._schedule(operation, asked)
                case _:
                    raise NotUnderstood(f"{service}'s {operation}")
        except Refused as refusal:
            return _error(400, "ValidationException", str(refusal))
        return Answer(200, json.dumps(answer).encode())

    def _schedule(self, operation: str, asked: Mapping[str, Any]) -> Answer:
        """An operation on one schedule, whose errors are named in a header as REST has them."""
        name = asked["Name"]
        before = self.schedules.get(name)
        if operation == "CreateSchedule":
            if before and before.token != asked["ClientToken"]:
                return Answer(409, b'{"Message":"it exists"}', "ConflictException")
        elif not before:
            return Answer(404, b'{"Message":"it does not exist"}', "ResourceNotFoundException")
        if operation == "DeleteSchedule":
            del self.schedules[name]
            return Answer(200, b"{}")
        self.schedules[name] = Schedule(
            asked["ScheduleExpression"],
            asked["ScheduleExpressionTimezone"],
            asked["Target"]["Input"],
            self.queue(asked["Target"]["Arn"].rpartition(":")[2]),
            CLOCK.now,
            asked["ClientToken"],
            before.number + 1 if before else 0,
        )
        self.on_schedule(name)
        return Answer(200, b"{}")

    def _kms(self, operation: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        context = json.dumps(asked.get("EncryptionContext", {}), sort_keys=True)
        if operation == "GenerateDataKey":
            from os import urandom

            plain = base64.b64encode(urandom(32)).decode()
            blob = base64.b64encode(b"data key " + urandom(24)).decode()
            self._keys[blob] = plain, context
            key_id = self.names["CredentialsKey.Arn"]
            return {"Plaintext": plain, "CiphertextBlob": blob, "KeyId": key_id}
        if operation == "Decrypt":
            plain, bound = self._keys.get(asked["CiphertextBlob"], ("", ""))
            if not plain or bound != context:
                raise Refused("InvalidCiphertextException")
            return {"Plaintext": plain}
        raise NotUnderstood(f"KMS's {operation}")

    # -- what goes through boto3 -------------------------------------------------------------

    def boto3_call(self, service: str, what: str, serve: Callable[[], Any]) -> Any:
        """One call of a boto3 client."""
        try:
            return self.around(service, what, serve)
        except Throttled:
            raise client_error("SlowDown", 503) from None
        except Cut:
            raise Unreachable(error="the connection broke") from None


_SERVICES = {
    "DynamoDB_20120810": "dynamodb",
    "AmazonSQS": "sqs",
    "TrentService": "kms",
    "secretsmanager": "secretsmanager",
}

_OF_SCHEDULES = {"POST": "CreateSchedule", "PUT": "UpdateSchedule", "DELETE": "DeleteSchedule"}


def _last(asked: Mapping[str, Any]) -> str:
    if "RequestItems" in asked:
        return str(next(iter(asked["RequestItems"])))
    return str(asked.get("QueueUrl", "")).rpartition("/")[2]


def _error(status: int, code: str, message: str) -> Answer:
    document = {"__type": f"com.amazonaws#{code}", "message": message}
    return Answer(status, json.dumps(document).encode())


def client_error(code: str, status: int) -> ClientError:
    """An error as boto3 raises it."""
    return ClientError(
        {
            "Error": {"Code": code, "Message": code},
            "ResponseMetadata": {"HTTPStatusCode": status},  # type: ignore[typeddict-item]
        },
        "call",
    )


class S3:
    """What the storage uses of boto3's client of S3."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, ContentType: str) -> Any:  # noqa: N803
        def put() -> dict[str, Any]:
            self._cloud.objects[Key] = bytes(Body)
            self._cloud.stored(Key, bytes(Body))
            return {}

        return self._cloud.boto3_call("s3", f"PutObject {Key.partition('/')[0]}", put)

    def get_object(self, *, Bucket: str, Key: str) -> Any:  # noqa: N803
        def get() -> dict[str, Any]:
            if Key not in self._cloud.objects:
                raise client_error("NoSuchKey", 404)
            return {"Body": io.BytesIO(self._cloud.objects[Key])}

        return self._cloud.boto3_call("s3", f"GetObject {Key.partition('/')[0]}", get)

    def delete_object(self, *, Bucket: str, Key: str) -> Any:  # noqa: N803
        return self._cloud.boto3_call(
            "s3", "DeleteObject", lambda: self._cloud.objects.pop(Key, None)
        )

    def list_objects_v2(self, *, Bucket: str, Prefix: str, MaxKeys: int) -> Any:  # noqa: N803
        def listed() -> dict[str, Any]:
            found = sorted(name for name in self._cloud.objects if name.startswith(Prefix))
            return {"Contents": [{"Key": name} for name in found[:MaxKeys]]}

        return self._cloud.boto3_call("s3", "ListObjectsV2", listed)


_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")


def next_firing(schedule: Schedule, after: float) -> float | None:
    """When a schedule fires next; ``None`` for never again.

    Raises:
        NotUnderstood: It is neither ``rate`` nor ``at``: what cron means is not the simulation's.
    """
    if found := _RATE.fullmatch(schedule.expression):
        seconds = timedelta(**{f"{found[2]}s": int(found[1])}).total_seconds()
        return schedule.made_at + seconds * (int((after - schedule.made_at) // seconds) + 1)
    if schedule.expression.startswith("at("):
        moment = datetime.fromisoformat(schedule.expression[3:-1]).replace(tzinfo=UTC).timestamp()
        return moment if moment > after else None
    raise NotUnderstood(schedule.expression)
