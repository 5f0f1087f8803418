"""What else may be asked for while a saga is under way, of the very resources that it works on.

Each operation is given a resource that the saga's journal entry names, or one that belongs to such a one.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from tests.sagas.archived import archive
from tests.world import World

from bakehouse.app.elastic_addresses import AssociationRequest
from bakehouse.app.image_copies import ImageCopyRequest
from bakehouse.app.image_registration import ImageOfSnapshots
from bakehouse.app.images import ImageOfInstance
from bakehouse.app.instance_changes import InstanceChange
from bakehouse.app.interface_addresses import AddressRequest
from bakehouse.app.launch import LaunchRequest
from bakehouse.app.launch_network import InterfaceRequest, PlaceRequest
from bakehouse.app.network_interfaces import InterfaceChange
from bakehouse.app.root_replacements import RootReplacementRequest
from bakehouse.app.snapshot_copies import SnapshotCopyRequest
from bakehouse.app.snapshots import InstanceSnapshotsRequest
from bakehouse.app.subnets import SubnetRequest
from bakehouse.app.volume_copies import VolumeCopyRequest
from bakehouse.app.volume_modifications import ModificationRequest
from bakehouse.app.volumes import VolumeRequest
from bakehouse.domain.block_device import BlockDeviceRequest
from bakehouse.domain.security_group import Permission
from bakehouse.ports.hypervisor import MachineState

Operation = Callable[[World, str], Awaitable[Any]]


async def _start(world: World, it: str) -> None:
    await world.instances.start(world.caller, [it])


async def _stop(world: World, it: str) -> None:
    await world.instances.stop(world.caller, [it])


async def _force_stop(world: World, it: str) -> None:
    await world.instances.stop(world.caller, [it], force=True)


async def _stop_and_start(world: World, it: str) -> None:
    await world.instances.stop(world.caller, [it], force=True)
    await world.sagas.quiet(it)
    await world.instances.start(world.caller, [it])


async def _reboot(world: World, it: str) -> None:
    await world.instances.reboot(world.caller, [it])


async def _terminate(world: World, it: str) -> None:
    await world.instances.terminate(world.caller, [it])


async def _terminate_at_once(world: World, it: str) -> None:
    await world.instances.terminate(world.caller, [it], skip_shutdown=True)


async def _image(world: World, it: str) -> None:
    await world.app.images.create(world.caller, ImageOfInstance(instance_id=it, name="beside", reboot=False))


async def _image_by_reboot(world: World, it: str) -> None:
    await world.app.images.create(world.caller, ImageOfInstance(instance_id=it, name="beside", reboot=True))


async def _snapshots(world: World, it: str) -> None:
    await world.app.snapshots.create_of_instance(world.caller, InstanceSnapshotsRequest(instance_id=it))


async def _replace_root(world: World, it: str) -> None:
    await world.app.root_replacements.create(
        world.caller, RootReplacementRequest(instance_id=it, deletes_replaced=True)
    )


async def _attach_another(world: World, it: str) -> None:
    volume = await world.app.volumes.create(
        world.caller, VolumeRequest(availability_zone=world.instance(it).availability_zone, size_gib=1)
    )
    await world.app.volumes.attach(world.caller, volume.id, it, "/dev/sdq")


async def _attach_an_interface(world: World, it: str) -> None:
    request = InterfaceRequest(subnet_id=world.instance(it).subnet_id)
    interface = await world.app.network_interfaces.create(world.caller, request, {})
    await world.app.network_interfaces.attach(world.caller, interface.id, it, 3)


async def _keep_volumes(world: World, it: str) -> None:
    await _change_all(world, it, delete_on_termination=False)


async def _let_volumes_go(world: World, it: str) -> None:
    await _change_all(world, it, delete_on_termination=True)


async def _change_all(world: World, it: str, *, delete_on_termination: bool) -> None:
    attachments = [volume.attachment for volume in world.store.volumes.by("instance")[it].values()]
    devices = {attachment.device_name: delete_on_termination for attachment in attachments if attachment}
    await world.instances.modify(world.caller, it, InstanceChange(delete_on_termination=devices))


async def _rename(world: World, it: str) -> None:
    await world.app.instance_options.modify_names(world.caller, it, hostname_type=None, a_record=True, aaaa_record=True)


async def _associate(world: World, it: str) -> None:
    address = await world.app.elastic_addresses.allocate(world.caller, {})
    request = AssociationRequest(allocation_id=address.id, instance_id=it)
    await world.app.elastic_addresses.associate(world.caller, request)


async def _guest_powers_off(world: World, it: str) -> None:
    if (await world.machines()).get(it) is MachineState.RUNNING:
        world.hypervisor.power_off_guest(it)


async def _machine_dies(world: World, it: str) -> None:
    if it in await world.machines():
        world.hypervisor.crash_machine(it)


async def _sweep(world: World, _it: str) -> None:
    await world.reconciler.sweep()


async def _attach_to_another(world: World, it: str) -> None:
    others = [
        instance
        for instance in world.store.instances
        if instance.state in ("running", "stopped") and it not in world.store.volumes.by("instance")[instance.id]
    ]
    for instance in others[-1:]:
        await world.app.volumes.attach(world.caller, it, instance.id, "/dev/sdr")


async def _detach(world: World, it: str) -> None:
    await world.app.volumes.detach(world.caller, it)


async def _detach_by_force(world: World, it: str) -> None:
    await world.app.volumes.detach(world.caller, it, force=True)


async def _delete_volume(world: World, it: str) -> None:
    await world.app.volumes.delete(world.caller, it)


async def _snapshot_volume(world: World, it: str) -> None:
    await world.app.snapshots.create(world.caller, it, description="", tags={})


async def _copy_volume(world: World, it: str) -> None:
    await world.app.volume_copies.copy(world.caller, VolumeCopyRequest(source_volume_id=it))


async def _modify_volume(world: World, it: str) -> None:
    await world.app.volume_modifications.modify(world.caller, it, ModificationRequest(size_gib=9, type="io2", iops=300))


async def _delete_snapshot(world: World, it: str) -> None:
    await world.app.snapshots.delete(world.caller, it)


async def _volume_of_snapshot(world: World, it: str) -> None:
    await world.app.volumes.create(world.caller, VolumeRequest(availability_zone="us-east-1a", snapshot_id=it))


async def _copy_snapshot(world: World, it: str) -> None:
    request = SnapshotCopyRequest(source_snapshot_id=it, source_region="us-east-1")
    await world.app.snapshot_copies.copy(world.caller, request)


async def _register(world: World, it: str) -> None:
    root = BlockDeviceRequest(device_name="/dev/sda1", snapshot_id=it)
    await world.app.images.register(world.caller, ImageOfSnapshots(name="registered", block_devices=(root,)))


async def _restore(world: World, it: str) -> None:
    await world.app.snapshot_tiers.restore(world.caller, it, days=1, permanent=False)


async def _deregister(world: World, it: str) -> None:
    await world.app.images.deregister(world.caller, it, delete_snapshots=True)


async def _disable(world: World, it: str) -> None:
    await world.app.image_lifecycle.disable(world.caller, it)


async def _copy_image(world: World, it: str) -> None:
    request = ImageCopyRequest(source_image_id=it, source_region="us-east-1", name="beside")
    await world.app.images.copy(world.caller, request)


async def _launch(world: World, it: str) -> None:
    await world.instances.run(world.caller, LaunchRequest(image_id=it, min_count=1, max_count=1))


async def _detach_interface(world: World, it: str) -> None:
    attachment_id = world.store.network_interfaces[it].attachment_id
    if attachment_id is not None:
        await world.app.network_interfaces.detach(world.caller, attachment_id)


async def _delete_interface(world: World, it: str) -> None:
    await world.app.network_interfaces.delete(world.caller, it)


async def _attach_interface_to_another(world: World, it: str) -> None:
    owner = world.store.network_interfaces[it].instance_id
    others = [i for i in world.store.instances if i.state in ("running", "stopped") and i.id != owner]
    for instance in others[-1:]:
        await world.app.network_interfaces.attach(world.caller, it, instance.id, 2)


async def _change_interface(world: World, it: str) -> None:
    await world.app.network_interfaces.modify(world.caller, it, InterfaceChange(source_dest_check=False))


async def _add_addresses(world: World, it: str) -> None:
    await world.app.interface_addresses.assign_private_ips(world.caller, it, AddressRequest(count=1))


async def _move_addresses(world: World, it: str) -> None:
    """Take the secondary addresses to the first interface of another instance."""
    interface = world.store.network_interfaces[it]
    others = [o for o in world.store.network_interfaces if o.subnet_id == interface.subnet_id and o.id != it]
    if others and interface.secondary_ips:
        request = AddressRequest(addresses=interface.secondary_ips, allow_reassignment=True)
        await world.app.interface_addresses.assign_private_ips(world.caller, others[0].id, request)


async def _move_elastic_ip(world: World, it: str) -> None:
    interface = world.store.network_interfaces[it]
    others = [o for o in world.store.network_interfaces if o.vpc_id == interface.vpc_id and o.id != it]
    if others and interface.associations:
        request = AssociationRequest(allocation_id=interface.associations[0].allocation_id, interface_id=others[-1].id)
        await world.app.elastic_addresses.associate(world.caller, request)


async def _release_elastic_ip(world: World, it: str) -> None:
    for association in world.store.network_interfaces[it].associations:
        await world.app.elastic_addresses.disassociate(world.caller, association.id, None)
        await world.app.elastic_addresses.release(world.caller, association.allocation_id, None)


async def _another_group(world: World, it: str) -> None:
    interface = world.store.network_interfaces[it]
    group = await world.app.security_groups.create(
        world.caller, name="beside", description="beside", vpc_id=interface.vpc_id, tags={}
    )
    await world.app.network_interfaces.modify(world.caller, it, InterfaceChange(group_ids=(group.id,)))
    permission = Permission(protocol="tcp", from_port=22, to_port=22, cidr_ipv4="0.0.0.0/0")
    (rule,) = await world.app.security_groups.authorize(
        world.store.security_groups[group.id], [permission], egress=False, tags={}
    )
    group = world.store.security_groups[group.id]
    await world.app.security_groups.revoke(group, egress=False, rule_ids=[rule.id])


async def _another_subnet(world: World, it: str) -> None:
    await world.app.subnets.create(world.caller, SubnetRequest(vpc_id=it, cidr="10.0.7.0/24"))


async def _delete_vpc(world: World, it: str) -> None:
    await world.app.vpcs.delete(world.caller, it)


async def _launch_there(world: World, it: str) -> None:
    subnet = next(iter(world.store.subnets.by("vpc")[it].values()), None)
    if subnet is not None:
        await world.launch(place=PlaceRequest(subnet_id=subnet.id))


async def _change_names(world: World, it: str) -> None:
    await world.app.vpcs.set_dns_hostnames(world.caller, it, enabled=True)


async def _open_port(world: World, it: str) -> None:
    permission = Permission(protocol="udp", from_port=53, to_port=53, cidr_ipv4="10.0.0.0/8")
    await world.app.security_groups.authorize(world.store.security_groups[it], [permission], egress=False, tags={})


async def _delete_group(world: World, it: str) -> None:
    await world.app.security_groups.delete(world.store.security_groups[it])


BESIDE: dict[str, dict[str, Operation]] = {
    "i": {
        "associate": _associate,
        "attach_an_interface": _attach_an_interface,
        "attach_another": _attach_another,
        "force_stop": _force_stop,
        "guest_powers_off": _guest_powers_off,
        "image": _image,
        "image_by_reboot": _image_by_reboot,
        "keep_volumes": _keep_volumes,
        "let_volumes_go": _let_volumes_go,
        "machine_dies": _machine_dies,
        "reboot": _reboot,
        "rename": _rename,
        "replace_root": _replace_root,
        "snapshots": _snapshots,
        "start": _start,
        "stop": _stop,
        "stop_and_start": _stop_and_start,
        "sweep": _sweep,
        "terminate": _terminate,
        "terminate_at_once": _terminate_at_once,
    },
    "vol": {
        "attach_to_another": _attach_to_another,
        "copy_volume": _copy_volume,
        "delete_volume": _delete_volume,
        "detach": _detach,
        "detach_by_force": _detach_by_force,
        "modify_volume": _modify_volume,
        "snapshot_volume": _snapshot_volume,
        "sweep": _sweep,
    },
    "snap": {
        "archive": archive,
        "copy_snapshot": _copy_snapshot,
        "delete_snapshot": _delete_snapshot,
        "register": _register,
        "restore": _restore,
        "sweep": _sweep,
        "volume_of_snapshot": _volume_of_snapshot,
    },
    "ami": {
        "copy_image": _copy_image,
        "deregister": _deregister,
        "disable": _disable,
        "launch": _launch,
        "sweep": _sweep,
    },
    "eni": {
        "add_addresses": _add_addresses,
        "another_group": _another_group,
        "attach_interface_to_another": _attach_interface_to_another,
        "change_interface": _change_interface,
        "delete_interface": _delete_interface,
        "detach_interface": _detach_interface,
        "move_addresses": _move_addresses,
        "move_elastic_ip": _move_elastic_ip,
        "release_elastic_ip": _release_elastic_ip,
    },
    "vpc": {
        "another_subnet": _another_subnet,
        "change_names": _change_names,
        "delete_vpc": _delete_vpc,
        "launch_there": _launch_there,
        "sweep": _sweep,
    },
    "sg": {
        "delete_group": _delete_group,
        "open_port": _open_port,
        "sweep": _sweep,
    },
}
"""Kind of a resource, by the prefix of its id, to what may be asked for it."""

_ID = re.compile(r"(?<![\w-])(?:i|vol|snap|ami|eni|vpc|sg)-[0-9a-f]{8,17}\b")


def involved(world: World) -> list[tuple[str, str]]:
    """Return (kind, id) of what the sagas under way work on: named by the journal, or a part of what is.

    Where that is nothing yet, or tasks only: of whatever there is.
    """
    store = world.store
    named = [it for saga in store.sagas for it in _ID.findall(f"{saga.subject_id} {saga.params}")]
    named = named or [it.id for records in (store.instances, store.images, store.vpcs) for it in records]
    found = dict.fromkeys([*named, *(part for it in named for part in _parts(world, it))])
    return [(kind, it) for it in found if (kind := it.partition("-")[0]) in BESIDE]


def _parts(world: World, resource_id: str) -> Iterator[str]:
    """Yield what belongs to a resource, or what it belongs to."""
    store = world.store
    yield from store.volumes.by("instance")[resource_id]
    yield from store.network_interfaces.by("instance")[resource_id]
    if (volume := store.volumes.get(resource_id)) is not None:
        yield from filter(None, (volume.snapshot_id, volume.attachment and volume.attachment.instance_id))
    if (instance := store.instances.get(resource_id)) is not None:
        yield instance.image_id
    if (image := store.images.get(resource_id)) is not None:
        yield from image.snapshot_ids
