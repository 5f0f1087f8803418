"""The block device mapping of an image to be made: every size filled in, every snapshot one that may be used."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from bakehouse.app.context import AppContext
from bakehouse.app.snapshots import completed_snapshot
from bakehouse.domain.block_device import performance, volume_size
from bakehouse.domain.caller import Caller
from bakehouse.domain.image import BlockDevice
from bakehouse.domain.snapshot_tier import snapshot_moving


def checked_mapping(
    context: AppContext, caller: Caller, devices: Iterable[BlockDevice], sizes: Mapping[str, int]
) -> tuple[BlockDevice, ...]:
    """Return a mapping with every size filled in, in GiB; `sizes` are those of snapshots about to be made.

    Refuses a snapshot that the caller may not read (InvalidSnapshot.NotFound) or that is not complete, or
    on its way into the archive (IncorrectState), and what a volume's type does not allow.
    """
    return tuple(
        device if device.virtual_name is not None else _checked(context, caller, device, sizes) for device in devices
    )


def _checked(context: AppContext, caller: Caller, device: BlockDevice, sizes: Mapping[str, int]) -> BlockDevice:
    least, encrypted = None, device.encrypted
    if device.snapshot_id is not None:
        least = sizes.get(device.snapshot_id)
        if least is None:
            snapshot = completed_snapshot(context, caller, device.snapshot_id)
            if snapshot.is_leaving:
                raise snapshot_moving(snapshot.id)
            least, encrypted = snapshot.volume_size_gib, snapshot.encrypted
    size_gib = volume_size(device.device_name, device.size_gib, device.snapshot_id, least)
    performance(device.volume_type, size_gib, device.iops, device.throughput_mibps)
    return replace(device, size_gib=size_gib, encrypted=encrypted)
