"""Sagas that take long: nobody waits for them when a server starts or stops, and none is lost."""

import asyncio

import pytest
from tests.sagas import transferring
from tests.world import World

from bakehouse.app.import_tasks import ImageImportRequest


async def begun_import(world: World) -> str:
    """Begin an import that does not get its turn, and return its id."""
    for _ in range(2):
        await world.saga_context.transfers._turns.acquire()
    request = ImageImportRequest(sources=tuple(await transferring.disks(world)))
    return (await world.app.import_tasks.import_image(world.caller, request)).id


def status(world: World, task_id: str) -> str:
    return world.store.import_image_tasks[task_id].status


async def test_a_server_that_stops_leaves_a_long_saga_to_the_next(world: World) -> None:
    task_id = await begun_import(world)

    await world.sagas.suspend()
    assert status(world, task_id) == "active"
    assert len(world.store.sagas) == 1
    await world.restart()
    await world.sagas.settle()

    assert status(world, task_id) == "completed"
    await world.assert_sound()


async def test_a_start_does_not_wait_for_a_long_saga(world: World) -> None:
    task_id = await begun_import(world)
    await world.sagas.suspend()
    await world.stop_server()
    world.start_server()
    for _ in range(2):
        await world.saga_context.transfers._turns.acquire()

    await asyncio.wait_for(world.reconciler.start(), 30)

    assert status(world, task_id) == "active"
    assert world.sagas.is_changing(task_id)
    for _ in range(2):
        world.saga_context.transfers._turns.release()
    await world.sagas.settle()
    assert status(world, task_id) == "completed"


async def test_a_cancellation_outlives_the_server(world: World) -> None:
    task_id = await begun_import(world)
    await world.sagas.suspend()
    await world.app.import_tasks.cancel(world.caller, task_id, "never mind")

    await world.restart()
    await world.sagas.settle()

    assert status(world, task_id) == "deleted"
    assert len(world.store.images) == 0
    await world.assert_sound()


async def test_a_folder_of_no_task_is_removed_at_the_next_start(world: World) -> None:
    (await world.objects.workspace("import-ami-0123456789abcdef0") / "0").write_bytes(b"left")

    await world.restart()

    assert await world.objects.workspaces() == frozenset()


@pytest.mark.parametrize("files", ["root.raw", "data.raw"])
async def test_what_was_taken_in_is_not_fetched_again(world: World, files: str) -> None:
    sources = await transferring.disks(world)
    request = ImageImportRequest(sources=tuple(it for it in sources if it.key == files))
    fetched: list[str] = []

    def crash(name: str) -> None:
        if name == "import_disks:take_disks:after":
            fetched.extend(world.fragile_objects.calls)
            raise asyncio.CancelledError

    world.checkpoint = crash
    task = await world.app.import_tasks.import_image(world.caller, request)
    await world.sagas.settle()
    world.fragile_objects.calls.clear()
    await world.crash()

    assert fetched.count("fetch") == 1
    assert "fetch" not in world.fragile_objects.calls
    assert status(world, task.id) == "completed"
