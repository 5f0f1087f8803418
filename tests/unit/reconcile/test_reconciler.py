"""Records and host agree after a start, whatever happened in between."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from tests.fragile import Injected
from tests.world import GIB, World

from bakehouse.domain.ids import new_id
from bakehouse.domain.instance import InstanceState
from bakehouse.ports.hypervisor import MachineState, MachineStatus
from bakehouse.reconcile.reconciler import Reconciler, RecordsLost


async def test_a_new_server_adopts_what_runs(world: World) -> None:
    await world.running_instance()
    world.fragile_hypervisor.calls.clear()

    await world.restart()

    assert "start" not in world.fragile_hypervisor.calls
    assert world.metadata.vpc_ids == {vpc.id for vpc in world.store.vpcs}
    await world.assert_sound()


async def test_what_went_with_the_host_comes_back_with_its_addresses(world: World) -> None:
    instance_id = await world.running_instance()
    stopped_id = await world.stopped_instance()
    (vpc_id,) = world.network.segments
    before = dict(world.network.segments), dict(world.network.interfaces)
    world.hypervisor.crash_machine(instance_id)
    await world.network.delete_segment(vpc_id)

    await world.restart()
    await world.sagas.settle()

    assert (world.network.segments, world.network.interfaces) == before
    assert world.instance(instance_id).state is InstanceState.RUNNING
    assert world.instance(stopped_id).state is InstanceState.STOPPED
    await world.assert_sound()


async def test_a_machine_whose_network_was_lost_starts_again_in_the_new_one(world: World) -> None:
    instance_id = await world.running_instance()
    before = dict(world.network.interfaces)
    (vpc_id,) = world.network.segments
    await world.network.delete_segment(vpc_id)
    world.fragile_hypervisor.calls.clear()

    await world.restart()
    await world.sagas.settle()

    assert world.fragile_hypervisor.calls.count("start") == 1
    assert world.network.interfaces == before
    assert world.instance(instance_id).state is InstanceState.RUNNING
    await world.assert_sound()


async def test_a_machine_cut_off_from_its_network_starts_again_in_the_next_sweep(world: World) -> None:
    instance_id, other_id = await world.running_instance(), await world.running_instance()
    world.network.unheld.add(world.instance(instance_id).network_interface_id)
    world.fragile_hypervisor.calls.clear()

    await world.reconciler.sweep()
    await world.sagas.settle()

    assert world.fragile_hypervisor.calls.count("start") == 1
    assert {world.instance(it).state for it in (instance_id, other_id)} == {InstanceState.RUNNING}
    assert world.instance(instance_id).recovered_at == ()
    assert not world.network.unheld
    await world.assert_sound()


async def test_a_machine_that_was_cut_off_before_a_server_starts_again_with_it(world: World) -> None:
    instance_id = await world.running_instance()
    world.network.unheld.add(world.instance(instance_id).network_interface_id)
    world.fragile_hypervisor.calls.clear()

    await world.restart()
    await world.sagas.settle()

    assert world.fragile_hypervisor.calls.count("start") == 1
    assert world.instance(instance_id).state is InstanceState.RUNNING
    await world.assert_sound()


async def test_a_killed_program_of_a_network_is_missed_by_the_next_sweep(world: World) -> None:
    await world.running_instance()
    world.fragile_network.calls.clear()

    await world.reconciler.sweep()

    assert world.fragile_network.calls.count("ensure_segment") == 1


async def test_the_network_of_an_earlier_version_is_completed_and_works_on(world: World) -> None:
    instance_id = await world.running_instance()
    await _make_older(world)

    await world.restart()

    (vpc,) = world.store.vpcs
    (gateway,) = world.store.internet_gateways
    table = world.store.route_tables[vpc.main_route_table_id]
    assert [(it.destination, it.target_id) for it in table.routes] == [("0.0.0.0/0", gateway.id)]
    assert (gateway.vpc_id, vpc.dns_hostnames) == (vpc.id, True)
    assert world.store.network_acls[vpc.network_acl_id].is_default
    assert {subnet.network_acl_id for subnet in world.store.subnets} == {vpc.network_acl_id}
    assert world.store.dhcp_options[vpc.dhcp_options_id].is_default
    assert world.instance(instance_id).state is InstanceState.RUNNING
    await world.assert_sound()


async def _make_older(world: World) -> None:
    """Bring the records of networks to what the version without route tables wrote."""
    store = world.store
    async with store.transaction() as tx:
        for name in ("route_tables", "network_acls", "internet_gateways", "dhcp_options"):
            for record in list(store.records[name]):
                tx.delete(record)
        for vpc in list(store.vpcs):
            bare = replace(vpc, main_route_table_id="", main_association_id="", network_acl_id="")
            tx.put(replace(bare, dns_hostnames=False, dhcp_options_id="default"))
        for subnet in list(store.subnets):
            tx.put(replace(subnet, network_acl_id="", network_acl_association_id=""))


async def test_a_server_starts_without_a_network(world: World) -> None:
    instance_id = await world.running_instance()
    world.network.unavailable = "there is no /dev/net/tun"

    await world.restart()

    assert world.instance(instance_id).state is InstanceState.RUNNING


async def test_a_guest_that_shut_down_while_no_server_ran_is_stopped(world: World) -> None:
    instance_id = await world.running_instance()
    world.hypervisor.power_off_guest(instance_id)

    await world.restart()
    await world.sagas.settle()

    assert world.instance(instance_id).state is InstanceState.STOPPED


async def test_a_machine_that_died_while_no_server_ran_is_stopped(world: World) -> None:
    instance_id = await world.running_instance()
    world.hypervisor.crash_machine(instance_id)

    await world.restart()
    await world.sagas.settle()

    assert world.instance(instance_id).state is InstanceState.STOPPED


async def test_machines_that_went_with_the_host_are_started_again(world: World) -> None:
    instance_id = await world.running_instance()
    stopped_id = await world.stopped_instance()
    world.hypervisor.crash_machine(instance_id)
    await world.stop_server()
    world.start_server()

    await Reconciler(world.saga_context, world.sagas, host_restarted=True).start()
    await world.sagas.settle()

    assert world.instance(instance_id).state is InstanceState.RUNNING
    assert world.instance(stopped_id).state is InstanceState.STOPPED
    await world.assert_sound()


async def test_machines_that_went_with_the_server_are_started_by_the_next(world: World) -> None:
    instance_id = await world.running_instance()

    await world.reconciler.shut_down_machines()
    gone = dict(await world.machines())
    segments = dict(world.network.segments)
    await world.restart()
    await world.sagas.settle()

    assert gone == {}
    assert segments == {}
    assert world.instance(instance_id).state is InstanceState.RUNNING
    assert not world.instance(instance_id).ended_with_server
    await world.assert_sound()


async def test_orphans_are_found_named_and_removed(world: World) -> None:
    instance_id = await world.running_instance()
    volume_id, snapshot_id = new_id("volume"), new_id("snapshot")
    await world.volumes.create(volume_id, size_bytes=GIB, snapshot_id=None)
    await world.volumes.snapshot({volume_id: snapshot_id}, machine_id=None)
    await world.stop_server()
    world.start_server()
    async with world.store.transaction() as tx:
        instance = world.instance(instance_id)
        for volume in list(world.store.volumes):
            tx.delete(volume)
        tx.delete(world.store.network_interfaces[instance.network_interface_id])
        tx.delete(instance)

    orphans = await world.reconciler.start()

    assert {instance_id, volume_id, snapshot_id} < set(orphans)
    await world.assert_sound()


async def test_a_server_that_lost_its_records_removes_nothing(world: World) -> None:
    await world.running_instance()
    await world.stop_server()
    world.start_server()
    async with world.store.transaction() as tx:
        for records in world.store.records.values():
            for record in list(records):
                tx.delete(record)

    with pytest.raises(RecordsLost):
        await world.reconciler.start()

    assert len(await world.machines()) == 1
    assert (await world.volumes.inventory()).volume_ids


async def test_a_terminated_instance_is_forgotten_after_an_hour(world: World) -> None:
    instance_id = await world.running_instance()
    await world.instances.terminate(world.caller, [instance_id])
    await world.sagas.settle()

    world.clock.advance(minutes=59)
    await world.reconciler.sweep()
    shown = instance_id in world.store.instances
    world.clock.advance(minutes=2)
    await world.reconciler.sweep()

    assert shown
    assert instance_id not in world.store.instances
    assert await world.hypervisor.observe() == ()


async def test_an_instance_left_stopping_is_stopped_by_the_next_sweep(world: World) -> None:
    instance_id = await world.running_instance()
    async with world.store.transaction() as tx:
        tx.put(replace(world.instance(instance_id), state=InstanceState.STOPPING))

    await world.reconciler.sweep()
    await world.sagas.settle()

    assert world.instance(instance_id).state is InstanceState.STOPPED


async def test_a_sweep_does_its_chores(world: World) -> None:
    done = []

    async def chore() -> None:
        done.append("chore")

    await Reconciler(world.saga_context, world.sagas, chores=[chore]).sweep()

    assert done == ["chore"]


async def test_a_chore_that_fails_keeps_a_sweep_from_nothing_else(world: World) -> None:
    done = []

    async def failing() -> None:
        raise Injected("of a chore")

    async def chore() -> None:
        done.append("chore")

    world.fragile_volumes.calls.clear()
    with pytest.raises(Injected, match="of a chore"):
        await Reconciler(world.saga_context, world.sagas, chores=[failing, chore]).sweep()

    assert done == ["chore"]
    assert "sweep" in world.fragile_volumes.calls


async def test_a_guest_left_shut_down_by_the_last_server_is_started_again(world: World) -> None:
    instance_id = await world.running_instance()
    async with world.store.transaction() as tx:
        tx.put(replace(world.instance(instance_id), ended_with_server=True))
    world.hypervisor.power_off_guest(instance_id)

    await world.restart()
    await world.sagas.settle()

    assert (await world.machines())[instance_id] is MachineState.RUNNING
    await world.assert_sound()


def look_slowly(world: World, meanwhile: Callable[[], Awaitable[object]]) -> None:
    """Let something happen between the next look at the machines and what follows from it."""
    look = world.hypervisor.observe

    async def observe() -> tuple[MachineStatus, ...]:
        world.fragile_hypervisor.driver.observe = look  # type: ignore[attr-defined]
        seen = await look()
        await meanwhile()
        return seen

    world.fragile_hypervisor.driver.observe = observe  # type: ignore[attr-defined]


async def test_what_is_launched_while_a_sweep_looks_at_the_machines_runs_on(world: World) -> None:
    look_slowly(world, world.launch)

    await world.reconciler.sweep()
    await world.sagas.settle()

    assert [it.state for it in world.store.instances] == [InstanceState.RUNNING]
    assert world.fragile_hypervisor.calls.count("start") == 1


async def test_what_is_started_while_its_end_is_followed_runs_on(world: World) -> None:
    instance_id = await world.stopped_instance()
    look_slowly(world, lambda: world.instances.start(world.caller, [instance_id]))

    await world.reconciler._follow(instance_id)
    await world.sagas.settle()

    assert world.instance(instance_id).state is InstanceState.RUNNING
