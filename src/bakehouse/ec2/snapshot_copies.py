"""CopySnapshot on the wire."""

from bakehouse.app.snapshot_copies import SnapshotCopyRequest
from bakehouse.domain.copying import destination_region_differs
from bakehouse.ec2.ebs_encryption import requested_encryption
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags, tag_set


@operation(
    "CopySnapshot",
    honours="SourceSnapshotId SourceRegion Description TagSpecifications CompletionDurationMinutes "
    "DestinationRegion PresignedUrl Encrypted KmsKeyId",
    reasons={
        "DestinationAvailabilityZone": "There are no Local Zones here.",
        "DestinationOutpostArn": "There are no Outposts here.",
    },
)
async def copy_snapshot(ctx: RequestContext, request: Request) -> Response:
    """Copy a snapshot into the region that was asked.

    SDKs add DestinationRegion and PresignedUrl to every request. The URL proves to another region who asks; here the
    request's own signature does that for every region, so that it need not be read.
    """
    if request.get("DestinationRegion", ctx.caller.region) != ctx.caller.region:
        raise destination_region_differs(request["DestinationRegion"], ctx.caller.region)
    copy = await ctx.app.snapshot_copies.copy(ctx.caller, _requested(request))
    return {"SnapshotId": copy.id, "Tags": tag_set(copy.tags)}


def _requested(request: Request) -> SnapshotCopyRequest:
    return SnapshotCopyRequest(
        source_snapshot_id=request["SourceSnapshotId"],
        source_region=request["SourceRegion"],
        description=request.get("Description", ""),
        completion_duration_minutes=request.get("CompletionDurationMinutes"),
        encryption=requested_encryption(request),
        tags=requested_tags(request, "snapshot")["snapshot"],
    )
