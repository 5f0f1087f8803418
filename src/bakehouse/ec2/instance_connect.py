"""EC2 Instance Connect: a public key for a minute, by the metadata service."""

from bakehouse.domain.instance_connect import no_serial_sessions_by_ssh, serial_access_disabled
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
    """Refuse: serial consoles are reached by `bakehouse console`, not by SSH."""
    ctx.app.login_keys.of_running(ctx.caller, request["InstanceId"])
    if not ctx.app.consoles.serial_access(ctx.caller):
        raise serial_access_disabled()
    raise no_serial_sessions_by_ssh()
