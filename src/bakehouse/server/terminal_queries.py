"""Questions to terminals, in what was written before somebody came."""

import re
from typing import Final

#: What a terminal answers by itself: status, position, attributes. Source: ECMA-48 and the VT100 User Guide, device
#: status report and device attributes.
_QUERY: Final = re.compile(rb"\x1b(?:\[[0-9;?>=]*[cnx]|Z)")


def without_queries(written: bytes) -> bytes:
    """Return as many bytes without questions: answers to old ones would be typed to the guest.

    Null bytes, which terminals skip, take their place, for positions count them.
    """
    return _QUERY.sub(lambda query: bytes(len(query[0])), written)
