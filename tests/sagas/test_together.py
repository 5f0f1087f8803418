"""Requests that meet on one resource: each is answered as if it had come alone, one after the other."""

import asyncio
from contextlib import suppress

from tests.sagas import networked
from tests.world import World, until

from bakehouse.app.elastic_addresses import AssociationRequest
from bakehouse.app.interface_addresses import AddressRequest
from bakehouse.domain.errors import Ec2Error


async def _until_called(world: World, method: str, times: int = 1) -> None:
    """Wait until a call to the network waits for a test."""
    await until(lambda: world.fragile_network.calls.count(method) >= times)


async def test_an_elastic_ip_that_two_move_at_once_leads_to_one_place(world: World) -> None:
    instance_id, interface_id = await networked.with_second_interface(world)
    allocation_id = world.store.network_interfaces[interface_id].associations[0].allocation_id
    others = [details.instance.network_interface_id for details in await world.launch(count=2)]
    requests = [AssociationRequest(allocation_id=allocation_id, interface_id=it) for it in others]
    world.fragile_network.hold("plug")
    world.fragile_network.calls.clear()

    moving = [asyncio.ensure_future(world.app.elastic_addresses.associate(world.caller, it)) for it in requests]
    await _until_called(world, "plug")
    world.fragile_network.release()
    await asyncio.gather(*moving)

    assert world.store.elastic_addresses[allocation_id].interface_id == others[1]
    assert instance_id in await world.machines()
    await world.assert_sound()


async def test_an_elastic_ip_that_is_released_while_it_is_moved_is_refused(world: World) -> None:
    _, interface_id = await networked.with_second_interface(world)
    (address,) = world.store.elastic_addresses
    (other,) = await world.launch()
    request = AssociationRequest(allocation_id=address.id, interface_id=other.instance.network_interface_id)
    world.fragile_network.hold("plug")
    world.fragile_network.calls.clear()

    moving = asyncio.ensure_future(world.app.elastic_addresses.associate(world.caller, request))
    await _until_called(world, "plug")
    with suppress(Ec2Error):
        await world.app.elastic_addresses.release(world.caller, address.id, None)
    world.fragile_network.release()
    await moving

    assert world.store.network_interfaces[interface_id].associations == ()
    await world.assert_sound()


async def test_a_private_address_is_never_lost_between_two_interfaces(world: World) -> None:
    _, interface_id = await networked.with_second_interface(world)
    moved = world.store.network_interfaces[interface_id].secondary_ips
    others = [details.instance.network_interface_id for details in await world.launch(count=2)]
    request = AddressRequest(addresses=moved, allow_reassignment=True)
    world.fragile_network.hold("plug")
    world.fragile_network.calls.clear()

    assign = world.app.interface_addresses.assign_private_ips
    moving = [asyncio.ensure_future(assign(world.caller, it, request)) for it in others]
    await _until_called(world, "plug")
    world.fragile_network.release()
    await asyncio.gather(*moving)

    assert world.store.network_interfaces[others[1]].secondary_ips == moved
    await world.assert_sound()


async def test_an_instance_that_is_renamed_while_it_stops_has_no_interface_on_the_host(world: World) -> None:
    instance_id = await world.running_instance()
    world.fragile_network.hold("plug")
    world.fragile_network.calls.clear()

    renaming = asyncio.ensure_future(
        world.app.instance_options.modify_names(
            world.caller, instance_id, hostname_type=None, a_record=True, aaaa_record=None
        )
    )
    await _until_called(world, "plug")
    await world.instances.stop(world.caller, [instance_id], force=True)
    for _ in range(100):  # were the stop not to wait for its turn, it would be over by now
        await asyncio.sleep(0)
    world.fragile_network.release()
    await renaming
    await world.sagas.settle()

    assert world.instance(instance_id).state == "stopped"
    await world.assert_sound()
