"""Restore a snapshot from the archive, for some days or for good.

Before it begins the snapshot is in the archive tier, and its last move in progress. Afterwards it is in the standard
tier, and in the archive as well unless it is restored for good; or, when a step failed, where it was, with the move
failed. Its days begin when it is there.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from bakehouse.domain.snapshot_tier import StorageTier
from bakehouse.sagas import snapshot_tiers
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreSnapshot:
    """Parameters."""

    snapshot_id: str


async def take_out(ctx: SagaContext, params: RestoreSnapshot) -> None:
    """Make the snapshot from its copy."""
    snapshot = snapshot_tiers.record_of(ctx, params.snapshot_id)
    if snapshot is not None and snapshot.tier is StorageTier.ARCHIVE:
        await snapshot_tiers.moved(
            ctx, snapshot.id, lambda transfer: ctx.archive.take_out(params.snapshot_id, transfer.reached)
        )


async def give_up(ctx: SagaContext, params: RestoreSnapshot) -> None:
    """Take away what was made, unless the snapshot is restored by now."""
    await snapshot_tiers.give_up(ctx, params.snapshot_id)


async def mark_restored(ctx: SagaContext, params: RestoreSnapshot) -> None:
    """Write down that it is there."""
    snapshot = snapshot_tiers.record_of(ctx, params.snapshot_id)
    if snapshot is not None and snapshot.tiering is not None and snapshot.tiering.status.is_in_progress:
        days = snapshot.tiering.restore_days
        tiering = replace(
            snapshot.tiering,
            status=snapshot.tiering.status.completed,
            detail="",
            restore_expires_at=None if days is None else ctx.now() + timedelta(days=days),
        )
        await snapshot_tiers.change(ctx, snapshot.id, tier=StorageTier.STANDARD, tiering=tiering)


async def settle(ctx: SagaContext, params: RestoreSnapshot) -> None:
    """Remove the copy of one that was restored for good; or all, if the snapshot was deleted meanwhile."""
    await snapshot_tiers.settle(ctx, params.snapshot_id)
    ctx.transfers.forget(params.snapshot_id)


RESTORE_SNAPSHOT: Final = Saga(
    name="restore_snapshot",
    params=RestoreSnapshot,
    steps=(
        Step("take_out", do=take_out, undo=give_up),
        Step("mark_restored", do=mark_restored),
        Step("settle", do=settle),  # if it cannot, `give_up` tries again
    ),
    in_background=True,
)
