"""A message as it is written: https://www.rfc-editor.org/rfc/rfc5322.

Attachments are not in it until it is sent: each is read then, and written line by line.
"""

import secrets
from base64 import b64encode
from collections.abc import Callable, Iterator
from email.headerregistry import Address
from email.message import EmailMessage, MIMEPart
from email.policy import SMTP, Policy
from email.utils import format_datetime

from integrations.models import now
from integrations.outbound.content import Content
from integrations.providers.email import headers
from integrations.providers.email.addresses import mailboxes
from integrations.providers.email.params import Attachment, SendEmail, message_ids
from integrations.providers.files import StoredBytes, decoded

_POLICY = SMTP.clone(raise_on_defect=True, cte_type="7bit")
_POLICY_UTF8 = _POLICY.clone(utf8=True)


_LINE = 57
"""What a line of base64 holds: https://www.rfc-editor.org/rfc/rfc2045#section-6.8."""

type Part = bytes | Content


def compose(
    params: SendEmail,
    sender: Address,
    message_id: str,
    opened: Callable[[bytes | StoredBytes], Part],
) -> list[Part]:
    """The message as it will be sent, in parts; whom ``bcc`` names stands in the envelope alone.

    Args:
        params: What to send.
        sender: The From address.
        message_id: Its id, with angle brackets.
        opened: Gives what is sent of a file.
    """
    message = _headed(params, sender, message_id)
    attached = _Attached(message.policy)
    _add_content(message, params, attached)
    parts: list[Part] = []
    left = message.as_bytes()
    for mark, attachment in attached.marks:
        before, _, left = left.partition(mark + b"\r\n")
        content = opened(decoded(attachment.content_base64))
        parts += [before, _in_base64(content)]
    return [*parts, left]


def _headed(params: SendEmail, sender: Address, message_id: str) -> EmailMessage:
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
    return message


class _Attached:
    """The attachments in the order in which the message has them, each with the mark at its place.

    Args:
        policy: The message's.
    """

    def __init__(self, policy: Policy) -> None:
        self.marks: list[tuple[bytes, Attachment]] = []
        self._policy = policy

    def part(self, attachment: Attachment, disposition: str) -> MIMEPart:
        """The part of a message with a mark for its content."""
        main, sub = attachment.media_type
        mark = secrets.token_hex(16).encode()
        self.marks.append((mark, attachment))
        part = MIMEPart(policy=self._policy)
        part.set_content(mark, main, sub, cte="7bit")
        part.replace_header("Content-Transfer-Encoding", "base64")
        part["Content-Disposition"] = headers.disposition(disposition, attachment.file_name)
        if attachment.cid:
            part["Content-ID"] = headers.tokens("Content-ID", [f"<{attachment.cid}>"])
        return part


def _in_base64(content: Part) -> Content:
    """Bytes as lines of base64, each with its end."""
    lines, rest = divmod(len(content), _LINE)
    size = lines * 78 + (-(-rest // 3) * 4 + 2 if rest else 0)

    def pieces() -> Iterator[bytes]:
        begun = b""
        for piece in [content] if isinstance(content, bytes) else content:
            begun += piece
            whole = len(begun) - len(begun) % _LINE
            yield _lines(begun[:whole])
            begun = begun[whole:]
        yield _lines(begun)

    return Content(size, pieces)


def _lines(content: bytes) -> bytes:
    lines = (content[at : at + _LINE] for at in range(0, len(content), _LINE))
    return b"".join(b64encode(line) + b"\r\n" for line in lines)


def _add_content(message: EmailMessage, params: SendEmail, attached: _Attached) -> None:
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
            body.attach(attached.part(image, "inline"))
    if files:
        message.make_mixed()
    whole: MIMEPart = message
    for file in files:
        whole.attach(attached.part(file, "attachment"))
