"""Snapshots in the archive tier: how they get there, and how they come back."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bakehouse.app.context import AppContext, scope
from bakehouse.app.snapshots import Snapshots, images_using
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import incorrect_state
from bakehouse.domain.image import ImageState
from bakehouse.domain.snapshot import Snapshot, SnapshotState, snapshot_in_use
from bakehouse.domain.snapshot_tier import (
    StorageTier,
    Tiering,
    TieringStatus,
    check_restore,
    snapshot_archived,
    snapshot_moving,
    snapshot_not_archived,
)
from bakehouse.sagas.archive_snapshot import ARCHIVE_SNAPSHOT, ArchiveSnapshot
from bakehouse.sagas.restore_snapshot import RESTORE_SNAPSHOT, RestoreSnapshot
from bakehouse.sagas.settle_snapshot import SETTLE_SNAPSHOT, SettleSnapshot
from bakehouse.store.store import Transaction


@dataclass(frozen=True, slots=True)
class SnapshotTier:
    """A snapshot, and how far its last move is."""

    snapshot: Snapshot
    progress_percent: int


class SnapshotTiers:
    """Use cases on the tiers of snapshots."""

    def __init__(self, context: AppContext, snapshots: Snapshots) -> None:
        """Work on these records; `snapshots` knows whose they are."""
        self._context = context
        self._snapshots = snapshots

    async def archive(self, caller: Caller, snapshot_id: str) -> Snapshot:
        """Begin to archive a snapshot and return it as it is then. It can be used until it is archived.

        Refuses one that is not complete, or archived already (IncorrectState), and one that an image names which is not
        disabled (InvalidSnapshot.InUse).
        """
        snapshot = self._standing(caller, snapshot_id)
        if snapshot.state is not SnapshotState.COMPLETED:
            raise incorrect_state(f"Snapshot is in invalid state - {snapshot.state}")
        if snapshot.is_archived:
            raise snapshot_archived(snapshot_id)
        images = self._context.store.images
        for image_id in images_using(self._context, snapshot.region, [snapshot_id])[snapshot_id]:
            if images[image_id].state is not ImageState.DISABLED:
                raise snapshot_in_use(snapshot_id, image_id)
        moving = replace(
            snapshot,
            tiering=Tiering(status=TieringStatus.ARCHIVAL_IN_PROGRESS, started_at=self._context.now()),
        )
        async with self._context.store.transaction() as tx:
            tx.put(moving)
            saga_id = self._context.sagas.enlist(
                tx, ARCHIVE_SNAPSHOT, ArchiveSnapshot(snapshot_id=snapshot_id), subject_id=snapshot_id
            )
        self._context.sagas.begin(saga_id)
        return moving

    async def restore(self, caller: Caller, snapshot_id: str, *, days: int | None, permanent: bool) -> Snapshot:
        """Begin to restore a snapshot and return it as it is then: for some days from when it is there, or for good.

        One that is restored for some days stays for so many from now on, or for good, at once. Refuses one that is not
        archived (IncorrectState).
        """
        check_restore(days, permanent=permanent)
        snapshot = self._standing(caller, snapshot_id)
        before = snapshot.tiering
        if before is None or not snapshot.is_archived:
            raise snapshot_not_archived(snapshot_id)
        now = self._context.now()
        if permanent:
            status = TieringStatus.PERMANENT_RESTORE_IN_PROGRESS
        else:
            status = TieringStatus.TEMPORARY_RESTORE_IN_PROGRESS
        tiering = replace(before, status=status, started_at=now, detail="", restore_days=days)
        if snapshot.tier is StorageTier.STANDARD:
            expires_at = None if days is None else now + timedelta(days=days)
            tiering = replace(tiering, status=status.completed, restore_expires_at=expires_at)
        restoring = replace(snapshot, tiering=tiering)
        async with self._context.store.transaction() as tx:
            tx.put(restoring)
            if snapshot.tier is StorageTier.ARCHIVE:
                saga_id = self._context.sagas.enlist(
                    tx, RESTORE_SNAPSHOT, RestoreSnapshot(snapshot_id=snapshot_id), subject_id=snapshot_id
                )
            else:
                saga_id = self._enlist_settling(tx, snapshot_id)
        self._context.sagas.begin(saga_id)
        return restoring

    def describe(self, caller: Caller) -> list[SnapshotTier]:
        """Return the caller's own snapshots with their last moves, oldest first."""
        return [
            SnapshotTier(snapshot, self._progress(snapshot))
            for snapshot in scope(self._context.store.snapshots, caller)
        ]

    async def end_restorations(self) -> None:
        """Let snapshots leave the standard tier whose days there are over."""
        now = self._context.now()
        snapshots = self._context.store.snapshots
        for snapshot_id in list(snapshots.by("restored")[True]):
            snapshot = snapshots.get(snapshot_id)
            if snapshot is None or not _is_over(snapshot.tiering, now):
                continue  # deleted or restored anew, maybe, while others were seen to
            async with self._context.store.transaction() as tx:
                tiering = None if snapshot.tiering is None else replace(snapshot.tiering, restore_expires_at=None)
                archived = replace(snapshot, tier=StorageTier.ARCHIVE, tiering=tiering)
                tx.put(replace(archived, create_volume_accounts=(), fast_restores=()))
                saga_id = self._enlist_settling(tx, snapshot.id)
            self._context.sagas.begin(saga_id)

    def _standing(self, caller: Caller, snapshot_id: str) -> Snapshot:
        """Return the caller's snapshot, which is not being moved."""
        snapshot = self._snapshots.owned(caller, snapshot_id)
        if snapshot.tiering is not None and snapshot.tiering.status.is_in_progress:
            raise snapshot_moving(snapshot_id)
        return snapshot

    def _enlist_settling(self, tx: Transaction, snapshot_id: str) -> str:
        return self._context.sagas.enlist(
            tx, SETTLE_SNAPSHOT, SettleSnapshot(snapshot_id=snapshot_id), subject_id=snapshot_id
        )

    def _progress(self, snapshot: Snapshot) -> int:
        if snapshot.tiering is not None and snapshot.tiering.status.is_in_progress:
            return int(self._context.transfers.of(snapshot.id).fraction * 100)
        return 100


def _is_over(tiering: Tiering | None, now: datetime) -> bool:
    return tiering is not None and tiering.restore_expires_at is not None and tiering.restore_expires_at <= now
