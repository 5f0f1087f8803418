"""Saving a machine's memory with the state of its devices, and letting it go on from there.

The guest is stopped, QEMU writes what it would send to another host, and ends. It goes on in a QEMU with the same
devices in the same places, which reads that. Source: QEMU's `docs/devel/migration.rst`.

A memory is used once: it is gone from the disk before its guest goes on, for its disks change from then on.
"""

import asyncio
from contextlib import suppress
from typing import Any, Final

from bakehouse.drivers.hypervisor.qemu import block_nodes, command_line, guest_agent, layer_keys, live_disks, ports
from bakehouse.drivers.hypervisor.qemu.machine import Machine
from bakehouse.drivers.hypervisor.qemu.memory_files import MemoryRecord, MemoryTransfer, MemoryUnreadable, new_salt
from bakehouse.drivers.hypervisor.qemu.monitor import CommandRefused
from bakehouse.drivers.hypervisor.qemu.run_directory import RunDirectory
from bakehouse.ports.hypervisor import MachineSpec, MachineState, MonitorLost, NotHibernated
from bakehouse.ports.volumes import LayerKey

_SAVED_STATES: Final = frozenset({MachineState.RUNNING, MachineState.STALLED})
_POLL_S: Final = 0.01
_NAME: Final = "memory"
#: QEMU would spare a network that there is not. Bytes per second.
_UNHURRIED: Final = 1 << 40


class NotWoken(Exception):
    """The memory could not be taken in."""


async def save(machine: Machine, key: LayerKey | None) -> None:
    """Stop the guest and bring its memory to the disk. The process stays, and does nothing more.

    Raises:
        NotHibernated: The guest runs on; nothing was kept.
        MonitorLost: The machine is gone, or does not answer.
    """
    monitor, memory = machine.monitor, machine.run.memory
    async with machine.disks_lock:
        if await _status(machine) == "postmigrate" and await asyncio.to_thread(memory.read_record) is not None:
            return  # A server that crashed did it.
        if machine.state not in _SAVED_STATES:
            raise NotHibernated(f"the guest of {machine.machine_id} does not run")
        record = await _record(machine, key)
        await monitor.execute("stop")
        try:
            transfer = await asyncio.to_thread(memory.writer, key, record.salt)
            await _send(machine, transfer)
            await asyncio.to_thread(memory.keep, record)
        except (CommandRefused, OSError, NotHibernated) as err:
            await asyncio.to_thread(memory.remove)
            await monitor.execute("cont")
            await machine.refresh()
            raise NotHibernated(f"{machine.machine_id} could not be saved: {err}") from err


async def load(machine: Machine, spec: MachineSpec, record: MemoryRecord) -> None:
    """Let a machine that waits for its memory take it in; its guest stands still then.

    Raises:
        NotWoken: It was not taken in.
        MonitorLost: The machine is gone, which is what a memory of other devices does to it, or it does not answer.
    """
    key = None
    if record.key_id is not None:
        key = layer_keys.of_connections([spec.disks[0].connection]).get(record.key_id)
        if key is None:
            raise NotWoken("its key is not there any more")
    try:
        transfer = await asyncio.to_thread(machine.run.memory.reader, key, record.salt)
        with transfer.end() as descriptor:
            await machine.monitor.give(descriptor, _NAME)
        await machine.monitor.execute("migrate-incoming", {"uri": f"fd:{_NAME}"})
        while await _status(machine) == "inmigrate":  # noqa: ASYNC110 - QEMU tells of it by no event
            await asyncio.sleep(_POLL_S)
        await asyncio.to_thread(transfer.finish)
    except (CommandRefused, OSError, MemoryUnreadable) as err:
        raise NotWoken(str(err)) from err


async def go_on(machine: Machine) -> None:
    """Let the guest of a machine that has its memory go on, for good, and set its clock if it has an agent for that."""
    await asyncio.to_thread(machine.run.memory.remove)
    if await _status(machine) == "paused":
        await _tell_sizes(machine)
        await machine.monitor.execute("cont")
        await machine.refresh()
        if await guest_agent.listens(machine.monitor):
            # Without an agent the guest's hardware clock is right, and its own is behind.
            with suppress(guest_agent.AgentSilent):
                await guest_agent.set_clock(machine.run)


async def record_that_fits(run: RunDirectory, spec: MachineSpec) -> MemoryRecord | None:
    """Return what is saved for a machine, if it can wake up with that."""
    record = await asyncio.to_thread(run.memory.read_record)
    if record is None or record.fits != _fits(spec):
        return None
    devices = {disk.volume_id for disk in spec.disks} | {it.serial for it in spec.local_disks}
    devices |= set(command_line.places_of(spec).taken)
    return record if devices == set(record.taken) else None


def places(record: MemoryRecord) -> command_line.Places:
    """Return where the devices were."""
    return command_line.Places(ports=record.ports, taken=record.taken)


async def _record(machine: Machine, key: LayerKey | None) -> MemoryRecord:
    launched = await asyncio.to_thread(machine.run.read_record)
    if launched is None:
        raise NotHibernated(f"it is unknown how {machine.machine_id} was started")
    devices = await ports.devices(machine.monitor)
    taken = {}
    for device in devices:
        occupant, port = block_nodes.occupant_of(device), block_nodes.port_of(device)
        if occupant is not None and port is not None:
            taken[occupant] = port
    volumes = (await live_disks.look(machine.monitor)).disks
    if lost := [it for it in taken if it.startswith("vol-") and it not in volumes]:
        raise NotHibernated(f"{lost[0]} was taken from {machine.machine_id} by force")
    return MemoryRecord(
        fits=_fits(launched.spec),
        ports=sum(1 for device in devices if device.startswith("port")),
        taken=taken,
        key_id=None if key is None else key.id,
        salt=new_salt(),
    )


def _fits(spec: MachineSpec) -> dict[str, object]:
    """Return what a memory needs to be the same, beside the devices in the ports."""
    first = spec.interfaces[0] if spec.interfaces else None
    return {
        "architecture": spec.architecture,
        "instance_type": spec.instance_type,
        "vcpus": spec.vcpus,
        "threads_per_core": spec.threads_per_core,
        "memory_mib": spec.memory_mib,
        "boot_mode": spec.boot_mode,
        "has_tpm": spec.has_tpm,
        "hardware_uuid": spec.hardware_uuid,
        "bus": spec.disks[0].bus.value,
        "interface": None if first is None else [first.interface_id, first.mac],
    }


async def _tell_sizes(machine: Machine) -> None:
    """Let the guest look at the sizes of its disks anew: one may have grown while it slept."""
    for disk in (await live_disks.look(machine.monitor)).disks.values():
        with suppress(CommandRefused):
            await machine.monitor.execute("block_resize", {"node-name": str(disk.top), "size": disk.size_bytes})


async def _send(machine: Machine, transfer: MemoryTransfer) -> None:
    monitor = machine.monitor
    with transfer.end() as descriptor:
        await monitor.give(descriptor, _NAME)
    await monitor.execute("migrate-set-parameters", {"max-bandwidth": _UNHURRIED})
    await monitor.execute("migrate", {"uri": f"fd:{_NAME}"})
    while True:
        found = await monitor.execute("query-migrate")
        if found["status"] == "completed":
            break
        if found["status"] in {"failed", "cancelled"}:
            with suppress(OSError):
                await asyncio.to_thread(transfer.finish)
            raise NotHibernated(found.get("error-desc", "QEMU gives no reason"))
        await asyncio.sleep(_POLL_S)
    await asyncio.to_thread(transfer.finish)


async def _status(machine: Machine) -> Any:  # noqa: ANN401 - JSON
    try:
        return (await machine.monitor.execute("query-status"))["status"]
    except CommandRefused as err:
        raise MonitorLost(str(err)) from err
