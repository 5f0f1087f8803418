"""Export tasks: begun by requests, shown while they go on and for some days after, cancelled."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Generic, TypeVar

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.images import Images
from bakehouse.app.snapshots import attached_volumes, check_description, pending_snapshot
from bakehouse.domain import shown_afterwards
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error, invalid_parameter, invalid_value, malformed_id
from bakehouse.domain.export_task import (
    DEFAULT_ROLE,
    EXPORT_MAX_GIB,
    DiskImageFormat,
    ExportImageTask,
    ExportInstanceTask,
    bucket_unusable,
    export_task_not_active,
    export_under_way,
    not_exportable,
    several_volumes,
)
from bakehouse.domain.ids import new_id, resource_type_of
from bakehouse.domain.image import Image, ImageState, image_unavailable
from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.domain.snapshot_tier import StorageTier, snapshot_archived
from bakehouse.domain.tags import check_tags
from bakehouse.domain.task_status import TRANSITIONS, TaskEvent, TaskStatus
from bakehouse.domain.volume import Volume, storage_full
from bakehouse.ports.disk_files import CannotExport, ExportFormat
from bakehouse.ports.objects import AccessDenied, InvalidObjectName, NoSuchBucket, TransferFailed
from bakehouse.ports.volumes import NoSuchSnapshot, StorageFull
from bakehouse.sagas.create_snapshots import CREATE_SNAPSHOTS, CreateSnapshots
from bakehouse.sagas.export_disk import EXPORT_DISK, ExportDisk
from bakehouse.sagas.transfers import Transfer
from bakehouse.store.store import Transaction

AnyTask = TypeVar("AnyTask", ExportImageTask, ExportInstanceTask)

#: Source: EC2 API Reference, ExportEnvironment.
_ENVIRONMENTS: Final = ("citrix", "vmware", "microsoft")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where an export goes, and as what."""

    format: str
    bucket: str
    prefix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageExportRequest:
    """What ExportImage asks for."""

    image_id: str
    destination: Destination
    description: str = ""
    role_name: str = DEFAULT_ROLE
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceExportRequest:
    """What CreateInstanceExportTask asks for."""

    instance_id: str
    destination: Destination
    target_environment: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownExport(Generic[AnyTask]):
    """A task and how far it is."""

    task: AnyTask
    percent: int
    stage: str


class ExportTasks:
    """Use cases on exports."""

    def __init__(self, context: AppContext, images: Images) -> None:
        """Work on these records."""
        self._context = context
        self._images = images

    async def export_image(self, caller: Caller, request: ImageExportRequest) -> ExportImageTask:
        """Begin to write an image's disk as an object, and return the task at once.

        Refuses another account's image (AuthFailure), one that is not available (InvalidAMIID.Unavailable), that is
        being exported (ResourceInUse), that has several volumes (UnsupportedOperation) or one that is too large
        (NotExportable), and a bucket that cannot be written to (InvalidParameter).
        """
        check_description(request.description)
        check_tags(request.tags)
        file_format = _format(request.destination.format)
        self._images.owned(caller, request.image_id)
        await self._check_bucket(request.destination)
        # From here on nothing is awaited until the task is written down: two cannot both find that there is none.
        image = self._images.owned(caller, request.image_id)
        snapshot = self._exported_snapshot(image)
        if any(
            task.image_id == image.id and task.status is TaskStatus.ACTIVE
            for task in scope(self._context.store.export_image_tasks, caller)
        ):
            raise export_under_way(image.id)
        task = ExportImageTask(
            id=new_id("export-image-task"),
            account_id=caller.account_id,
            region=caller.region,
            image_id=image.id,
            snapshot_id=snapshot.id,
            format=file_format,
            bucket=request.destination.bucket,
            prefix=request.destination.prefix,
            description=request.description,
            role_name=request.role_name,
            started_at=self._context.now(),
            tags=dict(request.tags),
        )
        async with self._context.store.transaction() as tx:
            saga_id = self._enlist(tx, caller, task)
        self._context.sagas.begin(saga_id)
        return task

    async def export_instance(self, caller: Caller, request: InstanceExportRequest) -> ExportInstanceTask:
        """Take a snapshot of an instance's disk and begin to write it as an object; return the task at once.

        Refuses an instance that is neither running nor stopped (IncorrectInstanceState), and else as `export_image`.
        """
        context = self._context
        check_description(request.description)
        check_tags(request.tags)
        if request.target_environment not in _ENVIRONMENTS:
            raise invalid_value(request.target_environment, "targetEnvironment")
        file_format = _format(request.destination.format)
        owned(context.store.instances, caller, "instance", [request.instance_id])
        await self._check_bucket(request.destination)
        (instance,) = owned(context.store.instances, caller, "instance", [request.instance_id])
        volume = _only_volume(attached_volumes(context, instance))
        task_id = new_id("export-instance-task")
        snapshot = pending_snapshot(context, volume, f"Created by AWS-VMExport service for {task_id}", {})
        task = ExportInstanceTask(
            id=task_id,
            account_id=caller.account_id,
            region=caller.region,
            instance_id=instance.id,
            target_environment=request.target_environment,
            snapshot_id=snapshot.id,
            format=file_format,
            bucket=request.destination.bucket,
            prefix=request.destination.prefix,
            description=request.description,
            started_at=context.now(),
            tags=dict(request.tags),
        )
        taking = CreateSnapshots(snapshots={volume.id: snapshot.id})
        async with context.store.transaction() as tx:
            tx.put(snapshot)
            snapshot_saga_id = context.sagas.enlist(tx, CREATE_SNAPSHOTS, taking, subject_id=instance.id)
            saga_id = self._enlist(tx, caller, task)
        context.sagas.begin(snapshot_saga_id)
        context.sagas.begin(saga_id)
        return task

    async def export_file(
        self, caller: Caller, image_id: str, path: Path, file_format: str, *, progress: Callable[[float], None]
    ) -> int:
        """Write an image's disk as a file of this host, which is replaced, and return its size in bytes.

        `file_format` is one of EC2's, or qcow2; `progress` is called with fractions from 0 to 1. It has its turn among
        the tasks, and is none itself: it ends with the one who waits for it, and leaves no file unless it succeeds.
        Refuses an image as `export_image`, a format (InvalidParameterValue), and any on a full host
        (InsufficientVolumeCapacity).
        """
        formats = {known.value: known for known in ExportFormat}
        wanted = formats.get(file_format.lower())
        if wanted is None:
            raise invalid_value(file_format, "format", f"It can be {', '.join(formats)}.")
        snapshot = self._exported_snapshot(self._images.owned(caller, image_id))
        context, written = self._context, [0]

        async def work(_transfer: Transfer) -> None:
            export = context.disk_files.export(snapshot.id, path, file_format=wanted, progress=progress)
            written[0] = await export

        try:
            await context.transfers.run(f"{image_id} to {path}", work)
        except StorageFull as err:
            raise storage_full() from err
        except NoSuchSnapshot as err:
            raise image_unavailable(image_id) from err
        except CannotExport as err:
            raise not_exportable("image", str(err)) from err
        except OSError as err:
            raise invalid_parameter(f"The file {path} cannot be written: {err.strerror or err}") from err
        finally:
            context.transfers.forget(f"{image_id} to {path}")
        return written[0]

    def images(self, caller: Caller, task_ids: Iterable[str] | None = None) -> list[ShownExport[ExportImageTask]]:
        """Return the caller's exports of images: all, oldest first, or those of these ids.

        A missing id is refused: InvalidExportTaskID.NotFound.
        """
        records = self._context.store.export_image_tasks
        tasks = scope(records, caller) if task_ids is None else owned(records, caller, "export-image-task", task_ids)
        return [self._shown(task) for task in tasks]

    def instances(self, caller: Caller, task_ids: Iterable[str] | None = None) -> list[ShownExport[ExportInstanceTask]]:
        """Return the caller's exports of instances; as `images`."""
        records = self._context.store.export_instance_tasks
        tasks = scope(records, caller) if task_ids is None else owned(records, caller, "export-instance-task", task_ids)
        return [self._shown(task) for task in tasks]

    async def cancel(self, caller: Caller, task_id: str) -> None:
        """Cancel a task: it leaves nothing behind. Refuses one that has ended (IncorrectState)."""
        task = self._owned(caller, task_id)
        status = TRANSITIONS.get((task.status, TaskEvent.CANCEL_REQUESTED))
        if status is None:
            raise export_task_not_active(task.id, task.status)
        async with self._context.store.transaction() as tx:
            tx.put(replace(task, status=status, message=None))
        self._context.transfers.cancel(task.id)

    async def forget_old(self) -> None:
        """Forget tasks that ended a week ago."""
        oldest = self._context.now() - shown_afterwards.IMAGE_TASK
        store = self._context.store
        async with store.transaction() as tx:
            for task in [*store.export_image_tasks, *store.export_instance_tasks]:
                if task.ended_at is not None and task.ended_at < oldest:
                    tx.delete(task)

    def _enlist(self, tx: Transaction, caller: Caller, task: ExportImageTask | ExportInstanceTask) -> str:
        tx.put(task)
        tx.remember(caller, task.id, self._context.now().timestamp())
        return self._context.sagas.enlist(tx, EXPORT_DISK, ExportDisk(task_id=task.id), subject_id=task.id)

    def _owned(self, caller: Caller, task_id: str) -> ExportImageTask | ExportInstanceTask:
        match resource_type_of(task_id):
            case "export-image-task":
                (image_task,) = owned(self._context.store.export_image_tasks, caller, "export-image-task", [task_id])
                return image_task
            case "export-instance-task":
                records = self._context.store.export_instance_tasks
                (instance_task,) = owned(records, caller, "export-instance-task", [task_id])
                return instance_task
            case _:
                raise malformed_id("export-image-task", task_id)

    def _shown(self, task: AnyTask) -> ShownExport[AnyTask]:
        transfer = self._context.transfers.of(task.id)
        return ShownExport(task=task, percent=int(transfer.fraction * 100), stage=transfer.stage)

    def _exported_snapshot(self, image: Image) -> Snapshot:
        if image.state is not ImageState.AVAILABLE:
            raise image_unavailable(image.id)
        disks = [device for device in image.block_devices if device.virtual_name is None]
        if len(disks) > 1:
            raise several_volumes("image")
        found = self._context.store.snapshots.get(disks[0].snapshot_id or "") if disks else None
        if found is None or found.state is not SnapshotState.COMPLETED:
            raise not_exportable("image", "its snapshot does not exist")
        if found.tier is StorageTier.ARCHIVE:
            raise snapshot_archived(found.id)
        if found.encrypted:
            raise not_exportable("image", "its snapshot is encrypted")
        if found.volume_size_gib > EXPORT_MAX_GIB:
            raise not_exportable("image", "its volume is larger than 1 TiB")
        return found

    async def _check_bucket(self, destination: Destination) -> None:
        """Refuse a bucket that is not there: asked before the task begins, as on EC2."""
        try:
            await self._context.objects.check_bucket(destination.bucket)
        except (NoSuchBucket, InvalidObjectName) as err:
            raise bucket_unusable(destination.bucket, "it does not exist") from err
        except AccessDenied as err:
            raise bucket_unusable(destination.bucket, "access to it is denied") from err
        except TransferFailed as err:
            raise Ec2Error("Unavailable", f"The bucket '{destination.bucket}' cannot be asked: {err}", 503) from err


def _format(text: str) -> DiskImageFormat:
    try:
        return DiskImageFormat(text.upper())
    except ValueError as err:
        raise invalid_value(text, "diskImageFormat", f"It can be {', '.join(DiskImageFormat)}.") from err


def _only_volume(volumes: list[Volume]) -> Volume:
    """Return an instance's one disk, or refuse to export it."""
    if len(volumes) > 1:
        raise several_volumes("instance")
    if not volumes:
        raise not_exportable("instance", "it has no volume")
    if volumes[0].encrypted:
        raise not_exportable("instance", "its volume is encrypted")
    if volumes[0].size_gib > EXPORT_MAX_GIB:
        raise not_exportable("instance", "its volume is larger than 1 TiB")
    return volumes[0]
