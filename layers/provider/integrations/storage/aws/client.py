"""AWS's JSON protocol, signed and sent by the standard library: for tables, queues and keys.

A boto3 client costs a cold start more than everything else that a webhook does, and each of its
calls twice the CPU (``docs/performance.md``). DynamoDB, SQS, KMS and Secrets Manager all speak one
protocol (JSON 1.0 or 1.1, https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html), so
one small sender serves them; S3 and Scheduler, which speak others and are rarely needed, go through
boto3 on first use.
"""

import base64
import json
import random
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from http import HTTPStatus
from typing import Any, ClassVar

from integrations.errors import IntegrationError, ServiceUnavailable
from integrations.storage.aws.sigv4 import AwsCredentials, signed
from integrations.storage.aws.transport import FAILURES, Transport, roots
from integrations.storage.aws.updates import stands

ATTEMPTS = 4
"""How often a call is sent at most: throttling, 5xx and broken connections are tried again."""

_THROTTLED = (
    "Throttling",
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "TransactionInProgressException",
    "TooManyRequestsException",
)


class AwsError(IntegrationError):
    """AWS refused a call or did not answer; ``aws_code`` is AWS's short error name."""

    code: ClassVar[str] = "aws_error"

    def __init__(self, operation: str, aws_code: str, message: str) -> None:
        super().__init__(f"{operation}: {aws_code}: {message}")
        self.aws_code = aws_code


class AwsUnavailable(AwsError, ServiceUnavailable):
    """AWS is busy, throttles, or does not answer, after ``ATTEMPTS`` tries."""

    code: ClassVar[str] = "unavailable"


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
        ca_bundle: A file of certificates to know AWS by, in place of Amazon's own roots.
        on_retry: Hears of each try that failed and is made again: the service, the operation and
            AWS's error name.
    """

    def __init__(
        self,
        *,
        region: str,
        credentials: Callable[[], AwsCredentials],
        endpoint_url: str = "",
        ca_bundle: str = "",
        on_retry: Callable[[str, str, str], None] | None = None,
    ) -> None:
        self._region = region
        self._credentials = credentials
        self._endpoint_url = endpoint_url.rstrip("/")
        self._ca_bundle = ca_bundle
        self._transport = Transport(ca_bundle)
        self._on_retry = on_retry

    def dynamodb(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Call a DynamoDB operation, e.g. ``GetItem``."""
        return self._call("dynamodb", f"DynamoDB_20120810.{operation}", "1.0", payload)

    def sqs(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Call an SQS operation, e.g. ``SendMessage``."""
        return self._call("sqs", f"AmazonSQS.{operation}", "1.0", payload)

    def kms(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Call a KMS operation, e.g. ``Decrypt``."""
        return self._call("kms", f"TrentService.{operation}", "1.1", payload)

    def secretsmanager(self, operation: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Call a Secrets Manager operation, e.g. ``GetSecretValue``."""
        return self._call("secretsmanager", f"secretsmanager.{operation}", "1.1", payload)

    @cached_property
    def s3(self) -> Any:
        """A boto3 client of S3."""
        return self._boto3_client("s3")

    @cached_property
    def scheduler(self) -> Any:
        """A boto3 client of EventBridge Scheduler."""
        return self._boto3_client("scheduler")

    def _boto3_client(self, service: str) -> Any:
        import boto3
        from botocore.config import Config

        credentials = self._credentials()
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name=self._region,
            endpoint_url=self._endpoint_url or None,
            verify=None if self._endpoint_url else roots(self._ca_bundle),
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.token,
            config=Config(
                retries={"mode": "standard"},
                connect_timeout=2,
                read_timeout=10,
                s3={"addressing_style": "path" if self._endpoint_url else "auto"},
            ),
        )

    def _call(
        self, service: str, target: str, version: str, payload: Mapping[str, Any]
    ) -> dict[str, Any]:
        url = self._endpoint_url or f"https://{service}.{self._region}.amazonaws.com"
        body = _body(payload)
        operation = target.rpartition(".")[2]
        error: AwsError = AwsUnavailable(operation, "Unreachable", "no answer")
        unsure = False  # whether an attempt may have been carried out without our knowing
        for attempt in range(ATTEMPTS):
            if attempt:
                if self._on_retry:
                    self._on_retry(service, operation, error.aws_code)
                time.sleep(random.uniform(0, 0.05 * 2**attempt))
            headers = {
                "host": url.rpartition("/")[2],
                "content-type": f"application/x-amz-json-{version}",
                "x-amz-target": target,
            }
            headers = signed(
                headers,
                body,
                service=service,
                region=self._region,
                credentials=self._credentials(),
            )
            try:
                status, answer = self._transport.post(url, headers, body)
            except FAILURES as failure:
                error = AwsUnavailable(
                    operation, type(failure).__name__, f"{service} is unreachable"
                )
                unsure, body = True, _asking(payload)
                continue
            if status == HTTPStatus.OK:
                result: dict[str, Any] = json.loads(answer) if answer else {}
                return result
            error = _error(operation, status, answer)
            if (
                isinstance(error, ConditionFailed)
                and unsure
                and stands(json.loads(body), error.item)
            ):
                return {"Attributes": error.item} if "ReturnValues" in payload else {}
            if not isinstance(error, AwsUnavailable):
                break
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                unsure, body = True, _asking(payload)
        raise error


def _body(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":"), default=_base64).encode()


def _asking(payload: Mapping[str, Any]) -> bytes:
    """The same once more; where it is a conditional write, it asks what stands in its way."""
    if "ConditionExpression" in payload:
        payload = {**payload, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    return _body(payload)


def _error(operation: str, status: int, answer: bytes) -> AwsError:
    try:
        body = json.loads(answer)
        code = str(body.get("__type") or body.get("code") or status).rpartition("#")[2]
        message = str(body.get("message") or body.get("Message") or "")
    except (ValueError, AttributeError):
        body, code, message = {}, str(status), "not a JSON answer"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or code in _THROTTLED:
        return AwsUnavailable(operation, code, message)
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
