"""Import operations: disks from outside that become images and snapshots."""

from collections.abc import Mapping
from typing import Any, Final

from bakehouse.app.import_tasks import ImageImportRequest, ShownTask, SnapshotImportRequest
from bakehouse.domain.errors import missing_parameter, not_honoured
from bakehouse.domain.import_task import DiskSource, ImportedDisk, ImportImageTask, ImportSnapshotTask
from bakehouse.domain.task_status import TaskStatus
from bakehouse.ec2.ebs_encryption import requested_encryption
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

#: Source: EC2 API Reference, DescribeImportImageTasks, Filters. Tags can be asked for, as with all that has tags.
IMAGE_FILTERS: Final[Filters[ShownTask[ImportImageTask]]] = Filters(
    {"task-state": lambda shown: (shown.task.status,)}, tags=lambda shown: shown.task.tags
)
SNAPSHOT_FILTERS: Final[Filters[ShownTask[ImportSnapshotTask]]] = Filters(
    {"task-state": lambda shown: (shown.task.status,)}, tags=lambda shown: shown.task.tags
)

#: ClientData only says when and by what means the disk was uploaded: nothing follows from it, on EC2 either.
_COMMON: Final = "ClientData Description Encrypted KmsKeyId RoleName TagSpecifications"
_CONTAINER: Final = ("Description", "Format", "Url", "UserBucket.S3Bucket", "UserBucket.S3Key")
_PAGE_SIZES: Final = (1, 1000)


async def _repeat_image(ctx: RequestContext, task_id: str) -> Response:
    (shown,) = ctx.app.import_tasks.images(ctx.caller, [task_id])
    return {member: value for member, value in _image_task_view(shown).items() if member != "BootMode"}


@operation(
    "ImportImage",
    honours=f"{_COMMON} Architecture BootMode Hypervisor LicenseType Platform UsageOperation "
    + " ".join(f"DiskContainers.{member}" for member in (*_CONTAINER, "DeviceName", "SnapshotId")),
    reasons={"LicenseSpecifications": "There is no License Manager here."},
    replay=_repeat_image,
)
async def import_image(ctx: RequestContext, request: Request) -> Response:
    """Begin to make an image of disks from outside."""
    if request.get("Hypervisor", "xen") != "xen":
        raise not_honoured(f"Hypervisor={request['Hypervisor']}")
    task = await ctx.app.import_tasks.import_image(ctx.caller, _image_request(request))
    return await _repeat_image(ctx, task.id)


@operation("DescribeImportImageTasks", honours="ImportTaskIds Filters MaxResults NextToken")
async def describe_import_image_tasks(ctx: RequestContext, request: Request) -> Response:
    """List the imports of images, ended ones for a week."""
    matches = IMAGE_FILTERS.compile(request)
    tasks = [it for it in ctx.app.import_tasks.images(ctx.caller, request.get("ImportTaskIds")) if matches(it)]
    shown, token = page(ctx, request, tasks, key=lambda it: it.task.id, sizes=_PAGE_SIZES, ids="ImportTaskIds")
    return {"ImportImageTasks": [_image_task_view(it) for it in shown], "NextToken": token}


async def _repeat_snapshot(ctx: RequestContext, task_id: str) -> Response:
    (shown,) = ctx.app.import_tasks.snapshots(ctx.caller, [task_id])
    return _snapshot_task_view(shown)


@operation(
    "ImportSnapshot",
    honours=f"{_COMMON} " + " ".join(f"DiskContainer.{member}" for member in _CONTAINER),
    replay=_repeat_snapshot,
)
async def import_snapshot(ctx: RequestContext, request: Request) -> Response:
    """Begin to make a snapshot of a disk from outside."""
    wanted = SnapshotImportRequest(
        source=_source(request.get("DiskContainer") or {}),
        description=request.get("Description", ""),
        role_name=request.get("RoleName"),
        encryption=requested_encryption(request),
        tags=requested_tags(request, "import-snapshot-task")["import-snapshot-task"],
    )
    task = await ctx.app.import_tasks.import_snapshot(ctx.caller, wanted)
    return await _repeat_snapshot(ctx, task.id)


@operation("DescribeImportSnapshotTasks", honours="ImportTaskIds Filters MaxResults NextToken")
async def describe_import_snapshot_tasks(ctx: RequestContext, request: Request) -> Response:
    """List the imports of snapshots, ended ones for a week."""
    matches = SNAPSHOT_FILTERS.compile(request)
    tasks = [it for it in ctx.app.import_tasks.snapshots(ctx.caller, request.get("ImportTaskIds")) if matches(it)]
    shown, token = page(ctx, request, tasks, key=lambda it: it.task.id, sizes=_PAGE_SIZES, ids="ImportTaskIds")
    return {"ImportSnapshotTasks": [_snapshot_task_view(it) for it in shown], "NextToken": token}


@operation("CancelImportTask", honours="CancelReason ImportTaskId")
async def cancel_import_task(ctx: RequestContext, request: Request) -> Response:
    """Cancel an import that goes on; nothing of it stays."""
    if "ImportTaskId" not in request:
        raise missing_parameter("importTaskId")
    done = await ctx.app.import_tasks.cancel(ctx.caller, request["ImportTaskId"], request.get("CancelReason", ""))
    return {"ImportTaskId": done.task_id, "PreviousState": done.before, "State": done.after}


def _image_request(request: Request) -> ImageImportRequest:
    return ImageImportRequest(
        sources=tuple(_source(container) for container in request.get("DiskContainers") or ()),
        description=request.get("Description", ""),
        architecture=request.get("Architecture", "x86_64"),
        boot_mode=request.get("BootMode"),
        license_type=request.get("LicenseType"),
        platform=request.get("Platform", "Linux"),
        usage_operation=request.get("UsageOperation"),
        role_name=request.get("RoleName"),
        encryption=requested_encryption(request),
        tags=requested_tags(request, "import-image-task")["import-image-task"],
    )


def _source(container: Mapping[str, Any]) -> DiskSource:
    bucket = container.get("UserBucket") or {}
    return DiskSource(
        format=container.get("Format"),
        bucket=bucket.get("S3Bucket"),
        key=bucket.get("S3Key"),
        url=container.get("Url"),
        snapshot_id=container.get("SnapshotId"),
        description=container.get("Description", ""),
        device_name=container.get("DeviceName"),
    )


def _image_task_view(shown: ShownTask[ImportImageTask]) -> Response:
    task = shown.task
    done = task.status is TaskStatus.COMPLETED
    return {
        "ImportTaskId": task.id,
        "Architecture": task.architecture,
        "BootMode": task.boot_mode,
        "Description": task.description or None,
        "Encrypted": task.kms_key_id is not None,
        "KmsKeyId": task.kms_key_id,
        "Hypervisor": "xen",
        "ImageId": task.image_id if done else None,
        "LicenseType": task.license_type,
        "Platform": task.platform,
        "SnapshotDetails": _details(task),
        "Tags": tag_set(task.tags),
        "UsageOperation": task.usage_operation,
        **_status(shown),
    }


def _details(task: ImportImageTask) -> list[Response]:
    """Return the disks of a task: those that were found, and a source as one disk until it was opened."""
    details = []
    for place, source in enumerate(task.sources):
        found = [disk for disk in task.disks if disk.source == place]
        details += [_detail(source, disk) for disk in found] or [_detail(source, None)]
    return details


def _detail(source: DiskSource, disk: ImportedDisk | None) -> Response:
    is_taken = disk is not None and disk.is_taken
    return {
        **_disk(source, disk),
        "DeviceName": disk.device_name if disk else source.device_name,
        "SnapshotId": disk.snapshot_id if disk and disk.is_taken else None,
        "Status": TaskStatus.COMPLETED if is_taken else TaskStatus.ACTIVE,
    }


def _disk(source: DiskSource, disk: ImportedDisk | None) -> Response:
    """Return what both kinds say of a disk. The file's size is in bytes, as EC2 answers it, whatever its model says."""
    return {
        "Description": source.description or None,
        "DiskImageSize": float(disk.file_bytes) if disk else None,
        "Format": disk.format if disk else source.format,
        "Url": source.url,
        "UserBucket": {"S3Bucket": source.bucket, "S3Key": source.key} if source.bucket and not source.url else None,
    }


def _snapshot_task_view(shown: ShownTask[ImportSnapshotTask]) -> Response:
    task = shown.task
    disk = task.disks[0] if task.disks else None
    done = task.status is TaskStatus.COMPLETED
    return {
        "ImportTaskId": task.id,
        "Description": task.description or None,
        "Tags": tag_set(task.tags),
        "SnapshotTaskDetail": {
            **_disk(task.sources[0], disk),
            "Encrypted": task.kms_key_id is not None,
            "KmsKeyId": task.kms_key_id,
            "SnapshotId": disk.snapshot_id if disk and done else None,
            **_status(shown),
        },
    }


def _status(shown: ShownTask[Any]) -> Response:
    """Return status, message and progress. Source: VM Import/Export User Guide, monitoring an import."""
    task = shown.task
    is_active = task.status is TaskStatus.ACTIVE
    return {
        "Status": task.status,
        "StatusMessage": shown.stage if is_active else task.message,
        "Progress": str(shown.percent) if is_active else None,
    }
