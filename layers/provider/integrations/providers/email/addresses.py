"""Addresses as people write them: https://www.rfc-editor.org/rfc/rfc5322#section-3.4."""

import re
from contextlib import suppress
from email.headerregistry import Address
from email.utils import getaddresses

_LOCAL = re.compile(r"[^\s\x00-\x20\x7f()<>@,;:\\\"\[\]]{1,64}")
_DOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*",
    re.IGNORECASE,
)
# Whatever Python or a mail program might take for the end of a line, and half characters.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def mailboxes(given: str | list[str] | None) -> list[Address]:
    """Addresses as people write them: ``ann@example.com``, ``Ann <ann@example.com>, …``.

    Raises:
        ValueError: One of them is none.
    """
    found: list[Address] = []
    for text in ([given] if given else []) if isinstance(given, str) else given or []:
        if CONTROL.search(text):
            raise ValueError("must not hold line breaks or other control characters")
        for name, spec in getaddresses([text], strict=True):
            local, _, domain = spec.rpartition("@")
            # A domain beyond ASCII has an ASCII form that every server takes.
            with suppress(UnicodeError):
                domain = domain.encode("idna").decode()
            if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
                raise ValueError(f"holds what is not an e-mail address: {text[:100]!r}")
            found.append(Address(name, local, domain))
    return found


def are_mailboxes(value: str | list[str]) -> str | list[str]:
    """Let one or more addresses through, as pydantic's validators do."""
    mailboxes(value)
    return value


def is_mailbox(value: str | None) -> str | None:
    """Let one address through, or none, as pydantic's validators do."""
    if value is not None and len(mailboxes(value)) != 1:
        raise ValueError("must be one e-mail address")
    return value
