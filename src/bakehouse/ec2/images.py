"""Image operations: made, listed, deregistered. Their attributes: `image_attributes.py`."""

from bakehouse.app.images import ImageOfInstance, ImageOfSnapshots
from bakehouse.domain.errors import invalid_value, not_honoured
from bakehouse.ec2 import block_devices
from bakehouse.ec2.block_devices import requested_block_devices
from bakehouse.ec2.image_views import image_test, image_view
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import requested_tags


@operation("CreateImage", honours=f"InstanceId Name Description NoReboot TagSpecifications {block_devices.HONOURED}")
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
            block_devices=requested_block_devices(request),
            tags=tags["image"],
            snapshot_tags=tags["snapshot"],
        ),
    )
    return {"ImageId": image.id}


@operation(
    "RegisterImage",
    honours="Name Description Architecture RootDeviceName VirtualizationType BootMode ImdsSupport EnaSupport "
    f"TagSpecifications {block_devices.HONOURED}",
)
async def register_image(ctx: RequestContext, request: Request) -> Response:
    """Make an image of snapshots. Images are hardware-virtualized and boot by BIOS, whether that is said or not."""
    virtualization_type = request.get("VirtualizationType", "hvm")
    if virtualization_type == "paravirtual":
        raise not_honoured("VirtualizationType=paravirtual")
    if virtualization_type != "hvm":
        raise invalid_value(virtualization_type, "virtualizationType")
    if request.get("BootMode", "legacy-bios") != "legacy-bios":
        raise not_honoured(f"BootMode={request['BootMode']}")
    image = await ctx.app.images.register(
        ctx.caller,
        ImageOfSnapshots(
            name=request["Name"],
            description=request.get("Description", ""),
            architecture=request.get("Architecture", "i386"),
            root_device_name=request.get("RootDeviceName", "/dev/sda1"),
            block_devices=requested_block_devices(request),
            boot_mode=request.get("BootMode"),
            imds_support=request.get("ImdsSupport"),
            ena_support=request.get("EnaSupport", False),
            tags=requested_tags(request, "image")["image"],
        ),
    )
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
    # No image here is ever deprecated or disabled, so that to include those changes nothing.
    honours="ImageIds Owners ExecutableUsers Filters IncludeDeprecated IncludeDisabled MaxResults NextToken",
)
async def describe_images(ctx: RequestContext, request: Request) -> Response:
    """List the images that the caller may launch."""
    matches = image_test(request, ctx.caller.account_id)
    images = ctx.app.images.describe(
        ctx.caller,
        request.get("ImageIds"),
        owners=request.get("Owners"),
        launchable_by=request.get("ExecutableUsers"),
    )
    if request.get("Filters"):
        images = [image for image in images if matches(image)]
    shown, token = page(ctx, request, images, key=lambda image: image.id, sizes=(1, 1000), ids="ImageIds")
    account_id = ctx.caller.account_id
    return {"Images": [image_view(image, account_id) for image in shown], "NextToken": token}
