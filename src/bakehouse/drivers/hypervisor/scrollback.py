"""What somebody sees first who comes to a console later."""

from typing import Final

#: A few screens.
SCROLLBACK_LINES: Final = 100


def scrollback(written: bytes) -> bytes:
    """Return the last lines of what a guest wrote, the one that it is writing among them."""
    start = len(written)
    for _ in range(SCROLLBACK_LINES):
        start = written.rfind(b"\n", 0, start)
        if start < 0:
            return written
    return written[start + 1 :]
