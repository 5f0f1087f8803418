"""GetImageAncestry."""

from typing import Any

from bakehouse.domain.image import Image
from bakehouse.ec2.registry import Request, RequestContext, Response, operation


@operation("GetImageAncestry", honours="ImageId")
async def get_image_ancestry(ctx: RequestContext, request: Request) -> Response:
    """Show the source of an image, the source of that, and so on to the first image that is known."""
    chain = ctx.app.image_ancestry.of(ctx.caller, request["ImageId"])
    return {"ImageAncestryEntries": [_view(image) for image in chain]}


def _view(image: Image) -> dict[str, Any]:
    """Return an entry. No owner here has an alias."""
    return {
        "CreationDate": image.created_at,
        "ImageId": image.id,
        "SourceImageId": image.source_image_id,
        "SourceImageRegion": image.source_image_region,
    }
