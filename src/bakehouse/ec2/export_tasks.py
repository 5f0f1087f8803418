"""Export operations: images, and instances, as files for other hypervisors."""

from collections.abc import Mapping
from typing import Any, Final

from bakehouse.app.export_tasks import Destination, ImageExportRequest, InstanceExportRequest, ShownExport
from bakehouse.domain.errors import missing_parameter, not_honoured
from bakehouse.domain.export_task import DEFAULT_ROLE, ExportImageTask, ExportInstanceTask
from bakehouse.domain.task_status import TaskStatus
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

#: Source: EC2 API Reference, DescribeExportImageTasks, Filters. Tags can be asked for, as with all that has tags.
IMAGE_FILTERS: Final[Filters[ShownExport[ExportImageTask]]] = Filters(
    {"task-state": lambda shown: (shown.task.status,)}, tags=lambda shown: shown.task.tags
)

#: What an export of an instance calls its status. Source: EC2 API Reference, ExportTaskState.
_INSTANCE_STATES: Final = {
    TaskStatus.ACTIVE: "active",
    TaskStatus.COMPLETED: "completed",
    TaskStatus.DELETING: "cancelling",
    TaskStatus.DELETED: "cancelled",
}

#: The model names no filter of DescribeExportTasks; those of its sister are honoured.
INSTANCE_FILTERS: Final[Filters[ShownExport[ExportInstanceTask]]] = Filters(
    {"task-state": lambda shown: (_INSTANCE_STATES[shown.task.status],)}, tags=lambda shown: shown.task.tags
)


async def _repeat_image(ctx: RequestContext, task_id: str) -> Response:
    (shown,) = ctx.app.export_tasks.images(ctx.caller, [task_id])
    return {
        **_image_task_view(shown),
        "DiskImageFormat": shown.task.format,
        "RoleName": shown.task.role_name,
    }


@operation(
    "ExportImage",
    honours="Description DiskImageFormat ImageId RoleName S3ExportLocation.S3Bucket S3ExportLocation.S3Prefix "
    "TagSpecifications",
    replay=_repeat_image,
)
async def export_image(ctx: RequestContext, request: Request) -> Response:
    """Begin to write an image's disk as an object."""
    location = request["S3ExportLocation"]
    wanted = ImageExportRequest(
        image_id=request["ImageId"],
        destination=_destination(request["DiskImageFormat"], location),
        description=request.get("Description", ""),
        role_name=request.get("RoleName", DEFAULT_ROLE),
        tags=requested_tags(request, "export-image-task")["export-image-task"],
    )
    task = await ctx.app.export_tasks.export_image(ctx.caller, wanted)
    return await _repeat_image(ctx, task.id)


@operation("DescribeExportImageTasks", honours="ExportImageTaskIds Filters MaxResults NextToken")
async def describe_export_image_tasks(ctx: RequestContext, request: Request) -> Response:
    """List the exports of images, ended ones for a week."""
    matches = IMAGE_FILTERS.compile(request)
    tasks = [it for it in ctx.app.export_tasks.images(ctx.caller, request.get("ExportImageTaskIds")) if matches(it)]
    shown, token = page(ctx, request, tasks, key=lambda it: it.task.id, sizes=(1, 500), ids="ExportImageTaskIds")
    return {"ExportImageTasks": [_image_task_view(it) for it in shown], "NextToken": token}


@operation("CancelExportTask", honours="ExportTaskId")
async def cancel_export_task(ctx: RequestContext, request: Request) -> Response:
    """Cancel an export that goes on; nothing of it stays."""
    await ctx.app.export_tasks.cancel(ctx.caller, request["ExportTaskId"])
    return {}


@operation(
    "CreateInstanceExportTask",
    honours="Description InstanceId TargetEnvironment TagSpecifications ExportToS3Task.DiskImageFormat "
    "ExportToS3Task.S3Bucket ExportToS3Task.S3Prefix",
    reasons={"ExportToS3Task.ContainerFormat": "A disk is exported alone, without an OVA around it."},
)
async def create_instance_export_task(ctx: RequestContext, request: Request) -> Response:
    """Begin to write an instance's disk as an object: the disk alone, no OVA around it."""
    task = await ctx.app.export_tasks.export_instance(ctx.caller, _instance_request(request))
    (shown,) = ctx.app.export_tasks.instances(ctx.caller, [task.id])
    return {"ExportTask": _instance_task_view(shown)}


@operation("DescribeExportTasks", honours="ExportTaskIds Filters")
async def describe_export_tasks(ctx: RequestContext, request: Request) -> Response:
    """List the exports of instances, ended ones for a week."""
    matches = INSTANCE_FILTERS.compile(request)
    tasks = ctx.app.export_tasks.instances(ctx.caller, request.get("ExportTaskIds"))
    return {"ExportTasks": [_instance_task_view(it) for it in tasks if matches(it)]}


def _instance_request(request: Request) -> InstanceExportRequest:
    to_s3 = request["ExportToS3Task"]
    if "S3Bucket" not in to_s3:
        raise missing_parameter("s3Bucket")
    file_format = to_s3.get("DiskImageFormat", "VMDK")
    if file_format == "RAW":
        # Source: VM Import/Export User Guide, considerations for instance export: OVA, VHD and VMDK.
        raise not_honoured("DiskImageFormat=RAW")
    return InstanceExportRequest(
        instance_id=request["InstanceId"],
        destination=_destination(file_format, to_s3),
        target_environment=request["TargetEnvironment"],
        description=request.get("Description", ""),
        tags=requested_tags(request, "export-instance-task")["export-instance-task"],
    )


def _destination(file_format: str, location: Mapping[str, Any]) -> Destination:
    return Destination(format=file_format, bucket=location["S3Bucket"], prefix=location.get("S3Prefix", ""))


def _image_task_view(shown: ShownExport[ExportImageTask]) -> dict[str, Any]:
    task = shown.task
    is_active = task.status is TaskStatus.ACTIVE
    return {
        "Description": task.description or None,
        "ExportImageTaskId": task.id,
        "ImageId": task.image_id,
        "Progress": str(shown.percent) if is_active else None,
        "S3ExportLocation": {"S3Bucket": task.bucket, "S3Prefix": task.prefix or None},
        "Status": task.status,
        "StatusMessage": shown.stage if is_active else task.message,
        "Tags": tag_set(task.tags),
    }


def _instance_task_view(shown: ShownExport[ExportInstanceTask]) -> Response:
    task = shown.task
    return {
        "Description": task.description or None,
        "ExportTaskId": task.id,
        "ExportToS3Task": {"DiskImageFormat": task.format, "S3Bucket": task.bucket, "S3Key": task.key},
        "InstanceExportDetails": {"InstanceId": task.instance_id, "TargetEnvironment": task.target_environment},
        "State": _INSTANCE_STATES[task.status],
        "StatusMessage": shown.stage if task.status is TaskStatus.ACTIVE else task.message,
        "Tags": tag_set(task.tags),
    }
