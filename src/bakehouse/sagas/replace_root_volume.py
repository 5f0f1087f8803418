"""Replace the root volume of a running instance.

Before it begins the task is `pending`; the replacement is `creating`, unless it is a volume that was there before. The
guest is shut down, its machine ends, one root gives way to the other in one change of the records, and the machine
starts on the new one, with the same interface, addresses and local disks. The instance is `running` all the time.
Afterwards the task is `succeeded`, and the replaced volume is `available`, in the Recycle Bin or gone; or, when a step
failed, the task is `failed`, the instance runs on its former root, and what was made for it is gone.

A crash between the steps may reboot the guest twice. Once the task is `succeeded` nothing of it is taken back: a
replaced volume that cannot be deleted stays.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from bakehouse.domain.instance import Instance
from bakehouse.domain.replace_root_volume_task import UNDER_WAY, ReplaceRootState, ReplaceRootVolumeTask
from bakehouse.domain.volume import AttachmentState, Volume, VolumeAttachment, VolumeState, volume_not_available
from bakehouse.ports.hypervisor import MachineStartFailed
from bakehouse.ports.volumes import NoSuchVolume
from bakehouse.sagas import machine, volumes
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step
from bakehouse.sagas.recycle_bin import keep

#: What of an instance comes of its image, and changes with another one.
IMAGE_MEMBERS: Final = ("image_id", "boot_mode", "current_boot_mode", "uefi_data", "disk_bus")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceRootVolume:
    """Parameters."""

    task_id: str
    instance_id: str
    is_new: bool
    """Whether the replacement is made for the task."""
    delete_on_termination: bool
    """Of the replacement, and of the replaced one if it comes back: a volume that was there before has it not."""
    former_delete_on_termination: bool
    image: Mapping[str, str | None]
    """What of an instance comes of its image (`IMAGE_MEMBERS`), afterwards."""
    former_image: Mapping[str, str | None]
    """The same, before."""
    forgets_firmware: bool = False
    """Whether its UEFI variables begin anew, as with another image."""


async def make_replacement(ctx: SagaContext, params: ReplaceRootVolume) -> None:
    """Make the bytes of the replacement."""
    volume = ctx.store.volumes[_task(ctx, params).volume_id]
    if params.is_new:
        await volumes.make_bytes_of(ctx, volume)
    await _mark(ctx, params, ReplaceRootState.IN_PROGRESS)


async def give_up(ctx: SagaContext, params: ReplaceRootVolume) -> None:
    """Delete what was made, and write down that the former root has stayed."""
    task = _task(ctx, params)
    if task.state is ReplaceRootState.SUCCEEDED:
        return
    if params.is_new:
        await ctx.volumes.delete(task.volume_id)
    async with ctx.store.transaction() as tx:
        volume = ctx.store.volumes.get(task.volume_id)
        if params.is_new and volume is not None:
            tx.delete(volume)
        tx.put(
            replace(_task(ctx, params), state=ReplaceRootState.FAILED, completed_at=ctx.now().replace(microsecond=0))
        )


async def end_machine(ctx: SagaContext, params: ReplaceRootVolume) -> None:
    """Let the guest shut down, then end its machine, unless it runs on the replacement already."""
    if not _is_replaced(ctx, params):
        await machine.shut_down_machine(ctx, params.instance_id, ctx.stop_deadline_s, keep_local_disks=True)
        if params.forgets_firmware:
            await ctx.hypervisor.forget(params.instance_id)


async def start_former(ctx: SagaContext, params: ReplaceRootVolume) -> None:
    """Start the machine on its former root.

    Where it does not start any more, the instance is left to who finds that its machine is gone.
    """
    if _task(ctx, params).state is ReplaceRootState.SUCCEEDED:
        return
    await _mark(ctx, params, ReplaceRootState.FAILING)
    await ctx.hypervisor.kill(params.instance_id, keep_local_disks=True)  # its guest may have shut down, or be about to
    with suppress(MachineStartFailed):
        await machine.plug_interfaces(ctx, params.instance_id)
        await machine.start_machine(ctx, params.instance_id)


async def change_roots(ctx: SagaContext, params: ReplaceRootVolume) -> None:
    """Let one volume go from the instance's root device and the other come, at once."""
    if _is_replaced(ctx, params):
        return
    task = _task(ctx, params)
    async with ctx.store.transaction() as tx:
        instance, former = ctx.store.instances[params.instance_id], ctx.store.volumes[task.replaced_volume_id]
        volume = ctx.store.volumes.get(task.volume_id)
        if volume is None or volume.attachment is not None or volume.state not in _TAKEN_FROM[params.is_new]:
            raise volume_not_available(task.volume_id)
        tx.put(replace(former, state=VolumeState.AVAILABLE, attachment=None))
        tx.put(_as_root(ctx, volume, instance, delete_on_termination=params.delete_on_termination))
        well = replace(instance, impaired_since=None, storage_full_since=None)
        tx.put(replace(well, **params.image))  # type: ignore[arg-type] # as the instance had them


async def change_back(ctx: SagaContext, params: ReplaceRootVolume) -> None:
    """Let the former root come back."""
    task = _task(ctx, params)
    if task.state is ReplaceRootState.SUCCEEDED or not _is_replaced(ctx, params):
        return
    async with ctx.store.transaction() as tx:
        instance, former = ctx.store.instances[params.instance_id], ctx.store.volumes[task.replaced_volume_id]
        tx.put(replace(ctx.store.volumes[task.volume_id], state=VolumeState.AVAILABLE, attachment=None))
        tx.put(_as_root(ctx, former, instance, delete_on_termination=params.former_delete_on_termination))
        tx.put(replace(instance, **params.former_image))  # type: ignore[arg-type] # as the instance had them


async def start_machine(ctx: SagaContext, params: ReplaceRootVolume) -> None:
    """Start the machine on the replacement."""
    await machine.plug_interfaces(ctx, params.instance_id)
    await machine.start_machine(ctx, params.instance_id)


async def kill_machine(ctx: SagaContext, params: ReplaceRootVolume) -> None:
    """End the machine that runs on the replacement, if it started."""
    if _task(ctx, params).state is not ReplaceRootState.SUCCEEDED:
        await ctx.hypervisor.kill(params.instance_id, keep_local_disks=True)


async def mark_succeeded(ctx: SagaContext, params: ReplaceRootVolume) -> None:
    """Write down that the instance runs on the replacement."""
    await _mark(ctx, params, ReplaceRootState.SUCCEEDED)


async def delete_replaced(ctx: SagaContext, params: ReplaceRootVolume) -> None:
    """Delete the replaced volume if that was asked for, unless the Recycle Bin keeps it."""
    task = _task(ctx, params)
    volume = _replaced(ctx, task)
    if volume is None or not task.deletes_replaced:
        return
    if await _has_bytes(ctx, volume.id):
        async with ctx.store.transaction() as tx:
            volume = _replaced(ctx, task)  # somebody may have attached or deleted it by now
            if volume is None or keep(ctx.store, tx, volume, ctx.now()):
                return
            tx.put(replace(volume, state=VolumeState.DELETING))
    async with volumes.held(ctx, [volume.id]):
        await ctx.volumes.delete(volume.id)
    async with ctx.store.transaction() as tx:
        left = ctx.store.volumes.get(volume.id)
        if left is not None:
            tx.delete(left)


async def keep_replaced(ctx: SagaContext, params: ReplaceRootVolume) -> None:
    """Write down that the replaced volume is there still; or, if it failed too late for that, that it is not."""
    volume = _replaced(ctx, _task(ctx, params))
    if volume is not None and volume.state is VolumeState.DELETING:
        has_bytes = await _has_bytes(ctx, volume.id)
        async with ctx.store.transaction() as tx:
            if has_bytes:
                tx.put(replace(volume, state=VolumeState.AVAILABLE))
            else:
                tx.delete(volume)


REPLACE_ROOT_VOLUME: Final = Saga(
    name="replace_root_volume",
    params=ReplaceRootVolume,
    steps=(
        Step("make_replacement", do=make_replacement, undo=give_up),
        Step("end_machine", do=end_machine, undo=start_former),
        Step("change_roots", do=change_roots, undo=change_back),
        Step("start_machine", do=start_machine, undo=kill_machine),
        Step("mark_succeeded", do=mark_succeeded),
        Step("delete_replaced", do=delete_replaced, undo=keep_replaced),
    ),
)

#: What state a replacement is in before it is in the instance, by whether it was made for that.
_TAKEN_FROM: Final = {True: (VolumeState.CREATING, VolumeState.AVAILABLE), False: (VolumeState.AVAILABLE,)}


def _task(ctx: SagaContext, params: ReplaceRootVolume) -> ReplaceRootVolumeTask:
    return ctx.store.replace_root_volume_tasks[params.task_id]


async def _mark(ctx: SagaContext, params: ReplaceRootVolume, state: ReplaceRootState) -> None:
    task = _task(ctx, params)
    if task.state in UNDER_WAY and task.state is not state:
        completed_at = None if state in UNDER_WAY else ctx.now().replace(microsecond=0)
        async with ctx.store.transaction() as tx:
            tx.put(replace(task, state=state, completed_at=completed_at))


def _is_replaced(ctx: SagaContext, params: ReplaceRootVolume) -> bool:
    volume = ctx.store.volumes.get(_task(ctx, params).volume_id)
    attachment = None if volume is None else volume.attachment
    return attachment is not None and attachment.instance_id == params.instance_id


def _as_root(ctx: SagaContext, volume: Volume, instance: Instance, *, delete_on_termination: bool) -> Volume:
    attachment = VolumeAttachment(
        instance_id=instance.id,
        device_name=instance.root_device_name,
        state=AttachmentState.ATTACHED,
        attached_at=ctx.now().replace(microsecond=0),
        delete_on_termination=delete_on_termination,
    )
    return replace(volume, state=VolumeState.IN_USE, attachment=attachment)


def _replaced(ctx: SagaContext, task: ReplaceRootVolumeTask) -> Volume | None:
    """Return the replaced volume if it is free, or on its way out by this task."""
    volume = ctx.store.volumes.get(task.replaced_volume_id)
    if task.state is not ReplaceRootState.SUCCEEDED or volume is None or volume.attachment is not None:
        return None
    return volume if volume.state in (VolumeState.AVAILABLE, VolumeState.DELETING) else None


async def _has_bytes(ctx: SagaContext, volume_id: str) -> bool:
    with suppress(NoSuchVolume):
        await ctx.volumes.connect(volume_id)
        return True
    return False
