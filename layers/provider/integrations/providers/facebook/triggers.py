"""The triggers that wait for what happens to a page, and their filters.

https://developers.facebook.com/docs/graph-api/webhooks/reference/page
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, get_args, override

from pydantic import AfterValidator, Field

from integrations import comparison
from integrations.models import Json
from integrations.providers.base import Params, Trigger
from integrations.providers.facebook.grant import ObjectId, PageId

type Verb = Literal[
    "add", "block", "delete", "edit", "edited", "follow", "hide", "mute", "remove", "unblock",
    "unhide", "update",
]  # fmt: skip

VERBS = frozenset(get_args(Verb.__value__))
"""Every way in which the feed changes."""


def _visible(word: str) -> str:
    if not comparison.comparable(word):
        raise ValueError("must hold something that can be seen")
    return word


type Word = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_visible)]


class PageFilters(Params):
    """What every trigger can ask for."""

    page_id: PageId | None = Field(default=None, description="Only of this page.")
    include_own: bool = Field(
        default=False, description="Also what the page itself did; mind the loop."
    )

    def passes(self, data: Mapping[str, Json]) -> bool:
        """Whether an event is of the page, and not its own doing unless that is wanted."""
        if self.page_id is not None and data.get("pageId") != self.page_id:
            return False
        return self.include_own or data.get("isOwn") is not True


class FeedFilters(PageFilters):
    """What a trigger on the feed can ask for."""

    post_id: ObjectId | None = Field(
        default=None, description="Only of this post; with or without the page's id before it."
    )
    verbs: tuple[Verb, ...] = Field(default=("add",), description="Which changes count.")

    @override
    def passes(self, data: Mapping[str, Json]) -> bool:
        if data.get("verb") not in self.verbs or not super().passes(data):
            return False
        post_id = data.get("postId")
        return self.post_id is None or (
            isinstance(post_id, str) and self.post_id in {post_id, post_id.partition("_")[2]}
        )


class WordFilters(FeedFilters):
    """What a trigger on something written can ask for."""

    keyword: Word | None = Field(default=None, description="Contained in the text; any case.")
    keywords: tuple[Word, ...] = Field(default=(), description="One of them is contained.")

    @override
    def passes(self, data: Mapping[str, Json]) -> bool:
        return super().passes(data) and _contains(data.get("message"), self.keyword, self.keywords)


class PostFilters(WordFilters):
    """Filters of ``facebook.post``."""

    include_unpublished: bool = Field(
        default=False, description="Also drafts, planned posts and advertisements."
    )

    @override
    def passes(self, data: Mapping[str, Json]) -> bool:
        return super().passes(data) and (
            self.include_unpublished or data.get("isPublished") is not False
        )


class CommentFilters(WordFilters):
    """Filters of ``facebook.comment``."""

    top_level_only: bool = Field(default=True, description="False also lets replies through.")

    @override
    def passes(self, data: Mapping[str, Json]) -> bool:
        return super().passes(data) and (not self.top_level_only or data.get("isTopLevel") is True)


class ReactionFilters(FeedFilters):
    """Filters of ``facebook.reaction``."""

    reactions: tuple[Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")], ...] = Field(
        default=(), description="Only these, e.g. like, love, haha, wow, sad, angry."
    )

    @override
    def passes(self, data: Mapping[str, Json]) -> bool:
        return super().passes(data) and (
            not self.reactions or data.get("reactionType") in self.reactions
        )


class MessageFilters(PageFilters):
    """Filters of ``facebook.message``."""

    text: Word | None = Field(default=None, description="Contained in the text; any case.")
    keywords: tuple[Word, ...] = Field(default=(), description="One of them is contained.")

    @override
    def passes(self, data: Mapping[str, Json]) -> bool:
        return super().passes(data) and _contains(data.get("text"), self.text, self.keywords)


class PostbackFilters(PageFilters):
    """Filters of ``facebook.postback``."""

    payload: Word | None = Field(default=None, description="Only with exactly this payload.")

    @override
    def passes(self, data: Mapping[str, Json]) -> bool:
        return super().passes(data) and self.payload in {None, data.get("payload")}


def _contains(text: Json, word: str | None, others: Iterable[str]) -> bool:
    """Whether one of the words is in the text; none asked for is in every text."""
    words = (*others, *([word] if word else []))
    return not words or (isinstance(text, str) and comparison.contains(text, words))


def _matches(data: Mapping[str, Json], filters: PageFilters) -> bool:
    return filters.passes(data)


_POST: dict[str, Json] = {"postId": "110000000000001_122100000000000001"}
_WHO: dict[str, Json] = {
    "pageId": "110000000000001",
    "from": {"id": "7000000000000001", "name": "Ann Example"},
    "isOwn": False,
    "createdTime": "2026-11-22T12:00:00.000Z",
    "raw": {},
}

TRIGGERS = (
    Trigger(
        type="facebook.comment",
        title="Somebody comments",
        filters=CommentFilters,
        matches=_matches,
        example={
            **_WHO,
            **_POST,
            "commentId": "122100000000000001_987654321",
            "item": "comment",
            "verb": "add",
            "parentId": "110000000000001_122100000000000001",
            "isTopLevel": True,
            "message": "What does it cost?",
            "permalink": "https://www.facebook.com/110000000000001/posts/122100000000000001",
            "attachmentUrl": None,
        },
    ),
    Trigger(
        type="facebook.message",
        title="Somebody writes to the page",
        filters=MessageFilters,
        matches=_matches,
        example={
            **_WHO,
            "from": {"id": "7000000000000001", "name": None},
            "senderId": "7000000000000001",
            "recipientId": "110000000000001",
            "mid": "m_exampleMid",
            "text": "Are you open today?",
            "attachments": [],
            "quickReplyPayload": None,
            "replyToMid": None,
            "isEcho": False,
        },
    ),
    Trigger(
        type="facebook.postback",
        title="Somebody presses a button",
        filters=PostbackFilters,
        matches=_matches,
        example={
            **_WHO,
            "from": {"id": "7000000000000001", "name": None},
            "senderId": "7000000000000001",
            "recipientId": "110000000000001",
            "mid": "m_exampleMid",
            "title": "Get started",
            "payload": "GET_STARTED",
            "referral": None,
        },
    ),
    Trigger(
        type="facebook.post",
        title="Something is posted on the page",
        filters=PostFilters,
        matches=_matches,
        example={
            **_WHO,
            **_POST,
            "item": "status",
            "verb": "add",
            "message": "I loved the cake!",
            "link": None,
            "isPublished": True,
            "permalink": None,
            "attachmentUrl": None,
        },
    ),
    Trigger(
        type="facebook.reaction",
        title="Somebody reacts",
        filters=ReactionFilters,
        matches=_matches,
        example={
            **_WHO,
            **_POST,
            "item": "reaction",
            "commentId": None,
            "verb": "add",
            "reactionType": "love",
        },
    ),
)
