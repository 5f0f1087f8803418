"""Copy a volume, without its bytes: the copy and its source are two volumes over the same layers.

Before it begins the copy is `creating`. Afterwards it is `available`; or, when a step failed, gone. Between the two
lies a snapshot that nobody sees, of the source at one point in time, while its guest writes on, too. It has no record:
only this saga knows its id, and it goes when the copy stands on its layer. This is a saga of the source, or of the
instance that the source is in, so that neither is changed beside it. A source that goes later takes nothing along.
"""

from dataclasses import dataclass, replace
from typing import Final

from bakehouse.domain.kms_key import key_id_of
from bakehouse.domain.volume import VolumeState
from bakehouse.ports.volumes import NoSuchVolume
from bakehouse.sagas import volumes
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyVolume:
    """Parameters."""

    source_id: str
    volume_id: str
    snapshot_id: str
    """The point in time between the two."""


async def freeze_source(ctx: SagaContext, params: CopyVolume) -> None:
    """Take the source at one point in time, unless the copy was made by an earlier try.

    The copy is as large as the source's bytes, at least: a modification adds some before it changes the record.
    """
    if await _is_made(ctx, params):
        return
    await volumes.take_snapshots(ctx, {params.source_id: params.snapshot_id})
    size_gib = (await ctx.volumes.connect(params.source_id)).size_bytes // volumes.GIB
    async with ctx.store.transaction() as tx:
        copy = ctx.store.volumes[params.volume_id]
        if copy.size_gib < size_gib:
            tx.put(replace(copy, size_gib=size_gib))


async def forget_copy(ctx: SagaContext, params: CopyVolume) -> None:
    """Let the point in time go, and delete the copy's record."""
    await ctx.volumes.delete_snapshot(params.snapshot_id)
    async with ctx.store.transaction() as tx:
        volume = ctx.store.volumes.get(params.volume_id)
        if volume is not None:
            tx.delete(volume)


async def make_bytes(ctx: SagaContext, params: CopyVolume) -> None:
    """Put the copy over the layers of that point in time."""
    if not await _is_made(ctx, params):
        size_bytes = ctx.store.volumes[params.volume_id].size_gib * volumes.GIB
        key_id = key_id_of(ctx.store.volumes[params.volume_id].kms_key_id)
        await ctx.volumes.create(params.volume_id, size_bytes=size_bytes, snapshot_id=params.snapshot_id, key_id=key_id)


async def delete_bytes(ctx: SagaContext, params: CopyVolume) -> None:
    """Delete what was made."""
    await ctx.volumes.delete(params.volume_id)


async def release_source(ctx: SagaContext, params: CopyVolume) -> None:
    """Let the point in time go: the copy has its layers by itself."""
    await ctx.volumes.delete_snapshot(params.snapshot_id)


async def mark_available(ctx: SagaContext, params: CopyVolume) -> None:
    """Write down that the copy is there."""
    async with ctx.store.transaction() as tx:
        volume = ctx.store.volumes[params.volume_id]
        if volume.state is VolumeState.CREATING:
            tx.put(replace(volume, state=VolumeState.AVAILABLE))


async def _is_made(ctx: SagaContext, params: CopyVolume) -> bool:
    try:
        await ctx.volumes.connect(params.volume_id)
    except NoSuchVolume:
        return False
    return True


COPY_VOLUME: Final = Saga(
    name="copy_volume",
    params=CopyVolume,
    steps=(
        Step("freeze_source", do=freeze_source, undo=forget_copy),
        Step("make_bytes", do=make_bytes, undo=delete_bytes),
        Step("release_source", do=release_source),
        Step("mark_available", do=mark_available),  # last, so it needs no undo
    ),
)
