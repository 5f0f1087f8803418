"""How fast disks may be: QEMU's throttling of what a device reads and writes.

The limits belong to the device, above all files: a live snapshot, a chain opened anew and a disk that grows leave them
as they are. They are set when the machine runs or the disk is plugged in, some milliseconds later than the guest could
see it; the same call changes them. Source: QEMU QMP Reference, block_set_io_throttle.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from bakehouse.domain.speed_limits import SpeedLimits
from bakehouse.drivers.hypervisor.qemu import block_nodes
from bakehouse.drivers.hypervisor.qemu.monitor import Monitor
from bakehouse.ports.hypervisor import MachineDisk

_MIB: Final = 1 << 20

#: A larger read or write counts as several. Source: EBS User Guide, "I/O characteristics and monitoring": 256 KiB for
#: SSD volumes, and no other can be asked for IOPS.
_IO_BYTES: Final = 256 << 10


async def set_at_start(monitor: Monitor, disks: Iterable[MachineDisk]) -> None:
    """Limit the disks that have limits; the others have none yet."""
    await change(monitor, {disk.volume_id: disk.limits for disk in disks if disk.limits != SpeedLimits()})


async def change(monitor: Monitor, limits: Mapping[str, SpeedLimits]) -> None:
    """Limit disks, by volume id. One that is not plugged in is left out; without volumes nothing is asked."""
    for volume_id, device in (await _devices(monitor) if limits else {}).items():
        if volume_id in limits:
            await monitor.execute("block_set_io_throttle", {"id": device, **_arguments(limits[volume_id])})


def _arguments(limits: SpeedLimits) -> Mapping[str, int]:
    """Return QEMU's figures; 0 is no limit."""
    iops = {"iops": limits.iops or 0, "iops_rd": 0, "iops_wr": 0}
    throughput = {"bps": (limits.throughput_mibps or 0) * _MIB, "bps_rd": 0, "bps_wr": 0}
    # Refused without a limit of IOPS.
    return iops | throughput | ({"iops_size": _IO_BYTES} if limits.iops else {})


async def _devices(monitor: Monitor) -> Mapping[str, str]:
    """Return what QEMU calls the device of each volume, by volume id."""
    found = {}
    for entry in await monitor.execute("query-block"):
        top = block_nodes.node_name(entry.get("inserted", {}).get("node-name", ""))
        if top is not None and entry.get("qdev"):
            found[top.volume_id] = entry["qdev"]
    return found


async def current(monitor: Monitor) -> Mapping[str, SpeedLimits]:
    """Return the limits of each disk, by volume id."""
    found = {}
    for entry in await monitor.execute("query-block"):
        inserted = entry.get("inserted", {})
        top = block_nodes.node_name(inserted.get("node-name", ""))
        if top is not None and entry.get("qdev"):
            iops, throughput = inserted["iops"] or None, inserted["bps"] // _MIB or None
            found[top.volume_id] = SpeedLimits(iops=iops, throughput_mibps=throughput)
    return found
