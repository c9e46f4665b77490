"""A message as it is written: https://www.rfc-editor.org/rfc/rfc5322."""

from base64 import b64decode
from email.headerregistry import Address
from email.message import EmailMessage, MIMEPart
from email.policy import SMTP, Policy
from email.utils import format_datetime

from integrations.models import now
from integrations.providers.email import headers
from integrations.providers.email.addresses import mailboxes
from integrations.providers.email.params import Attachment, SendEmail, message_ids

_POLICY = SMTP.clone(raise_on_defect=True, cte_type="7bit")
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
    answered = message_ids(params.in_reply_to)
    thread = message_ids(params.references) or answered
    written = [headers.mailboxes("From", [sender])]
    for name, boxes in (("To", params.to), ("Cc", params.cc), ("Reply-To", params.reply_to)):
        if boxes:
            written.append(headers.mailboxes(name, mailboxes(boxes)))
    written.append(headers.text("Subject", params.subject))
    written.append(headers.tokens("Date", [format_datetime(now())]))
    written.append(headers.tokens("Message-ID", [message_id]))
    if answered:
        written.append(headers.tokens("In-Reply-To", answered))
    if thread:
        written.append(headers.tokens("References", thread))
    written += [headers.text(name, value) for name, value in params.headers.items()]
    for header in written:
        message[header.name] = header
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
        if inline:
            body.make_related()
        for image in inline:
            body.attach(_part(image, "inline", message.policy))
    if files:
        message.make_mixed()
    whole: MIMEPart = message
    for attached in files:
        whole.attach(_part(attached, "attachment", message.policy))


def _part(attachment: Attachment, disposition: str, policy: Policy) -> MIMEPart:
    main, sub = attachment.media_type
    part = MIMEPart(policy=policy)
    part.set_content(b64decode(attachment.content_base64), main, sub)
    part["Content-Disposition"] = headers.disposition(disposition, attachment.file_name)
    if attachment.cid:
        part["Content-ID"] = headers.tokens("Content-ID", [f"<{attachment.cid}>"])
    return part
