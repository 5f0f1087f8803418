"""EC2 Fast Launch, which is about Windows: no image here is, so that none is ever pre-provisioned."""

from typing import Final

from bakehouse.domain.image import Image
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

FILTERS: Final[Filters[Image]] = Filters(
    {"owner-id": lambda _image: (), "resource-type": lambda _image: (), "state": lambda _image: ()}
)


@operation("EnableFastLaunch", honours="ImageId ResourceType SnapshotConfiguration LaunchTemplate MaxParallelLaunches")
async def enable_fast_launch(ctx: RequestContext, request: Request) -> Response:
    """Refuse: the image is not a Windows one, or not there."""
    ctx.app.image_lifecycle.refuse_fast_launch(ctx.caller, request["ImageId"])


@operation("DisableFastLaunch", honours="ImageId Force")
async def disable_fast_launch(ctx: RequestContext, request: Request) -> Response:
    """Refuse: the image is not a Windows one, or not there."""
    ctx.app.image_lifecycle.refuse_fast_launch(ctx.caller, request["ImageId"])


@operation("DescribeFastLaunchImages", honours="ImageIds Filters MaxResults NextToken")
async def describe_fast_launch_images(ctx: RequestContext, request: Request) -> Response:
    """List no image: none is pre-provisioned."""
    FILTERS.compile(request)
    if request.get("ImageIds"):
        ctx.app.images.describe(ctx.caller, request["ImageIds"])
    none: list[Image] = []
    shown, token = page(ctx, request, none, key=lambda image: image.id, sizes=(1, 200), ids="ImageIds")
    return {"FastLaunchImages": list(shown), "NextToken": token}
