"""The administrator's password of a Windows guest."""

import re
from typing import Final

from bakehouse.ec2.registry import Request, RequestContext, Response, operation

#: How Windows guests tell it on their console, encrypted for the instance's key pair: in base64, in lines.
#: Source: EC2 API Reference, GetPasswordData ("The Windows password is generated at boot by the EC2Config service or
#: EC2Launch scripts"); what these write: `<Password>` around it.
_PASSWORD: Final = re.compile(rb"<Password>\s*([A-Za-z0-9+/=\s]{1,4096}?)\s*</Password>")


@operation("GetPasswordData", honours="InstanceId")
async def get_password_data(ctx: RequestContext, request: Request) -> Response:
    """Show the encrypted password that a guest wrote to its console last: nothing for Linux, and before it is there."""
    console = await ctx.app.instances.console_output(ctx.caller, request["InstanceId"])
    found = _PASSWORD.findall(console.text)
    password = b"".join(found[-1].split()).decode() if found else ""
    return {"InstanceId": console.instance_id, "PasswordData": password, "Timestamp": console.at}
