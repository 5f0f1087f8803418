"""Volume operations."""

from collections.abc import Callable, Iterable
from typing import Final

from bakehouse.app.volumes import VolumeRequest, zone_not_found
from bakehouse.domain.errors import invalid_combination, missing_parameter, not_honoured
from bakehouse.domain.region import zone_id, zones
from bakehouse.domain.volume import Volume, VolumeAttachment
from bakehouse.ec2.ebs_encryption import requested_encryption
from bakehouse.ec2.filters import Filters, flag
from bakehouse.ec2.image_views import moment
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.rendered import Views
from bakehouse.ec2.tag_specifications import requested_tags, tag_set


def _of_attachment(value: Callable[[VolumeAttachment], str]) -> Callable[[Volume], Iterable[str | None]]:
    return lambda volume: () if volume.attachment is None else (value(volume.attachment),)


#: Source: EC2 API Reference, DescribeVolumes.
FILTERS: Filters[Volume] = Filters(
    {
        "attachment.attach-time": _of_attachment(lambda attachment: moment(attachment.attached_at)),
        "attachment.delete-on-termination": _of_attachment(lambda attachment: flag(attachment.delete_on_termination)),
        "attachment.device": _of_attachment(lambda attachment: attachment.device_name),
        "attachment.instance-id": _of_attachment(lambda attachment: attachment.instance_id),
        "attachment.status": _of_attachment(lambda attachment: attachment.state),
        "availability-zone": lambda volume: (volume.availability_zone,),
        "availability-zone-id": lambda volume: (zone_id(volume.availability_zone),),
        "create-time": lambda volume: (moment(volume.created_at),),
        "encrypted": lambda volume: (flag(volume.encrypted),),
        "fast-restored": lambda _volume: ("false",),
        "multi-attach-enabled": lambda _volume: ("false",),
        "operator.managed": lambda _volume: ("false",),
        "operator.principal": lambda _volume: (),
        "size": lambda volume: (str(volume.size_gib),),
        "snapshot-id": lambda volume: (volume.snapshot_id,),
        "status": lambda volume: (volume.state,),
        "volume-id": lambda volume: (volume.id,),
        "volume-type": lambda volume: (volume.type,),
    },
    tags=lambda volume: volume.tags,
)


@operation(
    "DescribeVolumes",
    # There are no managed volumes, so that to include them changes nothing.
    honours="VolumeIds Filters IncludeManagedResources MaxResults NextToken",
)
async def describe_volumes(ctx: RequestContext, request: Request) -> Response:
    """List the caller's volumes."""
    matches = FILTERS.compile(request)
    volumes = [volume for volume in ctx.app.volumes.describe(ctx.caller, request.get("VolumeIds")) if matches(volume)]
    shown, token = page(ctx, request, volumes, key=lambda volume: volume.id, sizes=(5, 1000), ids="VolumeIds")
    return {"Volumes": [_VIEWS.of(volume) for volume in shown], "NextToken": token}


async def _repeat_create(ctx: RequestContext, volume_id: str) -> Response:
    (volume,) = ctx.app.volumes.describe(ctx.caller, [volume_id])
    return creation_view(volume)


@operation(
    "CreateVolume",
    honours="AvailabilityZone AvailabilityZoneId Size SnapshotId VolumeType Iops Throughput Encrypted KmsKeyId "
    "MultiAttachEnabled TagSpecifications",
    replay=_repeat_create,
)
async def create_volume(ctx: RequestContext, request: Request) -> Response:
    """Make a volume, empty or from a snapshot. Multi-Attach can be declined, not asked for."""
    if request.get("MultiAttachEnabled"):
        raise not_honoured("MultiAttachEnabled")
    volume = await ctx.app.volumes.create(
        ctx.caller,
        VolumeRequest(
            availability_zone=_requested_zone(ctx, request),
            size_gib=request.get("Size"),
            snapshot_id=request.get("SnapshotId"),
            type=request.get("VolumeType", "gp2"),
            iops=request.get("Iops"),
            throughput_mibps=request.get("Throughput"),
            encryption=requested_encryption(request),
            tags=requested_tags(request, "volume")["volume"],
        ),
    )
    return creation_view(volume)


@operation("AttachVolume", honours="VolumeId InstanceId Device")
async def attach_volume(ctx: RequestContext, request: Request) -> Response:
    """Attach a volume to an instance, running or stopped."""
    volume = await ctx.app.volumes.attach(ctx.caller, request["VolumeId"], request["InstanceId"], request["Device"])
    return _attachment_view(volume)


@operation("DetachVolume", honours="VolumeId InstanceId Device Force")
async def detach_volume(ctx: RequestContext, request: Request) -> Response:
    """Detach a volume from the instance that it is attached to."""
    volume = await ctx.app.volumes.detach(
        ctx.caller,
        request["VolumeId"],
        instance_id=request.get("InstanceId"),
        device_name=request.get("Device"),
        force=request.get("Force", False),
    )
    return _attachment_view(volume)


@operation("DeleteVolume", honours="VolumeId")
async def delete_volume(ctx: RequestContext, request: Request) -> Response:
    """Delete a volume that is attached to nothing."""
    await ctx.app.volumes.delete(ctx.caller, request["VolumeId"])
    return {}


def _requested_zone(ctx: RequestContext, request: Request) -> str:
    name, wanted_id = request.get("AvailabilityZone"), request.get("AvailabilityZoneId")
    if name is not None and wanted_id is not None:
        raise invalid_combination("AvailabilityZone and AvailabilityZoneId cannot be given together")
    if wanted_id is not None:
        for zone in zones(ctx.caller.region):
            if zone_id(zone) == wanted_id:
                return zone
        raise zone_not_found(wanted_id)
    if name is None:
        raise missing_parameter("AvailabilityZone")
    return str(name)


def _view(volume: Volume) -> Response:
    return {
        "VolumeId": volume.id,
        "Size": volume.size_gib,
        "SnapshotId": volume.snapshot_id or "",
        "SourceVolumeId": volume.source_volume_id,
        "AvailabilityZone": volume.availability_zone,
        "AvailabilityZoneId": zone_id(volume.availability_zone),
        "State": volume.state,
        "CreateTime": volume.created_at,
        "Attachments": [_attachment_view(volume)] if volume.attachment else [],
        "Encrypted": volume.encrypted,
        "KmsKeyId": volume.kms_key_id,
        "VolumeType": volume.type,
        "Iops": volume.iops,
        "Throughput": volume.throughput_mibps,
        "MultiAttachEnabled": False,
        "Operator": {"Managed": False},
        "Tags": tag_set(volume.tags),
    }


_VIEWS: Final[Views[Volume]] = Views(lambda volume: volume.id, _view)


def creation_view(volume: Volume) -> Response:
    """Return a volume as CreateVolume and CopyVolumes answer it, who show no attachments."""
    return {member: value for member, value in _view(volume).items() if member != "Attachments"}


def _attachment_view(volume: Volume) -> Response:
    attachment = volume.attachment
    if attachment is None:
        raise ValueError(f"{volume.id} is not attached")
    return {
        "VolumeId": volume.id,
        "InstanceId": attachment.instance_id,
        "Device": attachment.device_name,
        "State": attachment.state,
        "AttachTime": attachment.attached_at,
        "DeleteOnTermination": attachment.delete_on_termination,
    }
