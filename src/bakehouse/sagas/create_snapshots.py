"""Take snapshots of one volume, or of several of an instance at one point in time.

Before it begins the snapshots are `pending`. Afterwards they are `completed`; or, when a step failed, gone. What the
guest has not written yet is not in them: that is as on EC2, and CreateImage does more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bakehouse.sagas import volumes
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSnapshots:
    """Parameters."""

    snapshots: Mapping[str, str]
    """Volume id to snapshot id."""


async def take_snapshots(ctx: SagaContext, params: CreateSnapshots) -> None:
    """Take the snapshots."""
    await volumes.take_snapshots(ctx, params.snapshots)


async def delete_snapshots(ctx: SagaContext, params: CreateSnapshots) -> None:
    """Delete what was taken, and the records."""
    await volumes.delete_snapshots(ctx, params.snapshots.values())


async def mark_completed(ctx: SagaContext, params: CreateSnapshots) -> None:
    """Write down that they are there. One may have been deleted while it was taken."""
    await volumes.delete_unrecorded(ctx, params.snapshots.values())
    async with ctx.store.transaction() as tx:
        for snapshot in volumes.completed(ctx, params.snapshots.values()):
            tx.put(snapshot)


CREATE_SNAPSHOTS: Final = Saga(
    name="create_snapshots",
    params=CreateSnapshots,
    steps=(
        Step("take_snapshots", do=take_snapshots, undo=delete_snapshots),
        Step("mark_completed", do=mark_completed),  # last, so it needs no undo
    ),
)
