"""Stories of network interfaces and public addresses."""

from tests.world import World

from bakehouse.app.elastic_addresses import AssociationRequest
from bakehouse.app.interface_addresses import AddressRequest
from bakehouse.app.launch_network import InterfaceRequest, PlaceRequest
from bakehouse.app.network_interfaces import InterfaceChange
from bakehouse.domain.security_group import Permission, SecurityGroup


async def interface_beside(world: World) -> tuple[str, str]:
    """Return a running instance and a free interface in its zone, with an Elastic IP and a second address."""
    instance_id = await world.running_instance()
    request = InterfaceRequest(subnet_id=world.instance(instance_id).subnet_id, secondary_count=1)
    interface = await world.app.network_interfaces.create(world.caller, request, {})
    address = await world.app.elastic_addresses.allocate(world.caller, {})
    await world.app.elastic_addresses.associate(
        world.caller, AssociationRequest(allocation_id=address.id, interface_id=interface.id)
    )
    return instance_id, interface.id


async def attach(world: World, ids: tuple[str, str]) -> None:
    await world.app.network_interfaces.attach(world.caller, ids[1], ids[0], 1)


async def with_second_interface(world: World) -> tuple[str, str]:
    ids = await interface_beside(world)
    await attach(world, ids)
    return ids


async def detach(world: World, ids: tuple[str, str]) -> None:
    interface = world.store.network_interfaces[ids[1]]
    await world.app.network_interfaces.detach(world.caller, interface.attachment_id or "")


async def change(world: World, ids: tuple[str, str]) -> None:
    changed = InterfaceChange(source_dest_check=False)
    await world.app.network_interfaces.modify(world.caller, ids[1], changed)


async def associate_elsewhere(world: World, ids: tuple[str, str]) -> None:
    """Move the Elastic IP of the second interface to the first one."""
    (address,) = world.store.elastic_addresses
    primary = world.instance(ids[0]).network_interface_id
    request = AssociationRequest(allocation_id=address.id, interface_id=primary)
    await world.app.elastic_addresses.associate(world.caller, request)


async def two_instances(world: World) -> tuple[str, str]:
    """Return the interfaces of two running instances, the first with a second address."""
    first, second = [world.instance(await world.running_instance()).network_interface_id for _ in range(2)]
    await world.app.interface_addresses.assign_private_ips(world.caller, first, AddressRequest(count=1))
    return first, second


async def move_address(world: World, ids: tuple[str, str]) -> None:
    """Move the second address of the first instance to the other one."""
    wanted = world.store.network_interfaces[ids[0]].secondary_ips
    request = AddressRequest(addresses=wanted, allow_reassignment=True)
    await world.app.interface_addresses.assign_private_ips(world.caller, ids[1], request)


async def free_interface(world: World) -> tuple[str, str]:
    """Return an image and an interface that a launch is to get."""
    image = await world.image()
    await world.running_instance()  # for the default network
    subnet = next(it for it in world.store.subnets if it.availability_zone == "us-east-1a")
    interface = await world.app.network_interfaces.create(world.caller, InterfaceRequest(subnet_id=subnet.id), {})
    return image.id, interface.id


async def launch_with_two(world: World, ids: tuple[str, str]) -> None:
    image = world.store.images[ids[0]]
    wanted = (InterfaceRequest(device_index=0), InterfaceRequest(device_index=1, network_interface_id=ids[1]))
    await world.launch(image, place=PlaceRequest(availability_zone="us-east-1a", interfaces=wanted))


async def open_group(world: World) -> SecurityGroup:
    """Return a group of a running instance that lets SSH in."""
    instance_id = await world.running_instance()
    interface = world.store.network_interfaces[world.instance(instance_id).network_interface_id]
    group = world.store.security_groups[interface.group_ids[0]]
    ssh = Permission(protocol="tcp", from_port=22, to_port=22, cidr_ipv4="0.0.0.0/0")
    await world.app.security_groups.authorize(group, [ssh], egress=False, tags={})
    return world.store.security_groups[group.id]


async def close_group(world: World, group: SecurityGroup) -> None:
    rule_ids = [rule.id for rule in group.rules if rule.cidr_ipv4 is not None and not rule.is_egress]
    await world.app.security_groups.revoke(group, egress=False, rule_ids=rule_ids)
