"""ModifyVolume and what became of it."""

from collections.abc import Iterable
from typing import Any, Final

from bakehouse.app.volume_modifications import ModificationRequest
from bakehouse.domain.errors import not_honoured
from bakehouse.domain.volume import Volume
from bakehouse.domain.volume_modification import VolumeModification
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.image_views import moment
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

Modified = tuple[Volume, VolumeModification]


def _text(value: int | None) -> Iterable[str]:
    return () if value is None else (str(value),)


#: Source: EC2 API Reference, DescribeVolumesModifications. No volume here has Multi-Attach.
FILTERS: Final[Filters[Modified]] = Filters(
    {
        "modification-state": lambda it: (it[1].state,),
        "original-iops": lambda it: _text(it[1].original.iops),
        "original-size": lambda it: _text(it[1].original.size_gib),
        "original-volume-type": lambda it: (it[1].original.type,),
        "originalMultiAttachEnabled": lambda _it: ("false",),
        "start-time": lambda it: (moment(it[1].started_at),),
        "target-iops": lambda it: _text(it[1].target.iops),
        "target-size": lambda it: _text(it[1].target.size_gib),
        "target-volume-type": lambda it: (it[1].target.type,),
        "targetMultiAttachEnabled": lambda _it: ("false",),
        "volume-id": lambda it: (it[0].id,),
    }
)


@operation("ModifyVolume", honours="VolumeId Size VolumeType Iops Throughput MultiAttachEnabled")
async def modify_volume(ctx: RequestContext, request: Request) -> Response:
    """Change a volume's size, type or figures. Multi-Attach can be declined, not asked for."""
    if request.get("MultiAttachEnabled"):
        raise not_honoured("MultiAttachEnabled")
    wanted = ModificationRequest(
        size_gib=request.get("Size"),
        type=request.get("VolumeType"),
        iops=request.get("Iops"),
        throughput_mibps=request.get("Throughput"),
    )
    volume = await ctx.app.volume_modifications.modify(ctx.caller, request["VolumeId"], wanted)
    return {"VolumeModification": _view(volume, volume.modification)}


@operation(
    "DescribeVolumesModifications",
    # There are no managed volumes, so that to include them changes nothing.
    honours="VolumeIds Filters IncludeManagedResources MaxResults NextToken",
)
async def describe_volumes_modifications(ctx: RequestContext, request: Request) -> Response:
    """List the latest modification of each volume that has been modified."""
    matches = FILTERS.compile(request)
    found = ctx.app.volume_modifications.describe(ctx.caller, request.get("VolumeIds"))
    listed = [it for it in found if matches(it)]
    shown, token = page(ctx, request, listed, key=lambda it: it[0].id, sizes=(1, 500), ids="VolumeIds")
    return {"VolumesModifications": [_view(*it) for it in shown], "NextToken": token}


def _view(volume: Volume, modification: VolumeModification | None) -> dict[str, Any]:
    if modification is None:
        raise ValueError(f"{volume.id} has not been modified")
    original, target = modification.original, modification.target
    return {
        "VolumeId": volume.id,
        "ModificationState": modification.state,
        "StatusMessage": modification.message or None,
        "TargetSize": target.size_gib,
        "TargetIops": target.iops,
        "TargetVolumeType": target.type,
        "TargetThroughput": target.throughput_mibps,
        "TargetMultiAttachEnabled": False,
        "OriginalSize": original.size_gib,
        "OriginalIops": original.iops,
        "OriginalVolumeType": original.type,
        "OriginalThroughput": original.throughput_mibps,
        "OriginalMultiAttachEnabled": False,
        "Progress": modification.progress,
        "StartTime": modification.started_at,
        "EndTime": modification.ended_at,
        "Operator": {"Managed": False},
    }
