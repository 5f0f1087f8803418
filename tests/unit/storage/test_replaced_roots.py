"""Replaced root volumes, with which their owner does something before they are deleted."""

from collections.abc import Awaitable, Callable

from tests.world import World

from bakehouse.app.root_replacements import RootReplacementRequest
from bakehouse.domain.replace_root_volume_task import ReplaceRootState
from bakehouse.ports.volumes import VolumeConnection


async def replace_root(world: World, instance_id: str, meanwhile: Callable[[str], Awaitable[object]]) -> str:
    """Replace and delete a root, of which something is done when it is about to be deleted; return its id."""
    (root,) = world.store.volumes.by("instance")[instance_id].values()
    connect = world.volumes.connect

    async def connect_late(volume_id: str) -> VolumeConnection:
        connection = await connect(volume_id)
        (task,) = world.store.replace_root_volume_tasks
        if volume_id == root.id and task.state is ReplaceRootState.SUCCEEDED:
            world.fragile_volumes.driver.connect = connect  # type: ignore[attr-defined]
            await meanwhile(root.id)
        return connection

    world.fragile_volumes.driver.connect = connect_late  # type: ignore[attr-defined]
    request = RootReplacementRequest(instance_id=instance_id, deletes_replaced=True)
    await world.app.root_replacements.create(world.caller, request)
    await world.sagas.settle()
    return root.id


async def test_one_that_is_attached_elsewhere_stays(world: World) -> None:
    instance_id, other_id = await world.running_instance(), await world.running_instance()

    root_id = await replace_root(
        world, instance_id, lambda it: world.app.volumes.attach(world.caller, it, other_id, "/dev/sdf")
    )

    attachment = world.store.volumes[root_id].attachment
    assert attachment is not None
    assert attachment.instance_id == other_id
    await world.assert_sound()


async def test_one_that_is_deleted_already_is_gone(world: World) -> None:
    instance_id = await world.running_instance()

    root_id = await replace_root(world, instance_id, lambda it: world.app.volumes.delete(world.caller, it))

    assert root_id not in world.store.volumes
    (task,) = world.store.replace_root_volume_tasks
    assert task.state is ReplaceRootState.SUCCEEDED
    await world.assert_sound()
