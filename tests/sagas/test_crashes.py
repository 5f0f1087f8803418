"""A server that goes away at any step leaves nothing that the next one does not put in order."""

import asyncio
from contextlib import suppress

import pytest
from tests.sagas.scenarios import SCENARIOS, STEPS, Scenario
from tests.world import Crash, World


async def _act_until(world: World, scenario: Scenario, prepared: object, where: str) -> bool:
    """Act until a checkpoint is passed, where everything ends at once; tell whether it was passed."""
    passed = False
    acting: asyncio.Task[object]

    def checkpoint(name: str) -> None:
        nonlocal passed
        if name == where:
            passed = True
            acting.cancel()
            raise Crash(name)

    world.checkpoint = checkpoint
    acting = asyncio.ensure_future(scenario.act(world, prepared))
    with suppress(asyncio.CancelledError, Exception):
        await acting
    await world.sagas.settle()
    return passed


#: A journal that lags by a step is between one that does not and one that lags by all: script/test tries it too.
_JOURNALS = ("kept", pytest.param("late", marks=pytest.mark.slow), "lost")


@pytest.mark.parametrize("journal", _JOURNALS)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("story", "step"), STEPS)
async def test_a_crash_at_any_step_leaves_a_sound_world(
    world: World, story: str, step: str, moment: str, journal: str
) -> None:
    scenario = SCENARIOS[story]
    saga = story.partition(",")[0]
    prepared = await scenario.prepare(world)
    await world.sagas.settle()
    if journal == "lost":
        world.forget_positions()
    elif journal == "late":
        world.delay_positions()

    assert await _act_until(world, scenario, prepared, f"{saga}:{step}:{moment}")
    await world.crash()

    await world.assert_sound()


@pytest.mark.parametrize("step", ["prepare", "start_machine"])
@pytest.mark.parametrize("journal", ["kept", "lost"])
async def test_a_crash_while_a_launch_is_undone_leaves_a_sound_world(world: World, step: str, journal: str) -> None:
    scenario = SCENARIOS["run_instance"]
    prepared = await scenario.prepare(world)
    world.fragile_hypervisor.fail("start", times=2)
    if journal == "lost":
        world.forget_positions()

    assert await _act_until(world, scenario, prepared, f"run_instance:{step}:undone")
    await world.crash()

    await world.assert_sound()
    assert {instance.state for instance in world.store.instances} == {"terminated"}


@pytest.mark.parametrize("step", ["plug_interface", "start_machine"])
async def test_a_crash_while_a_start_is_undone_leaves_the_instance_stopped(world: World, step: str) -> None:
    scenario = SCENARIOS["start_instance"]
    prepared = await scenario.prepare(world)
    world.fragile_hypervisor.fail("start")

    assert await _act_until(world, scenario, prepared, f"start_instance:{step}:undone")
    await world.crash()

    await world.assert_sound()
    assert [instance.state for instance in world.store.instances] == ["stopped"]


@pytest.mark.parametrize("story", ["create_image", "create_image, rebooting"])
@pytest.mark.parametrize("step", ["shut_down", "take_snapshots"])
async def test_a_crash_while_an_image_is_undone_leaves_it_failed_and_the_guest_running(
    world: World, story: str, step: str
) -> None:
    scenario = SCENARIOS[story]
    prepared = await scenario.prepare(world)
    world.fragile_volumes.fail("snapshot")

    assert await _act_until(world, scenario, prepared, f"create_image:{step}:undone")
    await world.crash()

    await world.assert_sound()
    assert [image.state for image in world.store.images if image.name == "baked"] == ["failed"]


async def test_an_image_cut_short_is_finished_by_the_next_server(world: World) -> None:
    scenario = SCENARIOS["create_image, rebooting"]
    prepared = await scenario.prepare(world)

    await _act_until(world, scenario, prepared, "create_image:take_snapshots:before")
    await world.crash()

    assert [image.state for image in world.store.images if image.name == "baked"] == ["available"]


async def test_a_launch_cut_short_is_finished_by_the_next_server(world: World) -> None:
    scenario = SCENARIOS["run_instance"]
    prepared = await scenario.prepare(world)

    await _act_until(world, scenario, prepared, "run_instance:prepare:after")
    await world.crash()

    assert {instance.state for instance in world.store.instances} == {"running"}


async def test_a_stop_cut_short_is_finished_by_the_next_server(world: World) -> None:
    scenario = SCENARIOS["stop_instance"]
    prepared = await scenario.prepare(world)

    await _act_until(world, scenario, prepared, "stop_instance:unplug_interface:before")
    await world.crash()

    assert world.instance(prepared[0]).state == "stopped"
