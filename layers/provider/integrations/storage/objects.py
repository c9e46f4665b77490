"""The bucket for what is too large for a table or a message."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from integrations.errors import ValueGone
from integrations.storage.aws import Aws, AwsError, boto3_failures

PIECE_BYTES: Final = 64 * 1024
PART_BYTES: Final = 5 * 1024 * 1024
"""The parts of a large object are that large, as small as S3 takes them: two stand in memory."""

GONE: Final = frozenset({"NoSuchKey", "404", "AccessDenied", "403"})
"""What S3 says of an object that is not there: to whoever may not list the bucket, as none of the
functions that read may, that it is denied.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
"""


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
        with boto3_failures("PutObject"):
            self._aws.s3.put_object(
                Bucket=self._bucket, Key=key, Body=content, ContentType="application/octet-stream"
            )

    def store(self, key: str, pieces: Iterable[bytes]) -> int:
        """Store what comes piece by piece under ``key``; returns its bytes.

        A large object is sent in parts. It is there when all of it is: where ``pieces`` raises,
        nothing is.
        """
        from boto3.s3.transfer import TransferConfig

        source = _Source(pieces)
        parts = TransferConfig(
            multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, use_threads=False
        )
        with boto3_failures("PutObject"):
            self._aws.s3.upload_fileobj(source, self._bucket, key, Config=parts)
        return source.count

    def get(self, key: str) -> bytes:
        """The content of a key.

        Raises:
            ValueGone: There is nothing under this key (any more).
        """
        return b"".join(self.pieces(key))

    def pieces(self, key: str) -> Iterator[bytes]:
        """The content of a key, piece by piece.

        Raises:
            ValueGone: There is nothing under this key (any more).
        """
        with _gone_is_said("GetObject"):
            found = self._aws.s3.get_object(Bucket=self._bucket, Key=key)
            yield from found["Body"].iter_chunks(PIECE_BYTES)

    def size(self, key: str) -> int:
        """How many bytes the content of a key has.

        Raises:
            ValueGone: There is nothing under this key (any more).
        """
        with _gone_is_said("HeadObject"):
            return int(self._aws.s3.head_object(Bucket=self._bucket, Key=key)["ContentLength"])


class _Source:
    """Pieces as a file that is read from its beginning to its end."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = b""
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        """The next bytes: ``size`` of them unless the end comes first, all where it is negative."""
        ready = [self._left]
        length = len(self._left)
        while not 0 <= size <= length and (piece := next(self._pieces, None)) is not None:
            ready.append(piece)
            length += len(piece)
        content = b"".join(ready)
        end = size if size >= 0 else length
        content, self._left = content[:end], content[end:]
        self.count += len(content)
        return content


@contextmanager
def _gone_is_said(operation: str) -> Iterator[None]:
    try:
        with boto3_failures(operation):
            yield
    except AwsError as failure:
        if failure.aws_code in GONE:
            raise ValueGone("It is no longer stored") from None
        raise
