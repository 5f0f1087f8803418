"""Allowed AMIs on the wire: the state, and the criteria as they were given."""

from collections.abc import Mapping
from typing import Any

from bakehouse.domain.allowed_images import AllowedImagesState, ImageCriterion, WatermarkCriterion
from bakehouse.ec2.registry import Request, RequestContext, Response, operation


@operation("EnableAllowedImagesSettings", honours="AllowedImagesSettingsState")
async def enable_allowed_images_settings(ctx: RequestContext, request: Request) -> Response:
    """Apply the criteria, or only show which images they would allow."""
    state = AllowedImagesState(request["AllowedImagesSettingsState"])
    await ctx.app.allowed_images.set_state(ctx.caller, state)
    return {"AllowedImagesSettingsState": state}


@operation("DisableAllowedImagesSettings")
async def disable_allowed_images_settings(ctx: RequestContext, _request: Request) -> Response:
    """Allow all images, and keep the criteria."""
    await ctx.app.allowed_images.set_state(ctx.caller, AllowedImagesState.DISABLED)
    return {"AllowedImagesSettingsState": AllowedImagesState.DISABLED}


@operation("GetAllowedImagesSettings")
async def get_allowed_images_settings(ctx: RequestContext, _request: Request) -> Response:
    """Show the state and the criteria."""
    settings = ctx.app.allowed_images.of(ctx.caller)
    criteria = [_criterion_view(criterion) for criterion in settings.criteria]
    return {"State": settings.state, "ImageCriteria": criteria, "ManagedBy": "account"}


@operation("ReplaceImageCriteriaInAllowedImagesSettings", honours="ImageCriteria")
async def replace_image_criteria_in_allowed_images_settings(ctx: RequestContext, request: Request) -> Response:
    """Set the criteria."""
    criteria = [_requested(criterion) for criterion in request.get("ImageCriteria") or ()]
    await ctx.app.allowed_images.replace_criteria(ctx.caller, criteria)
    return {"ReturnValue": True}


def _requested(given: Mapping[str, Any]) -> ImageCriterion:
    deprecation, creation = given.get("DeprecationTimeCondition") or {}, given.get("CreationDateCondition") or {}
    return ImageCriterion(
        providers=tuple(given.get("ImageProviders") or ()),
        product_codes=tuple(given.get("MarketplaceProductCodes") or ()),
        names=tuple(given.get("ImageNames") or ()),
        days_since_deprecated=deprecation.get("MaximumDaysSinceDeprecated"),
        days_since_created=creation.get("MaximumDaysSinceCreated"),
        watermarks=tuple(_requested_watermark(watermark) for watermark in given.get("ImageWatermarks") or ()),
    )


def _requested_watermark(given: Mapping[str, Any]) -> WatermarkCriterion:
    return WatermarkCriterion(
        key=given.get("WatermarkKey"),
        source_region=given.get("SourceImageRegion"),
        days_since_source_created=given.get("MaximumDaysSinceSourceImageCreated"),
        days_since_attached=given.get("MaximumDaysSinceWatermarkCreated"),
    )


def _criterion_view(criterion: ImageCriterion) -> Response:
    """Return a criterion with no more members than it was given."""
    deprecated, created = criterion.days_since_deprecated, criterion.days_since_created
    return {
        "ImageProviders": criterion.providers or None,
        "MarketplaceProductCodes": criterion.product_codes or None,
        "ImageNames": criterion.names or None,
        "DeprecationTimeCondition": None if deprecated is None else {"MaximumDaysSinceDeprecated": deprecated},
        "CreationDateCondition": None if created is None else {"MaximumDaysSinceCreated": created},
        "ImageWatermarks": [_watermark_view(watermark) for watermark in criterion.watermarks] or None,
    }


def _watermark_view(criterion: WatermarkCriterion) -> Response:
    return {
        "WatermarkKey": criterion.key,
        "SourceImageRegion": criterion.source_region,
        "MaximumDaysSinceSourceImageCreated": criterion.days_since_source_created,
        "MaximumDaysSinceWatermarkCreated": criterion.days_since_attached,
    }
