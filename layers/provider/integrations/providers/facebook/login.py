"""Facebook Pages by log-in: the stack's own app, and the pages that a person shares with it.

https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow
https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived

Facebook gives no refresh token: a long-lived user token is exchanged for a new one while it lives.
Actions, triggers and webhooks are those of ``facebook``.
"""

from contextlib import suppress
from typing import override
from urllib.parse import urlencode

from pydantic import SecretStr

from integrations.errors import (
    CredentialsRejected,
    InvalidParams,
    NeedsReauthentication,
    PermissionMissing,
    ProviderNotConfigured,
    RequestRejected,
)
from integrations.outbound.http import Http
from integrations.providers.base import Addresses, Call, OAuth, OAuthApp, Provider, Verified
from integrations.providers.facebook.actions import MODULES
from integrations.providers.facebook.api import Graph
from integrations.providers.facebook.app_webhook import SHARED_WEBHOOK
from integrations.providers.facebook.grant import (
    Grant,
    can_refresh,
    exchanged,
    expires_at,
    grant_fields,
    graph_of,
    refresh,
    verified,
)
from integrations.providers.facebook.provider import INBOUND
from integrations.providers.facebook.removal import removal_of
from integrations.providers.facebook.triggers import TRIGGERS

PARAMETERS = ("FacebookAppId", "FacebookAppSecret")

SCOPES = (
    "pages_show_list",
    "pages_read_engagement",
    "pages_read_user_content",
    "pages_manage_posts",
    "pages_manage_engagement",
    "pages_manage_metadata",
    "pages_messaging",
)
"""What the actions and the webhooks need. https://developers.facebook.com/docs/permissions."""


class FacebookOAuthCredentials(Grant):
    """What a log-in gave; made by the handshake alone."""

    access_token: SecretStr

    @override
    def token(self) -> SecretStr:
        return self.access_token

    @override
    def app(self, stack: OAuthApp | None) -> OAuthApp:
        if stack is None:
            detail = f"This stack has no Facebook app: set {' and '.join(PARAMETERS)}"
            raise ProviderNotConfigured(detail)
        return stack


def authorization_url(
    app: OAuthApp, addresses: Addresses, redirect_uri: str, state: str, code_challenge: str
) -> str:
    """Where the person logs in and chooses the pages.

    Args:
        app: The stack's app.
        addresses: Where the dialog is.
        redirect_uri: Our callback; Facebook wants it again, byte for byte, with the code.
        state: Comes back with the code.
        code_challenge: PKCE, S256.

    Returns:
        The dialog's URL.
    """
    query = {
        "client_id": app.client_id,
        "redirect_uri": redirect_uri,
        "state": state,
        "response_type": "code",
        "scope": ",".join(SCOPES),
        # Without it Facebook does not ask again for what was declined once.
        "auth_type": "rerequest",
        "code_challenge": code_challenge,
        "code_challenge_method": "S256",
    }
    dialog = f"{addresses.facebook_dialog}/{addresses.graph_version}/dialog/oauth"
    return f"{dialog}?{urlencode(query)}"


def exchange(
    app: OAuthApp,
    http: Http,
    addresses: Addresses,
    code: str,
    redirect_uri: str,
    code_verifier: str,
) -> FacebookOAuthCredentials:
    """Make a connection of a code: short-lived token, long-lived token, the pages' own tokens.

    Args:
        app: The stack's app.
        http: The one way out.
        addresses: Where Graph is.
        code: What came to the callback.
        redirect_uri: The one that the dialog was given.
        code_verifier: What the challenge was made of.

    Raises:
        CredentialsRejected: Facebook refuses the code (used, expired, of another redirect) or the
            app's secret, with its reason.
        PermissionMissing: Permissions were declined, which the detail names, or no page was shared.
        ProviderError: Facebook does not answer, or not now.
    """
    graph = Graph(app, http, addresses)
    fields = {"redirect_uri": redirect_uri, "code": SecretStr(code)}
    short = graph.token(fields | {"code_verifier": SecretStr(code_verifier)})
    token = exchanged(graph, short)
    granted = grant_fields(graph, token, dead=CredentialsRejected, needed=SCOPES)
    credentials = FacebookOAuthCredentials(**granted)
    if not credentials.pages:
        detail = "No page was shared, or this account manages none; connect again and choose one"
        raise PermissionMissing(detail)
    return credentials


def verify(call: Call[FacebookOAuthCredentials]) -> Verified[FacebookOAuthCredentials]:
    """Test the token and read its pages anew, as people come to manage other ones.

    Raises:
        NeedsReauthentication: The token is dead.
        PermissionMissing: A permission was taken back; the detail names it.
        ProviderError: Facebook does not answer, or not now.
    """
    graph = graph_of(call)
    given = call.credentials
    granted = grant_fields(graph, given.access_token, dead=NeedsReauthentication, needed=SCOPES)
    return verified(given.model_copy(update=granted), graph.app)


def revoke(call: Call[FacebookOAuthCredentials]) -> None:
    """Take back all that the person granted to the app; every token of theirs for it dies.

    https://developers.facebook.com/docs/facebook-login/guides/permissions/request-revoke#revokelogin

    Raises:
        ProviderError: Facebook does not take the app's secret, does not answer, or not now. What is
            revoked already is no error.
    """
    given = call.credentials
    graph = graph_of(call)
    try:
        graph.delete(f"{given.user_id or 'me'}/permissions", given.access_token)
    except NeedsReauthentication:
        # A token that has only expired leaves the permissions behind, which the app may take back.
        if given.user_id:
            with suppress(CredentialsRejected, PermissionMissing, InvalidParams, RequestRejected):
                graph.delete(f"{given.user_id}/permissions", graph.app_token)
    except (InvalidParams, RequestRejected):
        return


PROVIDER = Provider(
    id="facebook_oauth",
    title="Facebook Pages (log-in)",
    docs_url="https://developers.facebook.com/docs/facebook-login",
    credentials=FacebookOAuthCredentials,
    verify=verify,
    actions_in=MODULES,
    triggers=TRIGGERS,
    inbound=INBOUND._replace(endpoint=None, shared=SHARED_WEBHOOK),
    oauth=OAuth(
        parameters=PARAMETERS,
        authorization_url=authorization_url,
        exchange=exchange,
        removal=removal_of,
    ),
    expires_at=expires_at,
    refresh=refresh,
    can_refresh=can_refresh,
    revoke=revoke,
)
