"""How large snapshots are: the blocks of the volume that they hold, whoever else holds them too.

Measured in the background, since it takes a look at every layer below a snapshot: no request waits for it, and a new
snapshot shows its size a little later. Source: EC2 API Reference, Snapshot, FullSnapshotSizeInBytes.
"""

from dataclasses import replace
from typing import Final

from bakehouse.app.context import AppContext
from bakehouse.ports.snapshot_blocks import BLOCK_BYTES, BlocksUnreadable
from bakehouse.ports.volumes import NoSuchSnapshot

#: How many are measured at a time: after an upgrade there may be thousands, and a sweep has more to do.
_AT_A_TIME: Final = 200


class SnapshotSizes:
    """Use cases on the sizes of snapshots."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context
        self._unreadable: set[str] = set()

    async def measure(self) -> None:
        """Measure complete snapshots that were not measured yet. One that cannot be read is tried after a restart."""
        store = self._context.store
        waiting = store.snapshots.by("unmeasured")[True]
        self._unreadable &= waiting.keys()  # those that are deleted are not told of again
        unmeasured = [it for it in waiting.values() if it.id not in self._unreadable]
        sizes: dict[str, int] = {}
        for snapshot in unmeasured[:_AT_A_TIME]:
            try:
                sizes[snapshot.id] = BLOCK_BYTES * len(await self._context.volumes.blocks.blocks(snapshot.id))
            except NoSuchSnapshot:
                continue  # deleted, or archived, while others were measured
            except BlocksUnreadable:
                self._unreadable.add(snapshot.id)
        if not sizes:
            return
        async with store.transaction() as tx:
            for snapshot_id, size_bytes in sizes.items():
                measured = store.snapshots.get(snapshot_id)
                if measured is not None:
                    tx.put(replace(measured, full_size_bytes=size_bytes))
