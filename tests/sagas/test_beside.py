"""Whatever else is asked for while a saga is in the middle of a driver's call, the world is sound afterwards.

A saga is held at one of its calls, before the driver does anything or after it did all of it; something is asked for of
a resource that the saga works on; both go on. Both are answered, by no error of ours, and records and host agree. Now
and then the server goes away instead, and the next one finds both in its journal. There are some ten thousand such
meetings: `script/check` tries a few of each saga, a whole run more, always the same ones.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from tests.sagas.beside import BESIDE, involved
from tests.sagas.scenarios import SCENARIOS, Scenario
from tests.waiting import until
from tests.world import World

from bakehouse.domain.errors import Ec2Error

FEW, MANY = 3, 18

#: One meeting in so many ends with a crash.
_CRASHES = 4

#: These make calls of another kind: see `test_upload_failures.py`.
STORIES = [story for story in SCENARIOS if story not in ("complete_snapshot", "start_snapshot")]

#: Turns of the event loop that a request beside a saga gets before the saga goes on; it needs a few tens.
_TURNS = 200


@dataclass(frozen=True)
class Point:
    """Where a saga is held."""

    driver: str
    method: str
    after: bool


@pytest.mark.parametrize("story", STORIES)
async def test_what_is_asked_for_beside_a_saga_leaves_a_sound_world(tmp_path: Path, story: str) -> None:
    await _meet(tmp_path, story, range(FEW))


@pytest.mark.slow
@pytest.mark.parametrize("story", STORIES)
async def test_much_that_is_asked_for_beside_a_saga_leaves_a_sound_world(tmp_path: Path, story: str) -> None:
    await _meet(tmp_path, story, range(FEW, MANY))


async def _meet(folder: Path, story: str, numbers: range) -> None:
    scenario = SCENARIOS[story]
    points = await _points(folder / "unharmed", scenario)
    Random(story).shuffle(points)
    for number in numbers:
        point = points[number % len(points)]
        asked = [f"{point}"]
        try:
            choice = Random(f"{story} {number}")
            world, tasks = await _meeting(folder / str(number), scenario, point, choice, asked)
            if number % _CRASHES:
                await _go_on(world, point, tasks)
            else:
                await _crash(world, tasks)
            await world.assert_sound()
            await world.stop_server()
        except BaseException as err:
            err.add_note(f"held at {', '.join(asked)}")
            raise


async def _points(folder: Path, scenario: Scenario) -> list[Point]:
    """Return where the calls are that a scenario makes."""
    world, prepared = await _prepared(folder, scenario)
    for fragile in world.fragile.values():
        fragile.calls.clear()
    with suppress(Ec2Error):
        await scenario.act(world, prepared)
    await world.sagas.settle()
    calls = [(name, call) for name, fragile in world.fragile.items() for call in dict.fromkeys(fragile.calls)]
    await world.stop_server()
    return [Point(driver, call, after) for driver, call in calls for after in (False, True)]


async def _meeting(
    folder: Path, scenario: Scenario, point: Point, choice: Random, asked: list[str]
) -> tuple[World, list[asyncio.Future[object]]]:
    """Hold a saga and ask for something; return both when neither can go on, or that is over."""
    world, prepared = await _prepared(folder, scenario)
    held = world.fragile[point.driver].hold_one(point.method, after=point.after)
    acting = asyncio.ensure_future(scenario.act(world, prepared))
    await until(lambda: held.is_reached or (acting.done() and not world.sagas._running))
    meetings = [(it, name, operation) for kind, it in involved(world) for name, operation in BESIDE[kind].items()]
    resource_id, name, operation = choice.choice(meetings)
    asked.append(f"{name} of {resource_id}")
    asking = asyncio.ensure_future(operation(world, resource_id))
    for _ in range(_TURNS):
        if not asking.done():
            await asyncio.sleep(0)
    return world, [acting, asking]


async def _go_on(world: World, point: Point, tasks: list[asyncio.Future[object]]) -> None:
    world.fragile[point.driver].release()
    async with asyncio.timeout(60):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    await _settle(world)
    for outcome in outcomes:
        if isinstance(outcome, BaseException) and not isinstance(outcome, Ec2Error):
            raise outcome


async def _crash(world: World, tasks: list[asyncio.Future[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await world.crash()
    await _settle(world)


async def _prepared(folder: Path, scenario: Scenario) -> tuple[World, object]:
    world = await World.begin(folder)
    prepared = await scenario.prepare(world)
    await world.sagas.settle()
    return world, prepared


async def _settle(world: World) -> None:
    """Let everything come to its end; the second sweep sees what the first one began."""
    await world.sagas.settle()
    for _ in range(2):
        await world.reconciler.sweep()
        await world.sagas.settle()
