"""What sagas do with volumes and snapshots: one at a time for each volume, at one point in time for several.

Sagas of one instance run one after another, those of different subjects side by side. A volume changes its subject when
it is attached or detached, so who opens, seals or removes its file holds the volume as well.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Final

from bakehouse.domain.kms_key import key_id_of
from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.domain.volume import Volume
from bakehouse.sagas.context import SagaContext

GIB: Final = 1024**3


@asynccontextmanager
async def held(ctx: SagaContext, volume_ids: Iterable[str]) -> AsyncIterator[None]:
    """Have volumes to oneself, taken in one order everywhere so that no two sagas wait for each other."""
    async with AsyncExitStack() as stack:
        for volume_id in sorted(volume_ids):
            turn = ctx.volume_turns.get(volume_id)
            if turn is None:
                turn = ctx.volume_turns[volume_id] = asyncio.Lock()
            await stack.enter_async_context(turn)
        yield


async def all_to_their_ends(works: Iterable[Awaitable[None]]) -> None:
    """Do things side by side and raise what one of them raised when all have ended: no undo runs beside the rest."""
    for outcome in await asyncio.gather(*works, return_exceptions=True):
        if outcome is not None:
            raise outcome


async def make_bytes_of(ctx: SagaContext, volume: Volume) -> None:
    """Make what a volume's record says."""
    await ctx.volumes.create(
        volume.id,
        size_bytes=volume.size_gib * GIB,
        snapshot_id=volume.snapshot_id,
        key_id=key_id_of(volume.kms_key_id),
    )


async def take_snapshots(ctx: SagaContext, snapshots: Mapping[str, str]) -> None:
    """Take a snapshot (values) of each volume (keys) at one point in time; all attached ones are in one instance.

    Whether the instance's machine is live, the driver finds out.
    """
    async with held(ctx, snapshots):
        volumes = [ctx.store.volumes.get(volume_id) for volume_id in snapshots]
        attachments = [volume.attachment for volume in volumes if volume is not None and volume.attachment is not None]
        machine_id = attachments[0].instance_id if attachments else None
        await ctx.volumes.snapshot(snapshots, machine_id=machine_id)
        await _note_growth(ctx, snapshots)


async def _note_growth(ctx: SagaContext, made_of: Mapping[str, str]) -> None:
    """Let what is made (values) of volumes (keys) be no smaller than their bytes.

    A modification adds bytes before it changes the volume's record, and leaves them when it fails.
    """
    for volume_id, made_id in made_of.items():
        volume = ctx.store.volumes.get(volume_id)
        if volume is None or volume.modification is None:
            continue
        size_gib = (await ctx.volumes.connect(volume_id)).size_bytes // GIB
        async with ctx.store.transaction() as tx:
            made = ctx.store.snapshots.get(made_id)
            if made is not None and made.volume_size_gib < size_gib:
                tx.put(replace(made, volume_size_gib=size_gib))


async def copy_snapshots(ctx: SagaContext, copies: Mapping[str, str]) -> None:
    """Make new snapshots (keys) of the content of others (values), encrypted as their records say."""
    records = {copy_id: ctx.store.snapshots.get(copy_id) for copy_id in copies}
    keys = {copy_id: key_id_of(record.kms_key_id) for copy_id, record in records.items() if record is not None}
    await all_to_their_ends(
        ctx.volumes.copy_snapshot(source_id, copy_id, key_id=keys.get(copy_id)) for copy_id, source_id in copies.items()
    )


async def delete_snapshots(ctx: SagaContext, snapshot_ids: Iterable[str]) -> None:
    """Delete the bytes of snapshots, then their records, where there are any."""
    ids = list(snapshot_ids)
    await all_to_their_ends(ctx.volumes.delete_snapshot(snapshot_id) for snapshot_id in ids)
    async with ctx.store.transaction() as tx:
        for snapshot_id in ids:
            snapshot = ctx.store.snapshots.get(snapshot_id)
            if snapshot is not None:
                tx.delete(snapshot)


async def delete_unrecorded(ctx: SagaContext, snapshot_ids: Iterable[str]) -> None:
    """Delete the bytes of snapshots whose records went while they were taken."""
    for snapshot_id in snapshot_ids:
        if snapshot_id not in ctx.store.snapshots:
            await ctx.volumes.delete_snapshot(snapshot_id)


def completed(ctx: SagaContext, snapshot_ids: Iterable[str]) -> list[Snapshot]:
    """Return the records of those that are still there, completed now; for a transaction to put."""
    now = ctx.now().replace(microsecond=0)
    return [
        replace(snapshot, state=SnapshotState.COMPLETED, completed_at=now)
        for snapshot_id in snapshot_ids
        if (snapshot := ctx.store.snapshots.get(snapshot_id)) is not None and snapshot.state is SnapshotState.PENDING
    ]
