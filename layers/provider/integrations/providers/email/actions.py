"""What a mail server can do: send a message."""

import hashlib
import secrets
from email.errors import MessageError
from email.headerregistry import Address
from functools import partial

from integrations.errors import (
    FieldError,
    InvalidParams,
)
from integrations.models import Json
from integrations.providers.base import Action, Call
from integrations.providers.email.addresses import mailboxes
from integrations.providers.email.api import conversation, deliver
from integrations.providers.email.credentials import EmailCredentials
from integrations.providers.email.message import compose
from integrations.providers.email.params import SendEmail
from integrations.providers.files import opened


def send_email(call: Call[EmailCredentials], params: SendEmail) -> Json:
    """Send one message; a repetition carries the same Message-ID.

    Returns:
        ``{"messageId", "accepted": [address], "refused": [{"address", "status", "code",
        "message"}], "response"}``: some recipients may be refused while the others get it.

    Raises:
        InvalidParams: The sender may not be chosen on the stack's own mail server.
        CredentialsRejected: The server refuses the log-in.
        RequestRejected: It refuses the sender, every recipient or the message for good.
        ProviderUnavailable: It asks to come back later, or broke off; ``outcome_unknown`` where
            that was after the message was handed over.
    """
    credentials = call.credentials
    sender = mailboxes(params.from_)[0] if params.from_ else credentials.sender
    if credentials.sender_is_fixed:
        if sender.addr_spec != credentials.sender.addr_spec:
            detail = f"This connection sends from {credentials.sender.addr_spec} alone"
            raise InvalidParams(detail, [FieldError("from", detail)])
        # Its name is the stack's too: under another one, tenants would write as each other.
        sender = credentials.sender
    message_id = _new_message_id(call.idempotency_key, sender)
    try:
        content = compose(params, sender, message_id, partial(opened, call))
    except (ValueError, MessageError) as mistake:
        raise InvalidParams("The message cannot be written as e-mail") from mistake
    with conversation(call) as (smtp, progress):
        accepted, refused, response = deliver(
            smtp, progress, sender.addr_spec, params.recipients, content
        )
    return {
        "messageId": message_id,
        "accepted": list(accepted),
        "refused": refused,
        "response": response,
    }


def _new_message_id(key: str | None, sender: Address) -> str:
    """The same for each repetition of a step, and unguessable where there is no step."""
    unique = hashlib.sha256(key.encode()).hexdigest()[:40] if key else secrets.token_hex(20)
    return f"<{unique}@{sender.domain}>"


ACTIONS = (
    Action(
        name="sendEmail",
        title="Send an e-mail",
        params=SendEmail,
        run=send_email,
        recipients=lambda params: len(params.recipients),
        example={
            "to": "Ann <ann@example.com>",
            "subject": "Order 42 is paid",
            "text": "Thank you! Your order 42 is paid.",
            "html": "<p>Thank you! Your order <b>42</b> is paid.</p>",
        },
    ),
)
