"""DescribeInstanceImageMetadata."""

from typing import Any, Final

from bakehouse.app.instance_images import InstanceImage
from bakehouse.domain.image import Image, ImageState
from bakehouse.domain.region import zone_id
from bakehouse.ec2.filters import Filters, flag
from bakehouse.ec2.image_views import moment
from bakehouse.ec2.image_watermarks import watermark_view
from bakehouse.ec2.instance_views import STATES
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.tag_specifications import tag_set

#: Source: EC2 API Reference, DescribeInstanceImageMetadata: MaxResults, and what holds without it.
_SIZES: Final = (1, 1000)
_DEFAULT_SIZE: Final = 1000

#: Source: EC2 API Reference, DescribeInstanceImageMetadata. The owner is the image's, the tags are the instance's.
FILTERS: Final[Filters[InstanceImage]] = Filters(
    {
        "availability-zone": lambda it: (it.instance.availability_zone,),
        "image-allowed": lambda it: () if it.is_allowed is None else (flag(it.is_allowed),),
        "instance-id": lambda it: (it.instance.id,),
        "instance-state-name": lambda it: (it.instance.state.value,),
        "instance-type": lambda it: (it.instance.type,),
        "launch-time": lambda it: (moment(it.instance.launched_at),),
        "owner-alias": lambda _it: (),
        "owner-id": lambda it: () if it.image is None else (it.image.account_id,),
        "zone-id": lambda it: (zone_id(it.instance.availability_zone),),
    },
    tags=lambda it: it.instance.tags,
)


@operation("DescribeInstanceImageMetadata", honours="InstanceIds Filters MaxResults NextToken")
async def describe_instance_image_metadata(ctx: RequestContext, request: Request) -> Response:
    """List the images that the caller's instances were launched from, whatever has become of them."""
    matches = FILTERS.compile(request)
    found = [it for it in ctx.app.instance_images.describe(ctx.caller, request.get("InstanceIds")) if matches(it)]
    sized = {"MaxResults": _DEFAULT_SIZE, **request}
    shown, token = page(ctx, sized, found, key=lambda it: it.instance.id, sizes=_SIZES)
    return {"InstanceImageMetadata": [_view(it) for it in shown], "NextToken": token}


def _view(it: InstanceImage) -> Response:
    instance = it.instance
    return {
        "InstanceId": instance.id,
        "InstanceType": instance.type,
        "LaunchTime": instance.launched_at,
        "AvailabilityZone": instance.availability_zone,
        "ZoneId": zone_id(instance.availability_zone),
        "State": STATES[instance.state],
        "OwnerId": instance.account_id,
        "Tags": tag_set(instance.tags),
        "ImageMetadata": _unknown(instance.image_id) if it.image is None else _image_view(it.image, it.is_allowed),
        "Operator": {"Managed": False},
    }


def _image_view(image: Image, is_allowed: bool | None) -> dict[str, Any]:  # noqa: FBT001 - a field of InstanceImage
    return {
        "ImageId": image.id,
        "Name": image.name,
        "OwnerId": image.account_id,
        "State": image.state,
        "CreationDate": moment(image.created_at),
        "DeprecationTime": moment(image.deprecation_time) if image.deprecation_time else None,
        "ImageAllowed": is_allowed,
        "IsPublic": image.is_public,
        "ImageWatermarks": [watermark_view(watermark) for watermark in image.watermarks],
    }


def _unknown(image_id: str) -> dict[str, Any]:
    """Return what is left of an image that an earlier version deregistered without keeping anything of it."""
    return {"ImageId": image_id, "State": ImageState.DEREGISTERED}
