"""Operations on how an instance is: processors, maintenance, names, monitoring, CPU credits."""

from collections.abc import Mapping
from typing import Any, Final

from bakehouse.domain.errors import missing_parameter
from bakehouse.domain.instance import Instance
from bakehouse.domain.instance_options import CpuCredits
from bakehouse.ec2.filters import Filters
from bakehouse.ec2.instance_option_views import cpu_options, cpu_options_view
from bakehouse.ec2.pages import page
from bakehouse.ec2.registry import Request, RequestContext, Response, operation

_CREDIT_FILTERS: Final[Filters[tuple[Instance, CpuCredits]]] = Filters({"instance-id": lambda it: (it[0].id,)})


@operation("ModifyInstanceCpuOptions", honours="InstanceId CoreCount ThreadsPerCore")
async def modify_instance_cpu_options(ctx: RequestContext, request: Request) -> Response:
    """Choose the processors that a stopped instance starts with."""
    instance = await ctx.app.instance_options.modify_cpu(
        ctx.caller,
        request["InstanceId"],
        core_count=request.get("CoreCount"),
        threads_per_core=request.get("ThreadsPerCore"),
    )
    return {"InstanceId": instance.id, **cpu_options_view(cpu_options(instance))}


@operation("ModifyInstanceMaintenanceOptions", honours="InstanceId AutoRecovery RebootMigration")
async def modify_instance_maintenance_options(ctx: RequestContext, request: Request) -> Response:
    """Choose what is done for an instance without its owner."""
    instance = await ctx.app.instance_options.modify_maintenance(
        ctx.caller,
        request["InstanceId"],
        auto_recovery=request.get("AutoRecovery"),
        reboot_migration=request.get("RebootMigration"),
    )
    maintenance = instance.maintenance
    return {
        "InstanceId": instance.id,
        "AutoRecovery": maintenance.auto_recovery,
        "RebootMigration": maintenance.reboot_migration,
    }


@operation(
    "ModifyPrivateDnsNameOptions",
    honours="InstanceId PrivateDnsHostnameType EnableResourceNameDnsARecord EnableResourceNameDnsAAAARecord",
)
async def modify_private_dns_name_options(ctx: RequestContext, request: Request) -> Response:
    """Choose how an instance is called in its VPC."""
    await ctx.app.instance_options.modify_names(
        ctx.caller,
        request["InstanceId"],
        hostname_type=request.get("PrivateDnsHostnameType"),
        a_record=request.get("EnableResourceNameDnsARecord"),
        aaaa_record=request.get("EnableResourceNameDnsAAAARecord"),
    )
    return {"Return": True}


@operation("MonitorInstances", honours="InstanceIds")
async def monitor_instances(ctx: RequestContext, request: Request) -> Response:
    """Write down that detailed monitoring is wanted. Nothing measures: there is no CloudWatch here."""
    instances = await ctx.app.instance_options.monitor(ctx.caller, request["InstanceIds"], detailed=True)
    return {"InstanceMonitorings": [_monitoring(it, "pending", done="enabled") for it in instances]}


@operation("UnmonitorInstances", honours="InstanceIds")
async def unmonitor_instances(ctx: RequestContext, request: Request) -> Response:
    """Write down that detailed monitoring is not wanted any more."""
    instances = await ctx.app.instance_options.monitor(ctx.caller, request["InstanceIds"], detailed=False)
    return {"InstanceMonitorings": [_monitoring(it, "disabling", done="disabled") for it in instances]}


def _monitoring(before: Instance, change: str, *, done: str) -> Mapping[str, Any]:
    was = "enabled" if before.monitoring else "disabled"
    return {"InstanceId": before.id, "Monitoring": {"State": done if was == done else change}}


@operation("DescribeInstanceCreditSpecifications", honours="InstanceIds Filters MaxResults NextToken")
async def describe_instance_credit_specifications(ctx: RequestContext, request: Request) -> Response:
    """List the credit options of these instances, or all that have unlimited credits."""
    matches = _CREDIT_FILTERS.compile(request)
    found = [it for it in ctx.app.instance_options.credits(ctx.caller, request.get("InstanceIds")) if matches(it)]
    shown, token = page(ctx, request, found, key=lambda it: it[0].id, sizes=(5, 1000), ids="InstanceIds")
    views = [{"InstanceId": instance.id, "CpuCredits": option} for instance, option in shown]
    return {"InstanceCreditSpecifications": views, "NextToken": token}


async def repeat_credits(_ctx: RequestContext, changed: str) -> Response:
    """Answer a client token that came before with what was changed then."""
    return {"SuccessfulInstanceCreditSpecifications": [{"InstanceId": it} for it in changed.split()]}


@operation(
    "ModifyInstanceCreditSpecification",
    honours="InstanceCreditSpecifications.InstanceId InstanceCreditSpecifications.CpuCredits",
    replay=repeat_credits,
)
async def modify_instance_credit_specification(ctx: RequestContext, request: Request) -> Response:
    """Change credit options. They are kept and shown; no guest is slowed down for want of credits."""
    wanted = [(it["InstanceId"], it.get("CpuCredits")) for it in request["InstanceCreditSpecifications"]]
    if any(option is None for _, option in wanted):
        raise missing_parameter("CpuCredits")
    changed, refused = await ctx.app.instance_options.modify_credits(ctx.caller, wanted)
    return {
        "SuccessfulInstanceCreditSpecifications": [{"InstanceId": it} for it in changed],
        "UnsuccessfulInstanceCreditSpecifications": [
            {"InstanceId": it.instance_id, "Error": {"Code": it.refusal.code, "Message": it.refusal.message}}
            for it in refused
        ],
    }
