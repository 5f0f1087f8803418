"""Import tasks: begun by requests, shown while they go on and for some days after, cancelled."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeVar
from urllib.parse import urlsplit

from bakehouse.app.context import AppContext, owned, scope
from bakehouse.app.encryption import chosen_key, prepare_default_key
from bakehouse.app.snapshots import check_description, completed_snapshot
from bakehouse.domain import shown_afterwards
from bakehouse.domain.block_device import check_device_name
from bakehouse.domain.caller import Caller
from bakehouse.domain.errors import Ec2Error, invalid_value, malformed_id
from bakehouse.domain.ids import new_id, resource_type_of
from bakehouse.domain.image_boot import LEGACY_BIOS, UEFI
from bakehouse.domain.import_task import (
    DISKS_MAX,
    IMAGE_FORMATS,
    SNAPSHOT_FORMATS,
    DiskSource,
    ImportImageTask,
    ImportSnapshotTask,
    import_task_not_active,
    source_wrong,
)
from bakehouse.domain.kms_key import Encryption
from bakehouse.domain.tags import check_tags
from bakehouse.domain.task_status import TRANSITIONS, TaskEvent, TaskStatus
from bakehouse.sagas.import_disks import IMPORT_DISKS, ImportDisks

AnyTask = TypeVar("AnyTask", ImportImageTask, ImportSnapshotTask)

#: Source: EC2 API Reference, ImportImage, Architecture.
_ARCHITECTURES: Final = ("i386", "x86_64")

#: Source: VM Import/Export User Guide, boot modes: `uefi-preferred` cannot be imported.
_BOOT_MODES: Final = (LEGACY_BIOS, UEFI)

_BUCKET_AND_KEY: Final = re.compile(r"s3://([^/]+)/(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageImportRequest:
    """What ImportImage asks for."""

    sources: tuple[DiskSource, ...]
    description: str = ""
    architecture: str = "x86_64"
    boot_mode: str | None = None
    license_type: str | None = None
    platform: str = "Linux"
    usage_operation: str | None = None
    role_name: str | None = None
    encryption: Encryption = Encryption()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotImportRequest:
    """What ImportSnapshot asks for."""

    source: DiskSource
    description: str = ""
    role_name: str | None = None
    encryption: Encryption = Encryption()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTask(Generic[AnyTask]):
    """A task and how far it is."""

    task: AnyTask
    percent: int
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelledTask:
    """What CancelImportTask did."""

    task_id: str
    before: TaskStatus
    after: TaskStatus


class ImportTasks:
    """Use cases on imports."""

    def __init__(self, context: AppContext) -> None:
        """Work on these records."""
        self._context = context

    async def import_image(self, caller: Caller, request: ImageImportRequest) -> ImportImageTask:
        """Begin to make an image of disks, and return its task at once.

        Refuses what no image can be made of before anything is read; what the disks really are is told by the task.
        """
        check_description(request.description)
        check_tags(request.tags)
        _check_license(request)
        if request.architecture not in _ARCHITECTURES:
            raise invalid_value(request.architecture, "architecture", "It can be i386 or x86_64.")
        if request.boot_mode is not None and request.boot_mode not in _BOOT_MODES:
            raise invalid_value(request.boot_mode, "bootMode", f"It can be {' or '.join(_BOOT_MODES)}.")
        await prepare_default_key(self._context, caller)
        key = chosen_key(self._context, caller, request.encryption)
        task_id = new_id("import-image-task")
        task = ImportImageTask(
            id=task_id,
            account_id=caller.account_id,
            region=caller.region,
            description=request.description,
            sources=self._checked(caller, request.sources, IMAGE_FORMATS),
            started_at=self._context.now(),
            role_name=request.role_name,
            kms_key_id=key,
            tags=dict(request.tags),
            image_id=new_id("image"),
            # As EC2 names and describes what it imports.
            image_name=task_id,
            image_description=f"AWS-VMImport service: {request.platform}",
            architecture=request.architecture,
            boot_mode=request.boot_mode,
            license_type=request.license_type or "BYOL",
            platform=request.platform,
            usage_operation=request.usage_operation,
        )
        await self._begin(caller, task)
        return task

    async def import_snapshot(self, caller: Caller, request: SnapshotImportRequest) -> ImportSnapshotTask:
        """Begin to make a snapshot of a disk, and return its task at once; refuses as `import_image`."""
        check_description(request.description)
        check_tags(request.tags)
        if request.source.snapshot_id is not None:
            raise source_wrong("A snapshot cannot be imported from a snapshot")
        await prepare_default_key(self._context, caller)
        task = ImportSnapshotTask(
            id=new_id("import-snapshot-task"),
            account_id=caller.account_id,
            region=caller.region,
            description=request.description,
            sources=self._checked(caller, [request.source], SNAPSHOT_FORMATS),
            started_at=self._context.now(),
            role_name=request.role_name,
            kms_key_id=chosen_key(self._context, caller, request.encryption),
            tags=dict(request.tags),
        )
        await self._begin(caller, task)
        return task

    def images(self, caller: Caller, task_ids: Iterable[str] | None = None) -> list[ShownTask[ImportImageTask]]:
        """Return the caller's tasks that make images: all, oldest first, or those of these ids.

        A missing id is refused: InvalidConversionTaskId.
        """
        records = self._context.store.import_image_tasks
        tasks = scope(records, caller) if task_ids is None else owned(records, caller, "import-image-task", task_ids)
        return [self._shown(task) for task in tasks]

    def snapshots(self, caller: Caller, task_ids: Iterable[str] | None = None) -> list[ShownTask[ImportSnapshotTask]]:
        """Return the caller's tasks that make snapshots; as `images`."""
        records = self._context.store.import_snapshot_tasks
        tasks = scope(records, caller) if task_ids is None else owned(records, caller, "import-snapshot-task", task_ids)
        return [self._shown(task) for task in tasks]

    async def cancel(self, caller: Caller, task_id: str, reason: str) -> CancelledTask:
        """Cancel a task: it leaves nothing behind. Refuses one that has ended (IncorrectState)."""
        task = self._owned(caller, task_id)
        status = TRANSITIONS.get((task.status, TaskEvent.CANCEL_REQUESTED))
        if status is None:
            raise import_task_not_active(task.id, task.status)
        async with self._context.store.transaction() as tx:
            tx.put(replace(task, status=status, message=reason or None))
        self._context.transfers.cancel(task.id)
        return CancelledTask(task_id=task.id, before=task.status, after=status)

    async def forget_old(self) -> None:
        """Forget tasks that ended a week ago."""
        oldest = self._context.now() - shown_afterwards.IMAGE_TASK
        store = self._context.store
        async with store.transaction() as tx:
            for task in [*store.import_image_tasks, *store.import_snapshot_tasks]:
                if task.ended_at is not None and task.ended_at < oldest:
                    tx.delete(task)

    async def _begin(self, caller: Caller, task: ImportImageTask | ImportSnapshotTask) -> None:
        context = self._context
        async with context.store.transaction() as tx:
            tx.put(task)
            tx.remember(caller, task.id, context.now().timestamp())
            saga_id = context.sagas.enlist(tx, IMPORT_DISKS, ImportDisks(task_id=task.id), subject_id=task.id)
        context.sagas.begin(saga_id)

    def _owned(self, caller: Caller, task_id: str) -> ImportImageTask | ImportSnapshotTask:
        match resource_type_of(task_id):
            case "import-image-task":
                (image_task,) = owned(self._context.store.import_image_tasks, caller, "import-image-task", [task_id])
                return image_task
            case "import-snapshot-task":
                records = self._context.store.import_snapshot_tasks
                (snapshot_task,) = owned(records, caller, "import-snapshot-task", [task_id])
                return snapshot_task
            case _:
                raise malformed_id("import-image-task", task_id)

    def _shown(self, task: AnyTask) -> ShownTask[AnyTask]:
        transfer = self._context.transfers.of(task.id)
        return ShownTask(task=task, percent=int(transfer.fraction * 100), stage=transfer.stage)

    def _checked(
        self, caller: Caller, sources: Sequence[DiskSource], formats: frozenset[str]
    ) -> tuple[DiskSource, ...]:
        """Return the sources with their objects named, or refuse what is none: InvalidParameter, as EC2 calls it."""
        if not sources:
            raise source_wrong("No disk container was specified")
        if len(sources) > DISKS_MAX:
            raise source_wrong(f"{len(sources)} disk containers were specified; {DISKS_MAX} are the most")
        names = [source.device_name for source in sources if source.device_name is not None]
        for name in names:
            check_device_name(name)
        if len(set(names)) < len(names):
            raise source_wrong("A device name was specified twice")
        return tuple(self._checked_source(caller, source, formats) for source in sources)

    def _checked_source(self, caller: Caller, source: DiskSource, formats: frozenset[str]) -> DiskSource:
        if source.format is not None and source.format.upper() not in formats:
            raise invalid_value(source.format, "format", f"It can be {', '.join(sorted(formats))}.")
        places = (source.url, source.bucket or source.key, source.snapshot_id)
        if sum(place is not None for place in places) != 1:
            raise source_wrong("A disk container needs exactly one of Url, UserBucket and SnapshotId")
        if source.snapshot_id is not None:
            completed_snapshot(self._context, caller, source.snapshot_id)
            return source
        return _with_place(source)


def _with_place(source: DiskSource) -> DiskSource:
    """Return a source with the bucket and the key that its address names, if it names any."""
    if source.url is None:
        if not (source.bucket and source.key):
            raise source_wrong("Invalid S3 source location: it needs a bucket and a key")
        return source
    if (s3 := _BUCKET_AND_KEY.fullmatch(source.url)) is not None:
        return replace(source, bucket=s3[1], key=s3[2])
    if urlsplit(source.url).scheme not in ("http", "https"):
        raise source_wrong("Invalid S3 source location: a Url begins with s3://, https:// or http://")
    return source


def _check_license(request: ImageImportRequest) -> None:
    """Refuse what only systems with licenses of Amazon's have. Source: VM Import/Export User Guide, licensing."""
    if request.platform == "Windows":
        raise Ec2Error("UnsupportedOperation", "Windows cannot be imported: this endpoint has no licenses for it.")
    if request.platform != "Linux":
        raise invalid_value(request.platform, "platform", "It can be Windows or Linux.")
    if request.license_type == "AWS":
        raise Ec2Error("UnsupportedOperation", "The license type AWS is for Windows; a Linux image has BYOL.")
    if request.license_type not in (None, "BYOL"):
        raise invalid_value(request.license_type, "licenseType", "It can be AWS or BYOL.")
    if request.usage_operation not in (None, "RunInstances"):
        raise invalid_value(request.usage_operation, "usageOperation", "Of a Linux image it can be RunInstances.")
