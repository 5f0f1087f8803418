"""Take disks from outside in, and make an image of them, or a snapshot.

Before it begins there is an `active` task with its sources. Each source is fetched into the task's folder, looked into,
and its disks become `pending` snapshots; when all of them are there, one transaction makes them `completed`, the image
`available` and the task `completed`. No image is there before. A task that failed or was cancelled is `deleted` with
its reason, and leaves neither snapshot nor file.

A crash leaves the task `active`: what was fetched whole, and the disks that were taken in, are not fetched again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from bakehouse.domain.ids import new_id
from bakehouse.domain.image import BlockDevice, Image, ImageState, image_name_taken
from bakehouse.domain.import_task import (
    DISKS_MAX,
    DiskSource,
    ImportedDisk,
    ImportImageTask,
    ImportSnapshotTask,
    device_names,
    import_snapshot_description,
)
from bakehouse.domain.kms_key import key_id_of
from bakehouse.domain.snapshot import NO_VOLUME, Snapshot, SnapshotState
from bakehouse.ports.disk_files import ExaminedFile
from bakehouse.ports.objects import ObjectAt, WebAddress
from bakehouse.ports.volumes import NoSuchSnapshot, UnsafeImage
from bakehouse.sagas import transfer_tasks, volumes
from bakehouse.sagas.context import SagaContext
from bakehouse.sagas.engine import Saga, Step
from bakehouse.sagas.public_parameters import publish
from bakehouse.sagas.transfer_tasks import import_task_of
from bakehouse.sagas.transfers import Transfer
from bakehouse.sagas.volumes import GIB
from bakehouse.store.store import Transaction

#: The largest file that is fetched. Source: VM Import/Export User Guide, volume types: disks of up to 16 TiB.
_FILE_MAX_BYTES: Final = 16 << 40

#: How much of a disk's way fetching it is; the rest is taking it in.
_FETCH_SHARE: Final = 0.4


#: What the volume store calls a stage, and what EC2 does. Source: VM Import/Export User Guide, monitoring.
_EC2_STAGES: Final = {"copying": "downloading/converting"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportDisks:
    """Parameters."""

    task_id: str


async def take_disks(ctx: SagaContext, params: ImportDisks) -> None:
    """Take in every disk of every source that is not there yet."""
    await transfer_tasks.run(ctx, params.task_id, partial(_take_sources, ctx, params.task_id))


async def give_up(ctx: SagaContext, params: ImportDisks) -> None:
    """Remove what was made, and write down that there is nothing."""
    if transfer_tasks.can_be_cleaned_up(ctx, params.task_id):
        await ctx.objects.clear_workspace(params.task_id)
        task = import_task_of(ctx, params.task_id)
        await volumes.delete_snapshots(ctx, [disk.snapshot_id for disk in task.disks])
        await transfer_tasks.note_cleaned_up(ctx, task.id)


async def clear_workspace(ctx: SagaContext, params: ImportDisks) -> None:
    """Remove the task's folder: all that was in it is in the snapshots."""
    await ctx.objects.clear_workspace(params.task_id)


async def finish(ctx: SagaContext, params: ImportDisks) -> None:
    """Write down that all is there, at once; from here on the task cannot be cancelled."""
    task = import_task_of(ctx, params.task_id)
    if transfer_tasks.is_finished(ctx, task.id):
        return
    transfer_tasks.refuse_cancelled(ctx, task.id)
    try:
        async with ctx.store.transaction() as tx:
            snapshots = _snapshots(ctx, task)
            for snapshot in volumes.completed(ctx, [snapshot.id for snapshot in snapshots]):
                tx.put(snapshot)
            if isinstance(task, ImportImageTask):
                _put_image(ctx, tx, task, snapshots)
            transfer_tasks.put_finished(ctx, tx, task.id)
    except Exception as err:
        await transfer_tasks.note(ctx, task.id, err)
        raise
    ctx.transfers.forget(task.id)


IMPORT_DISKS: Final = Saga(
    name="import_disks",
    params=ImportDisks,
    steps=(
        Step("take_disks", do=take_disks, undo=give_up),
        Step("clear_workspace", do=clear_workspace),
        Step("finish", do=finish),  # last, so it needs no undo
    ),
    in_background=True,
)


async def _take_sources(ctx: SagaContext, task_id: str, transfer: Transfer) -> None:
    sources = import_task_of(ctx, task_id).sources
    for place, source in enumerate(sources):
        begin, end = place / len(sources), (place + 1) / len(sources)
        if source.snapshot_id is not None:
            await _copy_snapshot(ctx, task_id, place, source.snapshot_id)
            transfer.reached(end)
        else:
            await _take_file(ctx, task_id, place, source, _Span(transfer, begin, end))
    transfer.enters("updating")


@dataclass(frozen=True, slots=True)
class _Span:
    """The part of a transfer that one source is."""

    transfer: Transfer
    begin: float
    end: float

    def inner(self, begin: float, end: float) -> "_Span":
        width = self.end - self.begin
        return _Span(self.transfer, self.begin + begin * width, self.begin + end * width)

    def reached(self, fraction: float) -> None:
        self.transfer.reached(self.begin + (self.end - self.begin) * fraction)


async def _take_file(ctx: SagaContext, task_id: str, place: int, source: DiskSource, span: _Span) -> None:
    found = _disks_of(ctx, task_id, place)
    if found and all(disk.is_taken for disk in found):
        return
    expected_format = source.format.lower() if source.format else None
    fetch_share = 0.0 if source.path is not None else _FETCH_SHARE
    path = await _file_of(ctx, task_id, place, source, span.inner(0, fetch_share))
    if not found:
        span.transfer.enters("validating")
        examined = await ctx.disk_files.examine(path, expected_format=expected_format)
        span.transfer.enters("validated")
        found = await _note_found(ctx, task_id, place, examined, path)
    work = span.inner(fetch_share, 1)
    for number, disk in enumerate(found):
        if not disk.is_taken:
            part = work.inner(number / len(found), (number + 1) / len(found))
            taken = await ctx.volumes.import_file(
                disk.snapshot_id,
                path,
                disk=disk.number,
                expected_format=expected_format,
                key_id=key_id_of(import_task_of(ctx, task_id).kms_key_id),
                progress=part.reached,
                stage=lambda stage: span.transfer.enters(_EC2_STAGES.get(stage, stage)),
            )
            await _note_taken(ctx, task_id, disk, taken.size_bytes)
    if source.path is None:
        await asyncio.to_thread(path.unlink, missing_ok=True)


async def _file_of(ctx: SagaContext, task_id: str, place: int, source: DiskSource, span: _Span) -> Path:
    """Return the source's file. One that is in the folder is whole: it appears there when it is."""
    if source.path is not None:
        return Path(source.path)
    path = await ctx.objects.workspace(task_id) / str(place)
    if not await asyncio.to_thread(path.exists):
        span.transfer.enters("downloading/converting")
        await ctx.objects.fetch(object_of(source), path, limit_bytes=_FILE_MAX_BYTES, progress=span.reached)
    return path


def object_of(source: DiskSource) -> ObjectAt | WebAddress:
    """Return where a source's file is kept."""
    if source.bucket is not None and source.key is not None:
        return ObjectAt(bucket=source.bucket, key=source.key)
    if source.url is not None:
        return WebAddress(url=source.url)
    raise ValueError(f"the source {source} is no file elsewhere")


async def _copy_snapshot(ctx: SagaContext, task_id: str, place: int, source_id: str) -> None:
    """Let a disk of the task be the content of a snapshot that is here."""
    found = _disks_of(ctx, task_id, place)
    if not found:
        origin = ctx.store.snapshots.get(source_id)
        if origin is None:
            raise NoSuchSnapshot(source_id)
        task = import_task_of(ctx, task_id)
        (name,) = device_names(task, place, 1)
        disk = ImportedDisk(
            source=place, number=0, format="RAW", file_bytes=0, snapshot_id=new_id("snapshot"), device_name=name
        )
        found = [disk]
        async with ctx.store.transaction() as tx:
            key = task.kms_key_id or origin.kms_key_id
            tx.put(replace(_snapshot(ctx, task, disk, origin.volume_size_gib), encrypted=bool(key), kms_key_id=key))
            tx.put(replace(task, disks=(*task.disks, disk)))
    if not found[0].is_taken:
        await volumes.copy_snapshots(ctx, {found[0].snapshot_id: source_id})
        await _note_taken(ctx, task_id, found[0], None)


def _disks_of(ctx: SagaContext, task_id: str, place: int) -> list[ImportedDisk]:
    return [disk for disk in import_task_of(ctx, task_id).disks if disk.source == place]


async def _note_found(
    ctx: SagaContext, task_id: str, place: int, examined: ExaminedFile, path: Path
) -> list[ImportedDisk]:
    """Write down which disks a file has, with the snapshots that they become, before any of them has bytes."""
    task = import_task_of(ctx, task_id)
    if isinstance(task, ImportSnapshotTask) and len(examined.disks) > 1:
        raise UnsafeImage(f"it holds {len(examined.disks)} disks; a snapshot is made of one")
    if len(examined.disks) > DISKS_MAX:
        raise UnsafeImage(f"it holds {len(examined.disks)} disks; {DISKS_MAX} are the most")
    names = device_names(task, place, len(examined.disks))
    file_bytes = (await asyncio.to_thread(path.stat)).st_size
    found = [
        ImportedDisk(
            source=place,
            number=number,
            format=disk.format.upper(),
            file_bytes=file_bytes,
            snapshot_id=new_id("snapshot"),
            device_name=name,
        )
        for number, (disk, name) in enumerate(zip(examined.disks, names, strict=True))
    ]
    async with ctx.store.transaction() as tx:
        task = import_task_of(ctx, task_id)
        for disk, inside in zip(found, examined.disks, strict=True):
            tx.put(_snapshot(ctx, task, disk, -(-inside.size_bytes // GIB)))
        tx.put(replace(task, disks=(*task.disks, *found)))
    return found


async def _note_taken(ctx: SagaContext, task_id: str, disk: ImportedDisk, size_bytes: int | None) -> None:
    """Write down that a disk is in its snapshot, and how large it turned out to be."""
    async with ctx.store.transaction() as tx:
        task = import_task_of(ctx, task_id)
        disks = tuple(replace(it, is_taken=True) if it.snapshot_id == disk.snapshot_id else it for it in task.disks)
        tx.put(replace(task, disks=disks))
        snapshot = ctx.store.snapshots.get(disk.snapshot_id)
        if snapshot is not None and size_bytes is not None:
            tx.put(replace(snapshot, volume_size_gib=-(-size_bytes // GIB)))


def _snapshot(
    ctx: SagaContext, task: ImportImageTask | ImportSnapshotTask, disk: ImportedDisk, size_gib: int
) -> Snapshot:
    return Snapshot(
        id=disk.snapshot_id,
        account_id=task.account_id,
        region=task.region,
        volume_id=NO_VOLUME,
        volume_size_gib=size_gib,
        description=import_snapshot_description(task.id),
        state=SnapshotState.PENDING,
        started_at=ctx.now().replace(microsecond=0),
        encrypted=task.kms_key_id is not None,
        kms_key_id=task.kms_key_id,
    )


def _snapshots(ctx: SagaContext, task: ImportImageTask | ImportSnapshotTask) -> list[Snapshot]:
    """Return the records of the task's snapshots, in the order of its disks."""
    found = [ctx.store.snapshots.get(disk.snapshot_id) for disk in task.disks]
    for disk, snapshot in zip(task.disks, found, strict=True):
        if snapshot is None:
            raise NoSuchSnapshot(disk.snapshot_id)
    return [snapshot for snapshot in found if snapshot is not None]


def _put_image(ctx: SagaContext, tx: Transaction, task: ImportImageTask, snapshots: Sequence[Snapshot]) -> None:
    for other in ctx.store.images.by("name")[task.account_id, task.region, task.image_name].values():
        raise image_name_taken(task.image_name, other.id)
    devices = tuple(
        BlockDevice(
            device_name=disk.device_name,
            snapshot_id=snapshot.id,
            size_gib=snapshot.volume_size_gib,
            encrypted=snapshot.encrypted,
        )
        for disk, snapshot in zip(task.disks, snapshots, strict=True)
    )
    image = Image(
        id=task.image_id,
        account_id=task.account_id,
        region=task.region,
        name=task.image_name,
        description=task.image_description,
        state=ImageState.AVAILABLE,
        architecture=task.architecture,
        root_device_name=devices[0].device_name,
        block_devices=devices,
        created_at=ctx.now().replace(microsecond=0),
        boot_mode=task.boot_mode,
        disk_bus=task.disk_bus,
        tags=dict(task.image_tags),
    )
    tx.put(image)
    if task.public_parameter is not None:
        publish(ctx.store, tx, task.public_parameter, image, image.created_at)
