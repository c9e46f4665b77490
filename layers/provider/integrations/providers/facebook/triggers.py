"""The triggers that wait for what happens to a page, and their filters.

https://developers.facebook.com/docs/graph-api/webhooks/reference/page
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from integrations import comparison
from integrations.models import Json
from integrations.providers.base import Params, Trigger
from integrations.providers.facebook.events import Verb, matches
from integrations.providers.facebook.grant import ObjectId, PageId


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


class FeedFilters(PageFilters):
    """What a trigger on the feed can ask for."""

    post_id: ObjectId | None = Field(
        default=None, description="Only of this post; with or without the page's id before it."
    )
    verbs: tuple[Verb, ...] = Field(default=("add",), description="Which changes count.")


class WordFilters(FeedFilters):
    """What a trigger on something written can ask for."""

    keyword: Word | None = Field(default=None, description="Contained in the text; any case.")
    keywords: tuple[Word, ...] = Field(default=(), description="One of them is contained.")


class PostFilters(WordFilters):
    """Filters of ``facebook.post``."""

    include_unpublished: bool = Field(
        default=False, description="Also drafts, planned posts and advertisements."
    )


class CommentFilters(WordFilters):
    """Filters of ``facebook.comment``."""

    top_level_only: bool = Field(default=True, description="False also lets replies through.")


class ReactionFilters(FeedFilters):
    """Filters of ``facebook.reaction``."""

    reactions: tuple[Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")], ...] = Field(
        default=(), description="Only these, e.g. like, love, haha, wow, sad, angry."
    )


class MessageFilters(PageFilters):
    """Filters of ``facebook.message``."""

    text: Word | None = Field(default=None, description="Contained in the text; any case.")
    keywords: tuple[Word, ...] = Field(default=(), description="One of them is contained.")


class PostbackFilters(PageFilters):
    """Filters of ``facebook.postback``."""

    payload: Word | None = Field(default=None, description="Only with exactly this payload.")


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
        matches=matches,
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
        matches=matches,
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
        matches=matches,
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
        matches=matches,
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
        matches=matches,
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
