"""Domain names in ASCII, by today's rules.

The standard library's codec follows IDNA 2003, which makes ``fass.de`` of ``faß.de``: another
domain, and another owner. Here a name has the form that registries give it today, or none.

https://www.rfc-editor.org/rfc/rfc5891 (IDNA 2008)
"""

import unicodedata
from typing import Final

import idna

_LONGEST: Final = 253
"""https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4"""


def to_ascii(domain: str) -> str:
    """A domain's ASCII form, by which it is looked up and written.

    Args:
        domain: The name as people write it; capitals are read as small letters.

    Raises:
        ValueError: It has none: it is too long, has a character that no domain has, or a form that
            stands for another.
    """
    if len(domain) > _LONGEST:
        raise ValueError("is longer than any domain name")
    if domain.isascii() and "xn--" not in domain.lower():
        return domain
    # No mapping but of capitals: what only looks like the name is refused, not replaced by it.
    plain = unicodedata.normalize("NFC", domain).lower()
    try:
        return b".".join(idna.alabel(label) for label in plain.split(".")).decode()
    except (idna.IDNAError, UnicodeError):
        raise ValueError("is not a domain name") from None
