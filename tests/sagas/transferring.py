"""Stories of disks and images that come and go as files."""

from typing import Any

from tests.world import World

from bakehouse.app.export_tasks import Destination, ImageExportRequest, InstanceExportRequest
from bakehouse.app.import_tasks import ImageImportRequest, SnapshotImportRequest
from bakehouse.app.store_image_tasks import RestoreRequest
from bakehouse.domain.import_task import DiskSource

BUCKET = "stories"


async def disks(world: World) -> list[DiskSource]:
    """Two disks in a bucket and one in a snapshot."""
    for key in ("root.raw", "data.raw"):
        _file(world, key).write_bytes(bytes(1 << 20))
    snapshot = await world.snapshot()
    objects = [DiskSource(bucket=BUCKET, key=key, format="RAW") for key in ("root.raw", "data.raw")]
    return [*objects, DiskSource(snapshot_id=snapshot.id)]


async def import_image(world: World, sources: list[DiskSource]) -> None:
    await world.app.import_tasks.import_image(world.caller, ImageImportRequest(sources=tuple(sources)))


async def import_snapshot(world: World, sources: list[DiskSource]) -> None:
    await world.app.import_tasks.import_snapshot(world.caller, SnapshotImportRequest(source=sources[0]))


async def image(world: World) -> Any:
    """An image, and a bucket to write it to."""
    _file(world, "")
    return await world.image()


async def instance(world: World) -> str:
    """An instance that runs, and a bucket to write it to."""
    _file(world, "")
    return await world.running_instance()


def _destination() -> Destination:
    return Destination(format="VMDK", bucket=BUCKET, prefix="exports/")


async def export_image(world: World, exported: Any) -> None:
    request = ImageExportRequest(image_id=exported.id, destination=_destination())
    await world.app.export_tasks.export_image(world.caller, request)


async def export_instance(world: World, instance_id: str) -> None:
    request = InstanceExportRequest(instance_id=instance_id, destination=_destination(), target_environment="vmware")
    await world.app.export_tasks.export_instance(world.caller, request)


async def store_image(world: World, stored: Any) -> None:
    await world.app.store_image_tasks.store(world.caller, stored.id, BUCKET, object_tags={"a": "b"})


async def stored_image(world: World) -> str:
    """An image that was stored; returns the object's key."""
    stored = await image(world)
    await store_image(world, stored)
    await world.sagas.settle()
    return f"{stored.id}.bin"


async def restore_image(world: World, key: str) -> None:
    request = RestoreRequest(bucket=BUCKET, key=key, name="restored", tags={"a": "b"})
    await world.app.store_image_tasks.restore(world.caller, request)


def _file(world: World, key: str) -> Any:
    path = world.folder / "buckets" / BUCKET / key
    (path.parent if key else path).mkdir(parents=True, exist_ok=True)
    return path
