"""Ending a benchmark early, with everything that it started."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def cleaning_up() -> Iterator[None]:
    """Let SIGTERM, as `timeout` sends it, end the block as Ctrl-C does, and either the program with one line."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.raise_signal(signal.SIGINT)

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted; nothing is left behind", file=sys.stderr)
        raise SystemExit(130) from None
