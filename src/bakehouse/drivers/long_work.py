"""Blocking work that takes long: in a thread of its own, telling how far it is, ending when nobody waits any more."""

import asyncio
import threading
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

Progress = Callable[[float], None]

#: Progress is told in steps of at least this much: a callback per chunk of a large file would keep the loop busy.
_STEP: Final = 0.01


class Abandoned(Exception):
    """Nobody waits for the work any more; it cleans up and ends."""


class Work:
    """How a piece of work talks to whoever waits for it. All methods may be called from any thread."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress
        self._loop = asyncio.get_running_loop()
        self._abandoned = threading.Event()
        self._told = -1.0

    def check(self) -> None:
        """Return if somebody still waits.

        Raises:
            Abandoned: Nobody does.
        """
        if self._abandoned.is_set():
            raise Abandoned

    def report(self, done: int, total: int) -> None:
        """Tell how much of the work is done, and check that somebody still waits.

        Raises:
            Abandoned: Nobody does.
        """
        self.check()
        fraction = min(done / total, 1.0) if total else 1.0
        if self._progress is not None and (fraction >= self._told + _STEP or fraction == 1.0 > self._told):
            self._told = fraction
            self._loop.call_soon_threadsafe(self._progress, fraction)

    def abandon(self) -> None:
        """Let the work end at its next look."""
        self._abandoned.set()


async def in_thread(work: Callable[[Work], T], progress: Progress | None = None) -> T:
    """Run `work` in a thread and return its result.

    When the awaiting task is cancelled, the work is told so and its end is waited for: cleaning up must not race
    with it.
    """
    talk = Work(progress)
    thread = asyncio.create_task(asyncio.to_thread(work, talk))
    cancelled: asyncio.CancelledError | None = None
    while not thread.done():
        try:
            await asyncio.wait({thread})
        except asyncio.CancelledError as err:
            cancelled = err
            talk.abandon()
    if cancelled is not None:
        if not thread.cancelled():
            thread.exception()  # Taken note of: the caller is past caring.
        raise cancelled
    return thread.result()
