"""What the tests of images, volumes and snapshots ask for, in few words."""

from typing import Any

import pytest
from tests.world import World

from bakehouse.app.image_registration import ImageOfSnapshots
from bakehouse.app.images import ImageOfInstance
from bakehouse.app.volumes import VolumeRequest
from bakehouse.domain.block_device import BlockDeviceRequest
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.image import Image
from bakehouse.domain.snapshot import Snapshot
from bakehouse.domain.volume import Volume


async def bake(world: World, instance_id: str, *, name: str = "baked", reboot: bool = False, **members: Any) -> Image:
    """Create an image and return it as it is after everything is done."""
    request = ImageOfInstance(instance_id=instance_id, name=name, reboot=reboot, **members)
    image = await world.app.images.create(world.caller, request)
    await world.sagas.settle()
    return world.store.images[image.id]


async def register(world: World, snapshot: Snapshot, **members: Any) -> Image:
    """Register an image whose root is a snapshot."""
    root = BlockDeviceRequest(device_name="/dev/sda1", snapshot_id=snapshot.id)
    given = {"name": "registered", "block_devices": (root,), "architecture": "x86_64", **members}
    return await world.app.images.register(world.caller, ImageOfSnapshots(**given))


async def volume(world: World, **members: Any) -> Volume:
    """Create an available volume of 1 GiB."""
    given = {"availability_zone": "us-east-1a", "size_gib": 1, "type": "gp3", **members}
    made = await world.app.volumes.create(world.caller, VolumeRequest(**given))
    return world.store.volumes[made.id]


async def attached(world: World, instance_id: str, device_name: str = "/dev/sdf", **members: Any) -> Volume:
    """Create a volume and attach it."""
    free = await volume(world, **members)
    await world.app.volumes.attach(world.caller, free.id, instance_id, device_name)
    return world.store.volumes[free.id]


async def stranger(world: World) -> Caller:
    """Return another account's caller."""
    key = await world.app.accounts.create("stranger")
    return Caller(account_id=key.account_id, region=world.caller.region, access_key_id=key.id)


async def refusal(awaitable: Any) -> str:
    """Await what must be refused, and return the code."""
    with pytest.raises(Ec2Error) as refused:
        await awaitable
    return refused.value.code
