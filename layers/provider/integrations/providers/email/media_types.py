"""What a file's name says of its media type: https://www.iana.org/assignments/media-types/.

The standard library's table stands alone, so that a laptop and Lambda say the same, and lacks what
offices send each other.
"""

from functools import cache
from mimetypes import MimeTypes
from typing import Final

_ADDED: Final = {
    ".7z": "application/x-7z-compressed",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".epub": "application/epub+zip",
    ".ics": "text/calendar",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".rtf": "application/rtf",
    ".vcf": "text/vcard",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_PACKED: Final = {
    "br": "application/octet-stream",
    "bzip2": "application/x-bzip2",
    "compress": "application/x-compress",
    "gzip": "application/gzip",
    "xz": "application/x-xz",
}


def media_type_of(file_name: str) -> str:
    """The media type that a file's name says; that of the archive where it is packed.

    Args:
        file_name: The name, e.g. ``report.tar.gz``; its last ending counts.
    """
    # The path alone: as a URL, a name such as "data:text/html,x.png" would say something else.
    media_type, packed = _table().guess_file_type(file_name)
    if packed:
        return _PACKED.get(packed, "application/octet-stream")
    return media_type or "application/octet-stream"


@cache
def _table() -> MimeTypes:
    table = MimeTypes()
    for ending, media_type in _ADDED.items():
        table.add_type(media_type, ending)
    return table
