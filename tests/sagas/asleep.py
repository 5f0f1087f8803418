"""Instances that hibernate, as sagas find them."""

from dataclasses import replace

from tests.world import World


async def enabled(world: World) -> str:
    """Launch an instance that is enabled for hibernation."""
    (launched,) = await world.launch(await world.image())
    async with world.store.transaction() as tx:
        tx.put(replace(world.store.instances[launched.instance.id], hibernation=True))
    return launched.instance.id


async def hibernate(world: World, instance_id: str) -> None:
    """Begin to hibernate it."""
    await world.instances.stop(world.caller, [instance_id], hibernate=True)


async def hibernated(world: World) -> str:
    """Launch an instance and let it sleep."""
    instance_id = await enabled(world)
    await hibernate(world, instance_id)
    await world.sagas.settle()
    return instance_id


async def start(world: World, instance_id: str) -> None:
    """Begin to start it."""
    await world.instances.start(world.caller, [instance_id])
