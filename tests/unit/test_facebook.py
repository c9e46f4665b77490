"""The Facebook provider against a stand-in of Graph, its requests checked by Meta's own SDK."""

import hashlib
import hmac
import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from integrations.errors import (
    CredentialsRejected,
    IntegrationError,
    InvalidParams,
    NeedsReauthentication,
    PermissionMissing,
    ProviderTimeout,
    ProviderUnavailable,
    RateLimited,
    RequestRejected,
)
from integrations.models import Account, Json, now
from integrations.outbound.client import Outbound
from integrations.providers import registry
from integrations.providers.base import Action, Addresses, Call, OAuthApp, Subscription
from integrations.providers.facebook.api import appsecret_proof, camel, harmless
from integrations.providers.facebook.faults import AppRefused, Usage, fault, usage
from integrations.providers.facebook.provider import PROVIDER, FacebookCredentials
from tests.contracts import facebook as contract
from tests.fakes.facebook import DATA_ACCESS, LONG, FacebookStandIn, Recorded, sign
from tests.unit.connected import ANN, BAKERY, COMMENT, POST, World

SECRETS = ("EAA", "0123456789abcdef0123456789abcdef")
"""What every token and the app's secret begin with, or are."""


@pytest.fixture
def world() -> Iterator[World]:
    with FacebookStandIn() as facebook:
        page = facebook.add_page("Bakery", id_=BAKERY)
        user = facebook.add_user("Ann Owner", pages=[page])
        person = facebook.add_person("Zoë", "Müller", id_=ANN)
        facebook.add_post(page, "Fresh cake", id_=POST)
        author = {"id": person, "name": "Zoë Müller"}
        facebook.add_comment(POST, "How much is it?", author, id_=COMMENT)
        facebook.other_nodes[f"{BAKERY}/insights"] = {"data": [{"name": "page_impressions"}]}
        yield World(facebook, user, page, person)


def run(call: Call[Any], name: str, params: Mapping[str, Any] | None = None) -> Any:
    action = PROVIDER.action(name)
    return action.run(call, action.params.model_validate(params or {}))


# -- What goes out ---------------------------------------------------------------------------

EDGES = {
    "listPages": ("user", "get_accounts"),
    "getPage": ("page", "api_get"),
    "listPosts": ("page", "get_published_posts"),
    "getPost": ("pagepost", "api_get"),
    "createPost": ("page", "create_feed"),
    "createPhotoPost": ("page", "create_photo"),
    "deletePost": ("pagepost", "api_delete"),
    "listComments": ("pagepost", "get_comments"),
    "getComment": ("comment", "api_get"),
    "replyToComment": ("comment", "create_comment"),
    "hideComment": ("comment", "api_update"),
    "unhideComment": ("comment", "api_update"),
    "likeComment": ("comment", "create_like"),
    "deleteComment": ("comment", "api_delete"),
    "sendPrivateReply": ("page", "create_message"),
    "sendMessage": ("page", "create_message"),
    "getProfile": ("profile", "api_get"),
    "subscribePage": ("page", "create_subscribed_app"),
    "unsubscribePage": ("page", "delete_subscribed_apps"),
    "getSubscriptions": ("page", "get_subscribed_apps"),
    "call": ("page", "get_insights"),
}
READS = {
    "listPages": "page",
    "getPage": "page",
    "listPosts": "pagepost",
    "getPost": "pagepost",
    "listComments": "comment",
    "getComment": "comment",
    # Page-scoped people have the fields of a user.
    "getProfile": "user",
}
# https://developers.facebook.com/docs/graph-api/reference/user/accounts, which the SDK shortens.
BESIDE_THE_SDK = {"tasks"}

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((action.name, dict(action.example)) for action in PROVIDER.actions),
    ("getPage", {}),
    ("listPosts", {"source": "published_posts", "pageId": BAKERY}),
    (
        "createPost",
        {"message": "Soon", "scheduledPublishTime": "2030-01-01T08:00:00Z", "mediaIds": ["1", "2"]},
    ),
    (
        "createPhotoPost",
        {
            "contentBase64": b64encode(b"\x89PNG").decode(),
            "fileName": "cake.png",
            "altText": "A cake",
            "published": False,
        },
    ),
    ("listComments", {"postId": POST, "since": "2026-11-01T00:00:00Z", "order": "chronological"}),
    ("replyToComment", {"commentId": COMMENT, "attachmentUrl": "https://example.com/a.gif"}),
    (
        "sendPrivateReply",
        {
            "commentId": COMMENT,
            "attachment": {"type": "image", "url": "https://example.com/a.png"},
            "quickReplies": [{"contentType": "user_email"}],
        },
    ),
    (
        "sendMessage",
        {
            "recipientId": ANN,
            "attachment": {"type": "template", "payload": {"template_type": "generic"}},
            "messagingType": "MESSAGE_TAG",
            "tag": "HUMAN_AGENT",
            "notificationType": "SILENT_PUSH",
            "replyTo": "m_1",
        },
    ),
]


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_every_request_is_one_that_metas_own_sdk_could_send(
    world: World, name: str, params: dict[str, Any]
) -> None:
    run(world.connected(), name, params)

    (sent,) = world.facebook.requests
    edge = contract.Edge(*EDGES[name])
    path = below_the_version(sent)
    assert edge.mistakes(sent.method, path, sent.params, sent.files) == []
    if name in READS and "fields" in sent.params:
        fields = set(sent.params["fields"].split(",")) - BESIDE_THE_SDK
        assert fields <= contract.fields(READS[name])


def below_the_version(sent: Recorded) -> str:
    prefix = "/v26.0/"
    assert sent.path.startswith(prefix)
    return sent.path.removeprefix(prefix)


def test_the_table_of_edges_knows_every_action() -> None:
    assert set(EDGES) == {action.name for action in PROVIDER.actions}


def test_the_contract_sees_what_is_wrong() -> None:
    edge = contract.Edge("page", "create_message")
    params = {"messaging_type": "REPLY", "recipient": "{}", "text": "hi"}
    assert edge.mistakes("GET", "1/messages", params) == [
        "GET /messages is not POST /messages",
        "messaging_type='REPLY' is not messaging_type_enum",
        "text is no parameter",
    ]


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_every_call_carries_the_proof_of_its_own_token_and_no_token_in_its_url(
    world: World, name: str, params: dict[str, Any]
) -> None:
    run(world.connected(), name, params)

    (sent,) = world.facebook.requests
    assert sent.token is not None
    assert sent.token not in sent.url
    secret = world.facebook.app_secret.encode()
    proof = hmac.new(secret, sent.token.encode(), hashlib.sha256).hexdigest()
    assert sent.params["appsecret_proof"] == proof


@pytest.mark.parametrize(("name", "params"), VARIANTS)
def test_no_token_is_in_any_result(world: World, name: str, params: dict[str, Any]) -> None:
    answer = json.dumps(run(world.connected(), name, params))
    assert not any(secret in answer for secret in SECRETS)


def test_the_proof_is_the_one_of_the_test_vector() -> None:
    proof = "2356b17ae2860016a34575ada27f94b543ed2cbe59a85ba2e0c62dc4aba7a5c6"
    assert appsecret_proof(SecretStr("secret"), SecretStr("TOKEN")) == proof


def test_a_delivery_is_signed_as_in_the_test_vector() -> None:
    body, headers = sign({"text": "äöå"}, "appsecret")
    assert body == b'{"text":"\\u00e4\\u00f6\\u00e5"}'
    assert headers["X-Hub-Signature-256"] == (
        "sha256=f823e7ceab4f08bb0b0644678deb928221134967d55acc182a0ae7010ac54852"
    )


def test_the_version_of_graph_is_a_setting(world: World) -> None:
    world.facebook.version = "v27.0"
    call = world.call()
    newer = Addresses(facebook_graph=world.facebook.url, graph_version="v27.0")
    PROVIDER.verify(Call(credentials=call.credentials, http=call.http, addresses=newer))
    assert world.facebook.requests[0].path.startswith("/v27.0/")


# -- What comes back -------------------------------------------------------------------------


def test_pages_are_listed_page_by_page_without_their_tokens(world: World) -> None:
    user = world.facebook.users[world.user]
    user.pages += [world.facebook.add_page(f"Branch {n}") for n in range(3)]
    call = world.connected()

    first = run(call, "listPages", {"limit": 3})
    rest = run(call, "listPages", {"limit": 3, "after": first["after"]})

    assert [page["name"] for page in first["items"] + rest["items"]] == [
        "Bakery",
        "Branch 0",
        "Branch 1",
        "Branch 2",
    ]
    assert "after" not in rest
    assert "tasks" in first["items"][0]


def test_a_list_ends_where_facebook_names_no_next_page_though_it_gives_a_cursor(
    world: World,
) -> None:
    answer = run(world.connected(), "listPosts")
    assert [post["id"] for post in answer["items"]] == [POST]
    assert "after" not in answer


def test_names_come_back_in_camel_case(world: World) -> None:
    comment = run(world.connected(), "getComment", {"commentId": COMMENT})
    assert comment["permalinkUrl"].startswith("https://www.facebook.com/")
    assert comment["from"] == {"id": ANN, "name": "Zoë Müller"}


def test_names_that_are_data_stay_as_they_are() -> None:
    data: Json = {"by_day": {"110_122": 1, "A": 2, "2026-11-22": {"like_count": 3}}}
    assert camel(data) == {"byDay": {"110_122": 1, "A": 2, "2026-11-22": {"likeCount": 3}}}


def test_a_comment_is_hidden_shown_liked_answered_and_deleted(world: World) -> None:
    call = world.connected()
    comment = world.facebook.comments[COMMENT]

    assert run(call, "hideComment", {"commentId": COMMENT}) == {"success": True}
    assert comment["is_hidden"] is True
    run(call, "unhideComment", {"commentId": COMMENT})
    assert comment["is_hidden"] is False
    run(call, "likeComment", {"commentId": COMMENT})
    reply = run(call, "replyToComment", {"commentId": COMMENT, "message": "Ten euros 🎂"})
    assert world.facebook.comments[reply["id"]]["message"] == "Ten euros 🎂"
    thread = run(call, "listComments", {"postId": POST, "filter": "stream"})
    assert {one["id"] for one in thread["items"]} == {COMMENT, reply["id"]}
    run(call, "deleteComment", {"commentId": COMMENT})
    assert COMMENT not in world.facebook.comments


def test_a_photo_is_uploaded_as_it_is(world: World) -> None:
    picture = bytes(range(256))
    params = {"contentBase64": b64encode(picture).decode(), "fileName": "cake.png"}
    answer = run(world.connected(), "createPhotoPost", {**params, "caption": "Käse 🧀"})
    (sent,) = world.facebook.requests
    assert sent.files == {"source": ("cake.png", picture, "image/png")}
    assert sent.form["caption"] == "Käse 🧀"
    assert answer["postId"] in world.facebook.posts


def test_a_scheduled_post_is_not_published_before_its_time(world: World) -> None:
    run(
        world.connected(),
        "createPost",
        {"message": "Happy new year", "scheduledPublishTime": "2030-01-01T00:00:00+01:00"},
    )
    form = world.facebook.requests[0].form
    assert form["published"] == "false"
    assert form["scheduled_publish_time"] == str(
        int(datetime(2029, 12, 31, 23, tzinfo=UTC).timestamp())
    )


def test_a_private_reply_goes_to_the_comments_author_once(world: World) -> None:
    call = world.connected()
    params = {"commentId": COMMENT, "text": "The list: …"}
    assert run(call, "sendPrivateReply", params) == {
        "recipientId": ANN,
        "messageId": world.facebook.messages[0]["mid"],
        "alreadyReplied": False,
    }
    assert run(call, "sendPrivateReply", params) == {"alreadyReplied": True}
    assert len(world.facebook.messages) == 1


def test_a_message_carries_its_quick_replies(world: World) -> None:
    run(
        world.connected(),
        "sendMessage",
        {"recipientId": ANN, "text": "Which?", "quickReplies": [{"title": "Big"}]},
    )
    assert world.facebook.messages[0]["message"] == {
        "text": "Which?",
        "quick_replies": [{"content_type": "text", "title": "Big", "payload": "Big"}],
    }


def test_a_page_is_subscribed_and_unsubscribed(world: World) -> None:
    call = world.connected()
    run(call, "subscribePage", {"fields": ["feed"]})
    assert run(call, "getSubscriptions")["items"] == [
        {"id": world.facebook.app_id, "name": "Example App", "subscribedFields": ["feed"]}
    ]
    run(call, "unsubscribePage")
    assert run(call, "getSubscriptions") == {"items": []}


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("createPost", {}),
        ("createPost", {"message": "x", "scheduledPublishTime": "2030-01-01T00:00:00"}),
        ("createPhotoPost", {"caption": "nothing to see"}),
        ("createPhotoPost", {"contentBase64": "not base64!"}),
        ("createPhotoPost", {"contentBase64": "AAAA", "url": "https://example.com/a.png"}),
        ("getPost", {"postId": "../../debug_token"}),
        ("getPost", {"postId": "1?access_token=2"}),
        ("getComment", {"commentId": COMMENT, "fields": ["id?x"]}),
        ("listPosts", {"limit": 0}),
        ("replyToComment", {"commentId": COMMENT}),
        ("sendMessage", {"recipientId": ANN}),
        ("sendMessage", {"recipientId": ANN, "text": "x" * 2001}),
        ("sendMessage", {"recipientId": ANN, "text": "x", "messagingType": "MESSAGE_TAG"}),
        ("sendMessage", {"recipientId": ANN, "text": "x", "tag": "HUMAN_AGENT"}),
        ("sendMessage", {"recipientId": ANN, "text": "x", "quickReplies": [{"payload": "p"}]}),
        ("sendMessage", {"recipientId": ANN, "attachment": {"type": "image"}}),
        ("hideComment", {"commentId": COMMENT, "surplus": 1}),
    ],
)
def test_parameters_that_cannot_be_right_are_refused_before_anything_is_sent(
    world: World, name: str, params: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        run(world.connected(), name, params)
    assert world.facebook.requests == []


# -- Which page ------------------------------------------------------------------------------


@pytest.fixture
def two_pages(world: World) -> World:
    world.facebook.users[world.user].pages.append(world.facebook.add_page("Café", id_="220"))
    return world


def test_with_several_pages_the_page_must_be_named(two_pages: World) -> None:
    call = two_pages.connected()
    with pytest.raises(InvalidParams, match=r"Bakery \(110000000000001\), Café \(220\)") as info:
        run(call, "sendMessage", {"recipientId": ANN, "text": "hi"})
    assert info.value.errors[0].field == "pageId"
    with pytest.raises(InvalidParams, match="none of the connection's"):
        run(call, "sendMessage", {"recipientId": ANN, "text": "hi", "pageId": "999"})
    run(call, "sendMessage", {"recipientId": ANN, "text": "hi", "pageId": BAKERY})
    assert two_pages.facebook.messages[0]["page"] == BAKERY


def test_a_posts_id_names_its_page(two_pages: World) -> None:
    run(two_pages.connected(), "getPost", {"postId": POST})
    token = two_pages.facebook.requests[0].token or ""
    assert two_pages.facebook.tokens[token].owner == BAKERY


def test_a_number_will_do_for_an_id(world: World) -> None:
    run(world.connected(), "sendMessage", {"recipientId": int(ANN), "text": "hi"})
    assert world.facebook.messages[0]["recipient"] == {"id": ANN}


def test_a_connection_without_a_token_says_that_it_has_no_page(world: World) -> None:
    with pytest.raises(PermissionMissing, match="access token"):
        run(world.call(), "getPage")
    with pytest.raises(PermissionMissing, match="access token"):
        run(world.call(), "listPages")


# -- Any other edge --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//evil.example/x",
        "https://evil.example/x",
        "../../me",
        "me/../../x",
        "me/..",
        "./me",
        "me//accounts",
        "me/accounts?access_token=x",
        "me#x",
        "me%2f..%2fx",
        "me\\..\\x",
        "me\n",
        "me/accounts\r\nHost: evil",
        "@evil.example",
        "evil.example:80",
        "v19.0/me",
        "V19.0/me",
        "oauth/access_token",
        "OAuth/access_token",
        "debug_token",
        "ünicode",
    ],
)
def test_a_path_cannot_leave_the_host_the_version_or_the_connection(
    world: World, path: str
) -> None:
    with pytest.raises(ValidationError):
        run(world.connected(), "call", {"path": path})
    assert world.facebook.requests == []


@pytest.mark.parametrize(
    "name", ["access_token", "Access_Token", "appsecret_proof", "method", "batch", "client_secret"]
)
def test_a_call_cannot_bring_another_token_or_become_another_call(world: World, name: str) -> None:
    with pytest.raises(ValidationError):
        run(world.connected(), "call", {"path": "me", "params": {name: "x"}})


def test_any_other_edge_can_be_called_as_the_page_or_as_the_user(world: World) -> None:
    call = world.connected()
    insights = run(call, "call", {"path": f"/{BAKERY}/insights", "params": {"metric": ["a", "b"]}})
    assert insights == {"data": [{"name": "page_impressions"}]}
    assert world.facebook.requests[0].query["metric"] == '["a","b"]'
    me = run(call, "call", {"path": "me", "actAs": "user"})
    assert me == {"id": world.user, "name": "Ann Owner"}


def test_a_call_strips_tokens_and_the_urls_of_paging(world: World) -> None:
    user = world.facebook.users[world.user]
    user.pages.append(world.facebook.add_page("Café"))
    params = {"path": "me/accounts", "actAs": "user", "params": {"limit": 1}}
    answer = run(world.connected(), "call", params)
    assert answer["paging"]["hasNext"] is True
    assert set(answer["data"][0]) == {"id", "name", "category", "tasks"}
    assert "EAA" not in json.dumps(answer)


def test_what_leaves_holds_no_token_however_deep_it_was() -> None:
    token = "EAAUser" + "a1B2" * 10
    assert harmless(
        {
            "id": "1",
            "page_token": token,
            "nested": [
                {"user_access_token": token, "link": f"https://x/?access_token={token}&a=1"}
            ],
            "text": f"my token is {token}!",
            "comments": {"paging": {"next": f"https://x?access_token={token}", "cursors": {}}},
        }
    ) == {
        "id": "1",
        "nested": [{"link": "https://x/?access_token=…&a=1"}],
        "text": "my token is …!",
        "comments": {"paging": {"hasNext": True, "cursors": {}}},
    }


# -- The test of credentials -----------------------------------------------------------------


def test_a_short_lived_user_token_becomes_a_long_lived_one_with_page_tokens(
    two_pages: World,
) -> None:
    short = two_pages.facebook.user_token(two_pages.user)

    verified = PROVIDER.verify(two_pages.call(short))

    credentials = verified.credentials
    assert isinstance(credentials, FacebookCredentials)
    assert credentials.access_token is not None
    token = two_pages.facebook.tokens[credentials.access_token.get_secret_value()]
    assert token.expires_at > now().timestamp() + LONG - 60
    assert credentials.token_type == "USER"
    assert credentials.user_id == two_pages.user
    assert "pages_messaging" in credentials.scopes
    assert [(page.id, page.name) for page in credentials.pages] == [
        (BAKERY, "Bakery"),
        ("220", "Café"),
    ]
    assert "MODERATE" in credentials.pages[0].tasks
    for page in credentials.pages:
        assert two_pages.facebook.tokens[page.access_token.get_secret_value()].expires_at == 0
    assert verified.message == "Connected to 2 pages: Bakery, Café"
    assert verified.account.label == "Bakery, Café"
    assert verified.expires_at == credentials.expires_at


def test_the_account_tells_the_pages_and_no_secret(world: World) -> None:
    verified = PROVIDER.verify(world.call(world.facebook.user_token(world.user)))
    assert verified.account.id == world.user
    details = dict(verified.account.details)
    assert details["pages"] == [
        {"id": BAKERY, "name": "Bakery", "tasks": list(world.facebook.pages[BAKERY].tasks)}
    ]
    assert details["tokenType"] == "USER"
    assert not any(secret in json.dumps(details) for secret in SECRETS)
    inbound = PROVIDER.inbound
    assert inbound is not None
    assert inbound.targets is not None
    assert inbound.targets(verified.account) == {BAKERY: "Bakery"}
    assert inbound.targets(Account("1", "an app alone")) == {}


def test_a_long_lived_token_is_kept_as_it_is(world: World) -> None:
    token = world.facebook.user_token(world.user, lifetime=LONG)
    credentials = PROVIDER.verify(world.call(token)).credentials
    assert credentials is not None
    assert credentials.access_token.get_secret_value() == token
    assert not any(sent.path.endswith("access_token") for sent in world.facebook.requests)


def test_more_pages_than_fit_one_answer_are_all_found_by_cursor(world: World) -> None:
    user = world.facebook.users[world.user]
    user.pages += [world.facebook.add_page(f"Branch {n}") for n in range(120)]
    verified = PROVIDER.verify(world.call(world.facebook.user_token(world.user)))
    assert verified.credentials is not None
    assert len(verified.credentials.pages) == 121
    assert verified.account.label == "Bakery, Branch 0, Branch 1, Branch 2, Branch 3 and 116 more"


def test_a_page_token_is_kept_as_the_one_page(world: World) -> None:
    token = world.facebook.page_token(BAKERY, world.user)
    verified = PROVIDER.verify(world.call(token))
    credentials = verified.credentials
    assert credentials is not None
    assert [(page.id, page.name) for page in credentials.pages] == [(BAKERY, "Bakery")]
    assert credentials.token_type == "PAGE"
    assert verified.account.id == BAKERY
    # Its user's 90 days do not end what the page's own token may do.
    assert verified.expires_at is None
    assert run(world.holding(credentials), "listPages")["items"][0]["name"] == "Bakery"


def test_a_system_users_token_needs_no_exchange_and_never_ends(world: World) -> None:
    token = world.facebook.user_token(world.user, kind="SYSTEM_USER", lifetime=None)
    verified = PROVIDER.verify(world.call(token))
    assert verified.expires_at is None
    assert verified.message == "Connected to 1 page: Bakery"


def test_an_app_alone_is_tested_by_its_own_token(world: World) -> None:
    verified = PROVIDER.verify(world.call())
    assert verified.account.label == "Example App"
    assert "add an access token" in verified.message


@pytest.mark.parametrize("blank", ["", "   ", None])
def test_an_empty_token_is_no_token(world: World, blank: str | None) -> None:
    assert world.call(blank).credentials.access_token is None


def test_a_token_pasted_with_white_space_around_it_is_taken(world: World) -> None:
    token = world.facebook.user_token(world.user)
    assert PROVIDER.verify(world.call(f" {token}\n")).account.id == world.user


@pytest.mark.parametrize(
    "given",
    [
        {"appId": "abc", "appSecret": "s"},
        {"appId": "1", "appSecret": " "},
        {"appId": "1", "appSecret": "two words"},
        {"appId": "1", "appSecret": "s", "accessToken": "line\nbreak"},
        {"appId": "1", "appSecret": "s", "surplus": "x"},
    ],
)
def test_credentials_that_cannot_be_right_are_refused_without_repeating_them(
    given: dict[str, str],
) -> None:
    with pytest.raises(ValidationError) as info:
        FacebookCredentials.model_validate(given)
    assert "two words" not in str(info.value)


def test_a_dead_token_is_refused_with_facebooks_reason(world: World) -> None:
    token = world.facebook.user_token(world.user)
    world.facebook.kill(token, subcode=460, message="The user changed the password.")
    with pytest.raises(CredentialsRejected, match="The user changed the password") as info:
        PROVIDER.verify(world.call(token))
    assert info.value.code == "credentials_rejected"
    assert info.value.provider_code == "190/460"


def test_a_token_that_was_good_once_needs_a_person(world: World) -> None:
    call = world.connected()
    assert call.credentials.access_token is not None
    world.facebook.kill(call.credentials.access_token.get_secret_value())
    with pytest.raises(NeedsReauthentication):
        PROVIDER.verify(call)


def test_an_expired_token_is_refused(world: World) -> None:
    token = world.facebook.user_token(world.user)
    world.facebook.expire(token)
    with pytest.raises(CredentialsRejected, match="expired"):
        PROVIDER.verify(world.call(token))


def test_a_token_of_another_app_is_refused(world: World) -> None:
    token = world.facebook.user_token(world.user, app_id="999")
    with pytest.raises(CredentialsRejected, match="did not match the Viewing App"):
        PROVIDER.verify(world.call(token))


def test_a_token_that_debug_token_shows_to_be_another_apps_is_refused(world: World) -> None:
    world.facebook.answer(
        json.dumps({"data": {"app_id": "999", "application": "Evil", "is_valid": True}}),
        content_type="application/json",
        path="debug_token",
    )
    with pytest.raises(CredentialsRejected, match=r"belongs to Evil \(999\)"):
        PROVIDER.verify(world.call(world.facebook.user_token(world.user)))


def test_an_app_token_is_no_users_token(world: World) -> None:
    with pytest.raises(CredentialsRejected, match="app access token"):
        PROVIDER.verify(world.call(world.facebook.app_token))


def test_nonsense_for_a_token_is_refused(world: World) -> None:
    with pytest.raises(CredentialsRejected, match="Malformed"):
        PROVIDER.verify(world.call("nonsense"))


@pytest.mark.parametrize("wrong", [{"appSecret": "wrong"}, {"appId": "999"}])
def test_a_wrong_app_is_refused(world: World, wrong: dict[str, str]) -> None:
    with pytest.raises(CredentialsRejected) as info:
        PROVIDER.verify(world.call(None, **wrong))
    assert info.value.code == "credentials_rejected"


def test_what_facebook_tells_replaces_what_somebody_made_up(world: World) -> None:
    forged = {"pages": [{"id": "666", "name": "Theirs", "accessToken": "x"}], "userId": "1"}
    verified = PROVIDER.verify(world.call(None, **forged))
    assert verified.credentials is not None
    assert verified.credentials.pages == ()
    verified = PROVIDER.verify(world.call(world.facebook.user_token(world.user), **forged))
    assert verified.credentials is not None
    assert [page.id for page in verified.credentials.pages] == [BAKERY]


def test_credentials_survive_being_stored(world: World) -> None:
    credentials = world.connected().credentials
    stored = json.loads(
        json.dumps(credentials.model_dump(mode="python", by_alias=True), default=plain)
    )
    assert FacebookCredentials.model_validate(stored) == credentials


def plain(value: Any) -> Any:
    return value.get_secret_value() if isinstance(value, SecretStr) else value.isoformat()


def test_the_form_asks_for_three_things_only(world: World) -> None:
    properties = FacebookCredentials.model_json_schema()["properties"]
    asked = [name for name, schema in properties.items() if not schema.get("readOnly")]
    assert asked == ["appId", "appSecret", "accessToken"]
    for name in ("appSecret", "accessToken"):
        assert "password" in json.dumps(properties[name])


def test_no_secret_is_in_a_repr(world: World) -> None:
    call = world.connected()
    assert not any(secret in repr(call) for secret in SECRETS)


# -- Renewal ---------------------------------------------------------------------------------


def test_a_user_token_is_renewed_with_its_pages_while_it_lives(world: World) -> None:
    call = world.connected()
    assert PROVIDER.refresh is not None
    world.facebook.users[world.user].pages.append(world.facebook.add_page("Café", id_="220"))
    fresh = PROVIDER.refresh(call)
    assert isinstance(fresh, FacebookCredentials)
    assert fresh.access_token != call.credentials.access_token
    assert [page.id for page in fresh.pages] == [BAKERY, "220"]


@pytest.mark.parametrize(("code", "subcode"), [(190, 458), (190, 460), (190, 463), (102, None)])
def test_a_dead_token_cannot_be_renewed_without_a_person(
    world: World, code: int, subcode: int | None
) -> None:
    call = world.connected()
    assert PROVIDER.refresh is not None
    world.facebook.fail(code, "Session has expired", subcode=subcode, path="oauth/access_token")
    with pytest.raises(NeedsReauthentication, match="Session has expired"):
        PROVIDER.refresh(call)


def test_a_page_token_is_left_alone_until_it_ends(world: World) -> None:
    assert PROVIDER.refresh is not None
    token = world.facebook.page_token(BAKERY, world.user, lifetime=3600)
    credentials = PROVIDER.verify(world.call(token)).credentials
    assert credentials is not None
    call = world.holding(credentials)
    assert PROVIDER.refresh(call) is call.credentials
    ended = credentials.model_copy(update={"expires_at": now() - timedelta(seconds=1)})
    with pytest.raises(NeedsReauthentication):
        PROVIDER.refresh(world.holding(ended))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (1, "Error validating client secret."),
        (101, "Error validating application."),
        (100, "Invalid appsecret_proof provided in the API argument"),
    ],
)
def test_a_refused_app_is_no_reason_to_log_in_again(world: World, code: int, message: str) -> None:
    call = world.connected()
    assert PROVIDER.refresh is not None
    path = "debug_token" if code == 100 else "oauth/access_token"
    world.facebook.fail(code, message, path=path)
    with pytest.raises(AppRefused, match=message):
        PROVIDER.refresh(call)


def test_a_failure_of_facebook_is_no_reason_to_log_in_again(world: World) -> None:
    call = world.connected()
    assert PROVIDER.refresh is not None
    world.facebook.answer("<html>Sorry</html>", status=503, path="oauth/access_token")
    with pytest.raises(ProviderUnavailable):
        PROVIDER.refresh(call)


def test_the_end_of_the_users_leave_ends_the_connection(world: World) -> None:
    call = world.connected()
    assert PROVIDER.refresh is not None
    assert PROVIDER.expires_at is not None
    assert PROVIDER.expires_at(call.credentials) == call.credentials.expires_at
    assert LONG < DATA_ACCESS
    assert call.credentials.access_token is not None
    token = world.facebook.tokens[call.credentials.access_token.get_secret_value()]
    token.data_access_expires_at = int(now().timestamp()) - 1
    with pytest.raises(NeedsReauthentication, match="log in again"):
        PROVIDER.refresh(call)


# -- Errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "subcode", "expected"),
    [
        (1, None, ProviderUnavailable),
        (2, None, ProviderUnavailable),
        (4, None, RateLimited),
        (17, None, RateLimited),
        (32, None, RateLimited),
        (613, 1996, RateLimited),
        (341, None, RateLimited),
        (80001, None, RateLimited),
        (80006, None, RateLimited),
        (3, None, PermissionMissing),
        (10, None, PermissionMissing),
        (10, 2018278, RequestRejected),
        (200, None, PermissionMissing),
        (200, 1545041, RequestRejected),
        (299, None, PermissionMissing),
        (100, None, InvalidParams),
        (100, 33, RequestRejected),
        (100, 2018001, RequestRejected),
        (101, None, AppRefused),
        (102, None, NeedsReauthentication),
        (190, None, NeedsReauthentication),
        (190, 458, NeedsReauthentication),
        (190, 459, NeedsReauthentication),
        (190, 460, NeedsReauthentication),
        (190, 463, NeedsReauthentication),
        (190, 464, NeedsReauthentication),
        (190, 467, NeedsReauthentication),
        (190, 492, NeedsReauthentication),
        (368, None, RateLimited),
        (506, None, RequestRejected),
        (551, None, RequestRejected),
        (10900, None, RequestRejected),
        (987654, None, RequestRejected),
    ],
)
def test_each_code_of_facebooks_is_sorted(
    world: World, code: int, subcode: int | None, expected: type[IntegrationError]
) -> None:
    world.facebook.fail(code, "It went wrong", subcode=subcode, path="messages")
    with pytest.raises(IntegrationError, match="It went wrong") as info:
        run(world.connected(), "sendMessage", {"recipientId": ANN, "text": "hi"})
    assert type(info.value) is expected
    if isinstance(info.value, InvalidParams):
        assert "AbCdEfGhIjKlMn" in info.value.detail
    else:
        data: dict[str, object] = info.value.data  # type: ignore[attr-defined]
        assert data["fbtraceId"] == "AbCdEfGhIjKlMn"
        assert data["code"] == code
        assert data.get("subcode") == subcode


def test_an_unknown_code_is_sorted_by_its_status_and_by_what_facebook_says_of_it() -> None:
    assert type(fault({"code": 987654}, 500, {})) is ProviderUnavailable
    assert type(fault({"code": 987654, "is_transient": True}, 400, {})) is ProviderUnavailable
    assert type(fault({"message": "slow down"}, 429, {})) is RateLimited
    assert type(fault({}, 400, {})) is RequestRejected
    assert type(fault({"code": "190", "message": 7}, 400, {})) is RequestRejected


def test_the_apps_own_session_needs_no_log_in() -> None:
    assert type(fault({"code": 190}, 400, {}, as_app=True)) is AppRefused


def test_a_refused_proof_means_a_wrong_secret(world: World) -> None:
    credentials = world.connected().credentials
    other = credentials.model_copy(update={"app_secret": SecretStr("wrong")})
    with pytest.raises(CredentialsRejected, match="appsecret_proof"):
        run(world.holding(other), "getPage")


def test_a_rate_limit_waits_as_long_as_facebook_estimates(world: World) -> None:
    regain = {"type": "pages", "call_count": 100, "estimated_time_to_regain_access": 19}
    cases = {BAKERY: [regain]}
    world.facebook.fail(
        80001, path="messages", headers={"X-Business-Use-Case-Usage": json.dumps(cases)}
    )
    with pytest.raises(RateLimited) as info:
        run(world.connected(), "sendMessage", {"recipientId": ANN, "text": "hi"})
    assert info.value.retry_after == 19 * 60
    assert info.value.data["usagePercent"] == 100


def test_a_rate_limit_without_an_estimate_leaves_the_wait_open(world: World) -> None:
    world.facebook.fail(4, path="feed")
    with pytest.raises(RateLimited) as info:
        run(world.connected(), "createPost", {"message": "hi"})
    assert info.value.retry_after is None


@pytest.mark.parametrize(
    ("code", "scope"),
    [(32, "page"), (80001, "page"), (613, "page"), (368, "page"), (4, ""), (341, "")],
)
def test_what_facebook_limits_is_the_page_or_the_app(world: World, code: int, scope: str) -> None:
    world.facebook.fail(code, path="feed")
    asked: list[str] = []
    call = replace(world.connected(), check_pause=asked.append)
    page = f"page {call.credentials.pages[0].id}"
    with pytest.raises(RateLimited) as info:
        run(call, "createPost", {"message": "hi"})
    assert info.value.scope == (page if scope else "")
    assert asked == [page]


@pytest.mark.parametrize("action", PROVIDER.actions, ids=lambda each: each.name)
@pytest.mark.parametrize("body", ["{}", "[]", "null", '"ok"', '{"data": {}}'])
def test_a_success_without_what_was_asked_for_is_none(
    world: World, action: Action, body: str
) -> None:
    if action.name == "call" and body.startswith("{"):
        return  # nobody knows what any other edge answers
    call = world.connected()
    world.facebook.answer(body, content_type="application/json", times=5)
    with pytest.raises(ProviderUnavailable) as caught:
        action.run(call, action.params.model_validate(action.example))
    writes = not action.name.startswith(("get", "list", "call"))
    assert caught.value.outcome_unknown == writes


@pytest.mark.parametrize("body", ["{}", '{"data": []}', "[]"])
def test_a_test_that_learns_nothing_is_no_success(world: World, body: str) -> None:
    world.facebook.answer(body, content_type="application/json", times=9)
    with pytest.raises(ProviderUnavailable):
        PROVIDER.verify(world.call())


def test_a_full_counter_on_a_good_answer_is_no_error(world: World) -> None:
    world.facebook.usage = {"X-App-Usage": '{"call_count":100,"total_time":1,"total_cputime":1}'}
    assert run(world.connected(), "getPage")["name"] == "Bakery"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"X-App-Usage": "{}"}, None),
        ({"X-App-Usage": "not JSON"}, None),
        ({"X-App-Usage": "[1]"}, None),
        ({"x-app-usage": '{"call_count":28,"total_time":25.5,"total_cputime":25}'}, Usage(28)),
        ({"X-Page-Usage": '{"call_count":true,"total_time":3}'}, Usage(3)),
        (
            {
                "X-App-Usage": '{"call_count":1}',
                "X-Business-Use-Case-Usage": (
                    '{"1":[{"type":"pages","total_time":99,"estimated_time_to_regain_access":0}],'
                    '"2":[{"call_count":5,"estimated_time_to_regain_access":2},7],"3":"?"}'
                ),
            },
            Usage(99, 120),
        ),
    ],
)
def test_the_usage_headers_are_read(headers: dict[str, str], expected: Usage | None) -> None:
    assert usage(headers) == expected


@pytest.mark.parametrize(
    ("status", "writes", "unknown"),
    [
        (502, True, True),
        (504, True, True),
        (503, True, False),
        (200, True, True),
        (502, False, False),
    ],
)
def test_a_page_of_html_is_a_server_that_is_down(
    world: World, status: int, *, writes: bool, unknown: bool
) -> None:
    call = world.connected()
    headers = {"Retry-After": "7"}
    world.facebook.answer("<html>Sorry</html>", status=status, headers=headers)
    with pytest.raises(ProviderUnavailable, match=str(status)) as info:
        run(call, "createPost", {"message": "hi"}) if writes else run(call, "getPage")
    assert info.value.outcome_unknown is unknown
    assert info.value.retry_after == 7


@pytest.mark.parametrize("body", ["", "[]", "null", '"ok"', '{"success":false}'])
def test_an_answer_that_is_none_is_an_error(world: World, body: str) -> None:
    call = world.connected()
    world.facebook.answer(body, content_type="application/json")
    with pytest.raises((ProviderUnavailable, RequestRejected)):
        run(call, "likeComment", {"commentId": COMMENT})


@pytest.mark.parametrize("body", ["true", '{"success":true}', '{"success":"true"}'])
def test_each_way_to_say_done_is_understood(world: World, body: str) -> None:
    call = world.connected()
    world.facebook.answer(body, content_type="application/json")
    assert run(call, "likeComment", {"commentId": COMMENT}) == {"success": True}


def test_silence_is_a_time_out(world: World) -> None:
    call = world.connected()
    world.facebook.be_slow(0.5)
    impatient = Call(
        credentials=call.credentials,
        http=Outbound(allow_loopback=True, total_timeout=0.2),
        addresses=call.addresses,
    )
    with pytest.raises(ProviderTimeout) as info:
        run(impatient, "createPost", {"message": "hi"})
    assert info.value.outcome_unknown


def test_an_error_repeats_no_token_though_facebook_does(world: World) -> None:
    credentials = world.connected().credentials
    page = credentials.pages[0].model_copy(update={"access_token": SecretStr("gone-but-secret")})
    call = world.holding(credentials.model_copy(update={"pages": (page,)}))
    with pytest.raises(NeedsReauthentication, match="Malformed access token …") as info:
        run(call, "getPage")
    assert "gone-but-secret" not in f"{info.value!r} {info.value.data}"


def test_both_of_facebooks_explanations_are_handed_on() -> None:
    error: dict[str, Json] = {
        "message": "(#100) Invalid parameter",
        "error_user_msg": "The link is broken.",
        "code": 506,
    }
    assert fault(error, 400, {}).detail == (
        "Facebook: (#100) Invalid parameter The link is broken."
    )


# -- Subscriptions ---------------------------------------------------------------------------


def subscription(target: str = BAKERY, *events: str) -> Subscription:
    return Subscription(
        url="https://api.example.com/api/webhooks/wh_1",
        secret=SecretStr("s"),
        verify_token=SecretStr("verify-me"),
        account=Account("1", "Page"),
        target=target,
        events=frozenset(events),
    )


def test_the_webhook_of_ones_own_app_is_signed_with_its_secret(world: World) -> None:
    inbound = PROVIDER.inbound
    assert inbound is not None
    assert inbound.endpoint is not None
    endpoint = inbound.endpoint(world.call().credentials)
    assert endpoint.verification == {"type": "meta"}
    assert endpoint.secret == SecretStr(world.facebook.app_secret)


def test_a_subscription_sets_the_apps_callback_and_the_pages_fields(world: World) -> None:
    call = world.connected()
    inbound = PROVIDER.inbound
    assert inbound is not None
    assert inbound.subscribe is not None
    inbound.subscribe(call, subscription(BAKERY, "facebook.comment"))

    app, _, page = world.facebook.requests
    for sent, edge in ((app, "create_subscription"), (page, "create_subscribed_app")):
        module = "application" if sent is app else "page"
        path = below_the_version(sent)
        assert contract.Edge(module, edge).mistakes(sent.method, path, sent.params) == []
    assert app.token == world.facebook.app_token
    assert app.form["callback_url"] == "https://api.example.com/api/webhooks/wh_1"
    assert app.form["verify_token"] == "verify-me"
    assert world.facebook.pages[BAKERY].subscribed_fields == ["feed"]


def test_a_second_subscription_takes_nothing_from_the_first(world: World) -> None:
    call = world.connected()
    inbound = PROVIDER.inbound
    assert inbound is not None
    assert inbound.subscribe is not None
    inbound.subscribe(call, subscription(BAKERY, "facebook.comment"))
    inbound.subscribe(call, subscription("", "facebook.message"))
    inbound.subscribe(call, subscription("", "facebook.message"))
    fields = world.facebook.pages[BAKERY].subscribed_fields
    assert fields == ["feed", "message_echoes", "messages"]


def test_a_foreign_page_cannot_be_subscribed(world: World) -> None:
    call = world.connected()
    inbound = PROVIDER.inbound
    assert inbound is not None
    assert inbound.subscribe is not None
    with pytest.raises(InvalidParams):
        inbound.subscribe(call, subscription("999", "facebook.comment"))
    assert world.facebook.requests == []


def test_a_callback_that_does_not_answer_is_told_as_facebook_tells_it(world: World) -> None:
    world.facebook.checks_callbacks = True
    call = world.connected()
    inbound = PROVIDER.inbound
    assert inbound is not None
    assert inbound.subscribe is not None
    closed = Subscription(
        url="http://127.0.0.1:9/x",
        secret=SecretStr("s"),
        verify_token=SecretStr("v"),
        account=Account("1", "Page"),
        target="",
        events=frozenset({"facebook.comment"}),
    )
    with pytest.raises(RequestRejected, match="Callback verification failed"):
        inbound.subscribe(call, closed)


def test_an_unsubscription_may_be_repeated_and_come_too_late(world: World) -> None:
    call = world.connected()
    inbound = PROVIDER.inbound
    assert inbound is not None
    assert inbound.unsubscribe is not None
    world.facebook.pages[BAKERY].subscribed_fields = ["feed"]
    for _ in range(2):
        inbound.unsubscribe(call, subscription())
    assert world.facebook.pages[BAKERY].subscribed_fields is None
    world.facebook.kill(call.credentials.pages[0].access_token.get_secret_value())
    inbound.unsubscribe(call, subscription())
    inbound.unsubscribe(call, subscription("999"))


def test_the_registry_knows_the_provider() -> None:
    assert registry.get("facebook") is PROVIDER


def test_the_stacks_app_is_not_asked_for(world: World) -> None:
    call = world.call()
    stack = OAuthApp("999", SecretStr("other"))
    assert call.credentials.app(stack).client_id == world.facebook.app_id
