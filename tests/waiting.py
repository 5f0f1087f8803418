"""Waiting for what no event tells of."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], bool], *, deadline_s: float = 30) -> None:
    """Wait until something holds; fail after the deadline."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 - what is under test knows nothing of tests
            await asyncio.sleep(0.002)
