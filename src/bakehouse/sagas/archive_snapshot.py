"""Archive a snapshot: a compressed copy of all of it, and its blocks freed.

Before it begins the snapshot is in the standard tier, and its last move `archival-in-progress`; it can be used until
the copy is on disk. Afterwards it is in the archive tier, shared with nobody; or, when a step failed, where it was,
with the move `archival-failed`. A crash between the copy and the record leaves both; the steps go on from there.
"""

from dataclasses import dataclass, replace
from typing import Final

from bakehouse.domain.snapshot_tier import StorageTier, TieringStatus
from bakehouse.sagas import snapshot_tiers
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSnapshot:
    """Parameters."""

    snapshot_id: str


async def write_archive(ctx: SagaContext, params: ArchiveSnapshot) -> None:
    """Write the compressed copy. A snapshot that is archived already has left its bytes behind."""
    snapshot = snapshot_tiers.record_of(ctx, params.snapshot_id)
    if snapshot is not None and snapshot.tier is StorageTier.STANDARD:
        await snapshot_tiers.moved(
            ctx, snapshot.id, lambda transfer: ctx.archive.put(params.snapshot_id, transfer.reached)
        )


async def give_up(ctx: SagaContext, params: ArchiveSnapshot) -> None:
    """Take the copy away, unless the snapshot is archived by now."""
    await snapshot_tiers.give_up(ctx, params.snapshot_id)


async def mark_archived(ctx: SagaContext, params: ArchiveSnapshot) -> None:
    """Write down that it is archived. Sharing ends, and fast restores. Source: EBS User Guide, "Archive a snapshot"."""
    snapshot = snapshot_tiers.record_of(ctx, params.snapshot_id)
    if snapshot is not None and snapshot.tiering is not None and snapshot.tiering.status.is_in_progress:
        tiering = replace(snapshot.tiering, status=TieringStatus.ARCHIVAL_COMPLETED, detail="", archived_at=ctx.now())
        await snapshot_tiers.change(
            ctx,
            snapshot.id,
            tier=StorageTier.ARCHIVE,
            tiering=tiering,
            create_volume_accounts=(),
            fast_restores=(),
        )


async def settle(ctx: SagaContext, params: ArchiveSnapshot) -> None:
    """Free its blocks; or the copy's, if the snapshot was deleted meanwhile."""
    await snapshot_tiers.settle(ctx, params.snapshot_id)
    ctx.transfers.forget(params.snapshot_id)


ARCHIVE_SNAPSHOT: Final = Saga(
    name="archive_snapshot",
    params=ArchiveSnapshot,
    steps=(
        Step("write_archive", do=write_archive, undo=give_up),
        Step("mark_archived", do=mark_archived),
        Step("settle", do=settle),  # if it cannot, `give_up` tries again
    ),
    in_background=True,
)
