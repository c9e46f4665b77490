"""Comments, and the replies to them.

https://developers.facebook.com/docs/graph-api/reference/comment
"""

from typing import Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from integrations import mistakes
from integrations.models import Json
from integrations.providers.base import Action, Call
from integrations.providers.facebook.actions.params import (
    COMMENT,
    POST,
    FieldList,
    ListParams,
    PageParams,
    read,
    read_list,
    remove,
    write,
)
from integrations.providers.facebook.grant import (
    Grant,
    ObjectId,
    page_of,
)

_COMMENT_FIELDS = (
    *("id", "message", "from", "created_time", "parent", "can_reply_privately", "is_hidden"),
    *("permalink_url", "comment_count", "like_count", "attachment"),
)


class ListCommentsParams(ListParams):
    """Parameters of ``listComments``."""

    post_id: ObjectId = Field(description="The post's id, or a comment's for its replies.")
    filter: Literal["toplevel", "stream"] = Field(
        default="toplevel", description="``stream`` gives the replies too."
    )
    order: Literal["chronological", "reverse_chronological"] = "reverse_chronological"
    since: AwareDatetime | None = None
    fields: FieldList = None


def list_comments(call: Call[Grant], params: ListCommentsParams) -> Json:
    """The comments of a post, or the replies to a comment, newest first.

    https://developers.facebook.com/docs/graph-api/reference/object/comments
    """
    page = page_of(call.credentials, params.page_id, params.post_id)
    chosen = {
        "filter": params.filter,
        "order": params.order,
        "since": params.since and int(params.since.timestamp()),
    }
    fields = params.fields or _COMMENT_FIELDS
    return read_list(call, page, f"{params.post_id}/comments", params, fields, chosen)


LIST_COMMENTS = Action(
    name="listComments",
    title="List a post's comments",
    params=ListCommentsParams,
    run=list_comments,
    example={**POST, "filter": "stream", "limit": 50},
    idempotent=True,
)


class CommentParams(PageParams):
    """What is done to one comment."""

    comment_id: ObjectId = Field(description="The comment's id, {post}_{comment}.")


class GetCommentParams(CommentParams):
    """Parameters of ``getComment``."""

    fields: FieldList = None


def get_comment(call: Call[Grant], params: GetCommentParams) -> Json:
    """One comment. https://developers.facebook.com/docs/graph-api/reference/comment."""
    return read(call, params.page_id, params.comment_id, params.fields or _COMMENT_FIELDS)


GET_COMMENT = Action(
    name="getComment",
    title="Get a comment",
    params=GetCommentParams,
    run=get_comment,
    example=COMMENT,
    idempotent=True,
)


class ReplyToCommentParams(CommentParams):
    """Parameters of ``replyToComment``."""

    message: str | None = Field(default=None, min_length=1, max_length=8000)
    attachment_url: str | None = Field(default=None, max_length=2048, description="A photo's URL.")
    attachment_id: ObjectId | None = Field(default=None, description="An unpublished photo's id.")
    attachment_share_url: str | None = Field(default=None, max_length=2048, description="A GIF.")

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        attachments = (self.attachment_url, self.attachment_id, self.attachment_share_url)
        if self.message is None and not any(attachments):
            raise mistakes.at(("message", "needs a message or an attachment"))
        if sum(attachment is not None for attachment in attachments) > 1:
            message = "takes one attachment"
            raise ValueError(message)
        return self


def reply_to_comment(call: Call[Grant], params: ReplyToCommentParams) -> Json:
    """Answer a comment in public (or comment on a post, by the post's id), as the page."""
    fields = {
        "message": params.message,
        "attachment_url": params.attachment_url,
        "attachment_id": params.attachment_id,
        "attachment_share_url": params.attachment_share_url,
    }
    return write(call, params.page_id, params.comment_id, "/comments", fields, makes=True)


REPLY_TO_COMMENT = Action(
    name="replyToComment",
    title="Reply to a comment in public",
    params=ReplyToCommentParams,
    run=reply_to_comment,
    example={**COMMENT, "message": "Thank you! We have written to you."},
)


def hide_comment(call: Call[Grant], params: CommentParams) -> Json:
    """Hide a comment from all but its author and their friends."""
    return write(call, params.page_id, params.comment_id, "", {"is_hidden": True})


HIDE_COMMENT = Action(
    name="hideComment",
    title="Hide a comment",
    params=CommentParams,
    run=hide_comment,
    example=COMMENT,
    idempotent=True,
)


def unhide_comment(call: Call[Grant], params: CommentParams) -> Json:
    """Show a hidden comment again."""
    return write(call, params.page_id, params.comment_id, "", {"is_hidden": False})


UNHIDE_COMMENT = Action(
    name="unhideComment",
    title="Show a hidden comment again",
    params=CommentParams,
    run=unhide_comment,
    example=COMMENT,
    idempotent=True,
)


def like_comment(call: Call[Grant], params: CommentParams) -> Json:
    """Like a comment as the page."""
    return write(call, params.page_id, params.comment_id, "/likes", {})


LIKE_COMMENT = Action(
    name="likeComment",
    title="Like a comment",
    params=CommentParams,
    run=like_comment,
    example=COMMENT,
    idempotent=True,
)


def delete_comment(call: Call[Grant], params: CommentParams) -> Json:
    """Delete a comment."""
    return remove(call, params.page_id, params.comment_id)


DELETE_COMMENT = Action(
    name="deleteComment",
    title="Delete a comment",
    params=CommentParams,
    run=delete_comment,
    example=COMMENT,
    idempotent=True,
)


ACTIONS = (
    LIST_COMMENTS,
    GET_COMMENT,
    REPLY_TO_COMMENT,
    HIDE_COMMENT,
    UNHIDE_COMMENT,
    LIKE_COMMENT,
    DELETE_COMMENT,
)
