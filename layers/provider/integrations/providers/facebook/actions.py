"""What a page does: posts, comments, Messenger, subscriptions, and any other edge.

https://developers.facebook.com/docs/pages-api
https://developers.facebook.com/docs/messenger-platform

What Facebook answers is handed on whole, its names in camelCase, without tokens; only ``call``
leaves names as Graph has them.
"""

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Iterable, Mapping
from mimetypes import guess_type
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, JsonValue, model_validator

from integrations.errors import RequestRejected
from integrations.models import Json
from integrations.providers.base import Action, Call, Params
from integrations.providers.facebook.api import camel, harmless, listing
from integrations.providers.facebook.grant import (
    Grant,
    ObjectId,
    PageId,
    graph_of,
    page_of,
    user_token,
)

_LONGEST_TEXT = 2000
_ALREADY_REPLIED = 10900


# -- Actions ---------------------------------------------------------------------------------

type GraphField = Annotated[str, Field(pattern=r"^[a-z][0-9A-Za-z_.(){},]*$", max_length=500)]
"""One of the fields to read, e.g. ``message`` or ``reactions.limit(5){type}``."""


class PageParams(Params):
    """What acts for a page."""

    page_id: PageId | None = Field(
        default=None,
        description="The page to act for; may be left out where the connection has one page.",
    )


class ListParams(PageParams):
    """What reads a list."""

    limit: int = Field(default=25, ge=1, le=100, description="The most items to answer.")
    after: str | None = Field(
        default=None, max_length=1000, description="The ``after`` of the answer before."
    )


type _FieldList = Annotated[
    tuple[GraphField, ...] | None,
    Field(description="The fields to read, in Graph's own names; empty for the usual ones."),
]


def _answer(body: Mapping[str, Json]) -> Json:
    answer = harmless(dict(body))
    if isinstance(answer, dict) and answer.get("success") == "true":
        answer["success"] = True
    return camel(answer)


def _listed(body: Mapping[str, Json]) -> Json:
    items, after = listing(body)
    answer: dict[str, Json] = {"items": camel(harmless(items))}
    return answer | {"after": after} if after is not None else answer


def _read(call: Call[Grant], page_id: str | None, object_id: str, fields: Iterable[str]) -> Json:
    """One node, read as the page."""
    token = page_of(call.credentials, page_id, object_id).access_token
    return _answer(graph_of(call).get(object_id, token, {"fields": ",".join(fields)}))


def _write(
    call: Call[Grant], page_id: str | None, object_id: str, edge: str, fields: Mapping[str, Any]
) -> Json:
    """One change to an object, made as the page."""
    token = page_of(call.credentials, page_id, object_id).access_token
    return _answer(graph_of(call).post(f"{object_id}{edge}", token, fields))


def _remove(call: Call[Grant], page_id: str | None, object_id: str) -> Json:
    token = page_of(call.credentials, page_id, object_id).access_token
    return _answer(graph_of(call).delete(object_id, token))


# ... pages


class ListPagesParams(Params):
    """Parameters of ``listPages``."""

    limit: int = Field(default=25, ge=1, le=100, description="The most items to answer.")
    after: str | None = Field(
        default=None, max_length=1000, description="The ``after`` of the answer before."
    )


def list_pages(call: Call[Grant], params: ListPagesParams) -> Json:
    """The pages that the connection's user manages now, as Facebook tells it.

    https://developers.facebook.com/docs/graph-api/reference/user/accounts
    """
    grant = call.credentials
    graph = graph_of(call)
    if grant.token_type == "PAGE":  # noqa: S105
        page = page_of(grant, None)
        body = graph.get(page.id, page.access_token, {"fields": "id,name,category"})
        return {"items": [_answer(body)]}
    # "fields" also keeps Facebook from sending the pages' tokens.
    fields = {"fields": "id,name,category,tasks", "limit": params.limit, "after": params.after}
    return _listed(graph.get("me/accounts", user_token(grant), fields))


_PAGE_FIELDS = (
    *("id", "name", "category", "about", "link", "username", "website", "phone"),
    *("fan_count", "followers_count", "is_published"),
)


class GetPageParams(PageParams):
    """Parameters of ``getPage``."""

    fields: _FieldList = None


def get_page(call: Call[Grant], params: GetPageParams) -> Json:
    """A page's own facts. https://developers.facebook.com/docs/graph-api/reference/page."""
    page = page_of(call.credentials, params.page_id)
    return _read(call, page.id, page.id, params.fields or _PAGE_FIELDS)


# ... posts

_POST_FIELDS = (
    *("id", "message", "story", "from", "created_time", "updated_time", "permalink_url"),
    *("status_type", "is_published", "full_picture"),
)


class ListPostsParams(ListParams):
    """Parameters of ``listPosts``."""

    source: Literal["feed", "posts", "published_posts", "visitor_posts", "tagged"] = Field(
        default="feed",
        description=(
            "All on the page's feed, the page's own posts, only those that are published, those of"
            " visitors, or those that mention the page."
        ),
    )
    fields: _FieldList = None


def list_posts(call: Call[Grant], params: ListPostsParams) -> Json:
    """A page's posts, newest first.

    https://developers.facebook.com/docs/graph-api/reference/page/feed
    """
    page = page_of(call.credentials, params.page_id)
    fields = {
        "fields": ",".join(params.fields or _POST_FIELDS),
        "limit": params.limit,
        "after": params.after,
    }
    return _listed(graph_of(call).get(f"{page.id}/{params.source}", page.access_token, fields))


class PostParams(PageParams):
    """What is done to one post."""

    post_id: ObjectId = Field(description="The post's id, {page}_{post}.")


class GetPostParams(PostParams):
    """Parameters of ``getPost``."""

    fields: _FieldList = None


def get_post(call: Call[Grant], params: GetPostParams) -> Json:
    """One post. https://developers.facebook.com/docs/graph-api/reference/page-post."""
    return _read(call, params.page_id, params.post_id, params.fields or _POST_FIELDS)


class _Publication(PageParams):
    published: bool = Field(default=True, description="False makes an unpublished post.")
    scheduled_publish_time: AwareDatetime | None = Field(
        default=None, description="When Facebook shall publish it; ten minutes ahead at least."
    )

    def publication(self) -> dict[str, Any]:
        """Graph's parameters for when the post appears."""
        if self.scheduled_publish_time is not None:
            return {
                "published": False,
                "unpublished_content_type": "SCHEDULED",
                "scheduled_publish_time": int(self.scheduled_publish_time.timestamp()),
            }
        return {"published": self.published}


class CreatePostParams(_Publication):
    """Parameters of ``createPost``."""

    message: str | None = Field(default=None, min_length=1, max_length=63206)
    link: str | None = Field(default=None, max_length=2048, description="A URL to share.")
    media_ids: tuple[ObjectId, ...] = Field(
        default=(), max_length=10, description="Unpublished photos (createPhotoPost) to attach."
    )

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if self.message is None and self.link is None and not self.media_ids:
            message = "needs a message, a link or mediaIds"
            raise ValueError(message)
        return self


def create_post(call: Call[Grant], params: CreatePostParams) -> Json:
    """Publish a post. https://developers.facebook.com/docs/pages-api/posts."""
    page = page_of(call.credentials, params.page_id)
    media = [{"media_fbid": media_id} for media_id in params.media_ids]
    fields = {"message": params.message, "link": params.link, "attached_media": media or None}
    return _write(call, page.id, page.id, "/feed", fields | params.publication())


class CreatePhotoPostParams(_Publication):
    """Parameters of ``createPhotoPost``."""

    url: str | None = Field(
        default=None, max_length=2048, description="Where Facebook finds the photo."
    )
    content_base64: str | None = Field(default=None, description="The photo itself, in base64.")
    file_name: str = Field(default="photo.jpg", min_length=1, max_length=255)
    caption: str | None = Field(default=None, max_length=63206)
    alt_text: str | None = Field(default=None, max_length=1000)

    @model_validator(mode="after")
    def _one_photo(self) -> Self:
        if (self.url is None) == (self.content_base64 is None):
            message = "needs either url or contentBase64"
            raise ValueError(message)
        if self.content_base64 is not None:
            self.content()
        return self

    def content(self) -> bytes:
        """The uploaded bytes.

        Raises:
            ValueError: They are not base64.
        """
        try:
            return b64decode(self.content_base64 or "", validate=True)
        except (NotBase64, ValueError):
            message = "contentBase64 is not base64"
            raise ValueError(message) from None


def create_photo_post(call: Call[Grant], params: CreatePhotoPostParams) -> Json:
    """Publish a photo, from a URL or from bytes.

    https://developers.facebook.com/docs/graph-api/reference/page/photos
    """
    page = page_of(call.credentials, params.page_id)
    fields = {"url": params.url, "caption": params.caption, "alt_text_custom": params.alt_text}
    files = None
    if params.content_base64 is not None:
        content_type = guess_type(params.file_name)[0] or "application/octet-stream"
        files = {"source": (params.file_name, params.content(), content_type)}
    graph = graph_of(call)
    sending = fields | params.publication()
    return _answer(graph.post(f"{page.id}/photos", page.access_token, sending, files))


def delete_post(call: Call[Grant], params: PostParams) -> Json:
    """Delete a post that the page made through this app."""
    return _remove(call, params.page_id, params.post_id)


# ... comments

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
    fields: _FieldList = None


def list_comments(call: Call[Grant], params: ListCommentsParams) -> Json:
    """The comments of a post, or the replies to a comment, newest first.

    https://developers.facebook.com/docs/graph-api/reference/object/comments
    """
    page = page_of(call.credentials, params.page_id, params.post_id)
    fields = {
        "fields": ",".join(params.fields or _COMMENT_FIELDS),
        "filter": params.filter,
        "order": params.order,
        "since": params.since and int(params.since.timestamp()),
        "limit": params.limit,
        "after": params.after,
    }
    return _listed(graph_of(call).get(f"{params.post_id}/comments", page.access_token, fields))


class CommentParams(PageParams):
    """What is done to one comment."""

    comment_id: ObjectId = Field(description="The comment's id, {post}_{comment}.")


class GetCommentParams(CommentParams):
    """Parameters of ``getComment``."""

    fields: _FieldList = None


def get_comment(call: Call[Grant], params: GetCommentParams) -> Json:
    """One comment. https://developers.facebook.com/docs/graph-api/reference/comment."""
    return _read(call, params.page_id, params.comment_id, params.fields or _COMMENT_FIELDS)


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
            message = "needs a message or an attachment"
            raise ValueError(message)
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
    return _write(call, params.page_id, params.comment_id, "/comments", fields)


def hide_comment(call: Call[Grant], params: CommentParams) -> Json:
    """Hide a comment from all but its author and their friends."""
    return _write(call, params.page_id, params.comment_id, "", {"is_hidden": True})


def unhide_comment(call: Call[Grant], params: CommentParams) -> Json:
    """Show a hidden comment again."""
    return _write(call, params.page_id, params.comment_id, "", {"is_hidden": False})


def like_comment(call: Call[Grant], params: CommentParams) -> Json:
    """Like a comment as the page."""
    return _write(call, params.page_id, params.comment_id, "/likes", {})


def delete_comment(call: Call[Grant], params: CommentParams) -> Json:
    """Delete a comment."""
    return _remove(call, params.page_id, params.comment_id)


# ... messages


class Attachment(Params):
    """A message's attachment: by URL, by an id of Facebook's, or a template's whole payload.

    https://developers.facebook.com/docs/messenger-platform/send-messages
    """

    type: Literal["image", "audio", "video", "file", "template"]
    url: str | None = Field(default=None, max_length=2048)
    attachment_id: ObjectId | None = None
    reusable: bool = Field(default=False, description="Whether Facebook shall keep it for reuse.")
    payload: dict[str, JsonValue] | None = Field(default=None, description="A template.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = (self.url, self.attachment_id, self.payload)
        if sum(one is not None for one in given) != 1:
            message = "needs one of url, attachmentId and payload"
            raise ValueError(message)
        return self

    def as_graph(self) -> dict[str, Any]:
        """In Graph's own shape."""
        payload: dict[str, Any]
        if self.payload is not None:
            payload = self.payload
        elif self.attachment_id is not None:
            payload = {"attachment_id": self.attachment_id}
        else:
            payload = {"url": self.url, "is_reusable": self.reusable}
        return {"type": self.type, "payload": payload}


class QuickReply(Params):
    """A button above the keyboard.

    https://developers.facebook.com/docs/messenger-platform/send-messages/quick-replies
    """

    content_type: Literal["text", "user_phone_number", "user_email"] = "text"
    title: str | None = Field(default=None, min_length=1, max_length=20)
    payload: str | None = Field(default=None, max_length=1000)
    image_url: str | None = Field(default=None, max_length=2048)

    @model_validator(mode="after")
    def _titled(self) -> Self:
        if self.content_type == "text" and self.title is None:
            message = "needs a title"
            raise ValueError(message)
        return self

    def as_graph(self) -> dict[str, Any]:
        """In Graph's own shape; a text reply's payload is its title where none was given."""
        fields = {
            "content_type": self.content_type,
            "title": self.title,
            "payload": self.title if self.payload is None else self.payload,
            "image_url": self.image_url,
        }
        return {name: value for name, value in fields.items() if value is not None}


class MessageParams(PageParams):
    """What a message says."""

    text: str | None = Field(default=None, min_length=1, max_length=_LONGEST_TEXT)
    attachment: Attachment | None = None
    quick_replies: tuple[QuickReply, ...] = Field(default=(), max_length=13)

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        if (self.text is None) == (self.attachment is None):
            message = "needs either text or an attachment"
            raise ValueError(message)
        return self

    def message(self) -> dict[str, Any]:
        """The message in Graph's own shape."""
        message: dict[str, Any] = {}
        if self.text is not None:
            message["text"] = self.text
        if self.attachment is not None:
            message["attachment"] = self.attachment.as_graph()
        if self.quick_replies:
            message["quick_replies"] = [reply.as_graph() for reply in self.quick_replies]
        return message


class SendPrivateReplyParams(MessageParams):
    """Parameters of ``sendPrivateReply``."""

    comment_id: ObjectId = Field(description="The comment's id, {post}_{comment}.")


def send_private_reply(call: Call[Grant], params: SendPrivateReplyParams) -> Json:
    """Write to a comment's author, once ever and within seven days of the comment.

    A comment that was answered so before is no error: ``alreadyReplied`` is true, nothing is sent.

    https://developers.facebook.com/docs/messenger-platform/discovery/private-replies
    """
    page = page_of(call.credentials, params.page_id, params.comment_id)
    fields = {
        "recipient": {"comment_id": params.comment_id},
        "message": params.message(),
        "messaging_type": "RESPONSE",
    }
    try:
        sent = _write(call, page.id, page.id, "/messages", fields)
    except RequestRejected as refusal:
        if refusal.data.get("code") != _ALREADY_REPLIED:
            raise
        return {"alreadyReplied": True}
    return {**sent, "alreadyReplied": False} if isinstance(sent, dict) else sent


class SendMessageParams(MessageParams):
    """Parameters of ``sendMessage``."""

    recipient_id: ObjectId = Field(description="The person's page-scoped id (PSID).")
    messaging_type: Literal["RESPONSE", "UPDATE", "MESSAGE_TAG", "UTILITY"] = "RESPONSE"
    tag: str | None = Field(
        default=None,
        pattern=r"^[A-Z_]{1,64}$",
        description="With MESSAGE_TAG: why it may come later than 24 hours, e.g. HUMAN_AGENT.",
    )
    notification_type: Literal["REGULAR", "SILENT_PUSH", "NO_PUSH"] | None = None
    reply_to: str | None = Field(
        default=None, max_length=500, description="The mid of the message that this answers."
    )

    @model_validator(mode="after")
    def _tagged(self) -> Self:
        if (self.messaging_type == "MESSAGE_TAG") != (self.tag is not None):
            message = "needs a tag with messagingType MESSAGE_TAG, and only then"
            raise ValueError(message)
        return self


def send_message(call: Call[Grant], params: SendMessageParams) -> Json:
    """Send a message to a person who wrote to the page within the last 24 hours.

    https://developers.facebook.com/docs/messenger-platform/reference/send-api
    """
    page = page_of(call.credentials, params.page_id)
    fields = {
        "recipient": {"id": params.recipient_id},
        "message": params.message(),
        "messaging_type": params.messaging_type,
        "tag": params.tag,
        "notification_type": params.notification_type,
        "reply_to": params.reply_to and {"mid": params.reply_to},
    }
    return _write(call, page.id, page.id, "/messages", fields)


class GetProfileParams(PageParams):
    """Parameters of ``getProfile``."""

    user_id: ObjectId = Field(description="The person's page-scoped id (PSID).")
    fields: _FieldList = None


def get_profile(call: Call[Grant], params: GetProfileParams) -> Json:
    """A person's name and picture, as the page may see them.

    https://developers.facebook.com/docs/messenger-platform/identity/user-profile
    """
    fields = params.fields or ("id", "name", "first_name", "last_name", "profile_pic")
    page = page_of(call.credentials, params.page_id)
    return _read(call, page.id, params.user_id, fields)


# ... subscriptions


class SubscribePageParams(PageParams):
    """Parameters of ``subscribePage``."""

    fields: tuple[Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")], ...] = Field(
        default=("feed", "messages", "messaging_postbacks"),
        min_length=1,
        description="What Facebook shall send of this page to the app's webhook.",
    )


def subscribe_page(call: Call[Grant], params: SubscribePageParams) -> Json:
    """Let the app receive a page's webhooks; the fields replace those of before.

    https://developers.facebook.com/docs/graph-api/reference/page/subscribed_apps
    """
    page = page_of(call.credentials, params.page_id)
    fields = {"subscribed_fields": ",".join(params.fields)}
    return _write(call, page.id, page.id, "/subscribed_apps", fields)


def unsubscribe_page(call: Call[Grant], params: PageParams) -> Json:
    """Stop a page's webhooks to the app."""
    page = page_of(call.credentials, params.page_id)
    return _answer(graph_of(call).delete(f"{page.id}/subscribed_apps", page.access_token))


def get_subscriptions(call: Call[Grant], params: PageParams) -> Json:
    """Which apps receive a page's webhooks, and which fields of them."""
    page = page_of(call.credentials, params.page_id)
    fields = {"fields": "id,name,subscribed_fields"}
    return _listed(graph_of(call).get(f"{page.id}/subscribed_apps", page.access_token, fields))


# ... everything else

_SEGMENT = r"[0-9A-Za-z_-](?:[0-9A-Za-z_.-]*[0-9A-Za-z_-])?"
_PATH = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")
_VERSION = re.compile(r"v[0-9]+(\.[0-9]+)?")
# The connection's own matters: what makes tokens, changes whose call it is, or what kind it is.
_OWN_PATHS = frozenset({"oauth", "debug_token"})
_OWN_PARAMS = frozenset(
    {"access_token", "appsecret_proof", "appsecret_time", "method", "batch", "client_secret"}
)


def _graph_path(value: str) -> str:
    """Let through what stays below the host and the version, whatever a server makes of it."""
    path = value.removeprefix("/")
    if ".." in path or not _PATH.fullmatch(path):
        message = "must be names and ids with slashes between them, e.g. 1234_5678/insights"
        raise ValueError(message)
    first = path.partition("/")[0].casefold()
    if first in _OWN_PATHS or _VERSION.fullmatch(first):
        message = "must not begin with a version, with oauth or with debug_token"
        raise ValueError(message)
    return path


def _graph_params(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if own := sorted(_OWN_PARAMS & {name.casefold() for name in value}):
        message = f"must not hold {', '.join(own)}: the connection provides it"
        raise ValueError(message)
    return value


class CallParams(PageParams):
    """Parameters of ``call``."""

    method: Literal["GET", "POST", "DELETE"] = "GET"
    path: Annotated[str, Field(max_length=500), AfterValidator(_graph_path)] = Field(
        description="A node or an edge, e.g. {page-id}/insights; without host and version."
    )
    params: Annotated[dict[str, JsonValue], AfterValidator(_graph_params)] = Field(
        default={}, description="Its parameters, in Graph's own names."
    )
    act_as: Literal["page", "user"] = Field(
        default="page", description="Whose token to use: the page's, or the connection's own."
    )


def call_graph(call: Call[Grant], params: CallParams) -> Json:
    """Call any other edge of Graph; names go in and come out as Graph has them.

    Tokens and the URLs of paging are left out of the answer; ``paging`` has ``hasNext`` instead.

    https://developers.facebook.com/docs/graph-api/reference
    """
    grant = call.credentials
    if params.act_as == "user":
        token = user_token(grant)
    else:
        token = page_of(grant, params.page_id, params.path.partition("/")[0]).access_token
    return harmless(graph_of(call).request(params.method, params.path, token, params.params))


_COMMENT: dict[str, Json] = {"commentId": "122100000000000001_987654321"}
_POST: dict[str, Json] = {"postId": "110000000000001_122100000000000001"}

ACTIONS = (
    Action(
        name="listPages",
        title="List the pages",
        params=ListPagesParams,
        run=list_pages,
        example={"limit": 25},
        idempotent=True,
    ),
    Action(
        name="getPage",
        title="Get a page",
        params=GetPageParams,
        run=get_page,
        example={"fields": ["id", "name", "fan_count"]},
        idempotent=True,
    ),
    Action(
        name="listPosts",
        title="List a page's posts",
        params=ListPostsParams,
        run=list_posts,
        example={"source": "published_posts", "limit": 10},
        idempotent=True,
    ),
    Action(
        name="getPost",
        title="Get a post",
        params=GetPostParams,
        run=get_post,
        example=_POST,
        idempotent=True,
    ),
    Action(
        name="createPost",
        title="Publish a post",
        params=CreatePostParams,
        run=create_post,
        example={"message": "We open at ten today.", "link": "https://example.com/hours"},
    ),
    Action(
        name="createPhotoPost",
        title="Publish a photo",
        params=CreatePhotoPostParams,
        run=create_photo_post,
        example={"url": "https://example.com/cake.jpg", "caption": "Fresh from the oven"},
    ),
    Action(
        name="deletePost",
        title="Delete a post",
        params=PostParams,
        run=delete_post,
        example=_POST,
        idempotent=True,
    ),
    Action(
        name="listComments",
        title="List a post's comments",
        params=ListCommentsParams,
        run=list_comments,
        example={**_POST, "filter": "stream", "limit": 50},
        idempotent=True,
    ),
    Action(
        name="getComment",
        title="Get a comment",
        params=GetCommentParams,
        run=get_comment,
        example=_COMMENT,
        idempotent=True,
    ),
    Action(
        name="replyToComment",
        title="Reply to a comment in public",
        params=ReplyToCommentParams,
        run=reply_to_comment,
        example={**_COMMENT, "message": "Thank you! We have written to you."},
    ),
    Action(
        name="hideComment",
        title="Hide a comment",
        params=CommentParams,
        run=hide_comment,
        example=_COMMENT,
        idempotent=True,
    ),
    Action(
        name="unhideComment",
        title="Show a hidden comment again",
        params=CommentParams,
        run=unhide_comment,
        example=_COMMENT,
        idempotent=True,
    ),
    Action(
        name="likeComment",
        title="Like a comment",
        params=CommentParams,
        run=like_comment,
        example=_COMMENT,
        idempotent=True,
    ),
    Action(
        name="deleteComment",
        title="Delete a comment",
        params=CommentParams,
        run=delete_comment,
        example=_COMMENT,
        idempotent=True,
    ),
    Action(
        name="sendPrivateReply",
        title="Write to a comment's author",
        params=SendPrivateReplyParams,
        run=send_private_reply,
        example={**_COMMENT, "text": "Here is the price list you asked for."},
        # Facebook lets one through for each comment.
        idempotent=True,
    ),
    Action(
        name="sendMessage",
        title="Send a message",
        params=SendMessageParams,
        run=send_message,
        example={
            "recipientId": "7000000000000001",
            "text": "Shall we deliver or will you fetch it?",
            "quickReplies": [
                {"title": "Deliver", "payload": "DELIVER"},
                {"title": "Fetch", "payload": "FETCH"},
            ],
        },
    ),
    Action(
        name="getProfile",
        title="Get a person's profile",
        params=GetProfileParams,
        run=get_profile,
        example={"userId": "7000000000000001"},
        idempotent=True,
    ),
    Action(
        name="subscribePage",
        title="Subscribe the app to a page",
        params=SubscribePageParams,
        run=subscribe_page,
        example={"fields": ["feed", "messages"]},
        idempotent=True,
    ),
    Action(
        name="unsubscribePage",
        title="Unsubscribe the app from a page",
        params=PageParams,
        run=unsubscribe_page,
        example={},
        idempotent=True,
    ),
    Action(
        name="getSubscriptions",
        title="List a page's subscribed apps",
        params=PageParams,
        run=get_subscriptions,
        example={},
        idempotent=True,
    ),
    Action(
        name="call",
        title="Call any other edge",
        params=CallParams,
        run=call_graph,
        example={
            "method": "GET",
            "path": "110000000000001/insights",
            "params": {"metric": "page_impressions", "period": "day"},
        },
    ),
)
