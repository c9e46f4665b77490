"""Files that the bot was sent.

https://core.telegram.org/bots/api#getfile
"""

from base64 import b64encode
from mimetypes import guess_type
from typing import Any

from integrations.errors import RequestRejected
from integrations.models import Json
from integrations.providers.base import MAX_ANSWERED_FILE, Action, Call
from integrations.providers.telegram import api
from integrations.providers.telegram.actions.method import method_action
from integrations.providers.telegram.actions.params import MethodParams, Text

MAX_SERVED = 20 * 1024 * 1024
"""What Telegram serves to bots."""


class GetFile(MethodParams):
    """Takes what https://core.telegram.org/bots/api#getfile takes."""

    file_id: Text


GET_FILE = method_action(
    "getFile",
    "Show a file's size and path",
    GetFile,
    {"fileId": "BQACAgIAAxkBAAIBamYm"},
    returns="file",
    idempotent=True,
)


def download_file(call: Call[Any], params: GetFile) -> Json:
    """Fetch a file that the bot was sent: https://core.telegram.org/bots/api#getfile.

    Returns:
        ``{"fileId", "size", "file": {"fileName", "contentType", "contentBase64"}}``; ``file`` may
        be given as it is to whatever takes an upload. In a workflow it is a reference,
        ``{"id", "name", "mediaType", "size"}``, and the bytes wait apart.

    Raises:
        RequestRejected: There is no such file, or it is too large: over 4 MB, or
            in a workflow over Telegram's 20 MB.
    """
    found = api.invoke(api.Bot.of(call), "getFile", {"file_id": params.file_id}).result
    path = found.get("file_path") if isinstance(found, dict) else None
    size = found.get("file_size") if isinstance(found, dict) else None
    limit = MAX_SERVED if call.files else MAX_ANSWERED_FILE
    if isinstance(size, int) and size > limit:
        raise RequestRejected(api.too_large(limit, size))
    if not isinstance(path, str) or not path:
        raise RequestRejected("Telegram names no path for this file: bots get files up to 20 MB")
    response = api.download(api.Bot.of(call), path, limit, call.files.store if call.files else None)
    name = path.rpartition("/")[2]
    # Telegram serves everything as application/octet-stream; the name knows better.
    kind = guess_type(name)[0] or "application/octet-stream"
    file: Json
    if response.stored:
        size = response.stored.size
        file = {"id": response.stored.file_id, "name": name, "mediaType": kind, "size": size}
    else:
        size = len(response.content)
        content = b64encode(response.content).decode()
        file = {"fileName": name, "contentType": kind, "contentBase64": content}
    return {"fileId": params.file_id, "size": size, "file": file}


DOWNLOAD_FILE = Action(
    name="downloadFile",
    title="Fetch a file that the bot was sent (up to 20 MB)",
    params=GetFile,
    run=download_file,
    example={"fileId": "BQACAgIAAxkBAAIBamYm"},
    idempotent=True,
)


ACTIONS = (
    GET_FILE,
    DOWNLOAD_FILE,
)
