"""Store and restore operations: images as single objects in buckets."""

from typing import Final

from bakehouse.app.store_image_tasks import RestoreRequest, ShownStore
from bakehouse.domain.errors import invalid_parameter
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags

#: Source: EC2 API Reference, DescribeStoreImageTasks.
FILTERS: Final[Filters[ShownStore]] = Filters(
    {"bucket": lambda shown: (shown.task.bucket,), "task-state": lambda shown: (shown.task.state,)}
)


@operation("CreateStoreImageTask", honours="ImageId Bucket S3ObjectTags")
async def create_store_image_task(ctx: RequestContext, request: Request) -> Response:
    """Begin to store an image as one object."""
    tags: dict[str, str] = {}
    for tag in request.get("S3ObjectTags") or ():
        key = tag.get("Key", "")
        if key in tags:
            raise invalid_parameter(f"Duplicate tag key '{key}' specified.")
        tags[key] = tag.get("Value", "")
    tasks = ctx.app.store_image_tasks
    task = await tasks.store(ctx.caller, request["ImageId"], request["Bucket"], object_tags=tags)
    return {"ObjectKey": task.key}


@operation("DescribeStoreImageTasks", honours="ImageIds Filters MaxResults NextToken")
async def describe_store_image_tasks(ctx: RequestContext, request: Request) -> Response:
    """List the stores of images, ended ones for a month; with ImageIds the filters do not count, as EC2 says."""
    image_ids = request.get("ImageIds") or None
    matches = FILTERS.compile({} if image_ids else request)
    tasks = [task for task in ctx.app.store_image_tasks.describe(ctx.caller, image_ids) if matches(task)]
    shown, token = page(ctx, request, tasks, key=lambda it: it.task.id, sizes=(1, 200), ids="ImageIds")
    return {"StoreImageTaskResults": [_task_view(task) for task in shown], "NextToken": token}


@operation("CreateRestoreImageTask", honours="Bucket ObjectKey Name TagSpecifications")
async def create_restore_image_task(ctx: RequestContext, request: Request) -> Response:
    """Begin to restore an image from an object."""
    tags = requested_tags(request, "image", "snapshot")
    wanted = RestoreRequest(
        bucket=request["Bucket"],
        key=request["ObjectKey"],
        name=request.get("Name"),
        tags=tags["image"],
        snapshot_tags=tags["snapshot"],
    )
    return {"ImageId": await ctx.app.store_image_tasks.restore(ctx.caller, wanted)}


def _task_view(shown: ShownStore) -> Response:
    task = shown.task
    return {
        "AmiId": task.image_id,
        "TaskStartTime": task.started_at,
        "Bucket": task.bucket,
        "S3objectKey": task.key,
        "ProgressPercentage": shown.percent,
        "StoreTaskState": task.state,
        "StoreTaskFailureReason": task.failure_reason,
    }
