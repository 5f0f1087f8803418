"""Instances from outside: a picture of the screen, and the interrupt button."""

from base64 import b64encode

from bakehouse.ec2.registry import Request, RequestContext, Response, operation


@operation("GetConsoleScreenshot", honours="InstanceId WakeUp")
async def get_console_screenshot(ctx: RequestContext, request: Request) -> Response:
    """Show what an instance's display shows."""
    instance_id = request["InstanceId"]
    wake_up = request.get("WakeUp", False)
    picture = await ctx.app.consoles.screenshot(ctx.caller, instance_id, wake_up=wake_up)
    return {"InstanceId": instance_id, "ImageData": b64encode(picture).decode()}


@operation("SendDiagnosticInterrupt", honours="InstanceId")
async def send_diagnostic_interrupt(ctx: RequestContext, request: Request) -> Response:
    """Send an instance a non-maskable interrupt."""
    await ctx.app.consoles.interrupt(ctx.caller, request["InstanceId"])
    return {}
