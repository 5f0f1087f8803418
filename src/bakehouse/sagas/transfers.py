"""Transfers: the long work of imports, exports, stores and restores, two at a time, with progress and a way to stop.

How far a transfer is stays in memory: after a restart it begins again at what its saga's steps left. A transfer that
is cancelled ends its step with `TransferCancelled`, so that the saga turns back; one whose server stops is cut short
without that, and the next server takes it up.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

#: How many there are at work at once; the others wait. Both cores of a small host may be busy with two.
AT_ONCE: Final = 2


class TransferCancelled(Exception):
    """Somebody asked for its end."""


@dataclass(slots=True)
class Transfer:
    """How far one is."""

    fraction: float = 0.0
    """0 to 1, never less than before."""
    stage: str = "pending"
    """A word for what goes on: `pending` until its turn has come."""

    def reached(self, fraction: float) -> None:
        """Note how much is done."""
        self.fraction = max(self.fraction, min(fraction, 1.0))

    def part(self, begin: float, end: float) -> Callable[[float], None]:
        """Return what notes the progress of a part of the work, itself from 0 to 1."""
        return lambda fraction: self.reached(begin + (end - begin) * fraction)

    def enters(self, stage: str) -> None:
        """Note what goes on now."""
        self.stage = stage


class Transfers:
    """The transfers under way, by the ids of their tasks."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        """Begin with none."""
        self._turns = asyncio.Semaphore(at_once)
        self._transfers: dict[str, Transfer] = {}
        self._at_work: dict[str, asyncio.Task[None]] = {}

    def of(self, task_id: str) -> Transfer:
        """Return how far a task is; of one that is not known here, that it has not begun."""
        return self._transfers.get(task_id) or Transfer()

    async def run(self, task_id: str, work: Callable[[Transfer], Awaitable[None]]) -> None:
        """Do a task's work when its turn comes.

        Raises:
            TransferCancelled: `cancel` came first; the work was cut short.
            Exception: What the work raised.
        """
        transfer = self._transfers.setdefault(task_id, Transfer())
        at_work = asyncio.create_task(self._in_turn(transfer, work), name=f"transfer {task_id}")
        self._at_work[task_id] = at_work
        try:
            await asyncio.wait([at_work])
        finally:
            del self._at_work[task_id]
            if not at_work.done():
                at_work.cancel()
                await asyncio.wait([at_work])
        if at_work.cancelled():
            raise TransferCancelled(task_id)
        at_work.result()

    def cancel(self, task_id: str) -> None:
        """Cut a task's work short. None at work: nothing happens."""
        if (at_work := self._at_work.get(task_id)) is not None:
            at_work.cancel()

    def forget(self, task_id: str) -> None:
        """Forget how far a task was, once it has ended."""
        self._transfers.pop(task_id, None)

    async def _in_turn(self, transfer: Transfer, work: Callable[[Transfer], Awaitable[None]]) -> None:
        async with self._turns:
            await work(transfer)
