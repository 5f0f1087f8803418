"""A fleet that is cut short, deleted or disappointed while it is made names what it has, and has no more."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from tests.sagas.fleets import SIZE, create
from tests.waiting import until
from tests.world import Crash, World

from bakehouse.domain.caller import Idempotency
from bakehouse.domain.fleet import Fleet

STEPS = ("prepare", "start_machine", "mark_running")


async def _create_until(world: World, where: str) -> None:
    """Make a fleet until a checkpoint is passed, where everything ends at once."""
    image = await world.image()
    caller = replace(world.caller, idempotency=Idempotency(operation="CreateFleet", token="once", digest="d"))
    acting = asyncio.ensure_future(create(world, image, caller=caller))

    def checkpoint(name: str) -> None:
        if name == where:
            acting.cancel()
            raise Crash(name)

    world.checkpoint = checkpoint
    with suppress(asyncio.CancelledError, Exception):
        await acting
    await world.sagas.settle()


def _fleet(world: World) -> Fleet:
    (fleet,) = world.store.fleets
    return fleet


def _states(world: World) -> list[str]:
    return sorted(instance.state for instance in world.store.instances)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_fleet_cut_short_in_a_launch_is_finished_by_the_next_server(
    world: World, step: str, moment: str
) -> None:
    await _create_until(world, f"run_instance:{step}:{moment}")
    await world.crash()

    await world.assert_sound()
    assert _states(world) == ["running"] * SIZE
    assert len(_fleet(world).instance_ids) == SIZE


async def test_the_client_token_of_a_fleet_cut_short_names_it(world: World) -> None:
    await _create_until(world, "run_instance:prepare:before")
    await world.crash()

    caller = replace(world.caller, idempotency=Idempotency(operation="CreateFleet", token="once", digest="d"))
    assert world.app.client_tokens.made_by(caller) == _fleet(world).id


@pytest.mark.parametrize("step", ["prepare", "start_machine"])
async def test_a_crash_while_a_launch_of_a_fleet_is_undone_leaves_what_was_launched(world: World, step: str) -> None:
    world.fragile_hypervisor.fail("start")

    await _create_until(world, f"run_instance:{step}:undone")
    await world.crash()

    await world.assert_sound()
    assert _states(world) == ["running", "terminated"]
    assert [(it.pool, it.code) for it in _fleet(world).errors] == [(0, "InsufficientInstanceCapacity")]


async def test_a_fleet_does_not_settle_before_its_launches_have_been_undone(world: World) -> None:
    world.fragile_hypervisor.fail("start")
    world.fragile_hypervisor.fail("kill")
    with suppress(Exception):
        await create(world, await world.image())
    assert _fleet(world).errors == ()

    world.fragile_hypervisor.heal()
    await world.reconciler.sweep()
    await world.sagas.settle()

    await world.assert_sound()
    assert len(_fleet(world).errors) == 1


async def test_what_one_pool_does_not_start_the_next_one_does(world: World) -> None:
    world.fragile_hypervisor.fail("start", times=SIZE)

    fleet = await create(world, await world.image())

    assert [(it.pool, len(it.instance_ids)) for it in fleet.launches] == [(1, SIZE)]
    assert [it.pool for it in fleet.errors] == [0]
    assert "start" in fleet.errors[0].message
    await world.assert_sound()


async def test_a_fleet_of_which_no_pool_starts_anything_has_an_error_for_each(world: World) -> None:
    world.fragile_hypervisor.fail("start", times=2 * SIZE)

    fleet = await create(world, await world.image())

    assert (fleet.launches, [it.pool for it in fleet.errors]) == ((), [0, 1])
    await world.assert_sound()


async def _make_and_delete(world: World) -> None:
    """Have a fleet that was deleted while its machines were being started."""
    gate = world.fragile_hypervisor.hold("start")
    image = await world.image()
    making = asyncio.create_task(create(world, image))
    await until(lambda: len(world.store.instances) == SIZE)

    await world.app.fleets.delete(world.caller, _fleet(world).id)
    gate.set()
    await making
    await world.sagas.settle()

    await world.assert_sound()


async def test_a_fleet_that_is_deleted_while_it_is_made_ends_with_all_its_instances(world: World) -> None:
    await _make_and_delete(world)

    assert _fleet(world).deleted
    assert _states(world) == ["terminated"] * SIZE


async def test_a_fleet_that_is_deleted_while_its_launches_fail_launches_no_others(world: World) -> None:
    world.fragile_hypervisor.fail("start", times=SIZE)

    await _make_and_delete(world)

    assert len(world.store.instances) == SIZE
