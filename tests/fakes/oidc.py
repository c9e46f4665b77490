"""An OIDC issuer on loopback: discovery, its keys, and tokens signed by them (joserfc).

https://openid.net/specs/openid-connect-discovery-1_0.html
"""

import hashlib
import hmac
import json
import secrets
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self, override
from urllib.parse import parse_qsl, urlencode

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.fakes.serving import Server


class Issuer:
    """The issuer. Use it as a context manager; port 0 takes a free one.

    It also logs people in, without asking them anything: authorization code with PKCE for public
    clients (RFC 7636), as a browser's page does it.

    Attributes:
        asked: The paths that were asked for, in order.
        claims: Claims of the tokens of those who log in.
    """

    def __init__(self, port: int = 0) -> None:
        self.asked: list[str] = []
        self.claims: dict[str, Any] = {}
        self._keys: list[RSAKey] = []
        self._codes: dict[str, dict[str, str]] = {}
        self._server = Server(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.rotate()

    @property
    def url(self) -> str:
        """Its identifier, which is its address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def rotate(self) -> None:
        """Sign with a new key from now on; the one before is published no more."""
        self._keys = [RSAKey.generate_key(2048, parameters={"alg": "RS256"}, auto_kid=True)]

    def token(self, **claims: Any) -> str:
        """A token for an hour; a claim given as ``None`` is left out."""
        key = self._keys[0]
        return jwt.encode({"alg": "RS256", "kid": key.kid}, self._claims(claims), key)

    def unsigned(self, **claims: Any) -> str:
        """A token whose header says that it needs no signature."""
        return f"{self._unsigned('none', claims)}."

    def signed_by_the_public_key(self, **claims: Any) -> str:
        """A token whose shared secret is the public key, as a confused verifier takes it."""
        text = self._unsigned("HS256", claims)
        secret = self._keys[0].as_pem(private=False)
        return f"{text}.{_base64url(hmac.digest(secret, text.encode(), 'sha256'))}"

    def _unsigned(self, algorithm: str, claims: Mapping[str, Any]) -> str:
        header = {"alg": algorithm, "kid": self._keys[0].kid}
        return ".".join(
            _base64url(json.dumps(part).encode()) for part in (header, self._claims(claims))
        )

    def _claims(self, given: Mapping[str, Any]) -> dict[str, Any]:
        issued = int(time.time())
        whole = {
            "iss": self.url,
            "sub": "ann",
            "tenant": "anns",
            "iat": issued,
            "exp": issued + 3600,
            **given,
        }
        return {name: value for name, value in whole.items() if value is not None}

    def answer(self, path: str) -> Mapping[str, Any] | None:
        """The document at a path."""
        self.asked.append(path)
        match path:
            case "/.well-known/openid-configuration":
                return {
                    "issuer": self.url,
                    "jwks_uri": f"{self.url}/jwks",
                    "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token",
                }
            case "/jwks":
                return {
                    "keys": [{**key.as_dict(private=False), "use": "sig"} for key in self._keys]
                }
        return None

    def authorize(self, query: Mapping[str, str]) -> str:
        """Log somebody in; the address to go back to."""
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self._codes[code] = dict(query)
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def exchange(self, form: Mapping[str, str]) -> Mapping[str, Any] | None:
        """Give a token for a code, once and to who began; ``None`` for anybody else."""
        begun = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if (
            begun is None
            or form.get("grant_type") != "authorization_code"
            or any(form.get(name) != begun[name] for name in ("client_id", "redirect_uri"))
            or _base64url(digest) != begun["code_challenge"]
        ):
            return None
        token = self.token(**self.claims)
        return {"access_token": token, "token_type": "Bearer", "expires_in": 3600}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _base64url(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def _handler(issuer: Issuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path == "/authorize":
                self.send_response(302)
                self.send_header("Location", issuer.authorize(dict(parse_qsl(query))))
                self.end_headers()
                return
            document = issuer.answer(self.path)
            self._answer(200 if document else 404, document)

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            given = issuer.exchange(dict(parse_qsl(text)))
            self._answer(200 if given else 400, given or {"error": "invalid_grant"})

        def _answer(self, status: int, document: Mapping[str, Any] | None) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            # Pages of other origins log in here.
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(body)

        @override
        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    return Handler
