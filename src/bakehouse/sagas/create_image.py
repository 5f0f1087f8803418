"""Make an image of an instance: one snapshot of each of its volumes, all at one point in time.

Before it begins the image is `pending`, with the snapshots, `pending` too, in its mapping. Afterwards it is `available`
and they are `completed`; or it is `failed` with its reason, and the snapshots are gone. The instance keeps its state:
a guest that is rebooted for its image is shut down by the power button, its disks are snapshotted at that very moment,
and its machine begins again at the firmware. One that is not has its filesystems frozen for the moment of the snapshot,
if its agent answers.

A crash between the steps may reboot the guest twice. It never stays off or frozen: the step that woke it, or its undo,
is done again.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from bakehouse.domain.image import BlockDevice, ImageState
from bakehouse.ports.hypervisor import MachineState, MonitorLost
from bakehouse.ports.volumes import StorageFull
from bakehouse.sagas import machine, volumes
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step

#: Code and message. Source: EC2 API Reference, StateReason.
_STORAGE_FULL: Final = "Server.InsufficientVolumeCapacity: The host has no space left for the snapshots"
_SNAPSHOT_FAILED: Final = "Server.InternalError: The snapshots could not be taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateImage:
    """Parameters."""

    image_id: str
    instance_id: str
    snapshots: Mapping[str, str]
    """Volume id to snapshot id."""
    reboot: bool
    """Whether the guest is shut down for it; only a running one can be."""


async def shut_down(ctx: SagaContext, params: CreateImage) -> None:
    """Let the guest shut down, if it is to; one that does not in time is snapshotted as it is."""
    if params.reboot:
        await machine.shut_down_guest(ctx, params.instance_id, ctx.stop_deadline_s)


async def give_up(ctx: SagaContext, params: CreateImage) -> None:
    """Start a guest that was shut down, delete what was taken, and write down that there is no image."""
    if params.reboot and await _is_powered_off(ctx, params.instance_id):
        await ctx.hypervisor.reset(params.instance_id)
    await volumes.delete_snapshots(ctx, params.snapshots.values())
    async with ctx.store.transaction() as tx:
        image = ctx.store.images.get(params.image_id)
        if image is not None and image.state is ImageState.PENDING:
            devices = tuple(device for device in image.block_devices if not _is_taken(params, device.snapshot_id))
            reason = image.state_reason or _SNAPSHOT_FAILED
            tx.put(replace(image, state=ImageState.FAILED, state_reason=reason, block_devices=devices))


async def take_snapshots(ctx: SagaContext, params: CreateImage) -> None:
    """Take the snapshots: of a quiet machine, or of a live one with its filesystems frozen if that can be had."""
    try:
        if params.reboot:
            await volumes.take_snapshots(ctx, params.snapshots)
        else:
            await _take_live(ctx, params)
    except StorageFull:
        async with ctx.store.transaction() as tx:
            image = ctx.store.images.get(params.image_id)
            if image is not None:
                tx.put(replace(image, state_reason=_STORAGE_FULL))
        raise


async def thaw(ctx: SagaContext, params: CreateImage) -> None:
    """Make sure that nothing stays frozen."""
    if not params.reboot:
        with suppress(MonitorLost):
            await ctx.hypervisor.thaw_filesystems(params.instance_id)


async def start_again(ctx: SagaContext, params: CreateImage) -> None:
    """Begin again at the firmware. A machine that was lost in the meantime has its snapshots all the same."""
    if params.reboot:
        with suppress(MonitorLost):
            await ctx.hypervisor.reset(params.instance_id)


async def mark_available(ctx: SagaContext, params: CreateImage) -> None:
    """Write down that there is an image. It, or a snapshot, may have been deleted while it was made.

    A volume that grew meanwhile gave a larger snapshot than the mapping was to have.
    """
    await volumes.delete_unrecorded(ctx, params.snapshots.values())
    async with ctx.store.transaction() as tx:
        for snapshot in volumes.completed(ctx, params.snapshots.values()):
            tx.put(snapshot)
        image = ctx.store.images.get(params.image_id)
        if image is not None and image.state is ImageState.PENDING:
            devices = tuple(_no_smaller(ctx, device) for device in image.block_devices)
            tx.put(replace(image, state=ImageState.AVAILABLE, block_devices=devices))


def _no_smaller(ctx: SagaContext, device: BlockDevice) -> BlockDevice:
    snapshot = ctx.store.snapshots.get(device.snapshot_id or "")
    if snapshot is None or device.size_gib is None or device.size_gib >= snapshot.volume_size_gib:
        return device
    return replace(device, size_gib=snapshot.volume_size_gib)


CREATE_IMAGE: Final = Saga(
    name="create_image",
    params=CreateImage,
    steps=(
        Step("shut_down", do=shut_down, undo=give_up),
        Step("take_snapshots", do=take_snapshots, undo=thaw),
        Step("start_again", do=start_again),
        Step("mark_available", do=mark_available),  # last, so it needs no undo
    ),
)


async def _take_live(ctx: SagaContext, params: CreateImage) -> None:
    await ctx.hypervisor.freeze_filesystems(params.instance_id)
    try:
        await volumes.take_snapshots(ctx, params.snapshots)
    finally:
        # Whatever the freeze answered: an earlier server may have died with the guest frozen.
        await ctx.hypervisor.thaw_filesystems(params.instance_id)


async def _is_powered_off(ctx: SagaContext, machine_id: str) -> bool:
    statuses = await ctx.hypervisor.observe()
    return any(it.machine_id == machine_id and it.state is MachineState.POWERED_OFF for it in statuses)


def _is_taken(params: CreateImage, snapshot_id: str | None) -> bool:
    return snapshot_id in params.snapshots.values()
