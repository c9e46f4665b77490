"""How one Graph API request goes out, and what its answer means.

https://developers.facebook.com/docs/graph-api/overview
https://developers.facebook.com/docs/graph-api/guides/error-handling
https://developers.facebook.com/docs/graph-api/guides/secure-requests

Tokens travel in the ``Authorization`` header, not in the URL; each call carries the proof of its
own token. Facebook puts tokens into the URLs of its paging, which are left out before they leave
this module.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from pydantic import SecretStr
from pydantic.alias_generators import to_camel

from integrations.errors import (
    CredentialsRejected,
    InvalidParams,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from integrations.models import Json
from integrations.outbound.content import Content
from integrations.outbound.http import Http, Response
from integrations.outbound.retry_after import retry_after
from integrations.providers.base import Addresses, OAuthApp
from integrations.providers.facebook.faults import (
    AppRefused,
    fault,
    without_tokens,
)
from integrations.providers.facebook.values import text

type Fields = Mapping[str, Any]
"""A request's parameters: JSON values and ``SecretStr``; ``None`` leaves one out."""

# Names that are data, an id or a date, stay as they are.
_SNAKE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+")
_SECRET_FIELDS = frozenset({"page_token", "appsecret_proof", "client_secret", "app_secret"})


# -- Requests --------------------------------------------------------------------------------


def appsecret_proof(app_secret: SecretStr, token: SecretStr) -> str:
    """What shows Facebook that the caller of this very token also knows the app's secret.

    https://developers.facebook.com/docs/graph-api/guides/secure-requests#appsecret_proof
    """
    key, message = app_secret.get_secret_value(), token.get_secret_value()
    return hmac.new(key.encode(), message.encode(), hashlib.sha256).hexdigest()


class Graph(NamedTuple):
    """The Graph API as one app sees it.

    Every method raises the errors of ``fault``, and what ``Http.request`` raises.

    Attributes:
        app: The app's id and secret.
        http: The one way out.
        addresses: Where Graph is, and its version.
        scope_of: Whose limit a token's calls count against; see ``RateLimited``.
        check_pause: As ``Call.check_pause``.
    """

    app: OAuthApp
    http: Http
    addresses: Addresses
    scope_of: Callable[[SecretStr], str] = lambda _: ""
    check_pause: Callable[[str], None] = lambda _: None

    @property
    def app_token(self) -> SecretStr:
        """The app's own access token.

        https://developers.facebook.com/docs/facebook-login/guides/access-tokens#apptokens
        """
        return SecretStr(f"{self.app.client_id}|{self.app.client_secret.get_secret_value()}")

    def get(self, path: str, token: SecretStr, fields: Fields | None = None) -> dict[str, Json]:
        """Read a node or an edge."""
        return self.request("GET", path, token, fields)

    def post(
        self,
        path: str,
        token: SecretStr,
        fields: Fields | None = None,
        files: Mapping[str, tuple[str, bytes | Content, str]] | None = None,
    ) -> dict[str, Json]:
        """Create or change."""
        return self.request("POST", path, token, fields, files)

    def delete(self, path: str, token: SecretStr, fields: Fields | None = None) -> dict[str, Json]:
        """Delete."""
        return self.request("DELETE", path, token, fields)

    def request(
        self,
        method: str,
        path: str,
        token: SecretStr,
        fields: Fields | None = None,
        files: Mapping[str, tuple[str, bytes | Content, str]] | None = None,
    ) -> dict[str, Json]:
        """Send one request with its token and its proof.

        Args:
            method: GET, POST or DELETE.
            path: Below the version, without a leading slash; already safe for a URL.
            token: The token of this call: a page's, a user's or the app's.
            fields: The parameters in Graph's own names.
            files: Multipart parts.

        Returns:
            Graph's answer, still as Graph gave it; see ``harmless``.
        """
        scope = self.scope_of(token)
        self.check_pause(scope)
        sending = _wire(fields or {})
        sending["appsecret_proof"] = appsecret_proof(self.app.client_secret, token)
        in_body = method == "POST"
        response = self.http.request(
            method,
            f"{self.addresses.facebook_graph}/{self.addresses.graph_version}/{path}",
            params=None if in_body else sending,
            data=sending if in_body else None,
            files=files,
            headers={"Authorization": f"Bearer {token.get_secret_value()}"},
        )
        return _read(
            response,
            writes=method != "GET",
            as_app=token == self.app_token,
            scope=scope,
            secrets=(token, self.app.client_secret, *_secrets(fields or {})),
        )

    def token(self, fields: Fields) -> SecretStr:
        """Ask the token endpoint for a token.

        https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow#exchangecode
        https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived

        Args:
            fields: The grant; the app's id and secret are added.

        Raises:
            CredentialsRejected: The code, the token or the app's secret is refused.
        """
        sending = {
            "client_id": self.app.client_id,
            "client_secret": self.app.client_secret,
            **fields,
        }
        # By POST, so that neither the secret nor the code stands in a URL.
        response = self.http.request(
            "POST",
            f"{self.addresses.facebook_graph}/{self.addresses.graph_version}/oauth/access_token",
            data=_wire(sending),
        )
        try:
            body = _read(response, writes=True, as_app=False, secrets=_secrets(sending))
        except (InvalidParams, RequestRejected) as refusal:
            raise CredentialsRejected(refusal.detail) from None
        except ProviderUnavailable as refusal:
            # "Error validating client secret." comes with the code of a server that is down.
            if "client secret" in refusal.detail.casefold():
                raise AppRefused(refusal.detail, data=refusal.data) from None
            raise
        match body:
            case {"access_token": str(token)} if token:
                return SecretStr(token)
        detail = "Facebook answered the request for a token without a token"
        raise ProviderUnavailable(detail, status=response.status)

    def each(self, path: str, token: SecretStr, fields: Fields) -> Iterator[dict[str, Json]]:
        """Every item of an edge, page by page, by cursor: the URLs in ``paging`` hold the token."""
        after: str | None = None
        while True:
            items, following = listing(self.get(path, token, {**fields, "after": after}))
            yield from (item for item in items if isinstance(item, dict))
            if following is None or following == after:
                return
            after = following


def _wire(fields: Fields) -> dict[str, str]:
    """Parameters as text: strings as they are, all else as JSON, as facebook-business sends it."""
    return {name: _text(value) for name, value in fields.items() if value is not None}


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _secrets(fields: Fields) -> tuple[SecretStr, ...]:
    return tuple(value for value in fields.values() if isinstance(value, SecretStr))


# -- Answers ---------------------------------------------------------------------------------


def listing(body: Mapping[str, Json]) -> tuple[list[Json], str | None]:
    """An edge's items, and the cursor of those that follow; ``None`` at the end.

    https://developers.facebook.com/docs/graph-api/results

    Raises:
        ProviderUnavailable: It is no list.
    """
    items = body.get("data")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise nonsense()
    match body.get("paging"):
        # The last page has a cursor too, but no ``next``.
        case {"next": str(), "cursors": {"after": str(after)}}:
            return items, after
    return items, None


def nonsense(*, writes: bool = False) -> ProviderUnavailable:
    """What a success without what was asked for means: of a write, that its outcome is unknown."""
    detail = "Facebook answered with success, but not with what was asked for"
    return ProviderUnavailable(detail, outcome_unknown=writes)


def identified(body: dict[str, Json]) -> dict[str, Json]:
    """A node, which always has an id.

    Raises:
        ProviderUnavailable: It has none.
    """
    if not text(body.get("id")):
        raise nonsense()
    return body


def harmless(value: Json) -> Json:
    """What may leave: Graph's answer without access tokens and without the URLs of its paging.

    ``paging`` keeps its cursors, and ``hasNext`` tells whether there is more.
    """
    match value:
        case dict():
            return {
                name: _cursors(item) if name == "paging" else harmless(item)
                for name, item in value.items()
                if name not in _SECRET_FIELDS and not name.endswith("access_token")
            }
        case list():
            return [harmless(item) for item in value]
        case str():
            return without_tokens(value)
        case _:
            return value


def camel(value: Json) -> Json:
    """The same with each name in camelCase, as everything of this API is."""
    match value:
        case dict():
            return {
                to_camel(name) if _SNAKE.fullmatch(name) else name: camel(item)
                for name, item in value.items()
            }
        case list():
            return [camel(item) for item in value]
        case _:
            return value


def _cursors(paging: Json) -> Json:
    if not isinstance(paging, dict):
        return None
    return {"cursors": harmless(paging.get("cursors")), "hasNext": "next" in paging}


def _read(
    response: Response,
    *,
    writes: bool,
    as_app: bool,
    scope: str = "",
    secrets: tuple[SecretStr, ...],
) -> dict[str, Json]:
    """Graph's answer as an object, or the error that it is."""
    try:
        body = response.json()
    except ProviderUnavailable:
        body = None
    match body:
        case {"error": dict(error)}:
            raise fault(
                error,
                response.status,
                response.headers,
                as_app=as_app,
                scope=scope,
                secrets=secrets,
            )
        case {"success": False}:
            raise RequestRejected("Facebook answered that it was not done", status=response.status)
        case dict() if response.status < HTTPStatus.BAD_REQUEST:
            return body
        case True if response.status < HTTPStatus.BAD_REQUEST:
            # Some edges still answer with the bare word of the early versions.
            return {"success": True}
    detail = f"Facebook answered with status {response.status} and not as the Graph API does"
    wait = retry_after(response.headers)
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise RateLimited(detail, scope=scope, status=response.status, retry_after=wait)
    raise ProviderUnavailable(
        detail,
        status=response.status,
        retry_after=wait,
        # A proxy's 503 means that nobody took the request; any other page may hide a done deed.
        outcome_unknown=writes and response.status != HTTPStatus.SERVICE_UNAVAILABLE,
    )
