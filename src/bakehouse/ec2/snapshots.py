"""Snapshot operations."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from bakehouse.app.snapshots import InstanceSnapshotsRequest
from bakehouse.domain.snapshot import Snapshot, SnapshotState
from bakehouse.ec2.filters import Filters, flag
from bakehouse.ec2.image_views import moment
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.rendered import View, Views
from bakehouse.ec2.tag_specifications import requested_tags, tag_set

#: Source: EC2 API Reference, DescribeSnapshots.
_VALUES: Final[Mapping[str, Callable[[Snapshot], Iterable[str | None]]]] = {
    "description": lambda snapshot: (snapshot.description,),
    "encrypted": lambda snapshot: (flag(snapshot.encrypted),),
    "owner-alias": lambda _snapshot: (),
    "owner-id": lambda snapshot: (snapshot.account_id,),
    "progress": lambda snapshot: (_progress(snapshot),),
    "snapshot-id": lambda snapshot: (snapshot.id,),
    "start-time": lambda snapshot: (moment(snapshot.started_at),),
    "status": lambda snapshot: (snapshot.state,),
    "storage-tier": lambda snapshot: (snapshot.tier,),
    "transfer-type": lambda snapshot: (snapshot.transfer_type,),
    "volume-id": lambda snapshot: (snapshot.volume_id,),
    "volume-size": lambda snapshot: (str(snapshot.volume_size_gib),),
}

FILTERS: Final[Filters[Snapshot]] = Filters(_VALUES, tags=lambda snapshot: snapshot.tags)

#: What the answer says that reserves a snapshot. Source: EC2 CLI examples, `create-snapshot`, `create-snapshots`.
_NOT_BEGUN: Final = {"Progress": ""}


@operation("CreateSnapshot", honours="VolumeId Description TagSpecifications")
async def create_snapshot(ctx: RequestContext, request: Request) -> Response:
    """Take a snapshot of a volume."""
    snapshot = await ctx.app.snapshots.create(
        ctx.caller,
        request["VolumeId"],
        description=request.get("Description", ""),
        tags=requested_tags(request, "snapshot")["snapshot"],
    )
    return {**_own_view(snapshot), **_NOT_BEGUN}


@operation(
    "CreateSnapshots",
    honours="Description TagSpecifications CopyTagsFromSource InstanceSpecification.InstanceId "
    "InstanceSpecification.ExcludeBootVolume InstanceSpecification.ExcludeDataVolumeIds",
)
async def create_snapshots(ctx: RequestContext, request: Request) -> Response:
    """Take snapshots of an instance's volumes at one point in time."""
    specification = request["InstanceSpecification"]
    snapshots = await ctx.app.snapshots.create_of_instance(
        ctx.caller,
        InstanceSnapshotsRequest(
            instance_id=specification["InstanceId"],
            exclude_root=specification.get("ExcludeBootVolume", False),
            exclude_volume_ids=tuple(specification.get("ExcludeDataVolumeIds") or ()),
            description=request.get("Description", ""),
            tags=requested_tags(request, "snapshot")["snapshot"],
            copy_volume_tags=request.get("CopyTagsFromSource") == "volume",
        ),
    )
    return {"Snapshots": [{**_info_view(snapshot), **_NOT_BEGUN} for snapshot in snapshots]}


@operation("DescribeSnapshots", honours="SnapshotIds OwnerIds RestorableByUserIds Filters MaxResults NextToken")
async def describe_snapshots(ctx: RequestContext, request: Request) -> Response:
    """List the snapshots that the caller may make volumes from."""
    account_id = ctx.caller.account_id
    # Nobody learns of the tags that another account gave a snapshot.
    matches = FILTERS.with_tags(lambda snapshot: snapshot.tags_for(account_id)).compile(request)
    found = ctx.app.snapshots.describe(
        ctx.caller,
        request.get("SnapshotIds"),
        owners=request.get("OwnerIds"),
        restorable_by=request.get("RestorableByUserIds"),
    )
    snapshots = [snapshot for snapshot in found if matches(snapshot)]
    shown, token = page(ctx, request, snapshots, key=lambda snapshot: snapshot.id, sizes=(5, 1000), ids="SnapshotIds")
    return {"Snapshots": [_snapshot_view(snapshot, account_id) for snapshot in shown], "NextToken": token}


@operation("DeleteSnapshot", honours="SnapshotId")
async def delete_snapshot(ctx: RequestContext, request: Request) -> Response:
    """Delete a snapshot that no image names."""
    await ctx.app.snapshots.delete(ctx.caller, request["SnapshotId"])
    return {}


def _progress(snapshot: Snapshot) -> str:
    if snapshot.state is SnapshotState.COMPLETED:
        return "100%"
    return f"{snapshot.upload.progress or 0}%" if snapshot.upload else "0%"


def _info_view(snapshot: Snapshot) -> Response:
    """Return what CreateSnapshots answers of each."""
    return {
        "SnapshotId": snapshot.id,
        "VolumeId": snapshot.volume_id,
        "VolumeSize": snapshot.volume_size_gib,
        "State": snapshot.state,
        "StartTime": snapshot.started_at,
        "Progress": _progress(snapshot),
        "OwnerId": snapshot.account_id,
        "Description": snapshot.description,
        "Encrypted": snapshot.encrypted,
        "Tags": tag_set(snapshot.tags),
    }


def _own_view(snapshot: Snapshot) -> Response:
    return {
        **_info_view(snapshot),
        "KmsKeyId": snapshot.kms_key_id,
        "StateMessage": snapshot.state_message,
        "StorageTier": snapshot.tier,
        "RestoreExpiryTime": snapshot.tiering and snapshot.tiering.restore_expires_at,
        "CompletionTime": snapshot.completed_at,
        "FullSnapshotSizeInBytes": snapshot.full_size_bytes,
        "TransferType": snapshot.transfer_type,
        "CompletionDurationMinutes": snapshot.completion_duration_minutes,
    }


def _shared_view(snapshot: Snapshot) -> Response:
    return {member: value for member, value in _own_view(snapshot).items() if member != "Tags"}


_OWN: Final[Views[Snapshot]] = Views(lambda snapshot: snapshot.id, _own_view)
_OTHERS: Final[Views[Snapshot]] = Views(lambda snapshot: snapshot.id, _shared_view)


def _snapshot_view(snapshot: Snapshot, account_id: str) -> View:
    """Return a snapshot as an account sees it: with the tags that this account gave it."""
    if snapshot.account_id == account_id:
        return _OWN.of(snapshot)
    view, tags = _OTHERS.of(snapshot), snapshot.tags_for(account_id)
    return View({**view, "Tags": tag_set(tags)}) if tags else view
