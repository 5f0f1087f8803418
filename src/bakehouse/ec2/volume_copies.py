"""CopyVolumes."""

from bakehouse.app.volume_copies import VolumeCopyRequest
from bakehouse.domain.errors import not_honoured
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags
from bakehouse.ec2.volumes import creation_view


async def _repeat_copy(ctx: RequestContext, volume_id: str) -> Response:
    (volume,) = ctx.app.volumes.describe(ctx.caller, [volume_id])
    return {"Volumes": [creation_view(volume)]}


@operation(
    "CopyVolumes",
    honours="SourceVolumeId Size VolumeType Iops Throughput Encrypted MultiAttachEnabled TagSpecifications",
    replay=_repeat_copy,
)
async def copy_volumes(ctx: RequestContext, request: Request) -> Response:
    """Copy a volume at one point in time, without its bytes. Encryption and Multi-Attach can be declined only."""
    for member in ("Encrypted", "MultiAttachEnabled"):
        if request.get(member):
            raise not_honoured(member)
    wanted = VolumeCopyRequest(
        source_volume_id=request["SourceVolumeId"],
        size_gib=request.get("Size"),
        type=request.get("VolumeType", "gp2"),
        iops=request.get("Iops"),
        throughput_mibps=request.get("Throughput"),
        tags=requested_tags(request, "volume")["volume"],
    )
    return {"Volumes": [creation_view(await ctx.app.volume_copies.copy(ctx.caller, wanted))]}
