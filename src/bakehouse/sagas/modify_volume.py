"""Give a volume another size, type or figures.

Before it begins the volume is as it was, with a modification `modifying`. Afterwards it is what was asked for, and the
modification `completed`; or `optimizing`, when a machine holds the volume whose guest can see the new size only after
its next start: the bytes are added then. When a step failed, the volume is as it was and the modification `failed`.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from bakehouse.domain.speed_limits import SpeedLimits
from bakehouse.domain.volume import Volume
from bakehouse.domain.volume_modification import ModificationState, VolumeModification
from bakehouse.ports.hypervisor import MonitorLost
from bakehouse.ports.volumes import VolumeInUse
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step
from bakehouse.sagas.volumes import GIB, held

_WAITS: Final = "The instance sees the new size when it has been stopped and started."


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyVolume:
    """Parameters."""

    volume_id: str


async def add_bytes(ctx: SagaContext, params: ModifyVolume) -> None:
    """Enlarge the volume, unless a machine holds it that cannot see it grow."""
    async with held(ctx, [params.volume_id]):
        volume, modification = _under_way(ctx, params)
        if volume is None or modification is None:
            return
        machine_id = None if volume.attachment is None else volume.attachment.instance_id
        size_bytes = modification.target.size_gib * GIB
        try:
            await ctx.volumes.grow(volume.id, size_bytes=size_bytes, machine_id=machine_id)
        except VolumeInUse:
            return  # What is there now tells the next step.


async def give_up(ctx: SagaContext, params: ModifyVolume) -> None:
    """Write down that it failed. Bytes that were added stay: a volume never shrinks."""
    volume, modification = _under_way(ctx, params)
    if volume is not None and modification is not None:
        failed = replace(
            modification, state=ModificationState.FAILED, ended_at=ctx.now(), message="The modification failed."
        )
        async with ctx.store.transaction() as tx:
            tx.put(replace(volume, modification=failed))


async def change_figures(ctx: SagaContext, params: ModifyVolume) -> None:
    """Write down what the volume is now, and let its machine enforce what of its speed was asked for.

    No machine starts with the volume or takes it while we hold it, so none is left with the former limits.
    """
    async with held(ctx, [params.volume_id]):
        volume, modification = _under_way(ctx, params)
        if volume is None or modification is None:
            return
        target = modification.target
        await _limit(ctx, volume, target.limits)
        size_bytes = (await ctx.volumes.connect(volume.id)).size_bytes
        # Its record may have changed meanwhile, in what a modification does not touch.
        volume, _ = _under_way(ctx, params)
        if volume is None:
            return
        if size_bytes < target.size_gib * GIB:
            done = replace(modification, state=ModificationState.OPTIMIZING, message=_WAITS)
        else:
            done = replace(modification, state=ModificationState.COMPLETED, ended_at=ctx.now(), message="")
        async with ctx.store.transaction() as tx:
            tx.put(
                replace(
                    volume,
                    size_gib=target.size_gib,
                    type=target.type,
                    iops=target.iops,
                    throughput_mibps=target.throughput_mibps,
                    limits=target.limits,
                    modification=done,
                )
            )


async def keep_limits(ctx: SagaContext, params: ModifyVolume) -> None:
    """Let the machine enforce what it did before, if it can be asked: one that is gone starts with that."""
    async with held(ctx, [params.volume_id]):
        volume = ctx.store.volumes.get(params.volume_id)
        if volume is not None:
            with suppress(MonitorLost):
                await _limit(ctx, volume, volume.limits)


async def _limit(ctx: SagaContext, volume: Volume, limits: SpeedLimits) -> None:
    if volume.attachment is not None:
        await ctx.hypervisor.limit_disk(volume.attachment.instance_id, volume.id, limits)


def _under_way(ctx: SagaContext, params: ModifyVolume) -> tuple[Volume | None, VolumeModification | None]:
    """Return the volume with its modification, if that has not ended."""
    volume = ctx.store.volumes.get(params.volume_id)
    modification = None if volume is None else volume.modification
    if modification is None or modification.state.has_ended:
        return None, None
    return volume, modification


MODIFY_VOLUME: Final = Saga(
    name="modify_volume",
    params=ModifyVolume,
    steps=(
        Step("add_bytes", do=add_bytes, undo=give_up),
        Step("change_figures", do=change_figures, undo=keep_limits),
    ),
)
