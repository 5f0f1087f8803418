"""Disks of a machine that runs: plugging, taking back, and moving writes to new files.

Everything is decided by what QEMU says it has now, never by what we remember, so each call may be repeated.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from bakehouse.drivers.hypervisor.qemu import block_nodes, layer_keys, ports, speed_limits
from bakehouse.drivers.hypervisor.qemu.block_nodes import NodeName
from bakehouse.drivers.hypervisor.qemu.monitor import CommandRefused, Monitor
from bakehouse.ports.hypervisor import DeviceBusy, MachineDisk, MonitorLost
from bakehouse.ports.volumes import LayerKey

_POLL_S: Final = 0.002

#: QOM type of the device whose size never changes.
_FIXED_SIZE_TYPE: Final = "nvme"

#: A node can be in use for a moment after its device is gone: QEMU frees devices when all threads have seen it.
_RELEASE_DEADLINE_S: Final = 2.0
#: Taking a disk by force needs the requests in flight to end, no more.
_FORCE_DEADLINE_S: Final = 10.0


class TopSwitch(Protocol):
    """One volume's change from one file to the next; the volume store's own class fulfils this."""

    @property
    def volume_id(self) -> str:
        """The volume."""

    @property
    def old_path(self) -> Path:
        """The file it writes to before."""

    @property
    def new_path(self) -> Path:
        """The file it writes to afterwards: a complete qcow2 file that names the old one as its backing file."""

    @property
    def key(self) -> LayerKey | None:
        """What opens that file, if it is encrypted."""


class SwitchRefused(Exception):
    """No volume was switched."""


@dataclass(frozen=True, slots=True)
class PluggedDisk:
    """A volume as the machine has it now."""

    device: str
    top: NodeName
    size_bytes: int


@dataclass(frozen=True, slots=True)
class BlockGraph:
    """What a machine has open at one moment."""

    disks: Mapping[str, PluggedDisk]
    """By volume id. A disk taken by force is none, though its device may still be there."""
    files: Mapping[str, str]
    """File name by node name."""

    def top_path(self, volume_id: str) -> Path | None:
        """Return the file that a volume is written to; None when it is not plugged in."""
        disk = self.disks.get(volume_id)
        return None if disk is None else Path(self.files[disk.top.file])


async def look(monitor: Monitor) -> BlockGraph:
    """Ask what the machine has open."""
    nodes = await monitor.execute("query-named-block-nodes", {"flat": True})
    disks = {}
    for entry in await monitor.execute("query-block"):
        top = block_nodes.node_name(entry.get("inserted", {}).get("node-name", ""))
        if top is not None and entry.get("qdev"):
            size = entry["inserted"]["image"]["virtual-size"]
            disks[top.volume_id] = PluggedDisk(_device_id(entry["qdev"]), top, size)
    return BlockGraph(disks, {node["node-name"]: node["file"] for node in nodes})


async def has_device(monitor: Monitor, device: str) -> bool:
    """Tell whether a device is still plugged in."""
    return device in await ports.devices(monitor)


async def attach(monitor: Monitor, disk: MachineDisk, *, flush: bool) -> None:
    """Plug a disk into a free port. Plugged already: nothing happens.

    Raises:
        DeviceBusy: All ports are taken. Stopping and starting the machine makes new ones.
        CommandRefused: The file cannot be opened. Nothing is left open.
    """
    graph = await sweep_nodes(monitor, await look(monitor))
    if disk.volume_id in graph.disks:
        await speed_limits.set_at_start(monitor, [disk])
        return
    port = await ports.free_port(monitor)
    if port is None:
        raise DeviceBusy("all ports are taken; stop and start the machine for more")
    name = NodeName(disk.volume_id, 0)
    connection = disk.connection
    options = block_nodes.node_options(name, connection.path, connection.format, flush=flush)
    options |= layer_keys.encryption(connection.key)
    options |= layer_keys.backing(connection.below, connection.key, flush=flush)
    async with layer_keys.known(monitor, layer_keys.of_connections([connection])):
        await monitor.execute("blockdev-add", options)
    try:
        await monitor.execute("device_add", block_nodes.disk_options(port, name, disk.bus))
    except CommandRefused:
        await _delete_node(monitor, str(name))
        raise
    await speed_limits.set_at_start(monitor, [disk])


async def resize(monitor: Monitor, volume_id: str, size_bytes: int) -> bool:
    """Enlarge the file that a disk is written to, and tell the guest.

    QEMU's NVMe device has the size for good that it was plugged in with, and refuses (QEMU 7.2, `hw/nvme/ctrl.c`,
    "Cannot resize NVMe devices"); virtio's tells its driver.

    Returns:
        Whether the device can; False: nothing happened.

    Raises:
        CommandRefused: Nothing happened.
    """
    disk = (await look(monitor)).disks[volume_id]
    if await _type_of(monitor, disk.device) == _FIXED_SIZE_TYPE:
        return False
    await monitor.execute("block_resize", {"node-name": str(disk.top), "size": size_bytes})
    return True


async def _type_of(monitor: Monitor, device: str) -> str:
    children = await monitor.execute("qom-list", {"path": "/machine/peripheral"})
    return str(next(child["type"] for child in children if child["name"] == device)).partition("<")[2].rstrip(">")


async def request_unplug(monitor: Monitor, device: str) -> None:
    """Ask the guest to let go of a device. It takes the guest some time; nothing is waited for."""
    # Refused when the guest was asked before and did not answer yet, and when the device is gone: both fine.
    with suppress(CommandRefused):
        await monitor.execute("device_del", {"id": device})


async def take_by_force(monitor: Monitor, disk: PluggedDisk) -> None:
    """Put nothing in a disk's place: it reads as zeroes, and its writes are lost. The volume is free at once.

    The empty device stays until the guest lets go of it or is reset.

    Raises:
        DeviceBusy: Requests in flight did not end; the disk is still there.
    """
    void, job = _void_of(disk), _taking(disk)
    if void is None:
        raise DeviceBusy(f"{disk.device} is not in a port that disks can leave")
    graph = await sweep_nodes(monitor, await look(monitor))
    if disk.top.volume_id not in graph.disks:
        return  # a server before us was at it, and QEMU has finished it meanwhile
    # A mirror that copies nothing is how QEMU exchanges a node below a device that a guest is using.
    await monitor.execute("blockdev-add", {"driver": "null-co", "node-name": void, "size": disk.size_bytes})
    mirror = {"job-id": job, "device": str(disk.top), "target": void, "sync": "none"}
    await monitor.execute("blockdev-mirror", mirror)
    try:
        async with asyncio.timeout(_FORCE_DEADLINE_S):
            await _wait_for_job(monitor, job, "ready")
            await monitor.execute("job-complete", {"id": job})
            await _wait_for_job(monitor, job, None)
    except TimeoutError as err:
        await monitor.execute("block-job-cancel", {"device": job, "force": True})
        raise DeviceBusy(f"requests to {disk.top.volume_id} in flight did not end") from err
    await sweep_nodes(monitor, await look(monitor))


async def switch_tops(monitor: Monitor, switches: Sequence[TopSwitch], *, flush: bool) -> None:
    """Let volumes write to new files from one point in time on: all of them or, with an exception, none.

    Raises:
        SwitchRefused: A volume is not plugged in, or writes to a third file.
        CommandRefused: A file cannot be opened. No volume was switched.
    """
    graph = await sweep_nodes(monitor, await look(monitor))
    waiting = [switch for switch in switches if graph.top_path(switch.volume_id) != switch.new_path]
    for switch in waiting:
        found = graph.top_path(switch.volume_id)
        if found != switch.old_path:
            raise SwitchRefused(f"{switch.volume_id} writes to {found or 'nothing'}, not to {switch.old_path}")
    if not waiting:
        return
    actions = []
    try:
        for switch in waiting:
            top = graph.disks[switch.volume_id].top
            new = NodeName(top.volume_id, top.number + 1)
            # Without `backing`, QEMU would open the chain a second time; the snapshot puts the old top there.
            options = block_nodes.node_options(new, switch.new_path, "qcow2", flush=flush) | {"backing": None}
            options |= layer_keys.encryption(switch.key)
            async with layer_keys.known(monitor, {} if switch.key is None else {switch.key.id: switch.key}):
                await monitor.execute("blockdev-add", options)
            actions.append(_snapshot(top, new))
        await monitor.execute("transaction", {"actions": actions})
    except BaseException:
        with suppress(CommandRefused, MonitorLost):
            await sweep_nodes(monitor, await look(monitor))
        raise


async def sweep_nodes(monitor: Monitor, graph: BlockGraph) -> BlockGraph:
    """Close files that no disk uses: of volumes that left, of switches that failed, of devices taken by force.

    Nobody else may change the machine's disks meanwhile. Returns the disks that there are, and the files of before.
    """
    graph = await _end_taking(monitor, graph)
    names = filter(None, map(block_nodes.node_name, graph.files))
    unused = [it for it in names if it.volume_id not in graph.disks or it > graph.disks[it.volume_id].top]
    # Higher ones first: a node is in use as long as one above it is there.
    for name in sorted(unused, reverse=True):
        await _delete_node(monitor, str(name))
    below = filter(None, map(block_nodes.below_number, graph.files))
    for volume_id, number in sorted((it for it in below if it[0] not in graph.disks), reverse=True):
        await _delete_node(monitor, block_nodes.below_node(volume_id, number))
    voids = {node: port for node in graph.files if (port := block_nodes.port_of_void(node)) is not None}
    if voids:
        taken = {block_nodes.port_of(device) for device in await ports.devices(monitor)}
        for node in (node for node, port in voids.items() if port not in taken):
            await _delete_node(monitor, node)
    return graph


async def _end_taking(monitor: Monitor, graph: BlockGraph) -> BlockGraph:
    """Leave disks where they are that somebody began to take by force who was killed over it; return what is there."""
    begun = [(void, disk) for disk in graph.disks.values() if (void := _void_of(disk)) and void in graph.files]
    if not begun:
        return graph
    for _, disk in begun:
        with suppress(CommandRefused):  # there is no such job: it was not begun yet, or has just ended
            await monitor.execute("block-job-cancel", {"device": _taking(disk), "force": True})
        with suppress(TimeoutError):  # then the void is in use still, which is refused below
            async with asyncio.timeout(_FORCE_DEADLINE_S):
                await _wait_for_job(monitor, _taking(disk), None)
    left = (await look(monitor)).disks
    for void, disk in begun:
        if disk.top.volume_id in left:
            await _delete_node(monitor, void)
    return await look(monitor)


def _void_of(disk: PluggedDisk) -> str | None:
    """Return the name of the node that takes a disk's place; None when it is in no port that disks can leave."""
    port = block_nodes.port_of(disk.device)
    return None if port is None else block_nodes.void_node(port)


def _taking(disk: PluggedDisk) -> str:
    """Return the id of the job that takes a disk by force."""
    return f"take-{disk.device}"


def _snapshot(top: NodeName, new: NodeName) -> Mapping[str, object]:
    return {"type": "blockdev-snapshot", "data": {"node": str(top), "overlay": str(new)}}


async def _delete_node(monitor: Monitor, name: str) -> None:
    deadline = asyncio.get_running_loop().time() + _RELEASE_DEADLINE_S
    while True:
        try:
            await monitor.execute("blockdev-del", {"node-name": name})
        except CommandRefused:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(_POLL_S)
        else:
            return


async def _wait_for_job(monitor: Monitor, job: str, status: str | None) -> None:
    """Wait until a job has a status, or with None until there is no such job."""
    while await _job_status(monitor, job) != status:  # noqa: ASYNC110 - the list is the truth, and it takes 5 ms
        await asyncio.sleep(_POLL_S)


async def _job_status(monitor: Monitor, job: str) -> Any:  # noqa: ANN401 - JSON
    jobs = await monitor.execute("query-jobs")
    return next((entry["status"] for entry in jobs if entry["id"] == job), None)


def _device_id(qdev: str) -> str:
    """Return a disk's id of how QEMU names its device: by the id, by a path that ends with it, or by that of a part."""
    parts = qdev.split("/")
    return next((part for part in parts if block_nodes.port_of(part) is not None), parts[-1])
