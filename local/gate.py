"""The gate before MiniStack: nothing of it answers to anybody but this project's own processes.

MiniStack lets any key that it takes for its root user in without looking at the signature, answers
any page of any browser, and has ways in that need no key. So each request is looked at before:

- The API (`….execute-api.localhost`) and the health check take a secret that the proxy sends.
- Everything else carries AWS's Signature Version 4, in its headers or in a presigned URL, and the
  signature is computed anew. No page of a browser gets that far, whatever it has signed.

It runs within MiniStack's process, in an environment of its own: the standard library is all it
needs. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import json
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

Scope = Mapping[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
SecretOf = Callable[[str, str], str | None]
"""Access key and session token → the secret key; None for a key or a token that is unknown."""

# What the proxy serves: the API and the page. MiniStack's own ways are none of them.
SERVED = re.compile(r"/(api/.*|console(/.*)?|connect|docs(/.*)?)?", re.DOTALL)
SECRET_HEADER = "x-local-platform"  # noqa: S105 - its name
HEALTH = "/_ministack/health"
ALGORITHM = "AWS4-HMAC-SHA256"
EXECUTE_API = ".execute-api."
# How MiniStack is called by programs of this machine, and by containers on it.
NAMES = re.compile(r"127\.0\.0\.1|localhost|host\.docker\.internal|[a-z0-9.-]+\.localhost")
# Ways of MiniStack's own that AWS does not have.
OWN_PATHS = ("/_ministack/", "/_localstack/", "/_aws/")
SKEW_SECONDS = 15 * 60
LONGEST_PRESIGNED = 7 * 24 * 60 * 60
# Signed as these words where the body is not hashed, or hashed piece by piece; S3 alone has them.
UNHASHED = ("UNSIGNED-PAYLOAD", "STREAMING-")


class RefusedError(Exception):
    """A request is not let in; `code` is AWS's word for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Signature:
    """What a request says of its own signature."""

    access_key: str
    scope: str  # day/region/service/aws4_request
    headers: tuple[str, ...]
    signature: str
    moment: str
    token: str
    seconds: int | None = None  # how long a presigned URL is good for


@dataclass(frozen=True)
class Request:
    """A request as it is signed: its path and query in the encoding that was sent."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The query's names and values, decoded."""
        pairs = (each.partition("=") for each in self.query.split("&") if each)
        return [(unquote(name), unquote(value)) for name, _, value in pairs]


class Gate:
    """An ASGI application that lets a request through to another one, or answers 403.

    Args:
        app: What is behind it.
        port: Where both are.
        secret: What the proxy sends with its requests.
        secret_of: The secret key of an access key and its session token.
    """

    def __init__(self, app: App, *, port: int, secret: str, secret_of: SecretOf) -> None:
        self._app = app
        self._port = str(port)
        self._secret = secret.encode()
        self._secret_of = secret_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = request_of(scope)
        given = request.headers.get(SECRET_HEADER, "")
        scope = {**scope, "headers": [each for each in scope["headers"] if not is_secret(each[0])]}
        try:
            host = self._host(request)
            opens = scope["path"] == HEALTH or (
                EXECUTE_API in host and SERVED.fullmatch(scope["path"]) is not None
            )
            if opens and hmac.compare_digest(given.encode(), self._secret):
                await self._app(scope, receive, send)
                return
            check_way(request, host, scope["path"])
            signature = signature_of(request)
            body = await body_of(receive)
            self._check(request, signature, body)
        except RefusedError as error:
            await refuse(request, error, send)
            return
        await self._app(scope, replay(body, receive), without_cors(send))

    def _host(self, request: Request) -> str:
        name, _, port = request.headers.get("host", "").lower().rpartition(":")
        if port != self._port or not NAMES.fullmatch(name):
            raise RefusedError("AccessDenied", "This is not the host that was asked for.")
        return name

    def _check(self, request: Request, signature: Signature, body: bytes) -> None:
        """Compute a signature anew; raises RefusedError where it is another one, or too old."""
        check_time(signature)
        secret = self._secret_of(signature.access_key, signature.token)
        if secret is None:
            raise RefusedError(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        expected = computed(request, signature, payload_hash(request, signature, body), secret)
        if not hmac.compare_digest(expected, signature.signature):
            raise RefusedError(
                "SignatureDoesNotMatch",
                "The signature that was computed does not match the one that was sent.",
            )


def is_secret(name: bytes) -> bool:
    """Tell whether a header is the proxy's secret, which nobody behind the gate needs."""
    return name.lower() == SECRET_HEADER.encode()


def request_of(scope: Scope) -> Request:
    """Return what is signed of an ASGI request."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("utf-8", "replace")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    return Request(
        scope["method"],
        raw.decode("latin-1").partition("?")[0],
        scope.get("query_string", b"").decode("latin-1"),
        headers,
    )


def check_way(request: Request, host: str, path: str) -> None:
    """Refuse pages of browsers, and the ways in that need no signature."""
    if "origin" in request.headers:
        raise RefusedError("AccessDenied", "Pages of browsers are not answered.")
    presigned = request.method == "GET" and "X-Amz-Signature=" in request.query
    if "sec-fetch-site" in request.headers and not presigned:
        raise RefusedError("AccessDenied", "Browsers are not answered.")
    if EXECUTE_API in host or path.startswith(OWN_PATHS):
        raise RefusedError("AccessDenied", "The proxy alone comes this way.")


def signature_of(request: Request) -> Signature:
    """Return what a request says of its signature; raises RefusedError where it has none."""
    authorization = request.headers.get("authorization", "")
    query = dict(request.parameters)
    try:
        if authorization.startswith(f"{ALGORITHM} "):
            parts = authorization.removeprefix(f"{ALGORITHM} ").split(",")
            declared = {
                name: value for name, _, value in (each.strip().partition("=") for each in parts)
            }
            access_key, _, scope = declared["Credential"].partition("/")
            signature = Signature(
                access_key=access_key,
                scope=scope,
                headers=tuple(declared["SignedHeaders"].split(";")),
                signature=declared["Signature"],
                moment=request.headers["x-amz-date"],
                token=request.headers.get("x-amz-security-token", ""),
            )
        elif query.get("X-Amz-Algorithm") == ALGORITHM and not authorization:
            access_key, _, scope = query["X-Amz-Credential"].partition("/")
            signature = Signature(
                access_key=access_key,
                scope=scope,
                headers=tuple(query["X-Amz-SignedHeaders"].split(";")),
                signature=query["X-Amz-Signature"],
                moment=query["X-Amz-Date"],
                token=query.get("X-Amz-Security-Token", ""),
                seconds=int(query["X-Amz-Expires"]),
            )
        else:
            raise RefusedError("MissingAuthenticationToken", "The request is not signed.")
    except (KeyError, ValueError):
        raise RefusedError("IncompleteSignature", "The signature is not whole.") from None
    check_scope(signature, request)
    return signature


def check_scope(signature: Signature, request: Request) -> None:
    """Refuse a signature that leaves out what decides what a request does."""
    needed = {"host", *(name for name in request.headers if name.startswith("x-amz-"))}
    parts = signature.scope.split("/")
    whole = len(parts) == 4 and parts[3] == "aws4_request"  # noqa: PLR2004 - day, region, service
    if not whole or parts[0] != signature.moment[:8] or needed - set(signature.headers):
        raise RefusedError("IncompleteSignature", "The signature leaves something out.")
    if signature.seconds is not None and parts[2] != "s3":
        raise RefusedError("IncompleteSignature", "Only S3's URLs are presigned.")


def check_time(signature: Signature) -> None:
    """Refuse a signature that is too old, or not good yet."""
    try:
        made = datetime.strptime(signature.moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise RefusedError("IncompleteSignature", "The signature has no time.") from None
    age = time.time() - made.timestamp()
    longest = SKEW_SECONDS if signature.seconds is None else signature.seconds
    if not -SKEW_SECONDS <= age <= min(longest, LONGEST_PRESIGNED):
        raise RefusedError("RequestExpired", "The signature has expired.")


def payload_hash(request: Request, signature: Signature, body: bytes) -> str:
    """Return what stands for the body in what is signed; raises RefusedError for another body's."""
    declared = request.headers.get("x-amz-content-sha256", "")
    if signature.seconds is not None:
        return declared or "UNSIGNED-PAYLOAD"
    if declared.startswith(UNHASHED) and signature.scope.split("/")[2] == "s3":
        return declared
    found = hashlib.sha256(body).hexdigest()
    if declared and not hmac.compare_digest(declared, found):
        raise RefusedError("XAmzContentSHA256Mismatch", "The body is not the one that was signed.")
    return found


def computed(request: Request, signature: Signature, payload: str, secret: str) -> str:
    """Return the signature that a request has to have."""
    day, region, service, end = signature.scope.split("/")
    # Every service but S3 signs the path encoded once more.
    path = request.path if service == "s3" else quote(request.path, safe="/~")
    pairs = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in request.parameters
        if name != "X-Amz-Signature"
    )
    headers = [
        f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in signature.headers
    ]
    lines = [
        request.method,
        path or "/",
        "&".join(f"{name}={value}" for name, value in pairs),
        *headers,
        "",
        ";".join(signature.headers),
        payload,
    ]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    text = f"{ALGORITHM}\n{signature.moment}\n{signature.scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, end, text):
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


async def body_of(receive: Receive) -> bytes:
    """Return a request's whole body."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError("IncompleteBody", "The request ended early.")
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a way to receive a body again, and then what else comes."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def without_cors(send: Send) -> Send:
    """Return a way to send without the headers that would let a page of a browser read."""

    async def bare(message: Message) -> None:
        if "headers" in message:
            headers: Sequence[tuple[bytes, bytes]] = message["headers"]
            bare = [each for each in headers if not each[0].lower().startswith(b"access-control-")]
            message = {**message, "headers": bare}
        await send(message)

    return bare


async def refuse(request: Request, error: RefusedError, send: Send) -> None:
    """Answer 403, in the JSON that AWS's tools understand, or S3's XML."""
    if "x-amz-content-sha256" in request.headers or "X-Amz-Signature=" in request.query:
        kind = b"application/xml"
        text = f"<Error><Code>{error.code}</Code><Message>{error}</Message></Error>"
    else:
        kind = b"application/json"
        text = json.dumps({"__type": error.code, "message": str(error)})
    headers = [(b"content-type", kind), (b"x-amzn-errortype", error.code.encode())]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode(), "more_body": False})
