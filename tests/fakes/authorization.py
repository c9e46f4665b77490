"""Authorization servers that others wrote, at one address, in the place of Google's.

Who answers there is changed at will: ``oidc-provider-mock``, or ``strict()``, made of Authlib's
grants: PKCE for everybody, exact redirects, single-use codes, refresh tokens that rotate and end
the whole grant when an old one comes again.

    with AuthorizationServer(google) as server:
        server.app = strict(Client("id", "secret", "https://…/callback/sheets_oauth"))
"""

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Self, override
from urllib.parse import parse_qsl

import flask
from authlib.integrations.flask_oauth2 import AuthorizationServer as Grants
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc6749.errors import InvalidRequestError
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9207 import IssuerParameter
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

from tests.fakes.google import FakeGoogle, _Token

type WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]

ACCESS_SECONDS = 3600


@dataclass(frozen=True)
class Asked:
    """A request to the token endpoint, and what came of it."""

    form: Mapping[str, str]
    status: int
    reply: Mapping[str, Any]


class _Quiet(WSGIRequestHandler):
    @override
    def log(self, type: str, message: str, *args: Any) -> None:
        """Says nothing."""


class AuthorizationServer:
    """One address; ``app`` answers there.

    Args:
        google: Whose Sheets take the access tokens that are given here.

    Attributes:
        asked: The requests to the token endpoint, in order.
    """

    def __init__(self, google: FakeGoogle) -> None:
        self.app: WsgiApp = flask.Flask("nobody")
        self.asked: list[Asked] = []
        self._google = google
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet
        )
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        logging.getLogger("oidc_provider_mock").setLevel(logging.ERROR)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it is; Authlib lets ``localhost`` alone go without TLS."""
        return f"http://localhost:{self._server.server_port}"

    @property
    def parameters(self) -> dict[str, str]:
        """The template's parameters that lead here."""
        return {
            "GoogleAuthUrl": f"{self.url}/oauth2/authorize",
            "GoogleTokenUrl": f"{self.url}/oauth2/token",
            "GoogleRevokeUrl": f"{self.url}/oauth2/revoke",
        }

    def refreshes(self) -> list[Asked]:
        """The requests to refresh."""
        return [asked for asked in self.asked if asked.form.get("grant_type") == "refresh_token"]

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = BytesIO(body)
        response = Response.from_app(self.app, environ, buffered=True)
        if environ["PATH_INFO"] == "/oauth2/token":
            reply = json.loads(response.get_data() or b"{}")
            self.asked.append(Asked(dict(parse_qsl(body.decode())), response.status_code, reply))
            if "access_token" in reply:
                self._google.access_tokens[reply["access_token"]] = _Token(
                    "ann", frozenset(reply["scope"].split()), time.time() + ACCESS_SECONDS
                )
        return response(environ, start_response)


# -- A strict server -------------------------------------------------------------------------


@dataclass(frozen=True)
class Client:
    """The one client of a strict server, as Authlib asks for it."""

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str = ""

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_allowed_scope(self, scope: str | None) -> str:
        return scope or ""

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == self.redirect_uri

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == self.client_secret

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_post"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in {"authorization_code", "refresh_token"}


@dataclass
class _Grant:
    """What a person granted: a code, then a chain of refresh tokens."""

    client_id: str
    scope: str
    redirect_uri: str
    code_challenge: str
    code_challenge_method: str
    ended: bool = False

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def check_client(self, client: Client) -> bool:
        return client.client_id == self.client_id


class StrictServer(flask.Flask):
    """A server that forgives nothing. ``grants`` may be ended from outside."""

    def __init__(self, client: Client) -> None:
        super().__init__("strict")
        self.client = client
        self.codes: dict[str, _Grant] = {}
        self.used_codes: dict[str, _Grant] = {}
        self.refresh_tokens: dict[str, _Grant] = {}
        self.rotated: dict[str, _Grant] = {}
        self.reuses = 0
        self._turn = threading.RLock()

    @property
    def grants_made(self) -> list[_Grant]:
        """Everything that was granted."""
        return list(self.used_codes.values())

    def find(self, live: dict[str, _Grant], dead: dict[str, _Grant], token: str) -> _Grant | None:
        """A living grant; a second use of what was used up ends it (RFC 9700, 4.14.2)."""
        if token in dead:
            self.reuses += 1
            dead[token].ended = True
        grant = live.get(token)
        return grant if grant and not grant.ended else None


def strict(client: Client) -> StrictServer:  # noqa: C901 - all its rules in one place
    """A strict server with one client."""
    app = StrictServer(client)
    app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
    app.config["OAUTH2_TOKEN_EXPIRES_IN"] = dict.fromkeys(
        ("authorization_code", "refresh_token"), ACCESS_SECONDS
    )

    class CodeGrant(grants.AuthorizationCodeGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_post",)

        def save_authorization_code(self, code: str, request: Any) -> None:
            data = request.payload.data
            app.codes[code] = _Grant(
                client_id=request.client.client_id,
                scope=request.scope,
                redirect_uri=request.payload.redirect_uri,
                code_challenge=data["code_challenge"],
                code_challenge_method=data["code_challenge_method"],
            )

        def query_authorization_code(self, code: str, client: Client) -> _Grant | None:
            return app.find(app.codes, app.used_codes, code)

        def delete_authorization_code(self, authorization_code: _Grant) -> None:
            for code in [c for c, grant in app.codes.items() if grant is authorization_code]:
                app.used_codes[code] = app.codes.pop(code)

        def authenticate_user(self, authorization_code: _Grant) -> str:
            return "ann"

    class RefreshGrant(grants.RefreshTokenGrant):
        TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_post",)
        INCLUDE_NEW_REFRESH_TOKEN = True

        def authenticate_refresh_token(self, refresh_token: str) -> _Grant | None:
            found = app.find(app.refresh_tokens, app.rotated, refresh_token)
            if found:
                app.rotated[refresh_token] = app.refresh_tokens.pop(refresh_token)
            self.request.authorization_code = found
            return found

        def authenticate_user(self, refresh_token: _Grant) -> str:
            return "ann"

        def revoke_old_credential(self, refresh_token: _Grant) -> None:
            """It was rotated when it was read."""

    class Issuer(IssuerParameter):
        def get_issuer(self) -> str:
            return flask.request.host_url.rstrip("/")

    def save_token(token: Mapping[str, str], request: Any) -> None:
        app.refresh_tokens[token["refresh_token"]] = request.authorization_code

    server = Grants()
    server.init_app(
        app,
        query_client=lambda asked: client if asked == client.client_id else None,
        save_token=save_token,
    )
    server.register_grant(CodeGrant, [CodeChallenge(required=True)])
    server.register_grant(RefreshGrant)
    server.register_extension(Issuer())

    @app.get("/oauth2/authorize")
    def authorize() -> Any:
        try:
            grant = server.get_consent_grant(end_user="ann")
            data = flask.request.args
            if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
                raise InvalidRequestError("PKCE with S256 is required")
            if len(data.get("state", "")) < 22:  # 128 bits
                raise InvalidRequestError("An unguessable state is required")
        except OAuth2Error as refusal:
            return f"<h1>{refusal.error}</h1><p>{refusal.description}</p>", 400
        return server.create_authorization_response(grant=grant, grant_user="ann")

    @app.post("/oauth2/token")
    def token() -> Any:
        with app._turn:
            return server.create_token_response()

    @app.post("/oauth2/revoke")
    def revoke() -> Any:
        # As Google has it: whoever holds a token may end it.
        token = flask.request.form.get("token", "")
        grant = app.refresh_tokens.get(token) or app.rotated.get(token)
        if grant is None:
            return {"error": "invalid_token"}, 400
        grant.ended = True
        return {}

    return app


def secret() -> str:
    """A client secret."""
    return f"GOCSPX-{secrets.token_urlsafe(21)}"
