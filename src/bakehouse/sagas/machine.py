"""What the sagas do with an instance's machine, its volumes and its interface.

Each function may be repeated, and each that takes something away succeeds when there is nothing.
"""

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from bakehouse.domain.instance import Instance
from bakehouse.domain.instance_options import usual_cpu_options
from bakehouse.domain.instance_store import local_disks
from bakehouse.domain.instance_type import INSTANCE_TYPES
from bakehouse.domain.network_interface import NetworkInterface, detached
from bakehouse.domain.volume import Volume
from bakehouse.ports.hypervisor import (
    DiskBus,
    LocalDisk,
    MachineDisk,
    MachineInterface,
    MachineSpec,
    MachineState,
    MonitorLost,
)
from bakehouse.ports.network import NetworkUnavailable
from bakehouse.ports.volumes import NoSuchVolume, VolumeConnection, VolumeInUse
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.recycle_bin import keep, retained_until
from bakehouse.sagas.segment import ensure_segment, interface_spec
from bakehouse.sagas.volumes import GIB, all_to_their_ends, held, make_bytes_of
from bakehouse.store.store import Store, Transaction

#: A guest that is still booting does not hear its power button, so it is pressed again.
_PRESS_AGAIN_S: Final = 5.0


def volumes_of(store: Store, instance: Instance) -> list[Volume]:
    """Return the volumes attached to an instance, the root first, the others by device name."""
    attached = {
        volume.attachment.device_name: volume
        for volume in store.volumes.by("instance")[instance.id].values()
        if volume.attachment is not None
    }
    return [attached[name] for name in sorted(attached, key=lambda name: (name != instance.root_device_name, name))]


async def make_volumes(ctx: SagaContext, instance_id: str) -> None:
    """Make the bytes of every attached volume."""
    volumes = volumes_of(ctx.store, ctx.store.instances[instance_id])
    await all_to_their_ends(make_bytes_of(ctx, volume) for volume in volumes)


async def delete_volumes(ctx: SagaContext, instance_id: str, *, all_of_them: bool) -> None:
    """Delete the bytes of the attached volumes: those that go with their instance, or all of them."""
    volumes = volumes_of(ctx.store, ctx.store.instances[instance_id])
    going = [volume.id for volume in volumes if all_of_them or _goes_with_instance(volume)]
    async with held(ctx, going):
        await all_to_their_ends(ctx.volumes.delete(volume_id) for volume_id in going)


async def recycle_volumes(ctx: SagaContext, instance_id: str) -> None:
    """Move those volumes into the Recycle Bin that go with their instance and that a retention rule keeps."""
    for volume in volumes_of(ctx.store, ctx.store.instances[instance_id]):
        if _goes_with_instance(volume) and retained_until(ctx.store, volume, ctx.now()) is not None:
            async with held(ctx, [volume.id]):
                with suppress(NoSuchVolume):  # this is a repetition, and a rule is new since its bytes were deleted
                    await ctx.volumes.key_of(volume.id)  # whether it can be opened or not
                    async with ctx.store.transaction() as tx:
                        keep(ctx.store, tx, ctx.store.volumes[volume.id], ctx.now())


def _goes_with_instance(volume: Volume) -> bool:
    return volume.attachment is not None and volume.attachment.delete_on_termination


def interfaces_of(store: Store, instance_id: str) -> list[NetworkInterface]:
    """Return the interfaces attached to an instance, by device index."""
    attached = store.network_interfaces.by("instance")[instance_id].values()
    return sorted(attached, key=lambda interface: interface.device_index)


async def plug_interfaces(ctx: SagaContext, instance_id: str) -> None:
    """Make the instance's interfaces ready, and the segments that they belong to."""
    for interface in interfaces_of(ctx.store, instance_id):
        await plug_interface(ctx, interface.id)


async def plug_interface(ctx: SagaContext, interface_id: str) -> None:
    """Make an interface ready, or bring it to its record, and make the segment that it belongs to."""
    await ensure_segment(ctx, ctx.store.network_interfaces[interface_id].vpc_id)
    # Its groups may have changed while the segment was made.
    await ctx.network.plug(interface_spec(ctx.store, ctx.store.network_interfaces[interface_id]))


async def unplug_interfaces(ctx: SagaContext, instance_id: str) -> None:
    """Take the instance's interfaces and their public addresses away."""
    for interface in interfaces_of(ctx.store, instance_id):
        await ctx.network.unplug(interface.vpc_id, interface.id)


def let_go(tx: Transaction, store: Store, interface: NetworkInterface, *, delete: bool) -> None:
    """Put an interface that leaves its instance: free, or gone. The Elastic IPs of one that is gone lead nowhere."""
    if not delete:
        tx.put(detached(interface))
        return
    for association in interface.associations:
        tx.put(replace(store.elastic_addresses[association.allocation_id], interface_id=None, association_id=None))
    tx.delete(interface)


async def start_machine(ctx: SagaContext, instance_id: str) -> None:
    """Start the machine; its volumes have bytes and its interface is plugged.

    One that was hibernated goes on where it was; or, where that cannot be, starts anew, as on EC2.
    """
    instance = ctx.store.instances[instance_id]
    async with held(ctx, (volume.id for volume in volumes_of(ctx.store, instance))):
        spec = await _without_interfaces(ctx, instance)
        # Last, for whoever receives them must close them.
        try:
            interfaces = await _connected(ctx, interfaces_of(ctx.store, instance_id))
        except NetworkUnavailable:
            # A crash may have come right after the start: then the machine itself has the interfaces open.
            if not await _has_process(ctx, instance_id):
                raise
            if not instance.hibernated or await ctx.hypervisor.wake(spec):
                return
            interfaces = await _connected(ctx, interfaces_of(ctx.store, instance_id))
        if instance.hibernated:
            if await ctx.hypervisor.wake(replace(spec, interfaces=interfaces)):
                return
            interfaces = await _connected(ctx, interfaces_of(ctx.store, instance_id))
        await ctx.hypervisor.start(replace(spec, interfaces=interfaces))


async def _without_interfaces(ctx: SagaContext, instance: Instance) -> MachineSpec:
    instance_type = INSTANCE_TYPES[instance.type]
    processors = instance.cpu_options or usual_cpu_options(instance_type)
    bus = DiskBus(instance.disk_bus)
    disks = [
        MachineDisk(volume_id=it.id, connection=await connection_of(ctx, it), bus=bus, limits=it.limits)
        for it in volumes_of(ctx.store, instance)
    ]
    return MachineSpec(
        machine_id=instance.id,
        instance_type=instance.type,
        architecture=instance.architecture,
        boot_mode=instance.current_boot_mode,
        has_tpm=instance.tpm_support is not None,
        uefi_data=None if instance.uefi_data is None else instance.uefi_data.encode(),
        vcpus=processors.vcpus,
        threads_per_core=processors.threads_per_core,
        memory_mib=instance_type.memory_mib,
        disks=tuple(disks),
        local_disks=tuple(LocalDisk(serial=it, size_bytes=size, bus=bus) for it, size in local_disks(instance)),
        interfaces=(),
        hardware_uuid=instance.hardware_uuid,
    )


async def _connected(ctx: SagaContext, interfaces: Iterable[NetworkInterface]) -> tuple[MachineInterface, ...]:
    """Open plugged interfaces for a machine: all, or none."""
    opened: list[MachineInterface] = []
    try:
        for interface in interfaces:
            connection = await ctx.network.connect(interface.id)
            opened.append(MachineInterface(interface_id=interface.id, mac=interface.mac, connection=connection))
    except BaseException:
        for it in opened:
            it.connection.close()
        raise
    return tuple(opened)


async def connection_of(ctx: SagaContext, volume: Volume) -> VolumeConnection:
    """Return how to open a volume that no machine has, in the size that its record says: see `modify_volume`."""
    connection = await ctx.volumes.connect(volume.id)
    if connection.size_bytes >= volume.size_gib * GIB:
        return connection
    with suppress(VolumeInUse):  # This is a repetition, and its machine is there.
        await ctx.volumes.grow(volume.id, size_bytes=volume.size_gib * GIB, machine_id=None)
    return await ctx.volumes.connect(volume.id)


async def kill_machine(ctx: SagaContext, instance_id: str) -> None:
    """End the machine now."""
    await ctx.hypervisor.kill(instance_id)


async def shut_down_guest(ctx: SagaContext, instance_id: str, deadline_s: float) -> bool:
    """Ask the guest to shut down and wait for that; False when it did not in time, or was given none."""
    give_up_at = time.monotonic() + deadline_s
    while (left_s := give_up_at - time.monotonic()) > 0:
        await ctx.hypervisor.press_power_button(instance_id)
        if await ctx.hypervisor.wait_powered_off(instance_id, min(left_s, _PRESS_AGAIN_S)):
            return True
    return False


async def shut_down_machine(
    ctx: SagaContext, instance_id: str, deadline_s: float, *, keep_local_disks: bool = False
) -> None:
    """Ask the guest to shut down, wait for that, and end the machine whatever came of it."""
    with suppress(MonitorLost):  # it ends by itself in this very moment, or it cannot be asked; either way it ends now
        await shut_down_guest(ctx, instance_id, deadline_s)
    await ctx.hypervisor.kill(instance_id, keep_local_disks=keep_local_disks)


async def has_interface(ctx: SagaContext, machine_id: str, interface_id: str) -> bool:
    """Tell whether a machine has an interface plugged in."""
    statuses = await ctx.hypervisor.observe()
    return any(interface_id in it.interface_ids for it in statuses if it.machine_id == machine_id)


async def _has_process(ctx: SagaContext, machine_id: str) -> bool:
    statuses = await ctx.hypervisor.observe()
    return any(it.machine_id == machine_id and it.state is not MachineState.GONE for it in statuses)
