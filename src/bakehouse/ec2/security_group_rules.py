"""Operations that change rules in place."""

from collections.abc import Mapping
from typing import Any

from bakehouse.domain.errors import invalid_combination, invalid_parameter, missing_parameter
from bakehouse.domain.security_group import Permission, SecurityGroup
from bakehouse.ec2.permissions import names_permissions, requested_permissions
from bakehouse.ec2.registry import Request, RequestContext, Response, operation
from bakehouse.ec2.security_groups import PERMISSIONS, requested_group

_DESCRIPTIONS = "SecurityGroupRuleDescriptions.SecurityGroupRuleId SecurityGroupRuleDescriptions.Description"
_RULE = "IpProtocol FromPort ToPort CidrIpv4 CidrIpv6 PrefixListId ReferencedGroupId Description"
_SOURCES = ("CidrIpv4", "CidrIpv6", "PrefixListId", "ReferencedGroupId")


@operation(
    "ModifySecurityGroupRules",
    honours="GroupId SecurityGroupRules.SecurityGroupRuleId "
    + " ".join(f"SecurityGroupRules.SecurityGroupRule.{member}" for member in _RULE.split()),
)
async def modify_security_group_rules(ctx: RequestContext, request: Request) -> Response:
    """Let rules permit something else."""
    group = requested_group(ctx, request)
    changes: dict[str, Permission] = {}
    for update in request["SecurityGroupRules"]:
        rule_id = update["SecurityGroupRuleId"]
        if rule_id in changes:
            raise invalid_parameter(f"The rule {rule_id} is given more than once.")
        changes[rule_id] = _permission(ctx, update.get("SecurityGroupRule") or {}, group)
    await ctx.app.security_group_rules.modify(group, changes)
    return {"Return": True}


@operation("UpdateSecurityGroupRuleDescriptionsIngress", honours=f"GroupId GroupName {PERMISSIONS} {_DESCRIPTIONS}")
async def update_security_group_rule_descriptions_ingress(ctx: RequestContext, request: Request) -> Response:
    """Describe rules for what comes in."""
    return await _describe(ctx, request, egress=False)


@operation("UpdateSecurityGroupRuleDescriptionsEgress", honours=f"GroupId GroupName {PERMISSIONS} {_DESCRIPTIONS}")
async def update_security_group_rule_descriptions_egress(ctx: RequestContext, request: Request) -> Response:
    """Describe rules for what goes out."""
    return await _describe(ctx, request, egress=True)


async def _describe(ctx: RequestContext, request: Request, *, egress: bool) -> Response:
    group = requested_group(ctx, request)
    given = request.get("SecurityGroupRuleDescriptions")
    if given and names_permissions(request):
        raise invalid_combination("The request cannot have both SecurityGroupRuleDescriptions and IpPermissions")
    rules = ctx.app.security_group_rules
    if given:
        if any("SecurityGroupRuleId" not in entry for entry in given):
            raise missing_parameter("securityGroupRuleId")
        said = {entry["SecurityGroupRuleId"]: entry.get("Description") for entry in given}
        await rules.describe(group, said, egress=egress)
    else:
        await rules.describe_permitted(group, requested_permissions(ctx, request, group.vpc_id), egress=egress)
    return {"Return": True}


def _permission(ctx: RequestContext, wanted: Mapping[str, Any], group: SecurityGroup) -> Permission:
    """Return what a rule is to permit: the whole of it, as what is left out is not what it was."""
    named = [member for member in _SOURCES if member in wanted]
    if len(named) > 1:
        raise invalid_combination(f"The request cannot have both {named[0]} and {named[1]}")
    entry = {name: wanted[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in wanted}
    described = {"Description": wanted.get("Description")}
    match named:
        case ["CidrIpv4"]:
            entry["IpRanges"] = [{"CidrIp": wanted["CidrIpv4"]} | described]
        case ["CidrIpv6"]:
            entry["Ipv6Ranges"] = [{"CidrIpv6": wanted["CidrIpv6"]} | described]
        case ["PrefixListId"]:
            entry["PrefixListIds"] = [{"PrefixListId": wanted["PrefixListId"]} | described]
        case ["ReferencedGroupId"]:
            entry["UserIdGroupPairs"] = [{"GroupId": wanted["ReferencedGroupId"]} | described]
    (permission,) = requested_permissions(ctx, {"IpPermissions": [entry]}, group.vpc_id)
    return permission
