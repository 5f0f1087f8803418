"""Operations that change what an image is good for: disabled, deprecated, protected from deregistration, given back."""

from bakehouse.ec2.registry import Request, RequestContext, Response, operation


@operation("EnableImage", honours="ImageId")
async def enable_image(ctx: RequestContext, request: Request) -> Response:
    """Let a disabled image be launched again."""
    await ctx.app.image_lifecycle.enable(ctx.caller, request["ImageId"])
    return {"Return": True}


@operation("DisableImage", honours="ImageId")
async def disable_image(ctx: RequestContext, request: Request) -> Response:
    """Let nobody launch an image, and take away its launch permissions."""
    await ctx.app.image_lifecycle.disable(ctx.caller, request["ImageId"])
    return {"Return": True}


@operation("EnableImageDeprecation", honours="ImageId DeprecateAt")
async def enable_image_deprecation(ctx: RequestContext, request: Request) -> Response:
    """Set the time from which others no longer find an image in lists."""
    await ctx.app.image_lifecycle.deprecate(ctx.caller, request["ImageId"], request["DeprecateAt"])
    return {"Return": True}


@operation("DisableImageDeprecation", honours="ImageId")
async def disable_image_deprecation(ctx: RequestContext, request: Request) -> Response:
    """Cancel the deprecation of an image."""
    await ctx.app.image_lifecycle.cancel_deprecation(ctx.caller, request["ImageId"])
    return {"Return": True}


@operation("EnableImageDeregistrationProtection", honours="ImageId WithCooldown")
async def enable_image_deregistration_protection(ctx: RequestContext, request: Request) -> Response:
    """Protect an image from deregistration. The answer is the kind of protection, not `true` as the model says."""
    cooldown = request.get("WithCooldown", False)
    return {"Return": await ctx.app.image_lifecycle.protect(ctx.caller, request["ImageId"], cooldown=cooldown)}


@operation("DisableImageDeregistrationProtection", honours="ImageId")
async def disable_image_deregistration_protection(ctx: RequestContext, request: Request) -> Response:
    """End the protection of an image from deregistration."""
    return {"Return": await ctx.app.image_lifecycle.unprotect(ctx.caller, request["ImageId"])}


@operation("CancelImageLaunchPermission", honours="ImageId")
async def cancel_image_launch_permission(ctx: RequestContext, request: Request) -> Response:
    """Give up the permission to launch an image of another account."""
    await ctx.app.image_lifecycle.give_up_permission(ctx.caller, request["ImageId"])
    return {"Return": True}
