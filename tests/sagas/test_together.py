"""Requests that meet on one resource: each is answered as if it had come alone, one after the other."""

import asyncio
from contextlib import suppress

import pytest
from tests.fragile import Injected
from tests.sagas import networked
from tests.waiting import until
from tests.world import World

from bakehouse.app.elastic_addresses import AssociationRequest
from bakehouse.app.instance_changes import InstanceChange
from bakehouse.app.interface_addresses import AddressRequest
from bakehouse.app.volume_copies import VolumeCopyRequest
from bakehouse.app.volumes import VolumeRequest
from bakehouse.domain.errors import Ec2Error
from bakehouse.ports.hypervisor import MachineStatus
from bakehouse.reconcile.orphans import find_orphans
from bakehouse.sagas.reboot_instance import REBOOT_INSTANCE, RebootInstance


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


async def test_a_volume_whose_bytes_a_termination_deletes_cannot_be_kept_any_more(world: World) -> None:
    instance_id = await world.running_instance()
    held = world.fragile_volumes.hold_one("delete")
    await world.instances.terminate(world.caller, [instance_id])
    await until(lambda: held.is_reached)
    device = world.instance(instance_id).root_device_name

    with pytest.raises(Ec2Error) as refusal:
        await world.instances.modify(world.caller, instance_id, InstanceChange(delete_on_termination={device: False}))
    held.gate.set()
    await world.sagas.settle()

    assert refusal.value.code == "IncorrectInstanceState"
    await world.assert_sound()


async def test_a_guest_that_was_off_for_its_reboot_when_it_was_looked_at_runs_on(world: World) -> None:
    instance_id = await world.running_instance()
    look = world.hypervisor.observe

    async def observe_in_the_middle_of_a_reboot() -> tuple[MachineStatus, ...]:
        world.hypervisor.observe = look  # type: ignore[method-assign]
        held = world.fragile_hypervisor.hold_one("reset")
        await world.instances.reboot(world.caller, [instance_id])
        await until(lambda: held.is_reached)
        statuses = await look()
        held.gate.set()
        await world.sagas.quiet(instance_id)
        return statuses

    world.hypervisor.observe = observe_in_the_middle_of_a_reboot  # type: ignore[method-assign]
    await world.reconciler.sweep()
    await world.sagas.settle()

    assert world.instance(instance_id).state == "running"
    await world.assert_sound()


async def test_a_machine_that_was_started_again_is_not_killed_by_an_earlier_force(world: World) -> None:
    instance_ids = [details.instance.id for details in await world.launch(count=2)]
    slow = world.fragile_hypervisor.hold("press_power_button")
    await world.instances.stop(world.caller, instance_ids)
    held = world.fragile_hypervisor.hold_one("kill")
    forcing = asyncio.ensure_future(world.instances.stop(world.caller, instance_ids, force=True))
    await until(lambda: held.is_reached)
    slow.set()
    await world.sagas.quiet(instance_ids[1])
    await world.instances.start(world.caller, instance_ids[1:])

    held.gate.set()
    await forcing
    await world.sagas.settle()

    assert instance_ids[1] in await world.machines()


async def test_claims_of_sagas_that_never_were_are_forgotten(world: World) -> None:
    with suppress(Injected):
        async with world.store.transaction() as tx:
            world.sagas.enlist(tx, REBOOT_INSTANCE, RebootInstance("i-0"), subject_id="i-0")
            raise Injected
    world.sagas._claims = dict.fromkeys(world.sagas._claims, float("-inf"))

    await world.sagas.resume()

    assert not world.sagas._claims


async def test_sagas_that_are_cut_short_in_any_order_are_forgotten(world: World) -> None:
    instance_id = await world.running_instance()
    held = world.fragile_hypervisor.hold_one("press_power_button")
    await world.instances.reboot(world.caller, [instance_id])
    await until(lambda: held.is_reached)
    await world.instances.terminate(world.caller, [instance_id])
    errors: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))

    rebooting, terminating = world.sagas._running.values()
    terminating.cancel()
    await asyncio.wait([terminating])
    rebooting.cancel()
    await world.sagas.settle()

    assert not errors
    await world.crash()
    await world.assert_sound()


async def test_an_address_that_an_interface_loses_by_a_later_change_may_be_anothers_before(world: World) -> None:
    instance_id, second_id = await networked.with_second_interface(world)
    (elastic,) = world.store.elastic_addresses
    (moved,) = world.store.network_interfaces[second_id].secondary_ips
    first_id = world.instance(instance_id).network_interface_id
    held = world.fragile_network.hold_one("plug")

    associating = asyncio.ensure_future(
        world.app.elastic_addresses.associate(
            world.caller, AssociationRequest(allocation_id=elastic.id, interface_id=first_id)
        )
    )
    await until(lambda: held.is_reached)
    moving = asyncio.ensure_future(
        world.app.interface_addresses.assign_private_ips(
            world.caller, first_id, AddressRequest(addresses=(moved,), allow_reassignment=True)
        )
    )
    await until(lambda: moved in world.store.network_interfaces[first_id].secondary_ips)
    held.gate.set()
    await asyncio.gather(associating, moving)

    await world.assert_sound()


async def test_an_alias_that_two_keys_are_made_with_at_once_is_the_later_ones(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, gate = world.keys.create, asyncio.Event()

    async def make_in_time(key_id: str) -> None:
        await gate.wait()
        await make(key_id)

    monkeypatch.setattr(world.keys, "create", make_in_time)
    making = [asyncio.ensure_future(world.app.keys.create(world.caller, alias="mine")) for _ in range(2)]
    await asyncio.sleep(0)
    gate.set()
    first, second = await asyncio.gather(*making)

    assert world.store.kms_keys[first.id].aliases == ()
    assert world.store.kms_keys[second.id].aliases == ("alias/mine",)


async def test_what_a_saga_goes_on_with_when_a_server_starts_is_no_orphan(world: World) -> None:
    volume = await world.app.volumes.create(world.caller, VolumeRequest(availability_zone="us-east-1a", size_gib=1))
    held = world.fragile_volumes.hold_one("create")
    copying = asyncio.ensure_future(
        world.app.volume_copies.copy(world.caller, VolumeCopyRequest(source_volume_id=volume.id))
    )
    await until(lambda: held.is_reached)

    orphans = await find_orphans(world.saga_context, world.sagas)

    held.gate.set()
    await copying
    assert list(orphans) == []
