"""Fast snapshot restores on the wire."""

from collections.abc import Mapping
from typing import Any, Final

from bakehouse.app.fast_snapshot_restores import RestoresChange
from bakehouse.domain.errors import invalid_combination, invalid_value, missing_parameter
from bakehouse.domain.fast_snapshot_restore import FastSnapshotRestore
from bakehouse.domain.region import zone_id, zones
from bakehouse.domain.snapshot import Snapshot
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

_ENABLED: Final = "enabled"

#: Source: EC2 API Reference, DescribeFastSnapshotRestores.
FILTERS: Final[Filters[tuple[Snapshot, FastSnapshotRestore]]] = Filters(
    {
        "availability-zone": lambda it: (it[1].zone,),
        "availability-zone-id": lambda it: (zone_id(it[1].zone),),
        "owner-id": lambda it: (it[1].account_id,),
        "snapshot-id": lambda it: (it[0].id,),
        "state": lambda _it: (_ENABLED,),
    }
)


@operation("EnableFastSnapshotRestores", honours="SourceSnapshotIds AvailabilityZones AvailabilityZoneIds")
async def enable_fast_snapshot_restores(ctx: RequestContext, request: Request) -> Response:
    """Enable them. The answer says `enabling`, as EC2's does; they are enabled when it is there."""
    wanted = _requested_zones(ctx, request)
    change = await ctx.app.fast_snapshot_restores.enable(ctx.caller, request["SourceSnapshotIds"], wanted)
    return _change_view(change, {"State": "enabling", "StateTransitionReason": "Client.UserInitiated"})


@operation("DisableFastSnapshotRestores", honours="SourceSnapshotIds AvailabilityZones AvailabilityZoneIds")
async def disable_fast_snapshot_restores(ctx: RequestContext, request: Request) -> Response:
    """Disable them. The answer says `disabling`, as EC2's does; they are shown no more when it is there."""
    wanted = _requested_zones(ctx, request)
    change = await ctx.app.fast_snapshot_restores.disable(ctx.caller, request["SourceSnapshotIds"], wanted)
    return _change_view(change, {"State": "disabling", "StateTransitionReason": "Client.UserInitiated"})


@operation("DescribeFastSnapshotRestores", honours="Filters MaxResults NextToken")
async def describe_fast_snapshot_restores(ctx: RequestContext, request: Request) -> Response:
    """List what is enabled."""
    matches = FILTERS.compile(request)
    found = [it for it in ctx.app.fast_snapshot_restores.describe(ctx.caller) if matches(it)]
    shown, token = page(ctx, request, found, key=_key, sizes=(1, 200))
    reason = "Client.UserInitiated - Lifecycle state transition"
    state = {"State": _ENABLED, "StateTransitionReason": reason}
    restores = [_restore_view(snapshot.id, restore) | state for snapshot, restore in shown]
    return {"FastSnapshotRestores": restores, "NextToken": token}


def _key(entry: tuple[Snapshot, FastSnapshotRestore]) -> str:
    snapshot, restore = entry
    return f"{snapshot.id}/{restore.account_id}/{restore.zone}"


def _requested_zones(ctx: RequestContext, request: Request) -> list[str]:
    """Return the zones that a request names, either by their names or by their ids."""
    names: list[str] = request.get("AvailabilityZones") or []
    ids: list[str] = request.get("AvailabilityZoneIds") or []
    if names and ids:
        raise invalid_combination(
            "The parameter AvailabilityZones cannot be used with the parameter AvailabilityZoneIds"
        )
    if not names and not ids:
        raise missing_parameter("availabilityZone")
    by_id = {zone_id(zone): zone for zone in zones(ctx.caller.region)}
    for wanted in ids:
        if wanted not in by_id:
            raise invalid_value(wanted, "availabilityZoneId")
    return names or [by_id[wanted] for wanted in ids]


def _restore_view(snapshot_id: str, restore: FastSnapshotRestore) -> dict[str, Any]:
    return {
        "SnapshotId": snapshot_id,
        "AvailabilityZone": restore.zone,
        "AvailabilityZoneId": zone_id(restore.zone),
        "OwnerId": restore.account_id,
        "EnablingTime": restore.enabled_at,
        "OptimizingTime": restore.enabled_at,
        "EnabledTime": restore.enabled_at,
    }


def _change_view(change: RestoresChange, state: Mapping[str, Any]) -> Response:
    refused: dict[str, list[dict[str, Any]]] = {}
    for snapshot_id, zone, why in change.refused:
        error = {"Code": why.code, "Message": why.message}
        entry = {"AvailabilityZone": zone, "AvailabilityZoneId": zone_id(zone), "Error": error}
        refused.setdefault(snapshot_id, []).append(entry)
    return {
        "Successful": [{**_restore_view(snapshot_id, restore), **state} for snapshot_id, restore in change.changed],
        "Unsuccessful": [
            {"SnapshotId": snapshot_id, "FastSnapshotRestoreStateErrors": errors}
            for snapshot_id, errors in refused.items()
        ],
    }
