"""Image operations: made, listed, deregistered. Their attributes: `image_attributes.py`."""

from collections.abc import Callable, Sequence
from typing import Any

from bakehouse.app.image_registration import ImageOfSnapshots
from bakehouse.app.images import ImageOfInstance
from bakehouse.domain.image import Image
from bakehouse.ec2 import block_devices
from bakehouse.ec2.block_devices import requested_block_devices
from bakehouse.ec2.image_names import warn_of_name_alone
from bakehouse.ec2.image_views import image_test, image_view, protection_view
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags


@operation(
    "CreateImage",
    honours=f"InstanceId Name Description NoReboot BootModeOverride TagSpecifications {block_devices.HONOURED}",
    reasons={"SnapshotLocation": "There are no Local Zones and no Outposts here; snapshots are regional."},
)
async def create_image(ctx: RequestContext, request: Request) -> Response:
    """Make an image of a running or stopped instance."""
    tags = requested_tags(request, "image", "snapshot")
    image = await ctx.app.images.create(
        ctx.caller,
        ImageOfInstance(
            instance_id=request["InstanceId"],
            name=request["Name"],
            description=request.get("Description", ""),
            reboot=not request.get("NoReboot", False),
            boot_mode=request.get("BootModeOverride"),
            block_devices=requested_block_devices(request),
            tags=tags["image"],
            snapshot_tags=tags["snapshot"],
        ),
    )
    return {"ImageId": image.id}


@operation(
    "RegisterImage",
    honours="Name Description Architecture RootDeviceName VirtualizationType BootMode TpmSupport UefiData ImdsSupport "
    f"EnaSupport SriovNetSupport TagSpecifications {block_devices.HONOURED}",
    reasons={
        "BillingProducts": "No account here may charge for an AMI.",
        "ImageLocation": "It names the manifest of an instance store-backed AMI. Register an EBS-backed AMI from a "
        "snapshot instead.",
        "KernelId": "AMIs here are hardware-virtualized and boot a kernel of their own.",
        "RamdiskId": "AMIs here are hardware-virtualized and boot a kernel of their own.",
    },
)
async def register_image(ctx: RequestContext, request: Request) -> Response:
    """Make an image of snapshots."""
    image = await ctx.app.images.register(ctx.caller, _requested_registration(request))
    return {"ImageId": image.id}


@operation("DeregisterImage", honours="ImageId DeleteAssociatedSnapshots")
async def deregister_image(ctx: RequestContext, request: Request) -> Response:
    """Take an image out of the catalogue, and its snapshots with it if that is asked for."""
    delete_snapshots = request.get("DeleteAssociatedSnapshots", False)
    deleted = await ctx.app.images.deregister(ctx.caller, request["ImageId"], delete_snapshots=delete_snapshots)
    results = [{"SnapshotId": it.snapshot_id, "ReturnCode": it.outcome} for it in deleted]
    return {"Return": True, "DeleteSnapshotResults": results if delete_snapshots else None}


@operation(
    "DescribeImages",
    honours="ImageIds Owners ExecutableUsers Filters IncludeDeprecated IncludeDisabled MaxResults NextToken",
)
async def describe_images(ctx: RequestContext, request: Request) -> Response:
    """List the images that the caller may launch."""
    allowed = ctx.app.allowed_images.verdict(ctx.caller)
    images = _found(ctx, request, allowed)
    warn_of_name_alone(ctx, request)
    shown, token = page(ctx, request, images, key=lambda image: image.id, sizes=(1, 1000), ids="ImageIds")
    return {"Images": [_shown(ctx, image, allowed) for image in shown], "NextToken": token}


def _found(ctx: RequestContext, request: Request, allowed: Callable[[Image], bool] | None) -> Sequence[Image]:
    names = ctx.app.image_parameters.names(ctx.caller.region)
    matches = image_test(request, ctx.caller.account_id, allowed, names.ever)
    return ctx.app.images.describe(
        ctx.caller,
        request.get("ImageIds"),
        owners=request.get("Owners"),
        launchable_by=request.get("ExecutableUsers"),
        include_deprecated=request.get("IncludeDeprecated", False),
        include_disabled=request.get("IncludeDisabled", False),
        matching=matches if request.get("Filters") else None,
    )


def _shown(ctx: RequestContext, image: Image, allowed: Callable[[Image], bool] | None) -> Response:
    """Return an image as the caller sees it now, which is more than the view that is kept of it."""
    view = image_view(image, ctx.caller.account_id)
    fresh: dict[str, Any] = {} if allowed is None else {"ImageAllowed": allowed(image)}
    name = ctx.app.image_parameters.names(image.region).now.get(image.id)
    if name is not None:
        fresh["PublicSsmParameterName"] = name
    if image.protected_until is not None:
        cools_down = ctx.app.image_lifecycle.cools_down(image)
        fresh["DeregistrationProtection"] = protection_view(image, cools_down=cools_down)
    return {**view, **fresh} if fresh else view


def _requested_registration(request: Request) -> ImageOfSnapshots:
    return ImageOfSnapshots(
        name=request["Name"],
        description=request.get("Description", ""),
        architecture=request.get("Architecture", "i386"),
        root_device_name=request.get("RootDeviceName", "/dev/sda1"),
        virtualization_type=request.get("VirtualizationType", "hvm"),
        block_devices=requested_block_devices(request),
        boot_mode=request.get("BootMode"),
        tpm_support=request.get("TpmSupport"),
        uefi_data=request.get("UefiData"),
        imds_support=request.get("ImdsSupport"),
        ena_support=request.get("EnaSupport", False),
        sriov_net_support=request.get("SriovNetSupport"),
        tags=requested_tags(request, "image")["image"],
    )
