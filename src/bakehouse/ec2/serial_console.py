"""Whether an account's users may reach serial consoles in a region."""

from bakehouse.ec2.registry import Request, RequestContext, Response, operation


@operation("EnableSerialConsoleAccess")
async def enable_serial_console_access(ctx: RequestContext, _request: Request) -> Response:
    """Let the account's users connect to serial consoles."""
    await ctx.app.consoles.set_serial_access(ctx.caller, enabled=True)
    return {"SerialConsoleAccessEnabled": True}


@operation("DisableSerialConsoleAccess")
async def disable_serial_console_access(ctx: RequestContext, _request: Request) -> Response:
    """Let nobody of the account connect to serial consoles, as it is at first."""
    await ctx.app.consoles.set_serial_access(ctx.caller, enabled=False)
    return {"SerialConsoleAccessEnabled": False}


@operation("GetSerialConsoleAccessStatus")
async def get_serial_console_access_status(ctx: RequestContext, _request: Request) -> Response:
    """Show whether the account's users may connect to serial consoles. No organization decides for accounts here."""
    return {"SerialConsoleAccessEnabled": ctx.app.consoles.serial_access(ctx.caller), "ManagedBy": "account"}
