"""Meta's webhook batches as events, and the triggers' filters, over recorded-like bodies."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from integrations.errors import InvalidInput
from integrations.models import Delivery, Event, now
from integrations.providers.facebook.events import normalize
from integrations.providers.facebook.provider import PROVIDER
from tests.fakes.facebook import FacebookStandIn, batch, sign

EVENTS = Path(__file__).parents[1] / "fixtures" / "deliveries"
FIXTURES = sorted(path.stem for path in EVENTS.glob("facebook_*.json"))
TRIGGERS = {trigger.type: trigger for trigger in PROVIDER.triggers}

BAKERY, CAFE = "110000000000001", "110000000000002"
POST = f"{BAKERY}_122100000000000001"
ANN = {"id": "7000000000000001", "name": "Zoë Müller"}


def events_in(body: bytes | object) -> list[Event]:
    raw = body if isinstance(body, bytes) else sign(body, "secret")[0]
    return normalize(
        Delivery(
            webhook_id="wh_1",
            event_id="e_1",
            received_at=now(),
            headers={},
            query={},
            body=raw,
        )
    )


def fixture(name: str) -> list[Event]:
    return events_in((EVENTS / f"facebook_{name}.json").read_bytes())


def feed(**changes: object) -> dict[str, Any]:
    value = {
        "item": "comment",
        "verb": "add",
        "from": ANN,
        "post_id": POST,
        "comment_id": "1_2",
        "parent_id": POST,
        "created_time": 1795348800,
        "message": "Hi",
        **changes,
    }
    fields = {name: content for name, content in value.items() if content is not ...}
    return batch(BAKERY, changes=[{"field": "feed", "value": fields}])


def fires(kind: str, data: Mapping[str, Any], **filters: object) -> bool:
    trigger = TRIGGERS[kind]
    return trigger.matches(data, trigger.completed(filters))


# -- Events ----------------------------------------------------------------------------------


def test_a_comment_is_told_flat_and_in_camel_case() -> None:
    (event,) = fixture("comment")
    assert event.type == "facebook.comment"
    assert event.target == BAKERY
    assert event.id == f"comment:{BAKERY}:122100000000000001_987654321:add"
    raw = event.data["raw"]
    assert isinstance(raw, dict)
    assert raw["comment_id"] == "122100000000000001_987654321"
    assert {name: content for name, content in event.data.items() if name != "raw"} == {
        "pageId": BAKERY,
        "postId": POST,
        "commentId": "122100000000000001_987654321",
        "parentId": POST,
        "item": "comment",
        "verb": "add",
        "isTopLevel": True,
        "isOwn": False,
        "message": "Was kostet die große Torte? 🎂",
        "from": ANN,
        "createdTime": "2026-11-22T12:00:00.000Z",
        "permalink": f"https://www.facebook.com/{BAKERY}/posts/122100000000000001",
        "attachmentUrl": None,
    }


def test_a_reply_is_not_at_the_top() -> None:
    (event,) = fixture("reply")
    assert event.data["isTopLevel"] is False
    assert event.data["parentId"] == "122100000000000001_987654321"


def test_the_pages_own_comment_is_marked() -> None:
    (event,) = fixture("own_comment")
    assert event.data["isOwn"] is True


def test_a_removed_comment_has_neither_text_nor_author() -> None:
    (event,) = fixture("comment_removed")
    assert (event.data["verb"], event.data["message"], event.data["from"]) == (
        "remove",
        None,
        None,
    )


def test_a_message_is_events_in() -> None:
    (event,) = fixture("message")
    assert (event.type, event.target) == ("facebook.message", BAKERY)
    assert event.id == f"message:{BAKERY}:m_AbCd-EfGh_1"
    assert event.data["senderId"] == "7000000000000001"
    assert event.data["text"] == "Habt ihr heute geöffnet?"
    assert event.data["createdTime"] == "2026-11-22T12:00:00.123Z"
    assert event.data["isEcho"] is False


def test_an_echo_is_the_pages_own_message() -> None:
    (event,) = fixture("message_echo")
    assert event.data["isEcho"] is True
    assert event.data["isOwn"] is True


def test_a_pressed_button_is_events_in() -> None:
    (event,) = fixture("postback")
    assert event.type == "facebook.postback"
    assert event.data["payload"] == "GET_STARTED"
    assert event.data["title"] == "Los geht's"
    assert event.data["referral"] == {
        "ref": "menu",
        "source": "SHORTLINK",
        "type": "OPEN_THREAD",
    }


def test_a_visitors_post_and_a_reaction_are_events_in() -> None:
    (post,) = fixture("post")
    (reaction,) = fixture("reaction")
    assert (post.type, post.data["message"]) == ("facebook.post", "Die Torte war großartig!")
    assert (reaction.type, reaction.data["reactionType"]) == ("facebook.reaction", "love")


def test_a_batch_of_pages_is_taken_apart_and_tells_nothing_twice() -> None:
    events = fixture("batch")
    assert [(event.type, event.target) for event in events] == [
        ("facebook.comment", BAKERY),
        ("facebook.comment", BAKERY),
        ("facebook.comment", BAKERY),
        ("facebook.reaction", BAKERY),
        ("facebook.comment", CAFE),
        ("facebook.message", CAFE),
        ("facebook.message", BAKERY),
        ("facebook.message", BAKERY),
        ("facebook.postback", BAKERY),
    ]
    picture = events[5].data
    assert picture["text"] is None
    assert picture["attachments"] == [
        {"type": "image", "url": "https://scontent.example.com/v/t1/photo.jpg"}
    ]
    assert picture["quickReplyPayload"] == "CAKE"
    assert picture["replyToMid"] == "m_AbCd-EfGh_0"


@pytest.mark.parametrize(
    "odd",
    [
        {"published": []},
        {"published": {}},
        {"created_time": "0001-01-01T00:00:00+14:00"},
        {"created_time": "9999-12-31T23:59:59-14:00"},
        {"created_time": 10**30},
        {"created_time": []},
    ],
    ids=str,
)
def test_odd_values_are_events_all_the_same(odd: dict[str, Any]) -> None:
    (event,) = events_in(feed(**PHOTO, **odd))
    assert event.type == "facebook.post"
    assert odd.items() <= dict(event.data["raw"]).items()


def test_what_is_unknown_is_left_out() -> None:
    assert fixture("unknown") == []


def test_a_redelivery_in_another_batch_has_the_same_ids() -> None:
    (alone,) = fixture("comment")
    assert alone.id in {event.id for event in fixture("batch")}
    later = json.loads((EVENTS / "facebook_comment.json").read_bytes())
    later["entry"][0]["time"] += 3600
    assert events_in(later)[0].id == alone.id


def test_each_edit_is_its_own_event_and_so_is_each_hiding() -> None:
    (first,) = events_in(feed(verb="edited", message="a"))
    (second,) = events_in(feed(verb="edited", message="b"))
    (again,) = events_in(feed(verb="edited", message="b"))
    assert first.id != second.id == again.id
    (hidden,) = events_in(feed(verb="hide", created_time=1))
    (later,) = events_in(feed(verb="hide", created_time=2))
    assert hidden.id != later.id


@pytest.mark.parametrize("verb", ["hide", "unhide", "edited", "update"])
def test_what_is_done_again_later_is_told_again(verb: str) -> None:
    first, later = feed(verb=verb), feed(verb=verb)
    later["entry"][0]["time"] += 2 * 3600
    assert events_in(first)[0].id != events_in(later)[0].id


@pytest.mark.parametrize("verb", ["add", "remove", "delete"])
def test_what_happens_once_is_the_same_whenever_it_is_events_in(verb: str) -> None:
    first, later = feed(verb=verb), feed(verb=verb)
    later["entry"][0]["time"] += 36 * 3600
    assert events_in(first)[0].id == events_in(later)[0].id


def test_one_reaction_of_each_person_is_one_event() -> None:
    ids = {
        events_in(feed(item="reaction", comment_id=..., reaction_type="like", **{"from": who}))[
            0
        ].id
        for who in (ANN, ANN, {"id": "2"})
    }
    assert len(ids) == 2


PHOTO = {"item": "photo", "comment_id": ..., "parent_id": ...}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({**PHOTO, "photo_id": "1"}, {**PHOTO, "photo_id": "2"}),
        ({**PHOTO, "published": 0}, {**PHOTO, "published": 1}),
        ({**PHOTO, "item": "video", "video_id": "1"}, {**PHOTO, "item": "video", "video_id": "2"}),
        ({"verb": "edited", "message": "a"}, {"verb": "edited", "message": "b"}),
        ({"verb": "edited", "edited_time": "1"}, {"verb": "edited", "edited_time": "2"}),
        ({"verb": "edited", "photo": "https://x/1.jpg"}, {"verb": "edited", "photo": "https://x/2.jpg"}),
        ({"item": "reaction"}, {"item": "reaction", "reaction_type": "wow"}),
        ({"item": "reaction", "created_time": 1}, {"item": "reaction", "created_time": 2}),
        ({"item": "reaction", "from": ..., "created_time": 1},
         {"item": "reaction", "from": ..., "created_time": 2}),
        ({"item": "reaction", "verb": "add"}, {"item": "reaction", "verb": "remove"}),
        ({"item": "reaction"}, {"item": "reaction", "comment_id": ...}),
        ({"verb": "hide"}, {"verb": "unhide"}),
    ],
)  # fmt: skip
def test_what_differs_has_another_id_and_a_redelivery_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = events_in(feed(**one)), events_in(feed(**other))
    assert len({event.id for event in first + second}) == 2
    again = feed(**one)
    again["entry"][0]["time"] += 60  # as Facebook repeats what was not taken
    assert [event.id for event in events_in(again)] == [event.id for event in first]


def test_an_edit_whose_picture_is_signed_anew_is_the_same_edit() -> None:
    ids = {
        events_in(feed(verb="edited", photo=f"https://cdn.example/1.jpg?oh={signature}"))[0].id
        for signature in ("a", "b")
    }
    assert len(ids) == 1


def test_a_draft_starts_nothing_unless_it_is_wanted() -> None:
    (draft,) = events_in(feed(**PHOTO, published=0))
    assert draft.data["isPublished"] is False
    assert not fires("facebook.post", draft.data)
    assert fires("facebook.post", draft.data, includeUnpublished=True)
    (post,) = events_in(feed(**PHOTO, published=1))
    assert fires("facebook.post", post.data)


@pytest.mark.parametrize(
    ("keyword", "message"),
    [
        ("café", "Un cafe\u0301, s'il vous plaît"),
        ("indirim", "İNDİRİM!"),
        ("❤", "❤\ufe0f so good"),
        ("straße", "STRASSE"),
    ],
)
def test_a_keyword_is_met_however_it_is_written(keyword: str, message: str) -> None:
    (comment,) = events_in(feed(message=message))
    assert fires("facebook.comment", comment.data, keyword=keyword)
    assert fires("facebook.comment", comment.data, keywords=["nothing", keyword.upper()])
    assert not fires("facebook.comment", comment.data, keyword="something else")


def test_a_missing_author_is_tolerated() -> None:
    (event,) = events_in(feed(**{"from": ...}, message=...))
    assert event.data["from"] is None
    assert event.data["isOwn"] is False
    assert fires("facebook.comment", event.data)
    assert not fires("facebook.comment", event.data, keyword="hi")


@pytest.mark.parametrize("parent", [POST, POST.partition("_")[2], ...])
def test_a_comment_on_the_post_itself_is_at_the_top(parent: object) -> None:
    (event,) = events_in(feed(parent_id=parent))
    assert event.data["isTopLevel"] is True


def test_numbers_for_ids_are_texts() -> None:
    body = feed(**{"from": {"id": 7}})
    body["entry"][0]["id"] = int(BAKERY)
    (event,) = events_in(body)
    assert event.data["pageId"] == event.target == BAKERY
    assert event.data["from"] == {"id": "7", "name": None}


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (1795348800, "2026-11-22T12:00:00.000Z"),
        (1795348800123, "2026-11-22T12:00:00.123Z"),
        ("2026-11-22T13:00:00+0100", "2026-11-22T12:00:00.000Z"),
        ("yesterday", None),
        (10**40, None),
        (True, None),
        (..., None),
    ],
)
def test_facebooks_times_become_ours(time: object, expected: str | None) -> None:
    (event,) = events_in(feed(created_time=time))
    assert event.data["createdTime"] == expected


def test_half_a_character_does_not_poison_the_event() -> None:
    body = sign(feed(message="cut: X"), "s")[0].replace(b"X", b"\\ud83c")
    (event,) = events_in(body)
    assert event.data["message"] == "cut: �"
    json.dumps(dict(event.data), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"\xff\xfe\x00",
        b"[]",
        b"null",
        b"{}",
        b'{"object":"page"}',
        b'{"object":"page","entry":{}}',
        b'{"entry":[]}',
        b'{"object":7,"entry":[]}',
        b'{"object":"page","entry":[NaN]}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_not_metas_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        events_in(body)


def strange(value: object) -> dict[str, Any]:
    return batch(BAKERY, changes=[{"field": "feed", "value": value}])


@pytest.mark.parametrize(
    "body",
    [
        {"object": "instagram", "entry": [{"id": "1"}]},
        {"object": "page", "entry": [None, 1, "x", [], {}]},
        {"object": "page", "entry": [{"id": "1", "changes": {}, "messaging": "x"}]},
        {"object": "page", "entry": [{"id": "1", "changes": [None, {"field": "feed"}]}]},
        {"object": "page", "entry": [{"id": "1", "messaging": [{"message": "x"}, None]}]},
        {"object": "page", "entry": [{"id": "1", "messaging": [{"message": {"text": "?"}}]}]},
        {"object": "page", "entry": [{"id": "1", "messaging": [{"postback": {"payload": "?"}}]}]},
        strange("text"),
        strange({"item": ["comment"], "verb": "add"}),
        strange({"item": "comment", "verb": "add"}),
        strange({"item": "status", "verb": "add"}),
        strange({"item": "reaction", "verb": "add", "post_id": "1"}),
        strange({"item": "comment", "verb": {"a": 1}, "comment_id": "1"}),
    ],
)
def test_what_is_broken_inside_a_batch_is_left_out(body: dict[str, Any]) -> None:
    assert events_in(body) == []


@pytest.mark.parametrize("name", FIXTURES)
def test_an_examples_names_are_those_of_real_events(name: str) -> None:
    for event in fixture(name.removeprefix("facebook_")):
        assert set(event.data) == set(TRIGGERS[event.type].example)


def test_every_trigger_has_a_fixture() -> None:
    seen = {event.type for name in FIXTURES for event in fixture(name.removeprefix("facebook_"))}
    assert seen == set(TRIGGERS)


def test_a_fixture_is_as_meta_writes_it() -> None:
    for name in FIXTURES:
        raw = (EVENTS / f"{name}.json").read_bytes()
        assert raw == sign(json.loads(raw), "secret")[0]


def test_the_stand_ins_payload_is_the_comment_that_it_holds() -> None:
    facebook = FacebookStandIn()
    page = facebook.add_page("Bakery")
    comment = facebook.add_comment(facebook.add_post(page, "Cake"), "Mine!", ANN)
    (event,) = events_in(facebook.comment_payload(comment))
    assert event.data["commentId"] == comment
    assert event.data["message"] == "Mine!"
    assert event.data["isTopLevel"] is True


# -- Filters ---------------------------------------------------------------------------------


def test_a_comment_fires_by_default_and_the_pages_own_does_not() -> None:
    assert fires("facebook.comment", fixture("comment")[0].data)
    own = fixture("own_comment")[0].data
    assert not fires("facebook.comment", own)
    assert fires("facebook.comment", own, includeOwn=True)


def test_replies_and_later_changes_fire_only_where_they_are_wanted() -> None:
    reply = fixture("reply")[0].data
    assert not fires("facebook.comment", reply)
    assert fires("facebook.comment", reply, topLevelOnly=False)
    edited = fixture("comment_edited")[0].data
    assert not fires("facebook.comment", edited)
    assert fires("facebook.comment", edited, verbs=["add", "edited"])


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"keyword": "torte"}, True),
        ({"keyword": "GROSSE"}, True),
        ({"keyword": "brot"}, False),
        ({"keywords": ["brot", "KOSTET"]}, True),
        ({"keywords": ["brot", "kuchen"]}, False),
        ({"keywords": ["brot"], "keyword": "torte"}, True),
        ({"pageId": BAKERY}, True),
        ({"pageId": int(BAKERY)}, True),
        ({"pageId": CAFE}, False),
        ({"postId": POST}, True),
        ({"postId": POST.partition("_")[2]}, True),
        ({"postId": "1"}, False),
        ({"postId": BAKERY}, False),
    ],
)
def test_a_comments_filters_choose(filters: dict[str, Any], *, expected: bool) -> None:
    assert fires("facebook.comment", fixture("comment")[0].data, **filters) is expected


def test_a_messages_filters_choose() -> None:
    data = fixture("message")[0].data
    assert fires("facebook.message", data)
    assert fires("facebook.message", data, text="GEÖFFNET")
    assert not fires("facebook.message", data, text="closed")
    assert fires("facebook.message", data, keywords=["closed", "heute"])
    echo = fixture("message_echo")[0].data
    assert not fires("facebook.message", echo)
    assert fires("facebook.message", echo, includeOwn=True)


def test_a_buttons_filter_chooses_its_payload() -> None:
    data = fixture("postback")[0].data
    assert fires("facebook.postback", data)
    assert fires("facebook.postback", data, payload="GET_STARTED")
    assert not fires("facebook.postback", data, payload="GET")


def test_a_posts_and_a_reactions_filters_choose() -> None:
    post, reaction = fixture("post")[0].data, fixture("reaction")[0].data
    assert fires("facebook.post", post, keyword="großartig")
    assert not fires("facebook.post", post, keyword="awful")
    assert fires("facebook.reaction", reaction, reactions=["love", "wow"], postId=POST)
    assert not fires("facebook.reaction", reaction, reactions=["angry"])


@pytest.mark.parametrize(
    ("kind", "filters"),
    [
        ("facebook.comment", {"verbs": ["transmogrify"]}),
        ("facebook.comment", {"keyword": ""}),
        ("facebook.comment", {"keywords": "torte"}),
        ("facebook.comment", {"pageId": "not-a-page"}),
        ("facebook.message", {"surplus": 1}),
    ],
)
def test_filters_that_cannot_be_right_are_refused(kind: str, filters: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        fires(kind, {}, **filters)
