"""Files on their way between steps: stored when a step gives one, fetched when a step takes one.

Between two steps a file is a reference, ``{"id", "name", "mediaType", "size"}``: small enough for a
template, a record and a log, while the bytes wait in the bucket under the tenant's own prefix. A
provider is given a name for them in the place of base64, and reads and writes them piece by piece;
what is small, or came in a request, may be base64 all the same.
"""

from base64 import b64decode
from collections.abc import Iterable, Iterator
from operator import is_not
from typing import Any, Final, cast, override

from integrations.errors import FieldError, InvalidParams, ProviderUnavailable, UnknownFile
from integrations.models import Json
from integrations.outbound.content import Content, StoredFile
from integrations.providers.masking import Masking
from integrations.storage.aws import AwsError
from integrations.storage.files import Files, file_id_of, is_file_id

MAX_FILES_BYTES: Final = 50 * 1024 * 1024
"""What one step takes of files in all: a provider's largest upload."""

LARGE_BASE64: Final = 96 * 1024
"""A file of a trigger over this many characters is more than templates can carry."""

_UPLOAD: Final = frozenset({"fileName", "contentType", "contentBase64"})


class StepFiles:
    """The files of one step of a tenant; implements ``base.FileStore``.

    Args:
        files: Where they are stored.
        tenant: Whose.
        step: The same for each repetition of the step: what it gives once more is the same file.
        masking: Takes out of what the step gives what nobody may see.
    """

    def __init__(
        self, files: Files, tenant: str, step: str = "", masking: Masking | None = None
    ) -> None:
        self._masking = masking or Masking(())
        self._files = files
        self._tenant = tenant
        self._step = step
        self._given = 0
        self._taken: dict[str, int] = {}

    def content(self, file_id: str) -> Content:
        """The content of a file that ``fetched`` has found.

        Raises:
            UnknownFile: It has found none with this id.
        """
        if file_id not in self._taken:
            raise UnknownFile(f"There is no file {file_id[:64]!r}")
        return Content(self._taken[file_id], lambda: self._pieces(file_id))

    def _pieces(self, file_id: str) -> Iterator[bytes]:
        try:
            yield from self._files.pieces(self._tenant, file_id)
        except AwsError as failure:
            # Whoever is sent it has only the beginning, and so nothing.
            detail = f"A file could not be read: {failure.aws_code}"
            raise ProviderUnavailable(detail) from failure

    def store(self, pieces: Iterable[bytes]) -> StoredFile:
        """Store what a step gives, piece by piece.

        Raises:
            ProviderUnavailable: It could not be stored.
        """
        self._given += 1
        try:
            masked = self._masking.pieces(pieces)
            stored = self._files.store(self._tenant, f"{self._step}.{self._given}", masked)
            return StoredFile(*stored)
        except AwsError as failure:
            detail = f"The step's file could not be stored: {failure.aws_code}"
            raise ProviderUnavailable(detail, outcome_unknown=True) from failure

    def stored(self, value: Json, *, over: int = 0) -> Json:
        """``value`` with references in the place of its files.

        Args:
            value: What an action or an event gave.
            over: Files with this many characters of base64, or fewer, stay as they are.
        """
        # What holds no file stays the very value: of a large one there must not be two.
        if isinstance(value, list):
            items = [self.stored(each, over=over) for each in value]
            return items if any(map(is_not, items, value)) else value
        if not isinstance(value, dict):
            return value
        if value.keys() != _UPLOAD:
            members = {name: self.stored(each, over=over) for name, each in value.items()}
            return members if any(map(is_not, members.values(), value.values())) else value
        return self._reference(value, over)

    def _reference(self, upload: dict[str, Json], over: int) -> Json:
        name, kind, text = upload["fileName"], upload["contentType"], upload["contentBase64"]
        if not (isinstance(name, str) and isinstance(kind, str) and isinstance(text, str)):
            return upload
        if len(text) <= over:
            return upload
        try:
            content = self._masking.content(b64decode(text, validate=True))
        except ValueError:  # somebody else's object, that has the same names
            return upload
        return {
            "id": self._put(content),
            "name": name,
            "mediaType": kind,
            "size": len(content),
        }

    def _put(self, content: bytes) -> str:
        return self._files.put(self._tenant, content)

    def fetched(self, params: dict[str, Json]) -> dict[str, Json]:
        """``params`` with what ``content`` knows files by in the place of references.

        ``{"file": reference}`` and what stands beside it become one object; a parameter of the name
        ``file`` gets its file alone.

        Raises:
            UnknownFile: The tenant has none with this id, or its time is up.
            InvalidParams: Together they are too large.
        """
        left = [MAX_FILES_BYTES]
        return {name: self._fetched(each, f"params.{name}", left) for name, each in params.items()}

    def _fetched(self, value: Json, place: str, left: list[int]) -> Json:
        if isinstance(value, list):
            return [self._fetched(each, f"{place}[{n}]", left) for n, each in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if _is_reference(value):
            return cast("Json", self._upload(value, place, left))
        inner = value.get("file")
        if _is_reference(inner):
            others = {name: each for name, each in value.items() if name != "file"}
            return self._upload(cast("dict[str, Any]", inner), place, left) | others
        return {name: self._fetched(each, f"{place}.{name}", left) for name, each in value.items()}

    def _upload(self, reference: dict[str, Any], place: str, left: list[int]) -> dict[str, Json]:
        from integrations.providers import files

        file_id = reference["id"]
        size = self._taken[file_id] = self._size(reference)
        left[0] -= size
        if left[0] < 0:
            detail = f"The files have more than {MAX_FILES_BYTES} bytes together"
            raise InvalidParams(detail, [FieldError(place, detail)])
        return {
            "fileName": reference["name"],
            "contentType": reference["mediaType"],
            "contentBase64": files.reference(file_id, size),
        }

    def _size(self, reference: dict[str, Any]) -> int:
        return self._files.size(self._tenant, reference["id"])


class NamedFiles(StepFiles):
    """Files for who only looks: none is stored, and what a reference says of one is believed."""

    @override
    def _put(self, content: bytes) -> str:
        return file_id_of(content)

    @override
    def _size(self, reference: dict[str, Any]) -> int:
        size = reference["size"]
        return max(size, 0) if isinstance(size, int) else 0


def _is_reference(value: Json) -> bool:
    fields = {"id", "name", "mediaType", "size"}
    return isinstance(value, dict) and value.keys() == fields and is_file_id(value["id"])
