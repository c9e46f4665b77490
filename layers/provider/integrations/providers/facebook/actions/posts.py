"""Posts and photos of a page.

https://developers.facebook.com/docs/pages-api/posts
"""

from mimetypes import guess_type
from typing import Any, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from integrations import mistakes
from integrations.models import Json
from integrations.providers.base import Action, Call
from integrations.providers.facebook.actions.params import (
    POST,
    FieldList,
    ListParams,
    PageParams,
    done,
    read,
    read_list,
    remove,
    write,
)
from integrations.providers.facebook.grant import (
    Grant,
    ObjectId,
    graph_of,
    page_of,
)
from integrations.providers.files import FileContent, StoredBytes, decoded, opened

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
    fields: FieldList = None


def list_posts(call: Call[Grant], params: ListPostsParams) -> Json:
    """A page's posts, newest first.

    https://developers.facebook.com/docs/graph-api/reference/page/feed
    """
    page = page_of(call.credentials, params.page_id)
    fields = params.fields or _POST_FIELDS
    return read_list(call, page, f"{page.id}/{params.source}", params, fields)


LIST_POSTS = Action(
    name="listPosts",
    title="List a page's posts",
    params=ListPostsParams,
    run=list_posts,
    example={"source": "published_posts", "limit": 10},
    idempotent=True,
)


class PostParams(PageParams):
    """What is done to one post."""

    post_id: ObjectId = Field(description="The post's id, {page}_{post}.")


class GetPostParams(PostParams):
    """Parameters of ``getPost``."""

    fields: FieldList = None


def get_post(call: Call[Grant], params: GetPostParams) -> Json:
    """One post. https://developers.facebook.com/docs/graph-api/reference/page-post."""
    return read(call, params.page_id, params.post_id, params.fields or _POST_FIELDS)


GET_POST = Action(
    name="getPost",
    title="Get a post",
    params=GetPostParams,
    run=get_post,
    example=POST,
    idempotent=True,
)


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
            raise mistakes.at(("message", "needs a message, a link or mediaIds"))
        return self


def create_post(call: Call[Grant], params: CreatePostParams) -> Json:
    """Publish a post. https://developers.facebook.com/docs/pages-api/posts."""
    page = page_of(call.credentials, params.page_id)
    media = [{"media_fbid": media_id} for media_id in params.media_ids]
    fields = {"message": params.message, "link": params.link, "attached_media": media or None}
    sending = fields | params.publication()
    return write(call, page.id, page.id, "/feed", sending, makes=True)


CREATE_POST = Action(
    name="createPost",
    title="Publish a post",
    params=CreatePostParams,
    run=create_post,
    example={"message": "We open at ten today.", "link": "https://example.com/hours"},
)


class CreatePhotoPostParams(_Publication):
    """Parameters of ``createPhotoPost``."""

    url: str | None = Field(
        default=None, max_length=2048, description="Where Facebook finds the photo."
    )
    content_base64: str | None = Field(default=None, description="The photo itself, in base64.")
    file_name: str = Field(default="photo.jpg", min_length=1, max_length=255)
    file: FileContent | None = Field(
        default=None, description="The photo as a file of another step."
    )
    caption: str | None = Field(default=None, max_length=63206)
    alt_text: str | None = Field(default=None, max_length=1000)

    @model_validator(mode="after")
    def _one_photo(self) -> Self:
        if [self.url, self.content_base64, self.file].count(None) != 2:  # noqa: PLR2004 - one of three
            raise mistakes.at(("url", "needs one of url, contentBase64 and file"))
        if self.url is None:
            self.content()
        return self

    def content(self) -> bytes | StoredBytes:
        """The uploaded bytes, or where they are.

        Raises:
            ValueError: They are not base64.
        """
        try:
            if self.file:
                return self.file.content()
            return decoded(self.content_base64 or "")
        except ValueError:
            message = "contentBase64 is not base64"
            raise ValueError(message) from None


def create_photo_post(call: Call[Grant], params: CreatePhotoPostParams) -> Json:
    """Publish a photo, from a URL or from bytes.

    https://developers.facebook.com/docs/graph-api/reference/page/photos
    """
    page = page_of(call.credentials, params.page_id)
    fields = {"url": params.url, "caption": params.caption, "alt_text_custom": params.alt_text}
    files = None
    if params.url is None:
        name = params.file.file_name if params.file else params.file_name
        content_type = guess_type(name)[0] or "application/octet-stream"
        files = {"source": (name, opened(call, params.content()), content_type)}
    graph = graph_of(call)
    sending = fields | params.publication()
    return done(graph.post(f"{page.id}/photos", page.access_token, sending, files), makes=True)


CREATE_PHOTO_POST = Action(
    name="createPhotoPost",
    title="Publish a photo",
    params=CreatePhotoPostParams,
    run=create_photo_post,
    example={"url": "https://example.com/cake.jpg", "caption": "Fresh from the oven"},
)


def delete_post(call: Call[Grant], params: PostParams) -> Json:
    """Delete a post that the page made through this app."""
    return remove(call, params.page_id, params.post_id)


DELETE_POST = Action(
    name="deletePost",
    title="Delete a post",
    params=PostParams,
    run=delete_post,
    example=POST,
    idempotent=True,
)


ACTIONS = (
    LIST_POSTS,
    GET_POST,
    CREATE_POST,
    CREATE_PHOTO_POST,
    DELETE_POST,
)
