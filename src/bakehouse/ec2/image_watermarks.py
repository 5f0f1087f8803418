"""Watermarks of images on the wire."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from bakehouse.domain.image import Image
from bakehouse.domain.image_watermark import ImageWatermark
from bakehouse.ec2.registry import Request, RequestContext, Response, operation


def _of_watermarks(value: Callable[[ImageWatermark], str]) -> Callable[[Image], Iterable[str | None]]:
    return lambda image: [value(watermark) for watermark in image.watermarks]


#: Source: EC2 API Reference, DescribeImages, Filters: times as `2026-11-23T06:18:09.000000+00:00`.
WATERMARK_FILTERS: Final[Mapping[str, Callable[[Image], Iterable[str | None]]]] = {
    "image-watermark.source-image-creation-time": _of_watermarks(
        lambda watermark: watermark.source_image_created_at.isoformat(timespec="microseconds")
    ),
    "image-watermark.source-image-id": _of_watermarks(lambda watermark: watermark.source_image_id),
    "image-watermark.source-image-region": _of_watermarks(lambda watermark: watermark.source_image_region),
    "image-watermark.watermark-creation-time": _of_watermarks(
        lambda watermark: watermark.created_at.isoformat(timespec="microseconds")
    ),
    "image-watermark.watermark-key": _of_watermarks(lambda watermark: watermark.key),
}


@operation("AttachImageWatermark", honours="ImageId WatermarkName")
async def attach_image_watermark(ctx: RequestContext, request: Request) -> Response:
    """Mark an image that is not public, and every image that comes of it from now on."""
    key = await ctx.app.image_watermarks.attach(ctx.caller, request["ImageId"], request["WatermarkName"])
    return {"WatermarkKey": key}


@operation("DetachImageWatermark", honours="ImageId WatermarkKey")
async def detach_image_watermark(ctx: RequestContext, request: Request) -> Response:
    """Take a watermark off an image; those that came of it keep theirs."""
    await ctx.app.image_watermarks.detach(ctx.caller, request["ImageId"], request["WatermarkKey"])
    return {"Return": True}


def watermark_view(watermark: ImageWatermark) -> dict[str, Any]:
    """Return a watermark as everybody sees it who sees the image."""
    return {
        "WatermarkKey": watermark.key,
        "SourceImageRegion": watermark.source_image_region,
        "SourceImageId": watermark.source_image_id,
        "SourceImageCreationTime": watermark.source_image_created_at,
        "WatermarkCreationTime": watermark.created_at,
    }
