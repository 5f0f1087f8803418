"""An address that an interface has lost is nobody else's before the machine has lost it, too."""

import asyncio
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from tests.waiting import until
from tests.world import World

from bakehouse.app.elastic_addresses import AssociationRequest
from bakehouse.app.interface_addresses import AddressRequest
from bakehouse.app.launch_network import InterfaceRequest, PlaceRequest
from bakehouse.app.nat_gateways import NatGatewayRequest
from bakehouse.domain.elastic_address import ElasticAddress
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.network_interface import NetworkInterface


def primary(world: World, instance_id: str) -> NetworkInterface:
    return world.store.network_interfaces[world.instance(instance_id).network_interface_id]


def secondary(world: World, interface_id: str) -> list[str]:
    return [it.private_ip for it in world.network.interfaces[interface_id].secondary_ips]


async def free_interface(world: World, beside: str) -> NetworkInterface:
    request = InterfaceRequest(subnet_id=world.instance(beside).subnet_id)
    return await world.app.network_interfaces.create(world.caller, request, {})


async def begin_stop(world: World, instance_id: str) -> asyncio.Event:
    """Let an instance begin to stop and return what lets it end."""
    gate = world.fragile_hypervisor.hold("kill")
    await world.instances.stop(world.caller, [instance_id], force=True)
    return gate


async def with_address(world: World, instance_id: str) -> ElasticAddress:
    address = await world.app.elastic_addresses.allocate(world.caller, {})
    request = AssociationRequest(allocation_id=address.id, instance_id=instance_id)
    await world.app.elastic_addresses.associate(world.caller, request)
    return world.store.elastic_addresses[address.id]


def move(world: World, address: ElasticAddress, interface_id: str) -> "asyncio.Task[str]":
    request = AssociationRequest(allocation_id=address.id, interface_id=interface_id)
    return asyncio.create_task(world.app.elastic_addresses.associate(world.caller, request))


async def test_a_private_address_is_in_use_until_its_machine_has_lost_it(world: World) -> None:
    first, second = await world.running_instance(), await world.running_instance()
    interface_id = primary(world, first).id
    (address,) = await world.app.interface_addresses.assign_private_ips(
        world.caller, interface_id, AddressRequest(count=1)
    )
    gate = await begin_stop(world, first)
    unassigned = asyncio.create_task(
        world.app.interface_addresses.unassign_private_ips(world.caller, interface_id, [address])
    )
    await until(lambda: not primary(world, first).secondary_ips)

    place = PlaceRequest(subnet_id=world.instance(second).subnet_id, private_ip=address)
    with pytest.raises(Ec2Error) as refusal:
        await world.launch(place=place)
    chosen = await free_interface(world, second)

    assert refusal.value.code == "InvalidIPAddress.InUse"
    assert chosen.private_ip != address
    gate.set()
    await unassigned
    (launched,) = await world.launch(place=place)
    assert primary(world, launched.instance.id).private_ip == address
    await world.sagas.settle()
    await world.assert_sound()


async def test_an_elastic_ip_reaches_its_next_machine_once_the_last_one_has_lost_it(world: World) -> None:
    first, second = await world.running_instance(), await world.running_instance()
    address = await with_address(world, first)
    gate = await begin_stop(world, first)
    taken = asyncio.create_task(world.app.elastic_addresses.disassociate(world.caller, address.association_id, None))
    await until(lambda: world.store.elastic_addresses[address.id].interface_id is None)

    given = move(world, world.store.elastic_addresses[address.id], primary(world, second).id)
    await until(lambda: primary(world, second).public_ip == address.public_ip)
    before = world.network.interfaces[primary(world, second).id].public_ip
    gate.set()
    await asyncio.gather(taken, given)

    assert before != address.public_ip
    assert world.network.interfaces[primary(world, second).id].public_ip == address.public_ip
    await world.sagas.settle()
    await world.assert_sound()


async def test_a_machine_starts_while_the_elastic_ip_that_comes_to_it_is_still_another_ones(world: World) -> None:
    first, second = await world.running_instance(), await world.stopped_instance()
    address = await with_address(world, first)
    first_gate = await begin_stop(world, first)
    plug = world.fragile_network.hold_one("plug")
    started = asyncio.create_task(world.instances.start(world.caller, [second]))
    await until(lambda: plug.is_reached)
    given = move(world, address, primary(world, second).id)
    await until(lambda: primary(world, second).public_ip == address.public_ip)

    plug.gate.set()
    await started
    first_gate.set()
    await given

    assert world.instance(second).state == "running"
    assert world.network.interfaces[primary(world, second).id].public_ip == address.public_ip
    await world.sagas.settle()
    await world.assert_sound()


async def test_an_interface_that_waits_for_an_address_is_not_attached_yet(world: World) -> None:
    first, second = await world.running_instance(), await world.running_instance()
    address = await with_address(world, first)
    free = await free_interface(world, second)
    gate = await begin_stop(world, first)
    given = move(world, address, free.id)
    await until(lambda: world.store.network_interfaces[free.id].public_ip == address.public_ip)

    with pytest.raises(Ec2Error) as refusal:
        await world.app.network_interfaces.attach(world.caller, free.id, second, 1)
    wanted = (InterfaceRequest(network_interface_id=free.id),)
    with pytest.raises(Ec2Error) as no_launch:
        await world.launch(place=PlaceRequest(interfaces=wanted))

    assert (refusal.value.code, no_launch.value.code) == ("IncorrectState", "IncorrectState")
    gate.set()
    await given
    await world.app.network_interfaces.attach(world.caller, free.id, second, 1)
    assert world.network.interfaces[free.id].public_ip == address.public_ip
    await world.sagas.settle()
    await world.assert_sound()


async def test_a_moved_address_reaches_its_machine_after_a_crash(world: World) -> None:
    first, second = await world.running_instance(), await world.running_instance()
    (address,) = await world.app.interface_addresses.assign_private_ips(
        world.caller, primary(world, first).id, AddressRequest(count=1)
    )
    await begin_stop(world, first)
    request = AddressRequest(addresses=(address,), allow_reassignment=True)
    moved = asyncio.create_task(
        world.app.interface_addresses.assign_private_ips(world.caller, primary(world, second).id, request)
    )
    await until(lambda: primary(world, second).secondary_ips == (address,))
    before = secondary(world, primary(world, second).id)

    await world.crash()
    await asyncio.gather(moved, return_exceptions=True)

    assert before == []
    assert secondary(world, primary(world, second).id) == [address]
    await world.assert_sound()


async def test_a_public_address_that_an_elastic_ip_replaced_is_not_allocated_yet(tmp_path: Path) -> None:
    world = await World.begin(tmp_path, public_pool=IPv4Network("127.16.0.0/30"))
    instance_id = await world.running_instance()
    automatic = primary(world, instance_id).public_ip
    address = await world.app.elastic_addresses.allocate(world.caller, {})
    gate = await begin_stop(world, instance_id)
    given = move(world, address, primary(world, instance_id).id)
    await until(lambda: primary(world, instance_id).public_ip == address.public_ip)

    with pytest.raises(Ec2Error) as refusal:
        await world.app.elastic_addresses.allocate(world.caller, {})
    gate.set()
    await given

    assert refusal.value.code == "InsufficientAddressCapacity"
    assert (await world.app.elastic_addresses.allocate(world.caller, {})).public_ip == automatic
    await world.sagas.settle()
    await world.stop_server()


async def test_an_elastic_ip_that_a_machine_still_has_is_no_nat_gateways(world: World) -> None:
    instance_id = await world.running_instance()
    address = await with_address(world, instance_id)
    gate = await begin_stop(world, instance_id)
    taken = asyncio.create_task(world.app.elastic_addresses.disassociate(world.caller, address.association_id, None))
    await until(lambda: world.store.elastic_addresses[address.id].interface_id is None)
    request = NatGatewayRequest(subnet_id=world.instance(instance_id).subnet_id, allocation_id=address.id)

    with pytest.raises(Ec2Error) as refusal:
        await world.app.nat_gateways.create(world.caller, request)
    gate.set()
    await taken

    assert refusal.value.code == "InvalidIPAddress.InUse"
    assert (await world.app.nat_gateways.create(world.caller, request)).public_ip == address.public_ip
    await world.sagas.settle()
