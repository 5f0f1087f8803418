"""Stories of the archive tier."""

from tests.world import World


async def archived_snapshot(world: World) -> str:
    """Have a snapshot in the archive."""
    snapshot = await world.snapshot()
    await archive(world, snapshot.id)
    await world.sagas.settle()
    return snapshot.id


async def restored_snapshot(world: World) -> str:
    """Have a snapshot restored for a day that is over."""
    snapshot_id = await archived_snapshot(world)
    await restore_for_days(world, snapshot_id)
    await world.sagas.settle()
    world.clock.advance(days=1)
    return snapshot_id


async def archive(world: World, snapshot_id: str) -> None:
    await world.app.snapshot_tiers.archive(world.caller, snapshot_id)


async def restore_for_days(world: World, snapshot_id: str) -> None:
    await world.app.snapshot_tiers.restore(world.caller, snapshot_id, days=1, permanent=False)


async def restore_for_good(world: World, snapshot_id: str) -> None:
    await world.app.snapshot_tiers.restore(world.caller, snapshot_id, days=None, permanent=True)


async def end_restorations(world: World, _snapshot_id: str) -> None:
    """Do what the reconciler does now and then."""
    await world.app.snapshot_tiers.end_restorations()


async def delete(world: World, snapshot_id: str) -> None:
    await world.app.snapshots.delete(world.caller, snapshot_id)
