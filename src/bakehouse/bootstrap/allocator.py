"""How much freed memory the server keeps for its next answer."""

import ctypes
import sys
from contextlib import suppress
from typing import Final

#: Parameters of glibc's `mallopt`. Source: malloc.h; mallopt(3) tells what they do.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

#: Twice the text of an answer with two thousand instances, and that as bytes.
_KEPT_BYTES: Final = 32 << 20


def keep_freed_memory() -> None:
    """Let glibc give memory back to the host only where much of it is free; with other C libraries do nothing.

    By default it gives back what is freed at the heap's end as soon as that is twice the largest block so far. The
    answer of DescribeInstances with a thousand instances is 4 MB of text and as much of bytes: given back and got anew
    for each request, page by page, they take four times as long as everything else.
    """
    if not sys.platform.startswith("linux"):
        return
    with suppress(AttributeError):  # musl has no such function
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES // 2)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
