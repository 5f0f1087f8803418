"""Commands through which the command line's ssh reaches what it cannot reach itself."""

import contextlib
from collections.abc import Sequence

from bakehouse.drivers import process


async def says(words: Sequence[str], beginning: str, *, within_s: float) -> bool:
    """Run such a command, which may never end by itself, and tell whether a line that it lets through begins so.

    Raises:
        ProgramNotFound: It is not installed.
    """
    said: list[str] = []
    with contextlib.suppress(process.ProcessTimedOut):
        await process.stream(words, on_line=said.append, timeout_s=within_s, check=False)
    return any(line.startswith(beginning) for line in said)
