"""Instance operations."""

from base64 import b64encode
from dataclasses import replace

from bakehouse.ec2.instance_filters import FILTERS
from bakehouse.ec2.instance_views import reservation_views, state_change_view
from bakehouse.ec2.launch_request import HONOURED, launch_request
from bakehouse.ec2.launch_template_data import templated
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation


async def repeat_launch(ctx: RequestContext, reservation_id: str) -> Response:
    """Answer a client token that came before with the launch that it made, as it is now, if anything is left of it."""
    (view,) = reservation_views(ctx.app.instances.repeated(ctx.caller, reservation_id))
    return view


@operation("RunInstances", honours=HONOURED, replay=repeat_launch)
async def run_instances(ctx: RequestContext, request: Request) -> Response:
    """Launch instances; their machines run when this answers, though the answer says `pending`, as EC2's does."""
    whole, template_tags = templated(ctx, request)
    wanted = replace(launch_request(ctx, whole), system_tags=template_tags)
    launched = await ctx.app.instances.run(ctx.caller, wanted)
    (view,) = reservation_views(launched)
    return view


@operation("DescribeInstances", honours="InstanceIds Filters MaxResults NextToken IncludeManagedResources")
async def describe_instances(ctx: RequestContext, request: Request) -> Response:
    """List instances, terminated ones for an hour, grouped by the launch that made them."""
    details = ctx.app.instances.describe(ctx.caller, request.get("InstanceIds"))
    if request.get("Filters"):
        matches = FILTERS.compile(request)
        details = [it for it in details if matches(it)]
    shown, token = page(ctx, request, details, key=lambda it: it.instance.id, sizes=(5, 1000), ids="InstanceIds")
    return {"Reservations": reservation_views(shown), "NextToken": token}


@operation("StartInstances", honours="InstanceIds")
async def start_instances(ctx: RequestContext, request: Request) -> Response:
    """Start stopped instances; their machines run when this answers."""
    changes = await ctx.app.instances.start(ctx.caller, request["InstanceIds"])
    return {"StartingInstances": [state_change_view(change) for change in changes]}


@operation("StopInstances", honours="InstanceIds Force SkipOsShutdown Hibernate")
async def stop_instances(ctx: RequestContext, request: Request) -> Response:
    """Begin to stop instances. Force and SkipOsShutdown do not ask the guest; Hibernate keeps its memory."""
    force = request.get("Force", False) or request.get("SkipOsShutdown", False)
    hibernate = request.get("Hibernate", False)
    changes = await ctx.app.instances.stop(ctx.caller, request["InstanceIds"], force=force, hibernate=hibernate)
    return {"StoppingInstances": [state_change_view(change) for change in changes]}


@operation("RebootInstances", honours="InstanceIds")
async def reboot_instances(ctx: RequestContext, request: Request) -> Response:
    """Begin to reboot running instances."""
    await ctx.app.instances.reboot(ctx.caller, request["InstanceIds"])
    return {}


@operation("TerminateInstances", honours="InstanceIds Force SkipOsShutdown")
async def terminate_instances(ctx: RequestContext, request: Request) -> Response:
    """Begin to terminate instances. Force is what happens anyhow: shut down, and after a while without consent."""
    changes = await ctx.app.instances.terminate(
        ctx.caller, request["InstanceIds"], skip_shutdown=request.get("SkipOsShutdown", False)
    )
    return {"TerminatingInstances": [state_change_view(change) for change in changes]}


@operation("GetConsoleOutput", honours="InstanceId Latest")
async def get_console_output(ctx: RequestContext, request: Request) -> Response:
    """Show the end of the serial console: always the latest, on every instance type."""
    console = await ctx.app.instances.console_output(ctx.caller, request["InstanceId"])
    return {
        "InstanceId": console.instance_id,
        "Timestamp": console.at,
        "Output": b64encode(console.text).decode() or None,
    }
