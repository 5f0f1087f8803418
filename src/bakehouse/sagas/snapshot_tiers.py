"""What sagas do with the tiers of snapshots: the record says where a snapshot is, and its bytes follow.

A snapshot that is moved may be deleted meanwhile, or go into the Recycle Bin; so its record is looked for in both
places, and bytes without a record go.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from bakehouse.domain.snapshot import Snapshot
from bakehouse.domain.snapshot_tier import StorageTier, Tiering
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.transfers import Transfer


def record_of(ctx: SagaContext, snapshot_id: str) -> Snapshot | None:
    """Return a snapshot's record, in use or in the bin; None when it was deleted."""
    snapshot = ctx.store.snapshots.get(snapshot_id)
    recycled = ctx.store.recycle_bin.get(snapshot_id)
    return snapshot or (None if recycled is None else recycled.snapshot)


async def change(ctx: SagaContext, snapshot_id: str, **members: Any) -> None:  # noqa: ANN401 - members of a snapshot
    """Change a snapshot's record where it is, if it is anywhere."""
    async with ctx.store.transaction() as tx:
        snapshot = ctx.store.snapshots.get(snapshot_id)
        recycled = ctx.store.recycle_bin.get(snapshot_id)
        if snapshot is not None:
            tx.put(replace(snapshot, **members))
        elif recycled is not None and recycled.snapshot is not None:
            tx.put(replace(recycled, snapshot=replace(recycled.snapshot, **members)))


async def settle(ctx: SagaContext, snapshot_id: str) -> None:
    """Remove a snapshot's bytes from where its record says that it is not."""
    snapshot = record_of(ctx, snapshot_id)
    if snapshot is None or snapshot.tier is StorageTier.ARCHIVE:
        await ctx.volumes.delete_snapshot(snapshot_id)
    if snapshot is None or not snapshot.is_archived:
        await ctx.archive.discard(snapshot_id)


async def moved(ctx: SagaContext, snapshot_id: str, move: Callable[[Transfer], Awaitable[None]]) -> None:
    """Do the long part of a move in its turn, and write down why if it fails."""
    try:
        await ctx.transfers.run(snapshot_id, move)
    except Exception as err:
        tiering = _tiering(ctx, snapshot_id)
        if tiering is not None:
            await change(ctx, snapshot_id, tiering=replace(tiering, detail=str(err) or type(err).__name__))
        raise


async def give_up(ctx: SagaContext, snapshot_id: str) -> None:
    """End a move that failed: the snapshot is where its record says, and what was made elsewhere goes.

    A move that failed too late is one that succeeded.
    """
    tiering = _tiering(ctx, snapshot_id)
    if tiering is not None and tiering.status.is_in_progress:
        await change(ctx, snapshot_id, tiering=replace(tiering, status=tiering.status.failed))
    await settle(ctx, snapshot_id)
    ctx.transfers.forget(snapshot_id)


def _tiering(ctx: SagaContext, snapshot_id: str) -> Tiering | None:
    snapshot = record_of(ctx, snapshot_id)
    return None if snapshot is None else snapshot.tiering
