"""AWS's JSON protocol, signed and sent with little: for tables, queues and keys.

A boto3 client costs a cold start more than everything else that a webhook does, and each of its
calls twice the CPU (``docs/performance.md``). DynamoDB, SQS, KMS and Secrets Manager all speak one
protocol (JSON 1.0 or 1.1, https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html), and
EventBridge Scheduler one that is near it
(https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html), so one small sender serves them;
S3, which speaks XML and is rarely needed, goes through boto3 on first use.
"""

import base64
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from http import HTTPStatus
from math import inf
from typing import Any, ClassVar, NamedTuple

from integrations.errors import IntegrationError, ServiceUnavailable
from integrations.storage.aws.endpoints import endpoint
from integrations.storage.aws.sigv4 import AwsCredentials, signed
from integrations.storage.aws.transport import Answer, Transport
from integrations.storage.aws.writes import done_before, marked, repeated

ATTEMPTS = 4
"""How often a call is sent at most: throttling, 5xx and broken connections are tried again."""

ATTEMPT_SECONDS = 3.0
"""How long one attempt may take; what AWS answers at all comes in a small part of that."""

CALL_SECONDS = 8.0
"""How long a call may take, with all its attempts."""

RESERVE_SECONDS = 1.0
"""What is left of an invocation when the last attempt ends: for its answer and its log."""

PAUSE_SECONDS = 0.05
"""The longest pause before the second attempt is twice that; it doubles before each further one.
The pause itself is anything up to it: those who were refused together do not come again together
(https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/)."""

_SCHEDULES = {"CreateSchedule": "POST", "UpdateSchedule": "PUT", "DeleteSchedule": "DELETE"}
"""https://docs.aws.amazon.com/scheduler/latest/APIReference/API_Operations.html"""

_PASSING = frozenset({500, 502, 503, 504})
_THROTTLED = frozenset(
    {
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""As botocore's standard mode has them (``botocore/retries/standard.py``)."""


class AwsError(IntegrationError):
    """AWS refused a call or did not answer.

    Attributes:
        aws_code: AWS's short name of the error.
        aws_message: What AWS says about it.
    """

    code: ClassVar[str] = "aws_error"

    def __init__(self, operation: str, aws_code: str, message: str) -> None:
        super().__init__(f"{operation}: {aws_code}: {message}")
        self.aws_code = aws_code
        self.aws_message = message


class AwsUnavailable(AwsError, ServiceUnavailable):
    """AWS is busy, throttles, or does not answer, in the time and the attempts that there were.

    ``may_be_done`` says that it may have been carried out all the same.
    """

    code: ClassVar[str] = "unavailable"

    def __init__(
        self, operation: str, aws_code: str, message: str, *, may_be_done: bool = False
    ) -> None:
        super().__init__(operation, aws_code, message)
        self.may_be_done = may_be_done


class ConditionFailed(AwsError):
    """A conditional write whose condition did not hold; ``item`` is what stood there, if asked.

    It is never for what an earlier attempt of the same call has written: such a call went well.
    """

    item: Mapping[str, Any] | None = None


class Aws:
    """Calls to one region with one set of credentials; connections are kept open between them.

    Args:
        region: The region's name.
        credentials: Gives the present credentials at each call.
        endpoint_url: Where every service answers instead of AWS (the local platform), or ``""``.
        fips, dual_stack: Which of AWS's endpoints; see ``endpoints.endpoint``.
        ca_bundle: A file of certificates to know AWS by, in place of Amazon's own roots.
        on_retry: Hears of each try that failed and is made again: the service, the operation and
            AWS's error name.
        time_left: For how many seconds whoever calls may still wait.
    """

    def __init__(
        self,
        *,
        region: str,
        credentials: Callable[[], AwsCredentials],
        endpoint_url: str = "",
        fips: bool = False,
        dual_stack: bool = False,
        ca_bundle: str = "",
        on_retry: Callable[[str, str, str], None] | None = None,
        time_left: Callable[[], float] = lambda: inf,
    ) -> None:
        self._region = region
        self._credentials = credentials
        self._endpoint_url = endpoint_url.rstrip("/")
        self._fips = fips
        self._dual_stack = dual_stack
        self._ca_bundle = ca_bundle
        self._time_left = time_left
        self._transport = Transport(ca_bundle)
        self._on_retry = on_retry

    def dynamodb(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Call a DynamoDB operation, e.g. ``GetItem``."""
        return self._json("dynamodb", f"DynamoDB_20120810.{operation}", marked(operation, payload))

    def sqs(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Call an SQS operation, e.g. ``SendMessage``."""
        return self._json("sqs", f"AmazonSQS.{operation}", payload)

    def kms(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Call a KMS operation, e.g. ``Decrypt``."""
        return self._json("kms", f"TrentService.{operation}", payload, version="1.1")

    def secretsmanager(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Call a Secrets Manager operation, e.g. ``GetSecretValue``."""
        return self._json("secretsmanager", f"secretsmanager.{operation}", payload, version="1.1")

    def scheduler(self, operation: str, name: str, payload: Mapping[str, Any]) -> None:
        """Call an operation of EventBridge Scheduler on one schedule.

        Args:
            operation: ``CreateSchedule``, ``UpdateSchedule`` or ``DeleteSchedule``.
            name: The schedule's; it and what a deletion says hold only what Scheduler allows in
                names, and so nothing that a URL would have to escape.
            payload: What else the operation takes.
        """
        # A call that is sent again, for its answer was lost, is known by it.
        payload = {**payload, "ClientToken": os.urandom(16).hex()}
        method, target = _SCHEDULES[operation], f"/schedules/{name}"
        headers = {"content-type": "application/json"}
        if method == "DELETE":
            fields = sorted(f"{key[0].lower()}{key[1:]}={payload[key]}" for key in payload)
            headers, payload, target = {}, {}, f"{target}?{'&'.join(fields)}"
        self._call(_Request("scheduler", operation, headers, method, target), payload)

    @cached_property
    def s3(self) -> Any:
        """A boto3 client of S3."""
        from integrations.storage.aws.boto import Clients

        clients = Clients(
            region=self._region,
            credentials=self._credentials,
            endpoint_url=self._endpoint_url,
            fips=self._fips,
            dual_stack=self._dual_stack,
            ca_bundle=self._ca_bundle,
            time_left=self._time_left,
        )
        return clients.client("s3")

    def _json(
        self, service: str, target: str, payload: Mapping[str, Any], *, version: str = "1.0"
    ) -> dict[str, Any]:
        headers = {"content-type": f"application/x-amz-json-{version}", "x-amz-target": target}
        return self._call(_Request(service, target.rpartition(".")[2], headers), payload)

    def _call(self, request: "_Request", payload: Mapping[str, Any]) -> dict[str, Any]:
        operation = request.operation
        until = time.monotonic() + min(CALL_SECONDS, self._time_left() - RESERVE_SECONDS)
        error: AwsError = AwsUnavailable(operation, "NoTimeLeft", "it was not sent")
        unknown = False
        for attempt in range(ATTEMPTS):
            pause = random.uniform(0, PAUSE_SECONDS * 2**attempt) if attempt else 0
            seconds = min(ATTEMPT_SECONDS, until - time.monotonic() - pause)
            if seconds <= 0:
                break
            if attempt and self._on_retry:
                self._on_retry(request.service, operation, error.aws_code)
            if pause:
                time.sleep(pause)
            sent = repeated(operation, payload) if unknown else payload
            try:
                return self._answer(request, sent, seconds)
            except ConditionFailed as failed:
                before = done_before(operation, sent, failed.item) if unknown else None
                if before is None:
                    raise
                return before
            except AwsUnavailable as failure:
                error = failure
                unknown |= failure.may_be_done
        raise error

    def _answer(
        self, request: "_Request", payload: Mapping[str, Any], seconds: float
    ) -> dict[str, Any]:
        """One attempt."""
        service, operation, headers, method, target = request
        url = self._endpoint_url or endpoint(
            service, self._region, fips=self._fips, dual_stack=self._dual_stack
        )
        body = b"" if method == "DELETE" else _body(payload)
        try:
            credentials = self._credentials()
        except ServiceUnavailable as failure:
            raise AwsUnavailable(operation, "NoCredentials", failure.detail) from None
        signed_headers = signed(
            {"host": url.rpartition("/")[2], **headers},
            body,
            service=service,
            region=self._region,
            credentials=credentials,
            method=method,
            target=target,
        )
        try:
            answer = self._transport.send(
                url + target, signed_headers, body, seconds=seconds, method=method
            )
            if answer.status != HTTPStatus.OK:
                raise _error(operation, answer)
            result: dict[str, Any] = json.loads(answer.body) if answer.body else {}
        except (OSError, ValueError) as failure:
            detail = f"{service} gave no whole answer"
            reason = type(failure).__name__
            raise AwsUnavailable(operation, reason, detail, may_be_done=True) from None
        return result


class _Request(NamedTuple):
    """A call, without what it says."""

    service: str
    operation: str
    headers: Mapping[str, str]
    method: str = "POST"
    target: str = "/"


def _body(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":"), default=_base64).encode()


def _error(operation: str, answer: Answer) -> AwsError:
    status = answer.status
    try:
        body = json.loads(answer.body)
        # REST's name of an error may go on with an address, JSON's may begin with a namespace.
        named = answer.error.partition(":")[0] or body.get("__type") or body.get("code") or status
        code = str(named).rpartition("#")[2]
        message = str(body.get("message") or body.get("Message") or "")
    except (ValueError, AttributeError):
        body, code, message = {}, str(status), "not a JSON answer"
    if code in _THROTTLED or status == HTTPStatus.TOO_MANY_REQUESTS:
        return AwsUnavailable(operation, code, message)
    if status in _PASSING:
        return AwsUnavailable(operation, code, message, may_be_done=True)
    if code != "ConditionalCheckFailedException":
        return AwsError(operation, code, message)
    failed = ConditionFailed(operation, code, message)
    failed.item = body.get("Item")
    return failed


def _base64(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    detail = f"{type(value).__name__} is not JSON"
    raise TypeError(detail)


@contextmanager
def boto3_failures(operation: str) -> Iterator[None]:
    """What boto3 raises, as the failures of every other service."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as refusal:
        error = refusal.response.get("Error", {})
        code, message = error.get("Code", "Unknown"), error.get("Message", "")
        status = refusal.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        busy = status >= HTTPStatus.INTERNAL_SERVER_ERROR or code in _THROTTLED
        raise (AwsUnavailable if busy else AwsError)(operation, code, message) from None
    except BotoCoreError as failure:
        raise AwsUnavailable(operation, type(failure).__name__, "it does not answer") from None
