"""Operations on the storage tiers of snapshots."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from bakehouse.app.snapshot_tiers import SnapshotTier
from bakehouse.domain.errors import missing_parameter
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import tag_set

#: Source: EC2 API Reference, DescribeSnapshotTierStatus.
_VALUES: Final[Mapping[str, Callable[[SnapshotTier], Iterable[str | None]]]] = {
    "last-tiering-operation": lambda tier: () if tier.snapshot.tiering is None else (tier.snapshot.tiering.status,),
    "snapshot-id": lambda tier: (tier.snapshot.id,),
    "volume-id": lambda tier: (tier.snapshot.volume_id,),
}

FILTERS: Final[Filters[SnapshotTier]] = Filters(_VALUES)


@operation("ModifySnapshotTier", honours="SnapshotId StorageTier")
async def modify_snapshot_tier(ctx: RequestContext, request: Request) -> Response:
    """Archive a snapshot."""
    if "StorageTier" not in request:
        raise missing_parameter("storageTier")
    snapshot = await ctx.app.snapshot_tiers.archive(ctx.caller, request["SnapshotId"])
    return {"SnapshotId": snapshot.id, "TieringStartTime": snapshot.tiering and snapshot.tiering.started_at}


@operation("RestoreSnapshotTier", honours="SnapshotId TemporaryRestoreDays PermanentRestore")
async def restore_snapshot_tier(ctx: RequestContext, request: Request) -> Response:
    """Restore an archived snapshot, for some days or for good."""
    days, permanent = request.get("TemporaryRestoreDays"), request.get("PermanentRestore", False)
    snapshot = await ctx.app.snapshot_tiers.restore(ctx.caller, request["SnapshotId"], days=days, permanent=permanent)
    return {
        "SnapshotId": snapshot.id,
        "RestoreStartTime": snapshot.tiering and snapshot.tiering.started_at,
        "RestoreDuration": days,
        "IsPermanentRestore": permanent,
    }


@operation("DescribeSnapshotTierStatus", honours="Filters MaxResults NextToken")
async def describe_snapshot_tier_status(ctx: RequestContext, request: Request) -> Response:
    """List the caller's snapshots with their tiers and their last moves between them."""
    matches = FILTERS.compile(request)
    tiers = [tier for tier in ctx.app.snapshot_tiers.describe(ctx.caller) if matches(tier)]
    shown, token = page(ctx, request, tiers, key=lambda tier: tier.snapshot.id, sizes=(5, 1000))
    return {"SnapshotTierStatuses": [_view(tier) for tier in shown], "NextToken": token}


def _view(tier: SnapshotTier) -> Response:
    snapshot = tier.snapshot
    view: dict[str, Any] = {
        "SnapshotId": snapshot.id,
        "VolumeId": snapshot.volume_id,
        "Status": snapshot.state,
        "OwnerId": snapshot.account_id,
        "Tags": tag_set(snapshot.tags),
        "StorageTier": snapshot.tier,
    }
    if snapshot.tiering is not None:
        view |= {
            "LastTieringStartTime": snapshot.tiering.started_at,
            "LastTieringProgress": tier.progress_percent,
            "LastTieringOperationStatus": snapshot.tiering.status,
            "LastTieringOperationStatusDetail": snapshot.tiering.detail or None,
            "ArchivalCompleteTime": snapshot.tiering.archived_at,
            "RestoreExpiryTime": snapshot.tiering.restore_expires_at,
        }
    return view
