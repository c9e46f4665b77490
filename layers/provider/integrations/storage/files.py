"""Files: bytes that steps hand on, by an id, under their tenant's own prefix."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Final

from integrations.errors import UnknownFile, ValueGone
from integrations.storage.objects import Objects, folder

_ID: Final = re.compile(r"file_[0-9a-f]{32}")


def is_file_id(value: object) -> bool:
    """Whether something looks like the id of a file."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def file_id_of(content: bytes) -> str:
    """The id of a file by what is in it."""
    return f"file_{hashlib.sha256(content).hexdigest()[:32]}"


class Files:
    """The files of all tenants; they go with the bucket's expiry.

    Args:
        objects: The bucket.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def put(self, tenant: str, content: bytes) -> str:
        """Store a file; the same content has the same id."""
        file_id = file_id_of(content)
        self._objects.put(_key(tenant, file_id), content)
        return file_id

    def store(self, tenant: str, identity: str, pieces: Iterable[bytes]) -> tuple[str, int]:
        """Store a file as it comes; gives its id, the same for the same ``identity``, and bytes."""
        file_id = f"file_{hashlib.sha256(identity.encode()).hexdigest()[:32]}"
        return file_id, self._objects.store(_key(tenant, file_id), pieces)

    def size(self, tenant: str, file_id: str) -> int:
        """How many bytes a file of this tenant has.

        Raises:
            UnknownFile: The tenant has none with this id, or its time is up.
        """
        try:
            return self._objects.size(_key(tenant, file_id))
        except ValueGone:
            raise _unknown(file_id) from None

    def pieces(self, tenant: str, file_id: str) -> Iterator[bytes]:
        """The content of a file of this tenant.

        Raises:
            UnknownFile: The tenant has none with this id, or its time is up.
        """
        try:
            yield from self._objects.pieces(_key(tenant, file_id))
        except ValueGone:
            raise _unknown(file_id) from None


def _unknown(file_id: str) -> UnknownFile:
    return UnknownFile(f"There is no file {file_id[:64]!r} (any more)")


def _key(tenant: str, file_id: str) -> str:
    return f"{folder('files', tenant)}{file_id}"
