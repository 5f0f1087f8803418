"""The host's disk runs full: guests stand still before a write of theirs fails, and go on when there is room again.

A guest whose write fails takes its disk for broken: its file system turns read-only, its database stops. One that
stands still notices nothing but time. QEMU can do that by itself for virtio disks, and does; its NVMe device tells
the guest of it. So the free space is looked at, the more often the less there is.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from bakehouse.domain.instance import Instance, InstanceState
from bakehouse.ports.hypervisor import MonitorLost
from bakehouse.reconcile.guests import Guests
from bakehouse.sagas.context import SagaContext

_log: Final = structlog.get_logger(__name__)

#: Below this guests stand still. What all guests together write between two looks must fit in, and the records' growth.
LOW_BYTES: Final = 256 << 20
#: On a small disk, this part of it instead.
LOW_PART: Final = 10
#: Guests go on when there is so many times as much: enough to get somewhere.
ENOUGH: Final = 2

#: What all guests together write at most, in bytes a second: the rest of the free space lasts until the next look.
_FASTEST: Final = 1 << 30
_SHORTEST_WAIT_S: Final = 0.02
_LONGEST_WAIT_S: Final = 5.0
_STALLED_WAIT_S: Final = 1.0


class HostRoom:
    """Holds the guests against the free space of the host."""

    def __init__(self, context: SagaContext, guests: Guests) -> None:
        """Stop and resume these machines, and tell of it in their instances' records."""
        self._context = context
        self._hypervisor = context.hypervisor
        self._guests = guests
        self._is_low = False

    async def watch_forever(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            wait_s = _STALLED_WAIT_S
            try:
                wait_s = await self.look()
            except Exception:  # noqa: BLE001 - the next look comes all the same
                _log.exception("could not look at the room that is left")
            await asyncio.sleep(wait_s)

    async def look(self) -> float:
        """Stop guests if there is little room, let them go on if there is enough; return seconds to the next look."""
        room = await self._context.volumes.upkeep.room()
        low = min(LOW_BYTES, room.total_bytes // LOW_PART)
        if room.free_bytes < low:
            if not self._is_low:
                _log.error("the disk is nearly full; guests stand still until there is room", free=room.free_bytes)
            self._is_low = True
            await self._stop_all()
            return _STALLED_WAIT_S
        if self._is_low and room.free_bytes < low * ENOUGH:
            return _STALLED_WAIT_S
        if self._is_low:
            _log.info("there is room on the disk again", free=room.free_bytes)
        self._is_low = False
        await self._resume_all()
        return min(max((room.free_bytes - low) / _FASTEST, _SHORTEST_WAIT_S), _LONGEST_WAIT_S)

    async def _stop_all(self) -> None:
        await self._change([it.id for it in self._running() if it.storage_full_since is None], self._hypervisor.pause)

    async def _resume_all(self) -> None:
        """Let go on what stands still, also guests whose virtio disks found no room before we looked."""
        stalled = [it.id for it in self._running() if it.storage_full_since is not None]
        await self._change(stalled, self._hypervisor.resume)

    def _running(self) -> list[Instance]:
        return [it for it in self._context.store.instances if it.state is InstanceState.RUNNING]

    async def _change(self, machine_ids: list[str], change: Callable[[str], Awaitable[None]]) -> None:
        if not machine_ids:
            return
        outcomes = await asyncio.gather(*(change(it) for it in machine_ids), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, MonitorLost):
                raise outcome
        with self._guests.noting_changes() as changed:
            for status in await self._hypervisor.observe():
                if status.machine_id in machine_ids and status.machine_id not in changed:
                    await self._guests.obey(status.machine_id, status.state)
