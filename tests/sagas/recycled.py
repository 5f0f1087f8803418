"""Stories of the Recycle Bin."""

from typing import Any

from tests.world import World

from bakehouse.app.retention_rules import RuleRequest
from bakehouse.app.volumes import VolumeRequest
from bakehouse.domain.retention_rule import RetainedType


async def retain_everything(world: World) -> None:
    """Make a rule of one day for every type."""
    for resource_type in RetainedType:
        request = RuleRequest(resource_type=resource_type, retention_days=1)
        await world.app.retention_rules.create(world.caller, request)


async def due_volume(world: World) -> None:
    """Have a volume in the bin whose time is over."""
    await retain_everything(world)
    request = VolumeRequest(availability_zone="us-east-1a", size_gib=1)
    volume = await world.app.volumes.create(world.caller, request)
    await world.app.volumes.delete(world.caller, volume.id)
    world.clock.advance(days=1)


async def due_image(world: World) -> None:
    """Have an image with its snapshot in the bin whose time is over."""
    await retain_everything(world)
    image = await world.image()
    await world.app.images.deregister(world.caller, image.id, delete_snapshots=True)
    world.clock.advance(days=1)


async def delete_due(world: World, _prepared: Any) -> None:
    """Do what the reconciler does now and then."""
    await world.app.recycle_bin.delete_due()


async def retained_instance(world: World) -> list[str]:
    """Have a running instance whose root volume will be kept."""
    await retain_everything(world)
    return [await world.running_instance()]
