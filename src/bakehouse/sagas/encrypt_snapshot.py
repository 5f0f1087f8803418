"""Copy a snapshot under another key: every byte, in the background.

Before it begins the copy is `pending`. Afterwards it is `completed`; or, when a step failed, `error`, and the record
says why. The source may be deleted while it is read; then the copy may fail.
"""

from dataclasses import replace
from typing import Final

from bakehouse.domain.kms_key import COPY_FAILED, KEY_NOT_ACCESSIBLE
from bakehouse.domain.snapshot import SnapshotState
from bakehouse.ports.keys import KeyUnavailable
from bakehouse.sagas import volumes
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.copy_snapshot import CopySnapshot, mark_completed
from bakehouse.sagas.engine import Saga, Step


async def encrypt_bytes(ctx: SagaContext, params: CopySnapshot) -> None:
    """Let the volume store copy it, as the record says under which key."""
    try:
        await volumes.copy_snapshots(ctx, {params.snapshot_id: params.source_id})
    except KeyUnavailable:
        async with ctx.store.transaction() as tx:
            copy = ctx.store.snapshots.get(params.snapshot_id)
            if copy is not None:
                tx.put(replace(copy, state_message=KEY_NOT_ACCESSIBLE))
        raise


async def mark_failed(ctx: SagaContext, params: CopySnapshot) -> None:
    """Delete what was copied, and write down that there is nothing in it."""
    await ctx.volumes.delete_snapshot(params.snapshot_id)
    async with ctx.store.transaction() as tx:
        copy = ctx.store.snapshots.get(params.snapshot_id)
        if copy is not None:
            tx.put(replace(copy, state=SnapshotState.ERROR, state_message=copy.state_message or COPY_FAILED))


ENCRYPT_SNAPSHOT: Final = Saga(
    name="encrypt_snapshot",
    params=CopySnapshot,
    steps=(
        Step("encrypt_bytes", do=encrypt_bytes, undo=mark_failed),
        Step("mark_completed", do=mark_completed),  # last, so it needs no undo
    ),
    in_background=True,
)
