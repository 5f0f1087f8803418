"""CreateReplaceRootVolumeTask and what became of it."""

from datetime import datetime
from typing import Final

from bakehouse.app.root_replacements import RootReplacementRequest
from bakehouse.domain.replace_root_volume_task import ReplaceRootVolumeTask
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

#: Source: EC2 API Reference, DescribeReplaceRootVolumeTasks.
FILTERS: Final[Filters[ReplaceRootVolumeTask]] = Filters({"instance-id": lambda task: (task.instance_id,)})


async def _repeat_create(ctx: RequestContext, task_id: str) -> Response:
    (task,) = ctx.app.root_replacements.describe(ctx.caller, [task_id])
    return {"ReplaceRootVolumeTask": _view(task)}


@operation(
    "CreateReplaceRootVolumeTask",
    honours="InstanceId SnapshotId ImageId VolumeId DeleteReplacedRootVolume TagSpecifications",
    reasons={"VolumeInitializationRate": "volumes have all of their bytes from the beginning"},
    replay=_repeat_create,
)
async def create_replace_root_volume_task(ctx: RequestContext, request: Request) -> Response:
    """Replace the root of a running instance: by its launch state, a snapshot, an image or a volume."""
    wanted = RootReplacementRequest(
        instance_id=request["InstanceId"],
        snapshot_id=request.get("SnapshotId"),
        image_id=request.get("ImageId"),
        volume_id=request.get("VolumeId"),
        deletes_replaced=request.get("DeleteReplacedRootVolume", False),
        tags=requested_tags(request, "replace-root-volume-task")["replace-root-volume-task"],
    )
    return {"ReplaceRootVolumeTask": _view(await ctx.app.root_replacements.create(ctx.caller, wanted))}


@operation("DescribeReplaceRootVolumeTasks", honours="ReplaceRootVolumeTaskIds Filters MaxResults NextToken")
async def describe_replace_root_volume_tasks(ctx: RequestContext, request: Request) -> Response:
    """List the caller's root volume replacement tasks."""
    matches = FILTERS.compile(request)
    found = ctx.app.root_replacements.describe(ctx.caller, request.get("ReplaceRootVolumeTaskIds"))
    tasks = [task for task in found if matches(task)]
    shown, token = page(ctx, request, tasks, key=lambda it: it.id, sizes=(1, 50), ids="ReplaceRootVolumeTaskIds")
    return {"ReplaceRootVolumeTasks": [_view(task) for task in shown], "NextToken": token}


def _view(task: ReplaceRootVolumeTask) -> Response:
    return {
        "ReplaceRootVolumeTaskId": task.id,
        "InstanceId": task.instance_id,
        "TaskState": task.state,
        "StartTime": _moment(task.started_at),
        "CompleteTime": None if task.completed_at is None else _moment(task.completed_at),
        "ImageId": task.image_id,
        "SnapshotId": task.snapshot_id,
        "DeleteReplacedRootVolume": task.deletes_replaced,
        "Tags": tag_set(task.tags),
    }


def _moment(moment: datetime) -> str:
    """Return a time as these tasks tell it, which is text. Source: AWS CLI Command Reference, its example."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
