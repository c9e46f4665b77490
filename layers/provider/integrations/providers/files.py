"""A file among an action's parameters."""

from base64 import b64decode

from pydantic import Field

from integrations.providers.base import Params


class FileContent(Params):
    """A file of another step, or one whose bytes come along."""

    file_name: str = Field(min_length=1, max_length=255)
    content_type: str = Field(
        default="application/octet-stream", pattern=r"^[\w.+-]+/[\w.+-]+$", max_length=127
    )
    content_base64: str = Field(repr=False)

    def content(self) -> bytes:
        """The bytes.

        Raises:
            ValueError: They are not base64.
        """
        return b64decode(self.content_base64, validate=True)
