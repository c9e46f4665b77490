"""Facebook Pages with an app of one's own, against a stand-in of Graph."""

import json
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.conftest import Client, StandIns
from tests.fakes.facebook import FacebookStandIn

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Bakery:
    """A page with a post, a comment on it, and somebody who writes to it."""

    page: str
    owner: str
    person: str
    post: str
    comment: str


@pytest.fixture
def facebook(stand_ins: StandIns) -> FacebookStandIn:
    return stand_ins.facebook


@pytest.fixture
def bakery(facebook: FacebookStandIn) -> Bakery:
    page = facebook.add_page("Bakery")
    owner = facebook.add_user("Ann Owner", pages=[page])
    person = facebook.add_person("Zoë", "Müller")
    post = facebook.add_post(page, "Fresh cake")
    author = {"id": person, "name": "Zoë Müller"}
    return Bakery(page, owner, person, post, facebook.add_comment(post, "How much?", author))


@pytest.fixture
def app(facebook: FacebookStandIn) -> dict[str, str]:
    return {"appId": facebook.app_id, "appSecret": facebook.app_secret}


@pytest.fixture
def connected(
    client: Client, facebook: FacebookStandIn, bakery: Bakery, app: dict[str, str]
) -> Client:
    client.save("facebook", app | {"accessToken": facebook.user_token(bakery.owner)})
    return client


# -- Its life --------------------------------------------------------------------------------


def test_a_short_lived_token_becomes_a_long_lived_one_and_no_token_is_ever_shown(
    client: Client, facebook: FacebookStandIn, bakery: Bakery, app: dict[str, str]
) -> None:
    short = facebook.user_token(bakery.owner)
    path = "/api/integrations/facebook"
    given = {"credentials": app | {"accessToken": short}}

    tested = client.post(f"{path}/test", given)
    saved = client.post(f"{path}/credentials", given)
    shown = client.get(f"{path}/credentials")
    status = client.get("/api/integrations/status")
    again = client.post(f"{path}/test", {})
    pages = client.post(f"{path}/actions/listPages", {})
    facebook.kill(short, subcode=463)
    later = client.post(f"{path}/actions/getPage", {})
    deleted = client.delete(f"{path}/credentials")

    answers = [tested, saved, shown, status, again, pages, later, deleted]
    assert [answer.status_code for answer in answers] == [200] * 8, [a.text for a in answers]
    text = "".join(answer.text for answer in answers)
    assert "EAA" not in text
    assert facebook.app_secret not in text
    assert tested.json()["success"] is True
    account = shown.json()["account"]
    assert [page["id"] for page in account["details"]["pages"]] == [bakery.page]
    assert [page["name"] for page in pages.json()["result"]["items"]] == ["Bakery"]
    assert later.json()["result"]["name"] == "Bakery"
    assert [one for one in facebook.requests if "fb_exchange_token" in one.params]


def test_every_call_carries_its_proof_and_no_token_in_its_url(
    connected: Client, facebook: FacebookStandIn
) -> None:
    before = len(facebook.requests)

    connected.act("facebook", "getPage", {})
    connected.act("facebook", "listPosts", {})

    calls = facebook.requests[before:]
    assert len(calls) == 2
    for call in calls:
        assert call.params["appsecret_proof"]
        assert "EAA" not in call.url
        assert call.path.startswith(f"/{facebook.version}/")


def test_an_app_without_a_token_is_connected_for_webhooks_alone(
    client: Client, app: dict[str, str]
) -> None:
    saved = client.save("facebook", app)

    assert saved["account"]["details"]["pages"] == []
    assert saved["webhook"]["url"].endswith(saved["webhook"]["id"])
    client.refused_action("facebook.getPage", {}, 422, "permission_missing")


# -- What it does ----------------------------------------------------------------------------


def test_posts_are_made_listed_read_and_deleted(
    connected: Client, facebook: FacebookStandIn, bakery: Bakery
) -> None:
    made = connected.act("facebook", "createPost", {"message": "Open till six"})
    photo = connected.act("facebook", "createPhotoPost", {"url": "https://example.com/c.jpg"})
    uploaded = connected.act(
        "facebook",
        "createPhotoPost",
        {
            "contentBase64": b64encode(b"JPEG").decode(),
            "fileName": "cake.jpg",
            "caption": "Cake",
            "published": False,
        },
    )
    listed = connected.act("facebook", "listPosts", {"limit": 2})
    rest = connected.act("facebook", "listPosts", {"after": listed["after"]})
    one = connected.act("facebook", "getPost", {"postId": made["id"]})
    gone = connected.act("facebook", "deletePost", {"postId": made["id"]})

    assert photo["postId"]
    assert uploaded["id"]
    assert len(listed["items"]) == 2
    found = [post["id"] for post in [*listed["items"], *rest["items"]]]
    assert {made["id"], bakery.post} <= set(found)
    assert one["message"] == "Open till six"
    assert one["permalinkUrl"]
    assert gone["success"] is True
    assert made["id"] not in facebook.posts
    source = next(call for call in facebook.requests[::-1] if call.files)
    assert source.files["source"] == ("cake.jpg", b"JPEG", "image/jpeg")


def test_comments_are_listed_answered_hidden_liked_and_deleted(
    connected: Client, facebook: FacebookStandIn, bakery: Bakery
) -> None:
    comment = {"commentId": bakery.comment}

    listed = connected.act("facebook", "listComments", {"postId": bakery.post})
    one = connected.act("facebook", "getComment", comment)
    answer = connected.act("facebook", "replyToComment", {**comment, "message": "Nine fifty"})
    connected.act("facebook", "hideComment", comment)
    assert facebook.comments[bakery.comment]["is_hidden"] is True
    connected.act("facebook", "unhideComment", comment)
    assert facebook.comments[bakery.comment]["is_hidden"] is False
    connected.act("facebook", "likeComment", comment)
    connected.act("facebook", "deleteComment", comment)

    assert [each["message"] for each in listed["items"]] == ["How much?"]
    assert one["from"]["name"] == "Zoë Müller"
    assert facebook.comments[answer["id"]]["message"] == "Nine fifty"
    assert bakery.comment not in facebook.comments


def test_a_private_reply_goes_out_once_and_the_second_is_no_error(
    connected: Client, facebook: FacebookStandIn, bakery: Bakery
) -> None:
    reply = {"commentId": bakery.comment, "text": "Here is the price list"}

    first = connected.act("facebook", "sendPrivateReply", reply)
    second = connected.act("facebook", "sendPrivateReply", reply)

    assert first["alreadyReplied"] is False
    assert second == {"alreadyReplied": True}
    assert len([one for one in facebook.messages if one["page"] == bakery.page]) == 1


def test_messages_and_profiles_go_by_the_persons_id(
    connected: Client, facebook: FacebookStandIn, bakery: Bakery
) -> None:
    connected.act(
        "facebook",
        "sendMessage",
        {
            "recipientId": bakery.person,
            "text": "Deliver or fetch?",
            "quickReplies": [{"title": "Deliver"}, {"title": "Fetch", "payload": "FETCH"}],
        },
    )
    connected.act(
        "facebook",
        "sendMessage",
        {
            "recipientId": bakery.person,
            "attachment": {"type": "image", "url": "https://example.com/cake.jpg"},
        },
    )
    profile = connected.act("facebook", "getProfile", {"userId": bakery.person})

    text, image = [one["message"] for one in facebook.messages if one["page"] == bakery.page]
    assert [reply["payload"] for reply in text["quick_replies"]] == ["Deliver", "FETCH"]
    assert image["attachment"]["payload"]["url"] == "https://example.com/cake.jpg"
    assert profile["firstName"] == "Zoë"


def test_a_page_is_subscribed_shown_and_unsubscribed(
    connected: Client, facebook: FacebookStandIn, bakery: Bakery
) -> None:
    connected.act("facebook", "subscribePage", {"fields": ["feed"]})
    shown = connected.act("facebook", "getSubscriptions", {})
    connected.act("facebook", "unsubscribePage", {})

    assert shown["items"][0]["subscribedFields"] == ["feed"]
    assert facebook.pages[bakery.page].subscribed_fields is None


def test_any_other_edge_is_called_and_only_below_the_version(
    connected: Client, facebook: FacebookStandIn, bakery: Bakery
) -> None:
    facebook.other_nodes[f"{bakery.page}/insights"] = {"data": [{"name": "page_views"}]}

    called = connected.act("facebook", "call", {"path": f"{bakery.page}/insights"})

    assert called == {"data": [{"name": "page_views"}]}
    for path in ("../me", "v1.0/me", "oauth/access_token", "debug_token", "a//b", "me?x=1"):
        connected.refused_action("facebook.call", {"path": path}, 422, "invalid_params")


def test_of_several_pages_one_must_be_named(
    client: Client, facebook: FacebookStandIn, app: dict[str, str]
) -> None:
    pages = [facebook.add_page("North"), facebook.add_page("South")]
    token = facebook.user_token(facebook.add_user("Bo", pages=pages))
    client.save("facebook", app | {"accessToken": token})

    refused = client.refused_action("facebook.getPage", {}, 422, "invalid_params")

    assert "North" in refused["detail"]
    assert client.act("facebook", "getPage", {"pageId": pages[1]})["name"] == "South"
    foreign = facebook.add_page("Foreign")
    client.refused_action("facebook.getPage", {"pageId": foreign}, 422, "invalid_params")


# -- What goes wrong -------------------------------------------------------------------------


def test_dead_foreign_and_useless_tokens_are_refused_with_facebooks_reason(
    client: Client, facebook: FacebookStandIn, bakery: Bakery, app: dict[str, str]
) -> None:
    dead, expired = facebook.user_token(bakery.owner), facebook.user_token(bakery.owner)
    facebook.kill(dead, subcode=460)
    facebook.expire(expired)
    foreign = facebook.user_token(bakery.owner, app_id="999999999999999")

    for token in (dead, expired, foreign, facebook.app_token, "EAAnonsense"):
        given = app | {"accessToken": token}
        refused = client.refused_save("facebook", given, 422, "credentials_rejected")
        assert token not in json.dumps(refused)
        assert len(refused["detail"]) > 20


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"appSecret": "f" * 32}, 422, "credentials_rejected"),
        ({"appId": "no number"}, 422, "invalid_input"),
        ({"appId": 5.5}, 422, "invalid_input"),
        ({"appSecret": ""}, 422, "invalid_input"),
        ({"appSecret": "two\nlines"}, 422, "invalid_input"),
        ({"accessToken": "with a space"}, 422, "invalid_input"),
        ({"surplus": "x"}, 422, "invalid_input"),
    ],
    ids=str,
)
def test_what_cannot_be_an_app_is_refused(
    client: Client, app: dict[str, str], change: dict[str, Any], status: int, code: str
) -> None:
    refused = client.refused_save("facebook", app | change, status, code)

    assert app["appSecret"] not in json.dumps(refused)


def test_a_token_that_dies_later_needs_a_person_and_says_so(
    connected: Client, facebook: FacebookStandIn, bakery: Bakery
) -> None:
    for text, token in facebook.tokens.items():
        if token.owner in {bakery.page, bakery.owner}:
            facebook.kill(text, subcode=458, message="The user has not authorized application.")

    refused = connected.refused_action("facebook.getPage", {}, 422, "needs_reauth")

    assert "not authorized" in refused["detail"]
    state = connected.get("/api/integrations/status").json()["facebook"]
    assert state["status"] == "needs_reauth"
    assert state["lastError"]["code"] == "needs_reauth"


@pytest.mark.parametrize(
    ("code", "more", "status", "ours"),
    [
        (4, {}, 429, "rate_limited"),
        (613, {}, 429, "rate_limited"),
        (10, {"status": 403}, 422, "permission_missing"),
        (200, {"status": 403}, 422, "permission_missing"),
        (2, {"status": 500}, 502, "provider_unavailable"),
        (100, {}, 422, "invalid_params"),
        (506, {}, 422, "request_rejected"),
    ],
)
def test_each_error_of_graph_has_its_meaning(
    connected: Client,
    facebook: FacebookStandIn,
    code: int,
    more: dict[str, Any],
    status: int,
    ours: str,
) -> None:
    facebook.fail(code, path="/feed$", **more)

    refused = connected.refused_action("facebook.createPost", {"message": "x"}, status, ours)

    assert f"(#{code})" in refused["detail"]


def test_a_proxys_page_is_a_facebook_that_is_down(
    connected: Client, facebook: FacebookStandIn
) -> None:
    facebook.answer("<html>Sorry, something went wrong.</html>", status=503, path="/feed$")

    connected.refused_action("facebook.createPost", {"message": "x"}, 502, "provider_unavailable")
