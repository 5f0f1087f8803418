"""For each saga a story in which it runs: what is there before, and the request that begins it.

The generic tests cut every story short at every step, and let every driver call in it fail.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.sagas import archived, asleep, fleets, networked, recycled, transferring, uploading, vpcs
from tests.world import World

from bakehouse.app.image_copies import ImageCopyRequest
from bakehouse.app.images import ImageOfInstance
from bakehouse.app.root_replacements import RootReplacementRequest
from bakehouse.app.snapshot_copies import SnapshotCopyRequest
from bakehouse.app.snapshots import InstanceSnapshotsRequest
from bakehouse.app.volume_copies import VolumeCopyRequest
from bakehouse.app.volume_modifications import ModificationRequest
from bakehouse.app.volumes import VolumeRequest
from bakehouse.domain.image import BlockDevice
from bakehouse.domain.kms_key import Encryption
from bakehouse.sagas.catalogue import SAGAS


@dataclass(frozen=True)
class Scenario:
    """`act` gets what `prepare` returned. Both return before background sagas have ended."""

    prepare: Callable[[World], Awaitable[Any]]
    act: Callable[[World, Any], Awaitable[Any]]


async def _image(world: World) -> Any:
    return await world.image()


async def _launch(world: World, image: Any) -> None:
    await world.launch(image, count=2)


async def _running(world: World) -> list[str]:
    launched = await world.launch(await world.image(), count=2)
    return [details.instance.id for details in launched]


async def _stopped(world: World) -> list[str]:
    return [await world.stopped_instance()]


async def _free_volume(world: World) -> str:
    volume = await world.app.volumes.create(world.caller, VolumeRequest(availability_zone="us-east-1a", size_gib=1))
    return volume.id


async def _attached_volume(world: World) -> str:
    return (await _with_data_volume(world))[1]


async def _modify(world: World, volume_id: str) -> None:
    request = ModificationRequest(size_gib=8, type="io1", iops=200)
    await world.app.volume_modifications.modify(world.caller, volume_id, request)


async def _copy_volume(world: World, volume_id: str) -> None:
    await world.app.volume_copies.copy(world.caller, VolumeCopyRequest(source_volume_id=volume_id, size_gib=2))


def _replacing_root(*, deletes: bool = False) -> Callable[[World, list[str]], Awaitable[Any]]:
    async def begin(world: World, instance_ids: list[str]) -> None:
        request = RootReplacementRequest(instance_id=instance_ids[0], deletes_replaced=deletes)
        await world.app.root_replacements.create(world.caller, request)
        await world.sagas.quiet(instance_ids[0])

    return begin


async def _replace_root_by_volume(world: World, ids: tuple[str, str]) -> None:
    request = RootReplacementRequest(instance_id=ids[0], volume_id=ids[1])
    await world.app.root_replacements.create(world.caller, request)
    await world.sagas.quiet(ids[0])


async def _with_data_volume(world: World) -> tuple[str, str]:
    instance_id, volume_id = await _beside(world)
    await _attach(world, (instance_id, volume_id))
    return instance_id, volume_id


async def _beside(world: World) -> tuple[str, str]:
    return await world.running_instance(), await _free_volume(world)


async def _attach(world: World, ids: tuple[str, str]) -> None:
    instance_id, volume_id = ids
    await world.app.volumes.attach(world.caller, volume_id, instance_id, "/dev/sdf")


async def _image_of_stopped(world: World) -> tuple[str, str]:
    instance_id, volume_id = await _with_data_volume(world)
    await world.instances.stop(world.caller, [instance_id], force=True)
    return instance_id, volume_id


def _imaging(*, reboot: bool) -> Callable[[World, tuple[str, str]], Awaitable[Any]]:
    async def create(world: World, ids: tuple[str, str]) -> None:
        await world.app.images.create(world.caller, ImageOfInstance(instance_id=ids[0], name="baked", reboot=reboot))

    return create


async def _snapshot_instance(world: World, ids: tuple[str, str]) -> None:
    await world.app.snapshots.create_of_instance(world.caller, InstanceSnapshotsRequest(instance_id=ids[0]))


async def _snapshot_volume(world: World, volume_id: str) -> None:
    await world.app.snapshots.create(world.caller, volume_id, description="", tags={})


async def _snapshot(world: World) -> str:
    return (await world.snapshot()).id


async def _volume_of_snapshot(world: World, snapshot_id: str) -> None:
    request = VolumeRequest(availability_zone="us-east-1a", snapshot_id=snapshot_id)
    await world.app.volumes.create(world.caller, request)


async def _image_of_two(world: World) -> Any:
    data = await world.snapshot()
    return await world.image(extra_devices=(BlockDevice(device_name="/dev/sdf", snapshot_id=data.id, size_gib=1),))


async def _copy_image(world: World, image: Any) -> None:
    request = ImageCopyRequest(source_image_id=image.id, source_region=image.region, name="copied")
    await world.app.images.copy(replace(world.caller, region="eu-west-1"), request)


async def _copy_snapshot(world: World, snapshot_id: str) -> None:
    request = SnapshotCopyRequest(source_snapshot_id=snapshot_id, source_region="us-east-1")
    await world.app.snapshot_copies.copy(world.caller, request)


async def _encrypt_image(world: World, image: Any) -> None:
    request = ImageCopyRequest(
        source_image_id=image.id, source_region=image.region, name="copied", encryption=Encryption(encrypted=True)
    )
    await world.app.images.copy(world.caller, request)


async def _encrypt_snapshot(world: World, snapshot_id: str) -> None:
    request = SnapshotCopyRequest(
        source_snapshot_id=snapshot_id, source_region="us-east-1", encryption=Encryption(encrypted=True)
    )
    await world.app.snapshot_copies.copy(world.caller, request)


async def _deregister(world: World, image: Any) -> None:
    await world.app.images.deregister(world.caller, image.id, delete_snapshots=True)


SCENARIOS = {
    "apply_segment": Scenario(vpcs.lived_in, vpcs.change),
    "apply_segment, deleting": Scenario(vpcs.left, vpcs.delete),
    "apply_network_interface": Scenario(networked.with_second_interface, networked.change),
    "apply_network_interface, address moved": Scenario(networked.with_second_interface, networked.associate_elsewhere),
    "apply_network_interface, between instances": Scenario(networked.two_instances, networked.move_address),
    "apply_security_group": Scenario(networked.open_group, networked.close_group),
    "archive_snapshot": Scenario(_snapshot, archived.archive),
    "attach_network_interface": Scenario(networked.interface_beside, networked.attach),
    "attach_volume": Scenario(_beside, _attach),
    "complete_snapshot": Scenario(uploading.written, uploading.complete),
    "copy_image": Scenario(_image_of_two, _copy_image),
    "copy_snapshot": Scenario(_snapshot, _copy_snapshot),
    "copy_volume": Scenario(_free_volume, _copy_volume),
    "copy_volume, attached": Scenario(_attached_volume, _copy_volume),
    "create_fleet": Scenario(_image, fleets.create),
    "create_image": Scenario(_with_data_volume, _imaging(reboot=False)),
    "create_image, rebooting": Scenario(_with_data_volume, _imaging(reboot=True)),
    "create_image, stopped": Scenario(_image_of_stopped, _imaging(reboot=True)),
    "create_snapshots": Scenario(_with_data_volume, _snapshot_instance),
    "create_snapshots, free volume": Scenario(_free_volume, _snapshot_volume),
    "create_volume": Scenario(_snapshot, _volume_of_snapshot),
    "delete_recycled_volume": Scenario(recycled.due_volume, recycled.delete_due),
    "delete_snapshots": Scenario(_image, _deregister),
    "delete_snapshots, archived": Scenario(archived.archived_snapshot, archived.delete),
    "delete_snapshots, pending": Scenario(uploading.written, uploading.delete),
    "delete_snapshots, recycled": Scenario(recycled.due_image, recycled.delete_due),
    "delete_volume": Scenario(_free_volume, lambda world, volume_id: world.app.volumes.delete(world.caller, volume_id)),
    "detach_network_interface": Scenario(networked.with_second_interface, networked.detach),
    "detach_volume": Scenario(_with_data_volume, lambda world, ids: world.app.volumes.detach(world.caller, ids[1])),
    "export_disk": Scenario(transferring.image, transferring.export_image),
    "export_disk, of an instance": Scenario(transferring.instance, transferring.export_instance),
    "encrypt_image": Scenario(_image_of_two, _encrypt_image),
    "encrypt_snapshot": Scenario(_snapshot, _encrypt_snapshot),
    "import_disks": Scenario(transferring.disks, transferring.import_image),
    "import_disks, one": Scenario(transferring.disks, transferring.import_snapshot),
    "modify_volume": Scenario(_free_volume, _modify),
    "modify_volume, attached": Scenario(_attached_volume, _modify),
    "replace_root_volume": Scenario(_running, _replacing_root()),
    "replace_root_volume, by a volume": Scenario(_beside, _replace_root_by_volume),
    "replace_root_volume, deleting": Scenario(_running, _replacing_root(deletes=True)),
    "restore_image": Scenario(transferring.stored_image, transferring.restore_image),
    "restore_snapshot, for days": Scenario(archived.archived_snapshot, archived.restore_for_days),
    "restore_snapshot, for good": Scenario(archived.archived_snapshot, archived.restore_for_good),
    "run_instance": Scenario(_image, _launch),
    "run_instance, two interfaces": Scenario(networked.free_interface, networked.launch_with_two),
    "settle_snapshot": Scenario(archived.restored_snapshot, archived.end_restorations),
    "settle_snapshot, for good": Scenario(archived.restored_snapshot, archived.restore_for_good),
    "start_instance": Scenario(_stopped, lambda world, ids: world.instances.start(world.caller, ids)),
    "start_instance, hibernated": Scenario(asleep.hibernated, asleep.start),
    "start_snapshot": Scenario(_snapshot, uploading.start),
    "stop_instance": Scenario(_running, lambda world, ids: world.instances.stop(world.caller, ids[:1])),
    "stop_instance, hibernate": Scenario(asleep.enabled, asleep.hibernate),
    "store_image": Scenario(transferring.image, transferring.store_image),
    "terminate_instance": Scenario(_running, lambda world, ids: world.instances.terminate(world.caller, ids[:1])),
    "terminate_instance, retained": Scenario(
        recycled.retained_instance, lambda world, ids: world.instances.terminate(world.caller, ids)
    ),
    "terminate_instance, two interfaces": Scenario(
        networked.with_second_interface, lambda world, ids: world.instances.terminate(world.caller, ids[:1])
    ),
    "reboot_instance": Scenario(_running, lambda world, ids: world.instances.reboot(world.caller, ids[:1])),
}

STEPS = [(story, step.name) for story in SCENARIOS for step in SAGAS[story.partition(",")[0]].steps]
