"""Serve the API at http://localhost:PORT, with the developer's token where a request has none."""

import asyncio
import logging
import re
import socket
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from local.errors import PlatformError
from local.gate import SECRET_HEADER, SERVED
from local.ports import is_served

# Headers that concern one connection only (RFC 9110, section 7.6.1), and what is set anew.
HOP_BY_HOP = {
    "connection", "content-length", "host", "keep-alive", "proxy-authenticate",
    "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}  # fmt: skip
# A request that has one of these came through a tunnel or another proxy.
FORWARDED = re.compile(
    r"(x-)?forwarded(-.*)?|x-(real|client|cluster-client)-.*|via|x-original-.*|true-client-ip"
    r"|(cf|fastly|fly|ngrok|x-azure|x-amzn|x-cloud)-.*",
    re.IGNORECASE,
)
# Workflows' steps carry it: what a tenant wrote may reach this API, but not as the developer.
LINEAGE = "Integrations-Hops"
# Larger than anything that the API takes, so that refusing is the API's own decision.
MAX_BODY = 64 * 2**20


def listen(port: int) -> socket.socket:
    """Take a port of 127.0.0.1, 0 for any that is free; raises PlatformError when it is taken."""
    taken = PlatformError(f"port {port} is taken: stop what uses it, or choose another with PORT=…")
    if port and is_served(port):
        raise taken
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise taken from None
    return listener


@dataclass(frozen=True)
class Target:
    """What the proxy leads to.

    Attributes:
        endpoint_url: MiniStack's address.
        api_id: The HTTP API behind it.
        token: Goes with requests that carry no `Authorization`.
        secret: What MiniStack's gate lets the API's callers in for.
        frontend_urls: Origins beside the proxy's own whose pages may use that token.
    """

    endpoint_url: str
    api_id: str
    token: str
    secret: str
    frontend_urls: Collection[str] = ()

    @property
    def host(self) -> str:
        """The name that the API answers to; not every resolver knows it."""
        return f"{self.api_id}.execute-api.localhost:{urlsplit(self.endpoint_url).port}"


class Proxy:
    """A reverse proxy in a thread of its own. It answers 503 until it is given where it leads.

    Args:
        listener: Where it listens, from `listen`.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._origins = own_origins(listener.getsockname()[1])
        self._target: Target | None = None
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def lead_to(self, target: Target | None) -> None:
        """Serve `target` from now on; None is a stack that is not there yet."""
        self._target = target

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Stop serving, and close the port."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join()

    def _run(self) -> None:
        logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_read=120)
        async with aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            timeout=timeout,
        ) as session:

            async def forward(request: web.BaseRequest) -> web.StreamResponse:
                return await self._forward(session, request)

            # A packed body is the API's own to unpack: a sender signs the bytes that it sends.
            server = web.Server(forward, auto_decompress=False)
            runner = web.ServerRunner(server, shutdown_timeout=0.5)
            await runner.setup()
            await web.SockSite(runner, self._listener).start()
            self._ready.set()
            await self._stopped.wait()
            await runner.cleanup()

    async def _forward(
        self, session: aiohttp.ClientSession, request: web.BaseRequest
    ) -> web.StreamResponse:
        # A target may be a whole URL of anybody's, and only its path is what is asked for here.
        if not (SERVED.fullmatch(request.path) and request.raw_path.startswith("/")):
            return web.Response(status=404, text="There is the API under /api/, and the console.")
        target = self._target
        if target is None:
            text = "The stack is starting."
            return web.Response(status=503, text=text, headers={"Retry-After": "2"})
        body = await read(request)
        if body is None:
            return web.Response(status=413, text=f"More than {MAX_BODY} bytes.")
        headers = without_hop_by_hop(request.headers)
        if "Authorization" not in headers and may_use_token(
            request.headers, self._origins, target.frontend_urls
        ):
            headers["Authorization"] = f"Bearer {target.token}"
        headers["Host"] = target.host
        headers[SECRET_HEADER] = target.secret
        try:
            async with session.request(
                request.method,
                URL(target.endpoint_url + request.raw_path, encoded=True),
                headers=headers,
                data=body or None,
                allow_redirects=False,
            ) as answer:
                return web.Response(
                    status=answer.status,
                    reason=answer.reason,
                    headers=without_hop_by_hop(answer.headers),
                    body=await answer.read(),
                )
        except (aiohttp.ClientError, TimeoutError) as error:
            return web.Response(status=502, text=f"The stack does not answer: {error}")


async def read(request: web.BaseRequest) -> bytes | None:
    """Return a request's body as it came, or None when it is longer than anything useful."""
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def without_hop_by_hop(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the headers that concern both ends, those that come several times included."""
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in HOP_BY_HOP)


def may_use_token(
    headers: Mapping[str, str], own: Collection[str], frontends: Collection[str]
) -> bool:
    """Tell whether a request may use the developer's token, having none of its own.

    Programs on this machine may, the pages that the proxy serves, and the frontends'. A page from
    anywhere else may not, though the developer's browser has it open and it is on this machine; nor
    what comes through a tunnel, nor what this backend sends for a tenant: steps, actions and
    log-ins (`Via`, see `outbound/client.py`).

    Args:
        headers: The request's.
        own: The proxy's own origins.
        frontends: Origins whose pages may use it as well.
    """
    if f"http://{headers.get('Host', '').lower()}" not in own or LINEAGE in headers:
        return False
    if any(FORWARDED.fullmatch(name) for name in headers):
        return False
    if (origin := headers.get("Origin")) is not None:
        return origin in own or origin in frontends
    # A browser sends no Origin with what reads only, but says from where it was asked to.
    return headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}


def own_origins(port: int) -> frozenset[str]:
    """Return the origins under which a browser knows a port of this machine."""
    return frozenset(f"http://{host}:{port}" for host in ("localhost", "127.0.0.1", "[::1]"))
