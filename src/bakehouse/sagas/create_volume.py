"""Make a volume, empty or from a snapshot.

Before it begins the volume is `creating`. Afterwards it is `available`; or, when a step failed, gone.
"""

from dataclasses import dataclass, replace
from typing import Final

from bakehouse.domain.volume import VolumeState
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step
from bakehouse.sagas.volumes import make_bytes_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVolume:
    """Parameters."""

    volume_id: str


async def make_bytes(ctx: SagaContext, params: CreateVolume) -> None:
    """Make the volume in the volume store."""
    volume = ctx.store.volumes[params.volume_id]
    await make_bytes_of(ctx, volume)


async def delete_bytes(ctx: SagaContext, params: CreateVolume) -> None:
    """Delete what was made, then the record."""
    await ctx.volumes.delete(params.volume_id)
    async with ctx.store.transaction() as tx:
        volume = ctx.store.volumes.get(params.volume_id)
        if volume is not None:
            tx.delete(volume)


async def mark_available(ctx: SagaContext, params: CreateVolume) -> None:
    """Write down that it is there."""
    async with ctx.store.transaction() as tx:
        volume = ctx.store.volumes[params.volume_id]
        if volume.state is VolumeState.CREATING:
            tx.put(replace(volume, state=VolumeState.AVAILABLE))


CREATE_VOLUME: Final = Saga(
    name="create_volume",
    params=CreateVolume,
    steps=(
        Step("make_bytes", do=make_bytes, undo=delete_bytes),
        Step("mark_available", do=mark_available),  # last, so it needs no undo
    ),
)
