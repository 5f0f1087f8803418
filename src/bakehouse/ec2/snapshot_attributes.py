"""Snapshot attribute operations: who may make volumes of a snapshot."""

from typing import Final

from bakehouse.domain.errors import invalid_combination, invalid_parameter, not_honoured
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.sharing import Sharing, account_view, requested_sharing

#: Source: EC2 API Reference, ModifySnapshotAttribute.
_CHANGES_MAX: Final = 500

#: Members of ModifySnapshotAttribute that say what to change.
_CHANGING: Final = frozenset({"Attribute", "CreateVolumePermission", "GroupNames", "OperationType", "UserIds"})


@operation("DescribeSnapshotAttribute", honours="SnapshotId Attribute")
async def describe_snapshot_attribute(ctx: RequestContext, request: Request) -> Response:
    """Show one attribute of a snapshot of the caller's. No snapshot here has product codes."""
    snapshot = ctx.app.snapshots.owned(ctx.caller, request["SnapshotId"])
    if request["Attribute"] == "productCodes":
        return {"SnapshotId": snapshot.id, "ProductCodes": []}
    readers = [account_view(reader) for reader in snapshot.create_volume_accounts]
    return {"SnapshotId": snapshot.id, "CreateVolumePermissions": readers}


@operation(
    "ModifySnapshotAttribute",
    honours="SnapshotId Attribute OperationType UserIds GroupNames CreateVolumePermission.Add.UserId "
    "CreateVolumePermission.Add.Group CreateVolumePermission.Remove.UserId CreateVolumePermission.Remove.Group",
)
async def modify_snapshot_attribute(ctx: RequestContext, request: Request) -> Response:
    """Change who may make volumes of a snapshot, said in its own member or by Attribute, or both ways at once."""
    _check_attribute(request)
    if not request.keys() & _CHANGING:
        raise invalid_combination("No attributes specified.")
    sharing = requested_sharing(request, member="CreateVolumePermission", groups="GroupNames")
    _check_sharing(sharing)
    await ctx.app.snapshots.share(ctx.caller, request["SnapshotId"], add=sharing.add, remove=sharing.remove)
    return {}


@operation("ResetSnapshotAttribute", honours="SnapshotId Attribute")
async def reset_snapshot_attribute(ctx: RequestContext, request: Request) -> Response:
    """Make a snapshot private again."""
    _check_attribute(request)
    snapshot = ctx.app.snapshots.owned(ctx.caller, request["SnapshotId"])
    await ctx.app.snapshots.share(ctx.caller, snapshot.id, remove=snapshot.create_volume_accounts)
    return {}


def _check_sharing(sharing: Sharing) -> None:
    """Refuse what takes several operations. Source: EC2 API Reference, ModifySnapshotAttribute."""
    if sharing.add and sharing.remove:
        raise invalid_combination("One and only one operation type may be specified for createVolumePermissions")
    if len(sharing.add) + len(sharing.remove) > _CHANGES_MAX:
        raise invalid_parameter(f"Modification size must not be greater than {_CHANGES_MAX}.")


def _check_attribute(request: Request) -> None:
    if request.get("Attribute", "createVolumePermission") != "createVolumePermission":
        raise not_honoured(f"Attribute={request['Attribute']}")
