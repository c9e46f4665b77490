"""AWS's Signature Version 4, for what we send: headers of ours, a body, a plain path and query.

botocore signs any request, and takes a third of this backend's cold start to import for it
(``docs/performance.md``). A test holds this against botocore's own signatures.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hmac
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

ALGORITHM = "AWS4-HMAC-SHA256"


class AwsCredentials(NamedTuple):
    """What signs a request; ``token`` is the session token of temporary credentials."""

    access_key: str
    secret_key: str
    token: str | None


def signed(
    headers: Mapping[str, str],
    body: bytes,
    *,
    service: str,
    region: str,
    credentials: AwsCredentials,
    moment: float | None = None,
    method: str = "POST",
    target: str = "/",
) -> dict[str, str]:
    """The headers of a signed request.

    Args:
        headers: What is sent, ``host`` included; names in lower case.
        body: What is sent.
        service: As AWS names it in signatures, e.g. ``dynamodb``.
        region: The region's name.
        credentials: Who sends.
        moment: Seconds since the epoch; the present by default.
        method: HTTP's.
        target: The path, and after a ``?`` the query: its parameters sorted, and in both nothing
            that would have to be escaped.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(moment))
    value = {**headers, "x-amz-date": stamp}
    if credentials.token:
        value["x-amz-security-token"] = credentials.token
    names = ";".join(sorted(value))
    lines = [f"{name}:{value[name]}" for name in sorted(value)]
    path, _, query = target.partition("?")
    request = "\n".join([method, path, query, *lines, "", names, sha256(body).hexdigest()])
    day = stamp[:8]
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join([ALGORITHM, stamp, scope, sha256(request.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (day, region, service, "aws4_request", text):
        key = hmac.digest(key, part.encode(), "sha256")
    value["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key}/{scope}, "
        f"SignedHeaders={names}, Signature={key.hex()}"
    )
    return value
