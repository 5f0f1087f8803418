"""Delete a volume.

Before it begins the volume is `deleting` and attached to nothing. Afterwards it is gone, with the bytes that no
snapshot needs; or, when a process still held it, `available` again.
"""

from dataclasses import dataclass, replace
from typing import Final

from bakehouse.domain.volume import VolumeState
from bakehouse.ports.volumes import NoSuchVolume
from bakehouse.sagas import volumes
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteVolume:
    """Parameters."""

    volume_id: str


async def delete_bytes(ctx: SagaContext, params: DeleteVolume) -> None:
    """Forget the volume in the volume store."""
    async with volumes.held(ctx, [params.volume_id]):
        await ctx.volumes.delete(params.volume_id)


async def keep(ctx: SagaContext, params: DeleteVolume) -> None:
    """Write down that the volume is there still; or, if it failed too late for that, that it is not."""
    try:
        await ctx.volumes.connect(params.volume_id)
    except NoSuchVolume:
        await delete_record(ctx, params)
        return
    async with ctx.store.transaction() as tx:
        volume = ctx.store.volumes.get(params.volume_id)
        if volume is not None and volume.state is VolumeState.DELETING:
            tx.put(replace(volume, state=VolumeState.AVAILABLE))


async def delete_record(ctx: SagaContext, params: DeleteVolume) -> None:
    """Remove the record."""
    async with ctx.store.transaction() as tx:
        volume = ctx.store.volumes.get(params.volume_id)
        if volume is not None:
            tx.delete(volume)


DELETE_VOLUME: Final = Saga(
    name="delete_volume",
    params=DeleteVolume,
    steps=(
        Step("delete_bytes", do=delete_bytes, undo=keep),
        Step("delete_record", do=delete_record),
    ),
)
