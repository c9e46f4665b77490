"""``make import FILES=…``: take over what the Node backend had; docs/importing.md.

It reads FILES, TENANT, DRY_RUN, URL and TOKEN from the environment, where make puts them.
"""

from __future__ import annotations

import glob
import os
import secrets
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import botocore.exceptions

from integrations import strict_json
from local import ministack, tokens
from local.errors import PlatformError
from local.settings import TENANT
from tools.api import Api, Unexpected
from tools.importing.importer import KINDS, Importer, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 256 * 1024 * 1024
SCOPES = ("read", "write", "admin")
"""What the token for the time of the import may do; with `admin` it takes itself away."""


def read(patterns: list[str]) -> dict[str, list[Any]]:
    """The files' contents by their kinds.

    Raises:
        Unexpected: One cannot be read, is no JSON, or there is none.
    """
    paths = [
        Path(found)
        for pattern in patterns
        for found in (sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern])  # noqa: PTH207 - patterns may be absolute
    ]
    found: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    for path in paths:
        try:
            if path.stat().st_size > LARGEST:
                raise Unexpected(f"{path} is over {LARGEST} bytes")
            document = strict_json.read(path.read_bytes())
        except OSError as failure:
            raise Unexpected(f"{path}: {failure.strerror}") from None
        except strict_json.NotJson as failure:
            raise Unexpected(f"{path} is no JSON: {failure}") from None
        kind = kind_of(path.stem, document)
        if kind:
            found[kind].append(document)
        print(f"{kind or 'left':12} {path.name:32} {'' if kind else 'none of ' + ', '.join(KINDS)}")
    if not any(found.values()):
        raise Unexpected("there is nothing to import: FILES=server/data/*.json")
    return found


@contextmanager
def api_of(url: str, token: str, tenant: str) -> Iterator[Api]:
    """The stack's API for a tenant, where need be with a token that ends with the import.

    Args:
        url: Where the stack is; ``""`` for the platform of ``make run``.
        token: Of the tenant, or of an admin of the platform's tenant where one is named.
        tenant: Whose data it becomes; ``""`` for the token's own.
    """
    name = f"import-{secrets.token_hex(4)}"
    if not url:
        running, _ = ministack.running()
        mine = tokens.of_stack(None, None)
        made = mine.create(tenant=tenant or TENANT, name=name, scopes=SCOPES, days=1)
        try:
            yield Api(f"http://localhost:{running.port}", made)
        finally:
            mine.revoke(tenant=tenant or TENANT, name=name)
        return
    if urlsplit(url).scheme not in {"http", "https"} or not token:
        raise PlatformError("which stack? URL=https://… TOKEN=ib_…, or neither for make run's")
    if not tenant:
        yield Api(url, token)
        return
    wanted = {"name": name, "tenant": tenant, "scopes": list(SCOPES), "expiresInDays": 1}
    answer = Api(url, token).send("POST", "/api/tokens", wanted).expect(200)
    api = Api(url, answer["token"])
    try:
        yield api
    finally:
        api.send("DELETE", f"/api/tokens/{answer['tokenId']}").expect(200)


def main() -> None:
    """Import, and end with 1 where the import itself could not be done."""
    settings = {name: os.environ.get(name, "") for name in ("FILES", "TENANT", "URL", "TOKEN")}
    dry = os.environ.get("DRY_RUN", "") not in {"", "0"}
    if not settings["FILES"].split():
        sys.exit("which files? make import FILES=server/data/*.json [TENANT=…] [DRY_RUN=1]")
    try:
        found = read(settings["FILES"].split())
        with api_of(settings["URL"], settings["TOKEN"], settings["TENANT"]) as api:
            Importer(api, found, tenant=settings["TENANT"], dry_run=dry).run()
    except (
        Unexpected,
        PlatformError,
        botocore.exceptions.BotoCoreError,
        botocore.exceptions.ClientError,
    ) as failure:
        sys.exit(f"the import could not go on: {failure}\nWhat is done is done; run it again.")


if __name__ == "__main__":
    main()
