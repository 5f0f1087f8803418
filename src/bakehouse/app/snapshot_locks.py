"""Locks of snapshots: set, changed, taken off, and seen."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.snapshots import Snapshots
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import incorrect_state
from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.domain.snapshot_lock import LockRequest, LockState, SnapshotLock, check_unlockable, new_lock


@dataclass(frozen=True, slots=True)
class LockedSnapshot:
    """A snapshot with its lock, which may have expired."""

    snapshot: Snapshot
    lock: SnapshotLock
    state: LockState


class SnapshotLocks:
    """Use cases on locks."""

    def __init__(self, context: AppContext, snapshots: Snapshots) -> None:
        """Work on these records."""
        self._context = context
        self._snapshots = snapshots

    async def lock(self, caller: Caller, snapshot_id: str, request: LockRequest) -> LockedSnapshot:
        """Lock a snapshot of the caller's, or change its lock.

        Refuses what `new_lock` refuses, and a snapshot that failed: IncorrectState.
        """
        now, snapshot = self._context.now(), self._snapshots.owned(caller, snapshot_id)
        if snapshot.state is SnapshotState.ERROR:
            raise incorrect_state(f"Snapshot is in invalid state - {snapshot.state}")
        lock = new_lock(request, snapshot.lock, snapshot.completed_at, now)
        async with self._context.store.transaction() as tx:
            tx.put(replace(snapshot, lock=lock))
        return LockedSnapshot(snapshot, lock, lock.state(snapshot.completed_at, now))

    async def unlock(self, caller: Caller, snapshot_id: str) -> None:
        """Take the lock off a snapshot of the caller's.

        Refuses one that is not locked (IncorrectState), and one in compliance mode after its cooling-off period
        (OperationNotPermitted).
        """
        snapshot = self._snapshots.owned(caller, snapshot_id)
        check_unlockable(snapshot_id, snapshot.lock, snapshot.completed_at, self._context.now())
        async with self._context.store.transaction() as tx:
            tx.put(replace(snapshot, lock=None))

    def describe(self, caller: Caller, snapshot_ids: Iterable[str] | None = None) -> list[LockedSnapshot]:
        """Return the caller's snapshots that have a lock, expired or not: all, or those of these ids.

        The lock of a snapshot that failed is cancelled. An id of none of the caller's snapshots is refused:
        InvalidSnapshot.NotFound.
        """
        snapshots, now = self._context.store.snapshots, self._context.now()
        found = scope(snapshots, caller) if snapshot_ids is None else owned(snapshots, caller, "snapshot", snapshot_ids)
        return [
            LockedSnapshot(snapshot, snapshot.lock, snapshot.lock.state(snapshot.completed_at, now))
            for snapshot in found
            if snapshot.lock is not None and snapshot.state is not SnapshotState.ERROR
        ]
