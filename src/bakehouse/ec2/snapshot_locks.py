"""Snapshot locks on the wire."""

from typing import Final

from bakehouse.app.snapshot_locks import LockedSnapshot
from bakehouse.domain.snapshot_lock import LockMode, LockRequest
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

#: Source: EC2 API Reference, DescribeLockedSnapshots.
FILTERS: Final[Filters[LockedSnapshot]] = Filters({"lock-state": lambda locked: (locked.state,)})


@operation("LockSnapshot", honours="SnapshotId LockMode CoolOffPeriod LockDuration ExpirationDate")
async def lock_snapshot(ctx: RequestContext, request: Request) -> Response:
    """Keep a snapshot from being deleted, or change how long."""
    wanted = LockRequest(
        mode=LockMode(request["LockMode"]),
        cool_off_hours=request.get("CoolOffPeriod"),
        days=request.get("LockDuration"),
        expires_at=request.get("ExpirationDate"),
    )
    return _lock_view(await ctx.app.snapshot_locks.lock(ctx.caller, request["SnapshotId"], wanted))


@operation("UnlockSnapshot", honours="SnapshotId")
async def unlock_snapshot(ctx: RequestContext, request: Request) -> Response:
    """Let a snapshot be deleted again."""
    await ctx.app.snapshot_locks.unlock(ctx.caller, request["SnapshotId"])
    return {"SnapshotId": request["SnapshotId"]}


@operation("DescribeLockedSnapshots", honours="SnapshotIds Filters MaxResults NextToken")
async def describe_locked_snapshots(ctx: RequestContext, request: Request) -> Response:
    """List the caller's snapshots that are locked, or were."""
    matches = FILTERS.compile(request)
    found = ctx.app.snapshot_locks.describe(ctx.caller, request.get("SnapshotIds"))
    locked = [it for it in found if matches(it)]
    shown, token = page(ctx, request, locked, key=lambda it: it.snapshot.id, sizes=(5, 1000), ids="SnapshotIds")
    snapshots = [{"OwnerId": it.snapshot.account_id, **_lock_view(it)} for it in shown]
    return {"Snapshots": snapshots, "NextToken": token}


def _lock_view(locked: LockedSnapshot) -> Response:
    lock, completed_at = locked.lock, locked.snapshot.completed_at
    return {
        "SnapshotId": locked.snapshot.id,
        "LockState": locked.state,
        "LockDuration": lock.days,
        "CoolOffPeriod": lock.cool_off_hours,
        "CoolOffPeriodExpiresOn": lock.cool_off_expires_at,
        "LockCreatedOn": lock.created_at,
        "LockDurationStartTime": lock.started_at(completed_at),
        "LockExpiresOn": lock.expires_at(completed_at),
    }
