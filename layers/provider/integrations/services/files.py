"""Files on their way between steps: stored when a step gives one, fetched when a step takes one.

Providers give and take a file as ``{"fileName", "contentType", "contentBase64"}``. Between two
steps it is a reference, ``{"id", "name", "mediaType", "size"}``: small enough for a template, a
record and a log, while the bytes wait in the bucket under the tenant's own prefix.
"""

from base64 import b64decode, b64encode
from typing import Any, Final, cast

from integrations.errors import FieldError, InvalidParams
from integrations.models import Json
from integrations.providers.masking import Masking
from integrations.storage.files import Files, is_file_id

MAX_FILES_BYTES: Final = 50 * 1024 * 1024
"""What one step takes of files in all: a provider's largest upload, and what memory holds."""

LARGE_BASE64: Final = 96 * 1024
"""A file of a trigger over this many characters is more than templates can carry."""

_UPLOAD: Final = frozenset({"fileName", "contentType", "contentBase64"})


class StepFiles:
    """The files of one tenant's steps.

    Args:
        files: Where they are stored.
        tenant: Whose.
    """

    def __init__(self, files: Files, tenant: str) -> None:
        self._files = files
        self._tenant = tenant

    def stored(self, value: Json, *, over: int = 0, masking: Masking | None = None) -> Json:
        """``value`` with references in the place of its files.

        Args:
            value: What an action or an event gave.
            over: Files with this many characters of base64, or fewer, stay as they are.
            masking: Takes out of the files what nobody may see.
        """
        if isinstance(value, list):
            return [self.stored(each, over=over, masking=masking) for each in value]
        if not isinstance(value, dict):
            return value
        if value.keys() != _UPLOAD:
            return {
                name: self.stored(each, over=over, masking=masking) for name, each in value.items()
            }
        text = value["contentBase64"]
        if not isinstance(text, str) or len(text) <= over:
            return value
        content = b64decode(text)
        content = masking.content(content) if masking else content
        return {
            "id": self._files.put(self._tenant, content),
            "name": value["fileName"],
            "mediaType": value["contentType"],
            "size": len(content),
        }

    def fetched(self, params: dict[str, Json]) -> dict[str, Json]:
        """``params`` with files in the place of references.

        ``{"file": reference}`` and what stands beside it become one object; a parameter of the name
        ``file`` gets its file alone.

        Raises:
            UnknownFile: The tenant has none with this id, or its time is up.
            InvalidParams: Together they are too large.
        """
        left = [MAX_FILES_BYTES]
        return {name: self._fetched(each, name, left) for name, each in params.items()}

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
        size = reference["size"]
        if not isinstance(size, int) or size > left[0]:
            detail = f"The files have more than {MAX_FILES_BYTES} bytes together"
            raise InvalidParams(detail, [FieldError(place, detail)])
        content = self._files.get(self._tenant, reference["id"])
        left[0] -= len(content)
        return {
            "fileName": reference["name"],
            "contentType": reference["mediaType"],
            "contentBase64": b64encode(content).decode(),
        }


def _is_reference(value: Json) -> bool:
    fields = {"id", "name", "mediaType", "size"}
    return isinstance(value, dict) and value.keys() == fields and is_file_id(value["id"])
