"""Which character set a content type names: https://encoding.spec.whatwg.org/#names-and-labels."""

import codecs
import re

# Python knows more codecs than there are character sets: some give bytes, some take quadratic time
# on hostile input. So only those that the web uses.
_KNOWN = re.compile(
    r"utf-?8|utf-?16(le|be)?|utf-?32(le|be)?|(us-)?ascii|latin-?1|iso-?8859-\d{1,2}|windows-125\d"
    r"|cp125\d|koi8-[ru]|macintosh|shift[_-]jis|euc-(jp|kr)|iso-2022-jp|gb2312|gbk|gb18030|big5",
    re.ASCII,
)


def charset(content_type: str) -> str | None:
    """The character set that a content type names.

    Args:
        content_type: The header's value, e.g. ``text/plain; charset=iso-8859-1``.

    Returns:
        A name that Python decodes by, ``utf-8`` where none is named; ``None`` where the named one
        is unknown.
    """
    named = re.search(r"charset\s*=\s*[\"']?([\w.:-]+)", content_type, re.IGNORECASE | re.ASCII)
    if named is None:
        return "utf-8"
    name = named[1].lower()
    try:
        return codecs.lookup(name).name if _KNOWN.fullmatch(name) else None
    except LookupError:
        return None
