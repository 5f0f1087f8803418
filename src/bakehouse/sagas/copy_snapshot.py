"""Copy a snapshot, without its bytes.

Before it begins the copy is `pending`. Afterwards it is `completed`; or, when a step failed, gone. The source may be
deleted at any time: once the copy is made, it needs it no more.
"""

from dataclasses import dataclass
from typing import Final

from bakehouse.sagas import volumes
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySnapshot:
    """Parameters."""

    source_id: str
    snapshot_id: str


async def copy_bytes(ctx: SagaContext, params: CopySnapshot) -> None:
    """Let the volume store copy it."""
    await volumes.copy_snapshots(ctx, {params.snapshot_id: params.source_id})


async def delete_copy(ctx: SagaContext, params: CopySnapshot) -> None:
    """Delete what was copied, and the record."""
    await volumes.delete_snapshots(ctx, [params.snapshot_id])


async def mark_completed(ctx: SagaContext, params: CopySnapshot) -> None:
    """Write down that it is there. It may have been deleted while it was made."""
    await volumes.delete_unrecorded(ctx, [params.snapshot_id])
    async with ctx.store.transaction() as tx:
        for snapshot in volumes.completed(ctx, [params.snapshot_id]):
            tx.put(snapshot)


COPY_SNAPSHOT: Final = Saga(
    name="copy_snapshot",
    params=CopySnapshot,
    steps=(
        Step("copy_bytes", do=copy_bytes, undo=delete_copy),
        Step("mark_completed", do=mark_completed),  # last, so it needs no undo
    ),
)
