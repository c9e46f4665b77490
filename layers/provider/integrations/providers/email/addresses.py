"""Addresses as people write them: https://www.rfc-editor.org/rfc/rfc5322#section-3.4."""

import re
import unicodedata
from email.headerregistry import Address
from email.utils import getaddresses

from integrations.outbound import domains

_LOCAL = re.compile(r"[^\s\x00-\x20\x7f()<>@,;:\\\"\[\]]{1,64}")
_DOMAIN = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*",
    re.IGNORECASE,
)
# Whatever Python or a mail program might take for the end of a line, and half characters.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MAX_TEXT = 50_000
"""Characters of one text: more than as many addresses as a message may have."""
# Nobody sees them, so nobody typed them; but joiners belong to emoji and to Persian names.
_JOINERS = "\u200c\u200d"
_INVISIBLE = frozenset({"Cf", "Cn", "Co", "Zl", "Zp"})


def mailboxes(given: str | list[str] | None) -> list[Address]:
    """Addresses as people write them: ``ann@example.com``, ``Ann <ann@example.com>, …``.

    A text may name several by commas, each item of a list names one. A domain beyond ASCII is given
    in its ASCII form, which every server takes.

    Raises:
        ValueError: One of them is none.
    """
    texts = ([given] if given else []) if isinstance(given, str) else given or []
    found: list[Address] = []
    for text in texts:
        boxes = _parsed(text)
        if not isinstance(given, str) and len(boxes) != 1:
            raise ValueError("holds an item that is not one e-mail address")
        for name, spec in boxes:
            # Not the text itself: it may hold a secret, and cut in two nothing would know it.
            several = len(texts) > 1 or len(boxes) > 1
            place = f" (number {len(found) + 1})" if several else ""
            local, _, domain = spec.rpartition("@")
            if _hides(name.translate(dict.fromkeys(map(ord, _JOINERS)))) or _hides(local):
                raise ValueError(f"holds an invisible character{place}")
            try:
                domain = domains.to_ascii(domain)
            except ValueError:
                domain = ""
            if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
                raise ValueError(f"holds what is not an e-mail address{place}")
            found.append(Address(name, local, domain))
    return found


def _parsed(text: str) -> list[tuple[str, str]]:
    if CONTROL.search(text):
        raise ValueError("must not hold line breaks or other control characters")
    if len(text) > _MAX_TEXT:
        raise ValueError(f"takes at most {_MAX_TEXT} characters")
    try:
        return getaddresses([text], strict=True)
    except RecursionError:  # of groups and comments within each other
        raise ValueError("is nested too deeply") from None


def _hides(text: str) -> bool:
    return not text.isascii() and any(unicodedata.category(each) in _INVISIBLE for each in text)


def flat(value: object) -> object:
    """A list without lists in it, and without what is empty: a template may have made either."""
    if not isinstance(value, list):
        return value
    inner = [one for each in value for one in (each if isinstance(each, list) else [each])]
    return [each for each in inner if each not in {"", None}] if _plain(inner) else inner


def _plain(items: list[object]) -> bool:
    return all(isinstance(each, str | None) for each in items)


def are_mailboxes(value: str | list[str]) -> str | list[str]:
    """Let one or more addresses through, as pydantic's validators do."""
    mailboxes(value)
    return value


def is_mailbox(value: str | None) -> str | None:
    """Let one address through, or none, as pydantic's validators do."""
    if value is not None and len(mailboxes(value)) != 1:
        raise ValueError("must be one e-mail address")
    return value
