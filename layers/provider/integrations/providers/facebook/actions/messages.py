"""Messenger: messages to people, and who they are.

https://developers.facebook.com/docs/messenger-platform
"""

from typing import Any, Literal, Self

from pydantic import Field, JsonValue, model_validator

from integrations import mistakes
from integrations.errors import RequestRejected
from integrations.models import Json
from integrations.providers.base import Action, Call, Params
from integrations.providers.facebook.actions.params import (
    COMMENT,
    FieldList,
    PageParams,
    read,
    write,
)
from integrations.providers.facebook.grant import (
    Grant,
    ObjectId,
    page_of,
)

_LONGEST_TEXT = 2000


_ALREADY_REPLIED = 10900


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
            raise mistakes.at(("url", "needs one of url, attachmentId and payload"))
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
            raise mistakes.at(("title", "needs a title"))
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
            raise mistakes.at(("text", "needs either text or an attachment"))
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
        sent = write(call, page.id, page.id, "/messages", fields, makes=True)
    except RequestRejected as refusal:
        if refusal.data.get("code") != _ALREADY_REPLIED:
            raise
        return {"alreadyReplied": True}
    return {**sent, "alreadyReplied": False} if isinstance(sent, dict) else sent


SEND_PRIVATE_REPLY = Action(
    name="sendPrivateReply",
    title="Write to a comment's author",
    params=SendPrivateReplyParams,
    run=send_private_reply,
    example={**COMMENT, "text": "Here is the price list you asked for."},
    # Facebook lets one through for each comment.
    idempotent=True,
)


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
            raise mistakes.at(("tag", "needs a tag with messagingType MESSAGE_TAG, and only then"))
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
    return write(call, page.id, page.id, "/messages", fields, makes=True)


SEND_MESSAGE = Action(
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
)


class GetProfileParams(PageParams):
    """Parameters of ``getProfile``."""

    user_id: ObjectId = Field(description="The person's page-scoped id (PSID).")
    fields: FieldList = None


def get_profile(call: Call[Grant], params: GetProfileParams) -> Json:
    """A person's name and picture, as the page may see them.

    https://developers.facebook.com/docs/messenger-platform/identity/user-profile
    """
    fields = params.fields or ("id", "name", "first_name", "last_name", "profile_pic")
    page = page_of(call.credentials, params.page_id)
    return read(call, page.id, params.user_id, fields)


GET_PROFILE = Action(
    name="getProfile",
    title="Get a person's profile",
    params=GetProfileParams,
    run=get_profile,
    example={"userId": "7000000000000001"},
    idempotent=True,
)


ACTIONS = (
    SEND_PRIVATE_REPLY,
    SEND_MESSAGE,
    GET_PROFILE,
)
