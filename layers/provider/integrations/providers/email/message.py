"""A message as it is written: https://www.rfc-editor.org/rfc/rfc5322."""

from base64 import b64decode
from email.headerregistry import Address
from email.message import EmailMessage, MIMEPart
from email.policy import EmailPolicy
from email.utils import formatdate
from typing import override

from integrations.providers.email.addresses import mailboxes
from integrations.providers.email.params import SendEmail, message_ids


class _Policy(EmailPolicy):
    """Headers as they are: the standard library would encode every word over 78 characters.

    That breaks message ids (Exchange's are long) and links in List-Unsubscribe, which receivers
    do not decode. ASCII needs no encoding: it is folded at its spaces.
    """

    @override
    def fold_binary(self, name: str, value: str) -> bytes:
        text = str(value)
        if not text.isascii() or name.lower().startswith("content-"):
            return super().fold_binary(name, value)
        lines = [f"{name}:"]
        for word in text.split(" "):
            if len(lines[-1]) + len(word) < 78 or lines[-1] == f"{name}:":  # noqa: PLR2004
                lines[-1] += f" {word}"
            else:
                lines.append(f" {word}")
        return "\r\n".join([*lines, ""]).encode()


_POLICY = _Policy(linesep="\r\n", raise_on_defect=True, cte_type="7bit")
_POLICY_UTF8 = _POLICY.clone(utf8=True)


def compose(params: SendEmail, sender: Address, message_id: str) -> EmailMessage:
    """The message as it will be sent; whom ``bcc`` names stands in the envelope alone.

    Args:
        params: What to send.
        sender: The From address.
        message_id: Its id, with angle brackets.
    """
    visible = [*mailboxes(params.to), *mailboxes(params.cc), *mailboxes(params.reply_to), sender]
    international = not all(box.username.isascii() for box in visible)
    message = EmailMessage(policy=_POLICY_UTF8 if international else _POLICY)
    message["From"] = sender
    for name, boxes in (("To", params.to), ("Cc", params.cc), ("Reply-To", params.reply_to)):
        if boxes:
            message[name] = mailboxes(boxes)
    message["Subject"] = params.subject
    message["Date"] = formatdate(usegmt=True)
    message["Message-ID"] = message_id
    answered = message_ids(params.in_reply_to)
    if answered:
        message["In-Reply-To"] = " ".join(answered)
    thread = message_ids(params.references) or answered
    if thread:
        message["References"] = " ".join(thread)
    for name, value in params.headers.items():
        message[name] = value
    _add_content(message, params)
    return message


def _add_content(message: EmailMessage, params: SendEmail) -> None:
    inline = [attachment for attachment in params.attachments if attachment.cid]
    files = [attachment for attachment in params.attachments if not attachment.cid]
    if params.text is not None or params.html is None:
        message.set_content(params.text or "")
    if params.html is not None:
        body: MIMEPart = message
        if params.text is None:
            message.set_content(params.html, subtype="html")
        else:
            message.add_alternative(params.html, subtype="html")
            body = list(message.iter_parts())[-1]
        for image in inline:
            main, sub = image.media_type
            body.add_related(
                b64decode(image.content_base64),
                main,
                sub,
                cid=f"<{image.cid}>",
                filename=image.file_name,
                disposition="inline",
            )
    for attached in files:
        main, sub = attached.media_type
        message.add_attachment(
            b64decode(attached.content_base64), main, sub, filename=attached.file_name
        )
