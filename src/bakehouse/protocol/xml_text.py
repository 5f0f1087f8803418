"""Text as XML 1.0 can carry it."""

import re
from typing import Final

#: Characters of element text that need more than being copied: the markup characters, a carriage return (a
#: parser turns it into a line feed), and what no XML 1.0 document may hold, escaped or not.
#: Source: XML 1.0 (Fifth Edition), sections 2.2, 2.4 and 2.11.
_UNSAFE: Final = re.compile(r"[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

_WRITTEN_AS: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}

#: Characters that cannot be sent in a response at all, so a request that brings one is refused.
UNSENDABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

_find_unsafe: Final = _UNSAFE.search


def escape(text: str) -> str:
    """Return `text` as element content; a character that XML cannot carry becomes U+FFFD.

    Text from a request never holds such a character (it is refused there); what a guest wrote to its console
    may.
    """
    if _find_unsafe(text) is None:
        return text
    return _UNSAFE.sub(lambda found: _WRITTEN_AS.get(found[0], "\N{REPLACEMENT CHARACTER}"), text)
