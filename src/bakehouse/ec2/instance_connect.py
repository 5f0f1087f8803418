"""EC2 Instance Connect: a public key for a minute, for a guest by its metadata, or for a serial console."""

from bakehouse.ec2.registry import Request, RequestContext, Response, operation


@operation(
    "SendSSHPublicKey",
    service="ec2-instance-connect",
    honours="InstanceId InstanceOSUser SSHPublicKey AvailabilityZone",
)
async def send_ssh_public_key(ctx: RequestContext, request: Request) -> Response:
    """Let a guest find a public key at `managed-ssh-keys/active-keys/USER` for 60 seconds."""
    ctx.app.login_keys.send(
        ctx.caller,
        request["InstanceId"],
        request["InstanceOSUser"],
        request["SSHPublicKey"],
        zone=request.get("AvailabilityZone"),
        request_id=ctx.request_id,
    )
    return {"RequestId": ctx.request_id, "Success": True}


@operation(
    "SendSerialConsoleSSHPublicKey",
    service="ec2-instance-connect",
    honours="InstanceId SerialPort SSHPublicKey",
)
async def send_serial_console_ssh_public_key(ctx: RequestContext, request: Request) -> Response:
    """Let the key's owner open an instance's serial console by SSH in the next 60 seconds, as `i-....port0`."""
    ctx.app.serial_sessions.send_key(ctx.caller, request["InstanceId"], request["SSHPublicKey"])
    return {"RequestId": ctx.request_id, "Success": True}
