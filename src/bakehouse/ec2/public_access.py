"""Block public access for images and for snapshots, as an account sets it in a region."""

from bakehouse.domain.errors import invalid_value
from bakehouse.domain.public_access import PublicAccess
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

#: No organization decides for accounts here.
_BY_ACCOUNT = {"ManagedBy": "account"}


@operation("EnableImageBlockPublicAccess", honours="ImageBlockPublicAccessState")
async def enable_image_block_public_access(ctx: RequestContext, request: Request) -> Response:
    """Let none of the account's images become public."""
    access = PublicAccess(request["ImageBlockPublicAccessState"])
    await ctx.app.public_access.set_for_images(ctx.caller, access)
    return {"ImageBlockPublicAccessState": access}


@operation("DisableImageBlockPublicAccess")
async def disable_image_block_public_access(ctx: RequestContext, _request: Request) -> Response:
    """Let images become public again."""
    await ctx.app.public_access.set_for_images(ctx.caller, PublicAccess.UNBLOCKED)
    return {"ImageBlockPublicAccessState": PublicAccess.UNBLOCKED}


@operation("GetImageBlockPublicAccessState")
async def get_image_block_public_access_state(ctx: RequestContext, _request: Request) -> Response:
    """Show whether images may become public."""
    return {"ImageBlockPublicAccessState": ctx.app.public_access.of_images(ctx.caller), **_BY_ACCOUNT}


@operation("EnableSnapshotBlockPublicAccess", honours="State")
async def enable_snapshot_block_public_access(ctx: RequestContext, request: Request) -> Response:
    """Let no snapshot of the account become public, or let none be."""
    access = PublicAccess(request["State"])
    if access is PublicAccess.UNBLOCKED:
        raise invalid_value(access, "State", "It can be block-all-sharing or block-new-sharing.")
    await ctx.app.public_access.set_for_snapshots(ctx.caller, access)
    return {"State": access}


@operation("DisableSnapshotBlockPublicAccess")
async def disable_snapshot_block_public_access(ctx: RequestContext, _request: Request) -> Response:
    """Let snapshots be public again, also those that were."""
    await ctx.app.public_access.set_for_snapshots(ctx.caller, PublicAccess.UNBLOCKED)
    return {"State": PublicAccess.UNBLOCKED}


@operation("GetSnapshotBlockPublicAccessState")
async def get_snapshot_block_public_access_state(ctx: RequestContext, _request: Request) -> Response:
    """Show whether snapshots may be public."""
    return {"State": ctx.app.public_access.of_snapshots(ctx.caller), **_BY_ACCOUNT}
