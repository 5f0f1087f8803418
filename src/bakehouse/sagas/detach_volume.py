"""Detach a volume from an instance.

Before it begins the attachment is `detaching`. Afterwards the volume is `available`; or its attachment is `busy`,
because the guest did not let go of it: DetachVolume may be called again, with Force if it must be; or, when a step
failed, `attached` as before. Like every change of what is in a machine it is a saga of the instance.
"""

from dataclasses import dataclass, replace
from typing import Final

from bakehouse.domain.volume import AttachmentState, Volume, VolumeState
from bakehouse.ports.hypervisor import DeviceBusy
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachVolume:
    """Parameters."""

    volume_id: str
    instance_id: str
    force: bool
    """Take it without the guest's consent."""


async def unplug(ctx: SagaContext, params: DetachVolume) -> None:
    """Ask the guest for the disk and unplug it. No machine, or one without the disk: nothing happens."""
    try:
        await ctx.hypervisor.detach_disk(params.instance_id, params.volume_id, force=params.force)
    except DeviceBusy:
        await _mark(ctx, params, AttachmentState.BUSY)


async def keep(ctx: SagaContext, params: DetachVolume) -> None:
    """Write down that the volume is still attached; or, if it failed too late for that, that it is not."""
    statuses = await ctx.hypervisor.observe()
    mine = [it for it in statuses if it.machine_id == params.instance_id]
    # One that does not answer may hold it.
    if any(params.volume_id in it.volume_ids or not it.answers for it in mine):
        await _mark(ctx, params, AttachmentState.ATTACHED)
    else:
        await mark_detached(ctx, params)


async def mark_detached(ctx: SagaContext, params: DetachVolume) -> None:
    """Write down that the volume is free, unless its guest kept it."""
    volume = _detaching(ctx, params)
    if volume is not None:
        async with ctx.store.transaction() as tx:
            tx.put(replace(volume, state=VolumeState.AVAILABLE, attachment=None))


async def _mark(ctx: SagaContext, params: DetachVolume, state: AttachmentState) -> None:
    volume = _detaching(ctx, params)
    if volume is not None and volume.attachment is not None:
        async with ctx.store.transaction() as tx:
            tx.put(replace(volume, attachment=replace(volume.attachment, state=state)))


def _detaching(ctx: SagaContext, params: DetachVolume) -> Volume | None:
    """Return the volume if its attachment is the one that this saga ends."""
    volume = ctx.store.volumes.get(params.volume_id)
    if volume is None or volume.attachment is None or volume.attachment.instance_id != params.instance_id:
        return None
    return volume if volume.attachment.state is AttachmentState.DETACHING else None


DETACH_VOLUME: Final = Saga(
    name="detach_volume",
    params=DetachVolume,
    steps=(
        Step("unplug", do=unplug, undo=keep),
        Step("mark_detached", do=mark_detached),  # last, so it needs no undo
    ),
)
