"""A driver call that fails, before it did anything or after it did all of it, leaves a sound world."""

from contextlib import suppress
from pathlib import Path

import pytest
from tests.sagas.scenarios import SCENARIOS, Scenario
from tests.world import World

#: They make calls of another kind: see `test_upload_failures.py`.
UPLOADS = ("complete_snapshot", "start_snapshot")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("saga", [saga for saga in SCENARIOS if saga not in UPLOADS])
async def test_whatever_call_of_a_driver_fails_the_world_is_sound(tmp_path: Path, saga: str, *, after: bool) -> None:
    scenario = SCENARIOS[saga]
    calls = await _calls(tmp_path / "unharmed", scenario)
    assert calls

    for driver, call in calls:
        try:
            await _fail(tmp_path / f"{driver}.{call}", scenario, driver, call, after=after)
        except BaseException as err:
            err.add_note(f"after {driver}.{call} had failed")
            raise


async def _calls(folder: Path, scenario: Scenario) -> list[tuple[str, str]]:
    """Return each call (driver, method) that a scenario makes, once."""
    world = await World.begin(folder)
    prepared = await _prepare(world, scenario)
    for fragile in world.fragile.values():
        fragile.calls.clear()
    with suppress(Exception):
        await scenario.act(world, prepared)
    await world.sagas.settle()
    await world.stop_server()
    return [(driver, call) for driver, fragile in world.fragile.items() for call in dict.fromkeys(fragile.calls)]


async def _fail(folder: Path, scenario: Scenario, driver: str, call: str, *, after: bool) -> None:
    world = await World.begin(folder)
    prepared = await _prepare(world, scenario)
    fragile = world.fragile[driver]
    fragile.fail(call, after=after)

    with suppress(Exception):
        await scenario.act(world, prepared)
    await world.sagas.settle()
    fragile.heal()
    await world.reconciler.sweep()
    await world.sagas.settle()

    await world.assert_sound()
    await world.stop_server()


async def _prepare(world: World, scenario: Scenario) -> object:
    prepared = await scenario.prepare(world)
    await world.sagas.settle()
    return prepared
