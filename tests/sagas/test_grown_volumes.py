"""A volume whose bytes are more than its record says, as while it is modified: what is made of it is no smaller."""

from dataclasses import replace

from tests.world import World

from bakehouse.app.images import ImageOfInstance
from bakehouse.app.volume_copies import VolumeCopyRequest
from bakehouse.app.volume_modifications import ModificationRequest
from bakehouse.app.volumes import VolumeRequest
from bakehouse.domain.volume import Volume
from bakehouse.domain.volume_modification import ModificationState

GROWN_GIB = 9


async def _as_before(world: World, volume: Volume) -> None:
    """Put back what the record said, as a modification does that failed after it had added bytes."""
    grown = world.store.volumes[volume.id]
    assert grown.modification is not None
    failed = replace(grown.modification, state=ModificationState.FAILED)
    async with world.store.transaction() as tx:
        tx.put(replace(grown, size_gib=volume.size_gib, modification=failed))


async def _grown(world: World, volume: Volume) -> None:
    await world.app.volume_modifications.modify(world.caller, volume.id, ModificationRequest(size_gib=GROWN_GIB))
    await _as_before(world, volume)


async def test_a_copy_is_as_large_as_its_sources_bytes(world: World) -> None:
    source = await world.app.volumes.create(world.caller, VolumeRequest(availability_zone="us-east-1a", size_gib=1))
    await _grown(world, source)

    copy = await world.app.volume_copies.copy(world.caller, VolumeCopyRequest(source_volume_id=source.id))

    assert world.store.volumes[copy.id].size_gib == GROWN_GIB


async def test_an_image_and_its_snapshot_are_as_large_as_the_volumes_bytes(world: World) -> None:
    instance_id = await world.stopped_instance()
    (root,) = (volume for volume in world.store.volumes if volume.attachment is not None)
    await _grown(world, root)

    image = await world.app.images.create(
        world.caller, ImageOfInstance(instance_id=instance_id, name="baked", reboot=False)
    )

    (device,) = world.store.images[image.id].block_devices
    assert device.size_gib == GROWN_GIB
    assert world.store.snapshots[device.snapshot_id or ""].volume_size_gib == GROWN_GIB
