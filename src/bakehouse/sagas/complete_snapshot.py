"""Complete a snapshot that a client has written block by block.

Before it begins the snapshot is `pending` and what was written is what the client says. Afterwards it is `completed`.
When a step failed it is pending as before and may be written on; an upload that is lost is found by `expire`.
"""

from dataclasses import dataclass, replace
from typing import Final

from bakehouse.sagas import volumes
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteSnapshot:
    """Parameters."""

    snapshot_id: str
    changed_blocks: int | None
    """None where nobody can say any more."""


async def seal_upload(ctx: SagaContext, params: CompleteSnapshot) -> None:
    """Let the volume store make it a snapshot like any other. It may have been deleted in the meantime."""
    if params.snapshot_id in ctx.store.snapshots:
        await ctx.volumes.blocks.complete(params.snapshot_id)


async def mark_completed(ctx: SagaContext, params: CompleteSnapshot) -> None:
    """Write down that it is there, and of how many blocks."""
    await volumes.delete_unrecorded(ctx, [params.snapshot_id])
    async with ctx.store.transaction() as tx:
        for snapshot in volumes.completed(ctx, [params.snapshot_id]):
            if snapshot.upload is not None:
                tx.put(replace(snapshot, upload=replace(snapshot.upload, changed_blocks=params.changed_blocks)))


COMPLETE_SNAPSHOT: Final = Saga(
    name="complete_snapshot",
    params=CompleteSnapshot,
    steps=(
        # Undone it would be lost: what is sealed is marked by whoever tries again.
        Step("seal_upload", do=seal_upload),
        Step("mark_completed", do=mark_completed),
    ),
)
