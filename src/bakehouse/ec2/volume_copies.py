"""CopyVolumes."""

from bakehouse.app.volume_copies import VolumeCopyRequest
from bakehouse.domain.errors import not_honoured
from bakehouse.domain.kms_key import Encryption
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags
from bakehouse.ec2.volumes import creation_view


async def _repeat_copy(ctx: RequestContext, volume_id: str) -> Response:
    (volume,) = ctx.app.volumes.describe(ctx.caller, [volume_id])
    return {"Volumes": [creation_view(volume)]}


@operation(
    "CopyVolumes",
    honours="SourceVolumeId Size VolumeType Iops Throughput Encrypted KmsKeyId MultiAttachEnabled TagSpecifications",
    replay=_repeat_copy,
)
async def copy_volumes(ctx: RequestContext, request: Request) -> Response:
    """Copy a volume at one point in time, without its bytes. Multi-Attach can be declined only."""
    if request.get("MultiAttachEnabled"):
        raise not_honoured("MultiAttachEnabled")
    wanted = VolumeCopyRequest(
        source_volume_id=request["SourceVolumeId"],
        size_gib=request.get("Size"),
        type=request.get("VolumeType", "gp2"),
        iops=request.get("Iops"),
        throughput_mibps=request.get("Throughput"),
        # A copy of what is encrypted is, whatever this says. Source: EC2 API Reference, CopyVolumes, Encrypted.
        encryption=Encryption(encrypted=request.get("Encrypted") or None, key=request.get("KmsKeyId")),
        tags=requested_tags(request, "volume")["volume"],
    )
    return {"Volumes": [creation_view(await ctx.app.volume_copies.copy(ctx.caller, wanted))]}
