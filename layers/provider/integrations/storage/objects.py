"""The bucket for what is too large for a table or a message."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

from integrations.errors import ValueGone
from integrations.storage.aws import Aws, AwsError, AwsUnavailable

_GONE: Final = frozenset({"NoSuchKey", "404"})


def folder(kind: str, tenant: str) -> str:
    """Where a tenant's objects of one kind lie, e.g. ``files/<32 hex digits>/``.

    Whoever stores them and whoever erases the tenant must agree on it.
    """
    return f"{kind}/{hashlib.sha256(tenant.encode()).hexdigest()[:32]}/"


class Objects:
    """Objects of one bucket, each written once and left to the bucket's expiry.

    Args:
        aws: The way to S3.
        bucket: The bucket's name.
    """

    def __init__(self, aws: Aws, bucket: str) -> None:
        self._aws = aws
        self._bucket = bucket

    def put(self, key: str, content: bytes) -> None:
        """Store ``content`` under ``key``."""
        with s3_failures("PutObject"):
            self._aws.s3.put_object(
                Bucket=self._bucket, Key=key, Body=content, ContentType="application/octet-stream"
            )

    def get(self, key: str) -> bytes:
        """The content of a key.

        Raises:
            ValueGone: There is nothing under this key (any more).
        """
        try:
            with s3_failures("GetObject"):
                found = self._aws.s3.get_object(Bucket=self._bucket, Key=key)
                content: bytes = found["Body"].read()
        except AwsError as failure:
            if failure.aws_code in _GONE:
                raise ValueGone("It is no longer stored") from None
            raise
        return content


@contextmanager
def s3_failures(operation: str) -> Iterator[None]:
    """S3's failures, which come by way of boto3, as those of every other service."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as refusal:
        error = refusal.response.get("Error", {})
        code, message = error.get("Code", "Unknown"), error.get("Message", "")
        status = refusal.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        busy = status >= HTTPStatus.INTERNAL_SERVER_ERROR or code == "SlowDown"
        raise (AwsUnavailable if busy else AwsError)(operation, code, message) from None
    except BotoCoreError as failure:
        raise AwsUnavailable(operation, type(failure).__name__, "S3 is unreachable") from None
