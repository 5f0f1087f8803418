"""CopyImage on the wire."""

from typing import Final

from bakehouse.app.image_copies import ImageCopyRequest
from bakehouse.ec2.ebs_encryption import requested_encryption
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags

_HONOURED: Final = (
    "SourceImageId SourceRegion Name Description CopyImageTags Encrypted KmsKeyId TagSpecifications "
    "SnapshotCopyCompletionDurationMinutes"
)

#: Source: EC2 API Reference, CopyImage: the zones that may be named are Local Zones.
_REASONS: Final = {
    "DestinationAvailabilityZone": "There are no Local Zones here.",
    "DestinationAvailabilityZoneId": "There are no Local Zones here.",
    "DestinationOutpostArn": "There are no Outposts here.",
}


async def _repeat_copy(_ctx: RequestContext, image_id: str) -> Response:
    return {"ImageId": image_id}


@operation("CopyImage", honours=_HONOURED, reasons=_REASONS, replay=_repeat_copy)
async def copy_image(ctx: RequestContext, request: Request) -> Response:
    """Copy an image into the region that was asked."""
    image = await ctx.app.images.copy(ctx.caller, _requested(request))
    return {"ImageId": image.id}


def _requested(request: Request) -> ImageCopyRequest:
    tags = requested_tags(request, "image", "snapshot")
    return ImageCopyRequest(
        source_image_id=request["SourceImageId"],
        source_region=request["SourceRegion"],
        name=request["Name"],
        description=request.get("Description", ""),
        copy_tags=request.get("CopyImageTags", False),
        completion_duration_minutes=request.get("SnapshotCopyCompletionDurationMinutes"),
        encryption=requested_encryption(request),
        tags=tags["image"],
        snapshot_tags=tags["snapshot"],
    )
