"""Begin a snapshot that a client writes block by block.

Before it begins the record is `pending`, and it stays so; afterwards blocks can be written. When it failed, there is
neither record nor upload.
"""

from dataclasses import dataclass
from typing import Final

from bakehouse.domain.kms_key import key_id_of
from bakehouse.sagas import volumes
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class StartSnapshot:
    """Parameters."""

    snapshot_id: str
    size_bytes: int
    parent_id: str | None


async def begin_upload(ctx: SagaContext, params: StartSnapshot) -> None:
    """Let the volume store make room for it. It may have been deleted in the meantime."""
    snapshot = ctx.store.snapshots.get(params.snapshot_id)
    if snapshot is not None:
        await ctx.volumes.blocks.begin(
            snapshot.id,
            size_bytes=params.size_bytes,
            parent_id=params.parent_id,
            key_id=key_id_of(snapshot.kms_key_id),
        )


async def delete_upload(ctx: SagaContext, params: StartSnapshot) -> None:
    """Delete what was made, and the record."""
    await volumes.delete_snapshots(ctx, [params.snapshot_id])


START_SNAPSHOT: Final = Saga(
    name="start_snapshot",
    params=StartSnapshot,
    steps=(Step("begin_upload", do=begin_upload, undo=delete_upload),),
)
