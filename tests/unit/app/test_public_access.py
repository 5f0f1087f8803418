"""What is never public."""

import pytest
from tests.world import World

from bakehouse.app.image_catalogue import ImageChange
from bakehouse.domain.errors import Ec2Error
from bakehouse.domain.image import BlockDevice

FRIEND = "111122223333"


async def test_an_encrypted_snapshot_is_shared_but_not_public(world: World) -> None:
    snapshot = await world.snapshot(encrypted=True)

    with pytest.raises(Ec2Error) as refusal:
        await world.app.snapshots.share(world.caller, snapshot.id, add=["all"])
    await world.app.snapshots.share(world.caller, snapshot.id, add=[FRIEND])

    assert refusal.value.code == "OperationNotPermitted"
    assert world.store.snapshots[snapshot.id].create_volume_accounts == (FRIEND,)


async def test_an_image_with_an_encrypted_snapshot_is_shared_but_not_public(world: World) -> None:
    snapshot = await world.snapshot(encrypted=True)
    data = BlockDevice(device_name="/dev/sdf", snapshot_id=snapshot.id, size_gib=1)
    image = await world.image(extra_devices=(data,))

    with pytest.raises(Ec2Error) as refusal:
        await world.app.images.change(world.caller, image.id, ImageChange(add_launchers=["all"]))
    await world.app.images.change(world.caller, image.id, ImageChange(add_launchers=[FRIEND]))

    assert refusal.value.code == "OperationNotPermitted"
    assert world.store.images[image.id].launch_accounts == (FRIEND,)


async def test_an_image_with_an_encrypted_empty_volume_is_not_public(world: World) -> None:
    image = await world.image(extra_devices=(BlockDevice(device_name="/dev/sdf", size_gib=1, encrypted=True),))

    with pytest.raises(Ec2Error) as refusal:
        await world.app.images.change(world.caller, image.id, ImageChange(add_launchers=["all"]))

    assert refusal.value.code == "OperationNotPermitted"
