"""Operations on what is in the Recycle Bin."""

from collections.abc import Iterable
from typing import Any, Final

from bakehouse.domain.errors import invalid_parameter
from bakehouse.domain.recycle_bin import RecycledResource
from bakehouse.domain.region import zone_id
from bakehouse.domain.retention_rule import RetainedType
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

#: Source: EC2 API Reference, ListImagesInRecycleBin, ImageIds.
_IMAGE_IDS_MAX: Final = 20


@operation("ListImagesInRecycleBin", honours="ImageIds MaxResults NextToken")
async def list_images_in_recycle_bin(ctx: RequestContext, request: Request) -> Response:
    """List the caller's images in the bin."""
    if len(request.get("ImageIds") or ()) > _IMAGE_IDS_MAX:
        raise invalid_parameter(f"A request can name {_IMAGE_IDS_MAX} images, not {len(request['ImageIds'])}.")
    shown, token = _page(ctx, request, RetainedType.IMAGE, ids="ImageIds", sizes=(1, 1000))
    return {"Images": [_image_view(recycled) for recycled in shown], "NextToken": token}


@operation("RestoreImageFromRecycleBin", honours="ImageId")
async def restore_image_from_recycle_bin(ctx: RequestContext, request: Request) -> Response:
    """Bring an image back whose snapshots are there."""
    await ctx.app.recycle_bin.restore_image(ctx.caller, request["ImageId"])
    return {"Return": True}


@operation("ListSnapshotsInRecycleBin", honours="SnapshotIds MaxResults NextToken")
async def list_snapshots_in_recycle_bin(ctx: RequestContext, request: Request) -> Response:
    """List the caller's snapshots in the bin."""
    shown, token = _page(ctx, request, RetainedType.SNAPSHOT, ids="SnapshotIds", sizes=(5, 1000))
    return {"Snapshots": [_snapshot_view(recycled) for recycled in shown], "NextToken": token}


@operation("RestoreSnapshotFromRecycleBin", honours="SnapshotId")
async def restore_snapshot_from_recycle_bin(ctx: RequestContext, request: Request) -> Response:
    """Bring a snapshot back. The answer says that this has begun, as EC2's does; it is there already."""
    snapshot = await ctx.app.recycle_bin.restore_snapshot(ctx.caller, request["SnapshotId"])
    return {
        "SnapshotId": snapshot.id,
        "Description": snapshot.description,
        "Encrypted": snapshot.encrypted,
        "OwnerId": snapshot.account_id,
        "Progress": "100%",
        "StartTime": snapshot.started_at,
        "State": "recovering",
        "VolumeId": snapshot.volume_id,
        "VolumeSize": snapshot.volume_size_gib,
    }


@operation("ListVolumesInRecycleBin", honours="VolumeIds MaxResults NextToken")
async def list_volumes_in_recycle_bin(ctx: RequestContext, request: Request) -> Response:
    """List the caller's volumes in the bin."""
    shown, token = _page(ctx, request, RetainedType.VOLUME, ids="VolumeIds", sizes=(5, 500))
    return {"Volumes": [_volume_view(recycled) for recycled in shown], "NextToken": token}


@operation("RestoreVolumeFromRecycleBin", honours="VolumeId")
async def restore_volume_from_recycle_bin(ctx: RequestContext, request: Request) -> Response:
    """Bring a volume back."""
    await ctx.app.recycle_bin.restore_volume(ctx.caller, request["VolumeId"])
    return {"Return": True}


def _page(
    ctx: RequestContext, request: Request, resource_type: RetainedType, *, ids: str, sizes: tuple[int, int]
) -> tuple[Iterable[RecycledResource], str | None]:
    recycled = ctx.app.recycle_bin.describe(ctx.caller, resource_type, request.get(ids))
    return page(ctx, request, recycled, key=lambda it: it.id, sizes=sizes, ids=ids)


def _times(recycled: RecycledResource) -> dict[str, Any]:
    return {"RecycleBinEnterTime": recycled.entered_at, "RecycleBinExitTime": recycled.exits_at}


def _image_view(recycled: RecycledResource) -> Response:
    image = recycled.image
    if image is None:
        raise ValueError(f"{recycled.id} is no image")
    return {"ImageId": image.id, "Name": image.name, "Description": image.description, **_times(recycled)}


def _snapshot_view(recycled: RecycledResource) -> Response:
    snapshot = recycled.snapshot
    if snapshot is None:
        raise ValueError(f"{recycled.id} is no snapshot")
    return {
        "SnapshotId": snapshot.id,
        "VolumeId": snapshot.volume_id,
        "Description": snapshot.description,
        **_times(recycled),
    }


def _volume_view(recycled: RecycledResource) -> Response:
    volume = recycled.volume
    if volume is None:
        raise ValueError(f"{recycled.id} is no volume")
    return {
        "VolumeId": volume.id,
        "VolumeType": volume.type,
        "State": volume.state,
        "Size": volume.size_gib,
        "Iops": volume.iops,
        "Throughput": volume.throughput_mibps,
        "AvailabilityZone": volume.availability_zone,
        "AvailabilityZoneId": zone_id(volume.availability_zone),
        "SnapshotId": volume.snapshot_id or "",
        "Operator": {"Managed": False},
        "CreateTime": volume.created_at,
        **_times(recycled),
    }
