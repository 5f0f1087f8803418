"""Attach a volume to an instance: plugged into a machine that runs, written down for one that does not.

Before it begins the volume is `in-use` and its attachment `attaching`. Afterwards it is `attached`; or, when a step
failed, the volume is `available` again and in no machine. It is a saga of the instance, so no start or stop of the
machine runs beside it; an instance that is `pending` by the time of its turn starts with the volume.
"""

from dataclasses import dataclass, replace
from typing import Final

from bakehouse.domain.instance import InstanceState
from bakehouse.domain.volume import AttachmentState, Volume, VolumeState
from bakehouse.ports.hypervisor import DiskBus, MachineDisk
from bakehouse.sagas import volumes
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step
from bakehouse.sagas.machine import connection_of

#: Whose machine there is when a saga of the instance has its turn: a stop that was asked for comes after it.
WITH_MACHINE: Final = frozenset({InstanceState.RUNNING, InstanceState.STOPPING, InstanceState.SHUTTING_DOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachVolume:
    """Parameters."""

    volume_id: str
    instance_id: str


async def plug(ctx: SagaContext, params: AttachVolume) -> None:
    """Plug the disk into the machine, if there is one."""
    instance = ctx.store.instances[params.instance_id]
    if instance.state in WITH_MACHINE:
        async with volumes.held(ctx, [params.volume_id]):
            volume = ctx.store.volumes[params.volume_id]
            connection = await connection_of(ctx, volume)
            bus = DiskBus(instance.disk_bus)
            disk = MachineDisk(volume_id=volume.id, connection=connection, bus=bus, limits=volume.limits)
            await ctx.hypervisor.attach_disk(params.instance_id, disk)


async def unplug(ctx: SagaContext, params: AttachVolume) -> None:
    """Take the disk out whatever the guest does with it, and write down that the volume is free."""
    await ctx.hypervisor.detach_disk(params.instance_id, params.volume_id, force=True)
    volume = _attached(ctx, params)
    if volume is not None:
        async with ctx.store.transaction() as tx:
            tx.put(replace(volume, state=VolumeState.AVAILABLE, attachment=None))


async def mark_attached(ctx: SagaContext, params: AttachVolume) -> None:
    """Write down that the volume is in the instance."""
    volume = _attached(ctx, params)
    if volume is not None and volume.attachment is not None:
        async with ctx.store.transaction() as tx:
            tx.put(replace(volume, attachment=replace(volume.attachment, state=AttachmentState.ATTACHED)))


def _attached(ctx: SagaContext, params: AttachVolume) -> Volume | None:
    """Return the volume if its attachment is the one that this saga makes."""
    volume = ctx.store.volumes.get(params.volume_id)
    if volume is None or volume.attachment is None or volume.attachment.instance_id != params.instance_id:
        return None
    return volume if volume.attachment.state is AttachmentState.ATTACHING else None


ATTACH_VOLUME: Final = Saga(
    name="attach_volume",
    params=AttachVolume,
    steps=(
        Step("plug", do=plug, undo=unplug),
        Step("mark_attached", do=mark_attached),  # last, so it needs no undo
    ),
)
