"""Guests stand still while the host's disk is full, and go on when there is room."""

import pytest
from tests.world import World

from bakehouse.domain.instance import Instance
from bakehouse.ports.hypervisor import MachineState
from bakehouse.reconcile.guests import Guests
from bakehouse.reconcile.host_room import LOW_BYTES, HostRoom

PLENTY = 1 << 40


@pytest.fixture
def room(world: World) -> HostRoom:
    return HostRoom(world.saga_context, Guests(world.saga_context, world.sagas))


async def looked(world: World, room: HostRoom, free_bytes: int) -> float:
    world.volumes.upkeep.free_bytes = free_bytes
    return await room.look()


async def state_of(world: World, instance_id: str) -> MachineState:
    return (await world.machines())[instance_id]


def instance_of(world: World, instance_id: str) -> Instance:
    return world.store.instances[instance_id]


async def test_guests_stand_still_when_the_disk_is_nearly_full(world: World, room: HostRoom) -> None:
    instance_id = await world.running_instance()

    await looked(world, room, LOW_BYTES - 1)

    assert await state_of(world, instance_id) is MachineState.STALLED


async def test_guests_run_while_there_is_room(world: World, room: HostRoom) -> None:
    instance_id = await world.running_instance()

    await looked(world, room, LOW_BYTES)

    assert await state_of(world, instance_id) is MachineState.RUNNING


async def test_a_little_room_does_not_let_them_go_on(world: World, room: HostRoom) -> None:
    instance_id = await world.running_instance()
    await looked(world, room, LOW_BYTES - 1)

    await looked(world, room, LOW_BYTES + 1)

    assert await state_of(world, instance_id) is MachineState.STALLED


async def test_enough_room_lets_them_go_on(world: World, room: HostRoom) -> None:
    instance_id = await world.running_instance()
    await looked(world, room, LOW_BYTES - 1)

    await looked(world, room, PLENTY)

    went_on = instance_of(world, instance_id).storage_full_since is None
    assert (await state_of(world, instance_id), went_on) == (MachineState.RUNNING, True)


async def test_the_record_says_since_when(world: World, room: HostRoom) -> None:
    instance_id = await world.running_instance()

    await looked(world, room, 0)

    assert instance_of(world, instance_id).storage_full_since == world.clock()


async def test_a_guest_that_stood_still_before_the_server_came_goes_on(world: World, room: HostRoom) -> None:
    instance_id = await world.running_instance()
    await looked(world, room, 0)

    later = HostRoom(world.saga_context, Guests(world.saga_context, world.sagas))
    await looked(world, later, PLENTY)

    assert await state_of(world, instance_id) is MachineState.RUNNING


async def test_a_guest_that_was_launched_meanwhile_stands_still_too(world: World, room: HostRoom) -> None:
    await looked(world, room, 0)
    instance_id = await world.running_instance()

    await looked(world, room, 0)

    assert await state_of(world, instance_id) is MachineState.STALLED


async def test_a_guest_that_stands_still_can_be_stopped(world: World, room: HostRoom) -> None:
    instance_id = await world.running_instance()
    await looked(world, room, 0)

    await world.instances.stop(world.caller, [instance_id], force=True)
    await world.sagas.settle()

    assert instance_of(world, instance_id).storage_full_since is None


@pytest.mark.parametrize(("free_bytes", "longest_s"), [(PLENTY, 5.0), (LOW_BYTES + (1 << 30), 1.0), (LOW_BYTES, 0.02)])
async def test_the_less_room_the_sooner_the_next_look(
    world: World, room: HostRoom, free_bytes: int, longest_s: float
) -> None:
    assert await looked(world, room, free_bytes) == longest_s
