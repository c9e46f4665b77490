"""Archives of folders, as Lambda takes code."""

import io
import zipfile
from pathlib import Path


def zipped(folder: Path) -> bytes:
    """Return an archive of a folder: the same bytes for the same files, whenever they were made."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(str(path.relative_to(folder)))
                entry.external_attr = path.stat().st_mode << 16
                writer.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=1)
    return archive.getvalue()
